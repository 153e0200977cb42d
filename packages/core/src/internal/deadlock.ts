/**
 * Finds out, when a borrower is about to wait, whether anyone is left who could ever give something back. Owned by
 * `ResourcePool`.
 *
 * Whoever waits for a pool waits for any of its holders. A holder can not give back while its own fiber waits for a pool;
 * so there is a deadlock when all whom a borrower waits for wait themselves, all the way round. It can only come about
 * when someone who holds an item begins to wait, so nobody else pays for the search.
 */
import type { Frame } from "./frame.ts"
import { mayHold } from "./holding.ts"
import type { AnyFiber, Lease, Lender } from "./lease.ts"

/** Who holds something and waits, by the number of the fiber. */
const waitingHolders = new Map<number, Lease>()

/** Whoever has one of these can make room for a borrower by giving it back. */
export interface Room {
  /** Will there be room even if none of them is given back? */
  readonly hasPromise: boolean
  readonly leases: Iterable<Lease>
}

/** A pool, as far as the search has to know it. */
export interface Source extends Lender {
  /** Is there someone else than its holders who can bring an item? */
  readonly hasPromise: boolean
  /** Its own leases, or those of all pools that it shares room with. */
  readonly room: Room
}

/** The fibers that can not go on before the lease has its item: its own, and those that wait for its frames to end. */
const stalled = (lease: Lease): ReadonlyArray<AnyFiber> => {
  let fiber = lease.fiber
  let fibers: Array<AnyFiber> | undefined
  for (let frame: Frame | undefined = lease.frame; frame !== undefined; frame = frame.parent) {
    if (frame.caller === undefined || frame.fiber !== fiber) continue
    fiber = frame.caller
    ;(fibers ??= [lease.fiber]).push(fiber)
  }
  return fibers ?? [fiber]
}

/** May one of those fibers hold something? */
const isHolder = (lease: Lease): boolean => {
  let { fiber } = lease
  if (mayHold(fiber)) return true
  for (let frame: Frame | undefined = lease.frame; frame !== undefined; frame = frame.parent) {
    if (frame.caller === undefined || frame.fiber !== fiber) continue
    fiber = frame.caller
    if (mayHold(fiber)) return true
  }
  return false
}

/**
 * Would the lease wait for ever? Answers those who wait for one another then, itself last. Otherwise it is known to wait
 * until {@link leave}.
 */
export const wouldDeadlock = (lease: Lease, source: Source): ReadonlyArray<Lease> | undefined => {
  if (!isHolder(lease)) return undefined
  for (const fiber of stalled(lease)) waitingHolders.set(fiber.id, lease)
  const blocked = new Set<Lease>()
  if (isHopeful(source, blocked)) return undefined
  leave(lease)
  blocked.delete(lease)
  return [...blocked, lease]
}

/** Can anybody bring an item? If not, those who are in the way are in `blocked`. Looks once at each pool and room. */
const isHopeful = (source: Source, blocked: Set<Lease>): boolean => {
  const sources = new Set([source])
  const rooms = new Set<Room>()
  for (const { hasPromise, room } of sources) {
    if (hasPromise) return true
    if (rooms.has(room)) continue
    if (room.hasPromise) return true
    rooms.add(room)
    for (const lease of room.leases) {
      const waits = waitOf(lease)
      if (waits === undefined) {
        if (isEnough(lease)) return true
        continue
      }
      blocked.add(waits)
      sources.add(waits.lender as Source)
    }
  }
  return false
}

/** What the holder waits for, which has to come before it can give back what it has. */
const waitOf = (lease: Lease): Lease | undefined => lease.isBound ? waitingHolders.get(holderOf(lease).id) : undefined

/** Does it help when only this one gives back? A retired item has to be given back by all. */
const isEnough = ({ item }: Lease): boolean => {
  if (item?.isRetired !== true) return true
  for (let other = item.leases.first; other !== undefined; other = other.behind) {
    if (waitOf(other) !== undefined) return false
  }
  return true
}

/** Who gives it back: the fiber that borrowed it, or when that is gone the one whose frame it ends with. */
const holderOf = (lease: Lease): AnyFiber =>
  lease.fiber.pollUnsafe() === undefined ? lease.fiber : lease.frame?.fiber ?? lease.fiber

/** It waits no longer. */
export const leave = (lease: Lease): void => {
  if (waitingHolders.size === 0) return
  for (const fiber of stalled(lease)) {
    if (waitingHolders.get(fiber.id) === lease) waitingHolders.delete(fiber.id)
  }
}

/** The pools that each of those who wait for one another has items of. */
export const holdingsOf = (cycle: ReadonlyArray<Lease>): ReadonlyArray<ReadonlyArray<string>> => {
  const held = new Map<number, Set<string>>()
  for (const room of new Set(cycle.map(({ lender }) => (lender as Source).room))) {
    for (const lease of room.leases) {
      const { id } = holderOf(lease)
      const names = held.get(id)
      if (names === undefined) held.set(id, new Set([lease.lender.name]))
      else names.add(lease.lender.name)
    }
  }
  return cycle.map((lease) => Array.from(new Set(stalled(lease).flatMap(({ id }) => Array.from(held.get(id) ?? [])))))
}

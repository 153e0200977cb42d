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

/** A pool, as far as the search has to know it. */
export interface Source extends Lender {
  /** Is there someone else than its holders who can bring an item? */
  readonly hasPromise: boolean
  readonly leases: Iterable<Lease>
  /** Any of these can make room for a borrower by giving back: its own leases, or those of pools that it shares with. */
  readonly givers: Iterable<Lease>
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

/** Is the lease about to wait for ever? Otherwise it is known to wait until {@link leave}. */
export const wouldDeadlock = (lease: Lease, source: Source): ReadonlyArray<Lease> | undefined => {
  if (!isHolder(lease)) return undefined
  const fibers = stalled(lease)
  for (const fiber of fibers) waitingHolders.set(fiber.id, lease)
  const seen = new Set<Lender>()
  const blocked = new Set<Lease>()
  if (canGive(source, seen, blocked)) return undefined
  leave(lease)
  return [...Array.from(blocked).filter((other) => other !== lease), lease]
}

const canGive = (source: Source, seen: Set<Lender>, blocked: Set<Lease>): boolean => {
  if (source.hasPromise) return true
  seen.add(source)
  for (const lease of source.givers) {
    const waits = lease.isBound ? waitingHolders.get(holderOf(lease).id) : undefined
    if (waits === undefined) return true
    blocked.add(waits)
    const other = waits.lender as Source
    if (!seen.has(other) && canGive(other, seen, blocked)) return true
  }
  return false
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

/** The pools that a waiting lease's fiber holds items of, among those concerned. */
export const heldBy = (lease: Lease, sources: Iterable<Source>): ReadonlyArray<string> => {
  const fibers = new Set(stalled(lease).map(({ id }) => id))
  const names = new Set<string>()
  for (const source of sources) {
    for (const other of source.givers) {
      if (fibers.has(holderOf(other).id)) names.add(other.lender.name)
    }
  }
  return Array.from(names)
}

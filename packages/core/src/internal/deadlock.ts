/**
 * Finds out, when somebody is about to wait, whether anyone is left who could ever give something back. Owned by
 * `TimeFrame`.
 *
 * Whoever waits for a pool or a budget waits for any of its holders, whoever waits for a turn for all who have one, and
 * whoever waits for a shared value for the fiber that acquires it. A holder can not give back while its own fiber waits; so there is a deadlock when all whom somebody waits for wait
 * themselves, all the way round. It can only come about when someone who holds something begins to wait, so nobody else
 * pays for the search.
 */
import type * as Fiber from "effect/Fiber"
import type { Frame } from "./frame.ts"
import { goesOn, mayHold, waits } from "./holding.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Something that is held, and may be given back. */
export interface Held {
  /** What it is, or is of. */
  readonly name: string
  /** The number of the fiber that has to give it back; `undefined`: somebody else may as well. */
  readonly holder: number | undefined
  /** What it may do with it, where it is a turn. */
  readonly turn?: "read" | "write"
}

/** Whoever has some of it can make room by giving it back. */
export interface Room {
  /** Will there be room even if nobody gives anything back? */
  readonly hasPromise: boolean
  readonly held: Iterable<Held>
  /** Does it make no difference who waits? */
  readonly isForAll: boolean
  /** Is there enough for the waiter when all is given back but for what can not be? */
  fits(waiter: Waiter, canNot: (held: Held) => boolean): boolean
}

/** What somebody waits for. */
export interface Source {
  readonly name: string
  /** Is there someone else than its holders who can bring something? */
  readonly hasPromise: boolean
  /** Its own holders, or those of all that it shares room with. */
  readonly room: Room
}

/** Someone who waits. */
export interface Waiter {
  readonly fiber: AnyFiber
  readonly frame: Frame | undefined
  /** What it waits for. */
  readonly source: Source
  /** Where it stands, as errors show it. */
  readonly place: string
  /** What it waits to do, where it waits for a turn. */
  readonly turn?: "read" | "write"
  /** Who comes first and waits for the same holders, where it would not wait for those itself. */
  readonly behind?: Waiter | undefined
  /** The fibers that it keeps from going on, as of when it began: its frame may go elsewhere. Known of holders that wait. */
  kept?: ReadonlyArray<AnyFiber> | undefined
  /** Is refused, since those in that circle would wait for ever. Absent: others have to be. */
  breakCircle?(cycle: ReadonlyArray<Waiter>): void
}

/** Who holds something and waits, by the number of the fiber. */
const waitingHolders = new Map<number, Waiter>()

/** The fibers that can not go on before the waiter does: its own, and those that wait for its frames to end. */
export const stalled = (waiter: Pick<Waiter, "fiber" | "frame">): ReadonlyArray<AnyFiber> => {
  let { fiber } = waiter
  let fibers: Array<AnyFiber> | undefined
  for (let frame = waiter.frame; frame !== undefined; frame = frame.parent) {
    if (frame.caller === undefined || frame.fiber !== fiber) continue
    fiber = frame.caller
    ;(fibers ??= [waiter.fiber]).push(fiber)
  }
  return fibers ?? [fiber]
}

/** May one of those fibers hold something? */
const isHolder = (waiter: Waiter): boolean => {
  let { fiber } = waiter
  if (mayHold(fiber.id)) return true
  for (let frame = waiter.frame; frame !== undefined; frame = frame.parent) {
    if (frame.caller === undefined || frame.fiber !== fiber) continue
    fiber = frame.caller
    if (mayHold(fiber.id)) return true
  }
  return false
}

/**
 * Would it wait for ever? Answers those who wait for one another then, itself last. Otherwise it is known to wait until
 * {@link leave}.
 */
export const wouldDeadlock = (waiter: Waiter): ReadonlyArray<Waiter> | undefined => {
  if (!isHolder(waiter)) return undefined
  enter(waiter)
  // Mostly there is someone who does not wait, and has enough.
  if (canBeServed(waiter, isWaited)) return undefined
  const stuck = stuckWith(waiter)
  if (!stuck.has(waiter)) return undefined
  leave(waiter)
  stuck.delete(waiter)
  return [...stuck, waiter]
}

/**
 * The same for someone who is not to be refused: who waits on the way to what it waits for is, in its place.
 */
export const waitAnyway = (waiter: Waiter): void => {
  const cycle = wouldDeadlock(waiter)
  if (cycle === undefined) return
  enter(waiter)
  const refused = onTheWay(waiter)
  refused?.breakCircle!([...cycle.filter((one) => one !== refused), refused])
}

const onTheWay = (waiter: Waiter): Waiter | undefined => {
  const seen = new Set<Waiter>()
  let at: Waiter | undefined = waiter
  while (at !== undefined && at.breakCircle === undefined) {
    if (seen.has(at)) return undefined
    seen.add(at)
    const [held]: Iterable<Held> = at.source.room.held
    at = held === undefined ? undefined : waitOf(held)
  }
  return at
}

/**
 * Those who are in each other's way for ever: all who are found from one to the next, but for those who can be served when
 * others give back what they have, and then give back what they have themselves.
 */
const stuckWith = (waiter: Waiter): Set<Waiter> => {
  const stuck = new Set([waiter])
  const rooms = new Set<Room>()
  for (const { behind, source: { room } } of stuck) {
    if (behind !== undefined) stuck.add(behind)
    if (rooms.has(room)) continue
    rooms.add(room)
    for (const held of room.held) {
      const other = waitOf(held)
      if (other !== undefined) stuck.add(other)
    }
  }
  const isStuck = (held: Held): boolean => {
    const other = waitOf(held)
    return other !== undefined && stuck.has(other)
  }
  for (let before = -1; before !== stuck.size;) {
    before = stuck.size
    const full = new Set<Room>()
    // The last ones found are the first that the others depend on.
    for (const other of Array.from(stuck).reverse()) {
      const { hasPromise, room } = other.source
      if (full.has(room) && !hasPromise) continue
      if (canBeServed(other, isStuck)) stuck.delete(other)
      else if (room.isForAll) full.add(room)
    }
  }
  return stuck
}

const canBeServed = (waiter: Waiter, canNot: (held: Held) => boolean): boolean => {
  const { hasPromise, room } = waiter.source
  return hasPromise || room.hasPromise || room.fits(waiter, canNot)
}

/** The wait that has to end before it can be given back. */
const waitOf = ({ holder }: Held): Waiter | undefined => holder === undefined ? undefined : waitingHolders.get(holder)

/** Can it not be given back before somebody else has given back something? */
export const isWaited = (held: Held): boolean => waitOf(held) !== undefined

/** It is known to wait. */
export const enter = (waiter: Waiter): void => {
  waiter.kept = stalled(waiter)
  for (const { id } of waiter.kept) {
    waitingHolders.set(id, waiter)
    waits(id)
  }
}

/** It waits no longer. */
export const leave = (waiter: Waiter): void => {
  const { kept } = waiter
  if (kept === undefined) return
  waiter.kept = undefined
  for (const { id } of kept) {
    if (waitingHolders.get(id) !== waiter) continue
    waitingHolders.delete(id)
    goesOn(id)
  }
}

/** Who holds what and waits for what, as an error tells of it; of many the last ones. */
export const inWords = (cycle: ReadonlyArray<Waiter>, most: number): ReadonlyArray<Words> => {
  const heldBy = new Map<number, Array<Held>>()
  for (const room of new Set(cycle.map(({ source }) => source.room))) {
    for (const held of room.held) {
      if (held.holder === undefined) continue
      const others = heldBy.get(held.holder)
      if (others === undefined) heldBy.set(held.holder, [held])
      else others.push(held)
    }
  }
  return cycle.slice(-most).map((waiter) => {
    const held = stalled(waiter).flatMap(({ id }) => heldBy.get(id) ?? [])
    const { place: frame, source: { name: waitsFor }, turn } = waiter
    const said: Words = { frame, holds: namesOf(held), waitsFor }
    const reads = namesOf(held.filter(({ turn }) => turn === "read"))
    const writes = namesOf(held.filter(({ turn }) => turn === "write"))
    if (reads.length > 0) said.reads = reads
    if (writes.length > 0) said.writes = writes
    if (turn !== undefined) said.turn = turn
    return said
  })
}

/** One of them. */
interface Words {
  frame: string
  holds: ReadonlyArray<string>
  reads?: ReadonlyArray<string>
  writes?: ReadonlyArray<string>
  waitsFor: string
  turn?: "read" | "write"
}

const namesOf = (held: ReadonlyArray<Held>): ReadonlyArray<string> => Array.from(new Set(held.map(({ name }) => name)))

/**
 * How long one who comes now will wait for an item, for admission by deadline. Owned by `ResourcePool`.
 *
 * By Little's law: with `n` items that are held for `h` each, one comes back every `h / n`, and one who comes behind `q`
 * others waits for `q + 1` of them. Where an item may be made instead, it waits no longer than that takes.
 */
import type { DeadlineExceeded } from "../ResourceError.ts"
import { Applicant, inLine, mayRefuse } from "./admission.ts"
import type { Definition } from "./definition.ts"
import type { Lease } from "./lease.ts"
import { lean } from "./poolReport.ts"
import type { Report, Standing } from "./poolReport.ts"
import type { Queue } from "./queue.ts"
import { Recent } from "./recent.ts"
import type { Admission } from "./recent.ts"
import type { Registry } from "./registry.ts"

/** The pool that is waited for. */
export interface Waited extends Standing {
  /** What its items are made of. */
  readonly item: Definition
  readonly canGrow: boolean
  readonly closing: number
  readonly quota: object | undefined
  readonly counts: { refused: number }
  /** How long items were held of late; there from when somebody asks. */
  recent: Recent | undefined
}

/** Since when the one waits who came first, by the monotonic clock. */
const oldestOf = ({ oldest }: Queue<Lease>, now: number, registry: Registry): number =>
  oldest === undefined ? Infinity : now - (registry.elapsed() - oldest.since)

interface Wait {
  readonly time: number
  readonly recent: Recent
}

/** How long `ahead` others and the next one wait; `undefined` when nobody knows. */
export const waitBehind = (
  ahead: number,
  pool: Waited,
  queue: Queue<Lease>,
  wasCreating: number,
  now: number,
  policy: Admission
): Wait | undefined => {
  const { closing, config: { concurrency }, creating, isSuspended, registry, size: { max }, total } = pool
  const holds = pool.recent ??= new Recent()
  const creations = registry.statisticsOf(pool.item).recent ??= new Recent()
  // An item that is being made already is there nobody knows when.
  if (isSuspended || ahead < wasCreating * concurrency) return undefined
  const there = total - creating - closing
  const coming = pool.canGrow && pool.creationFailure === undefined ? creating + Math.max(0, max - total) : 0
  const slots = (there + coming) * concurrency
  const hold = holds.expected(now, policy)
  const stalled = holds.stalledFor(oldestOf(queue, now, registry), now)
  const behind = ahead - coming * concurrency
  if (behind >= 0) {
    if (hold === undefined || slots === 0) return undefined
    return { time: inLine(behind, hold / slots, stalled), recent: holds }
  }
  const creation = creations.expected(now, policy)
  if (creation === undefined || pool.quota !== undefined) return undefined
  const made = { time: creation, recent: creations }
  if (there === 0) return made
  if (hold === undefined) return undefined
  const returned = { time: inLine(ahead, hold / (there * concurrency), stalled), recent: holds }
  return returned.time < made.time ? returned : made
}

/** Refuses one that has just joined the queue, if it is expected to wait for longer than its frame has left. */
export const refuseBorrower = (
  lease: Lease,
  pool: Waited,
  queue: Queue<Lease>,
  wasCreating: number,
  report: () => Report
): DeadlineExceeded | undefined => {
  const { fiber, frame } = lease
  if (frame === undefined || !mayRefuse(frame)) return undefined
  const applicant = Applicant.of(frame, fiber)
  if (applicant === undefined) return undefined
  const ahead = Math.max(0, queue.lengthFrom(pool.placeIn(fiber.context).priority) - 1)
  const wait = waitBehind(ahead, pool, queue, wasCreating, applicant.now, applicant.policy)
  if (wait === undefined || !applicant.isTooLate(wait.time, wait.recent)) return undefined
  pool.counts.refused++
  return lean(() => applicant.refusal(pool.name, wait.time, report().holders))
}

/** One has waited in vain: whoever has an item has had it since one came back last, at least. */
export const waitedInVain = ({ recent, registry }: Waited, queue: Queue<Lease>): void => {
  if (recent === undefined) return
  const now = registry.timers.now()
  recent.addAtLeast(recent.stalledFor(oldestOf(queue, now, registry), now), now)
}

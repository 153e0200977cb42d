/**
 * A moment after which work is pointless. Durations go in, deadlines live inside: a timeout is relative and starts
 * anew wherever it is passed on, a deadline stays where it is.
 */
import * as Duration from "effect/Duration"

/**
 * Milliseconds of the monotonic clock of the manager, so that setting the wall clock moves no deadline; `Infinity` when
 * there is none.
 */
export type Deadline = number

/**
 * No deadline.
 */
export const none: Deadline = Infinity

/**
 * The moment `timeout` milliseconds after `now`.
 */
export const after = (now: number, timeout: number): Deadline => now + timeout

/**
 * The earlier one: a frame's effective deadline is the earlier of its own and its parent's.
 */
export const earlier = (self: Deadline, that: Deadline): Deadline => self < that ? self : that

/**
 * What is left at `now`, never negative; `Duration.infinity` when there is no deadline.
 */
export const remaining = (self: Deadline, now: number): Duration.Duration =>
  self === none ? Duration.infinity : Duration.millis(Math.max(0, self - now))

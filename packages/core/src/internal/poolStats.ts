/**
 * How a pool stands and what happened in it. Owned by `ResourcePool`.
 */

/** Items count once, however many use them; an item that is being reset or checked is neither idle nor used. */
export interface Stats {
  readonly name: string
  readonly state: "open" | "suspended" | "draining" | "closing" | "closed"
  /** Items that nobody uses. */
  readonly idle: number
  /** Items that someone uses. */
  readonly used: number
  /** How many borrowers wait. Effect's name for `waiting`. */
  readonly pending: number
  readonly waiting: number
  readonly min: number
  readonly max: number
  /** Items whatever their state, never more than `max`, but for a while after `resize` made that smaller. */
  readonly total: number
  readonly creating: number
  /** Items that are being reset, or checked. */
  readonly busy: number
  readonly closing: number
  /** Creations and releases that took too long and were left behind. */
  readonly abandoned: number
  /** How long the one has waited who waits for longest, in milliseconds; 0 when nobody does. What to alert on. */
  readonly oldestWait: number
  /** What the last creation failed with, if none has succeeded since. */
  readonly creationError: string | undefined
  /** So far, in numbers and milliseconds. */
  readonly counts: Readonly<Counts>
}

/** What happened so far. Times are in milliseconds. */
export class Counts {
  /** Items that were made, that could not be made, that were released. */
  created = 0
  createFailed = 0
  closed = 0
  /** Validations and resets that failed. */
  validateFailed = 0
  resetFailed = 0
  /** Borrows that got an item, and that did not. */
  borrowed = 0
  returned = 0
  timeouts = 0
  overloaded = 0
  /** Refused early, since their frames had too little time left. */
  refused = 0
  deadlocks = 0
  /** Borrowers that left while they waited. */
  cancelled = 0
  /** Borrows that lasted longer than `overdueAfter`. */
  overdue = 0
  createTotal = 0
  createMax = 0
  /** Only of those that waited. */
  waited = 0
  waitTotal = 0
  waitMax = 0
  useTotal = 0
  useMax = 0
  /** The most at once. */
  usedHighWaterMark = 0
  totalHighWaterMark = 0
  waitingHighWaterMark = 0
}

export const countWait = (counts: Counts, waited: number): void => {
  counts.waited++
  counts.waitTotal += waited
  if (waited > counts.waitMax) counts.waitMax = waited
}

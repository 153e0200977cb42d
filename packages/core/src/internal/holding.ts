/**
 * Which fibers may hold something that others wait for: counters by the number of the fiber, many fibers to a counter.
 * Zero means that it surely holds nothing; that is all that the hot path has to pay for the search for deadlocks. What is
 * charged to a budget is listed besides, so that it is found when its holder begins to wait. Owned by `TimeFrame`.
 */
const size = 1 << 12
const held = new Uint32Array(size)
/** The last of what the fibers of a counter hold. */
const lists = new Array<Charged | undefined>(size).fill(undefined)
/** The fibers that hold something and wait. */
const waiting = new Set<number>()

/** Something that is charged to a budget, in the list of those of its holder. */
export interface Charged {
  /** The number of the fiber that has to give it back; 0: somebody else may as well. */
  readonly holder: number
  previousHeld: Charged | undefined
  nextHeld: Charged | undefined
  /** Its holder waits, or does so no longer. */
  held(isWaiting: boolean): void
}

/** The fiber of that number is one that has to give something back. */
export const holds = (fiber: number): void => {
  held[fiber & (size - 1)]!++
}

/** It has given it back. */
export const returns = (fiber: number): void => {
  held[fiber & (size - 1)]!--
}

export const mayHold = (fiber: number): boolean => held[fiber & (size - 1)]! > 0

/** Its holder has to give it back. */
export const holdsCharged = (charged: Charged): void => {
  const at = charged.holder & (size - 1)
  const last = lists[at]
  held[at]!++
  charged.previousHeld = last
  if (last !== undefined) last.nextHeld = charged
  lists[at] = charged
  if (waiting.size > 0 && waiting.has(charged.holder)) charged.held(true)
}

/** Its holder has given it back. */
export const returnsCharged = (charged: Charged): void => {
  const at = charged.holder & (size - 1)
  const { nextHeld, previousHeld } = charged
  held[at]!--
  if (previousHeld !== undefined) {
    previousHeld.nextHeld = nextHeld
    charged.previousHeld = undefined
  }
  if (nextHeld === undefined) lists[at] = previousHeld
  else {
    nextHeld.previousHeld = previousHeld
    charged.nextHeld = undefined
  }
  if (waiting.size > 0 && waiting.has(charged.holder)) charged.held(false)
}

/** The fiber begins to wait: what it holds does not come back before that is over. */
export const waits = (fiber: number): void => {
  if (waiting.has(fiber)) return
  waiting.add(fiber)
  tell(fiber, true)
}

/** It waits no longer. */
export const goesOn = (fiber: number): void => {
  if (waiting.delete(fiber)) tell(fiber, false)
}

const tell = (fiber: number, isWaiting: boolean): void => {
  for (let charged = lists[fiber & (size - 1)]; charged !== undefined; charged = charged.previousHeld) {
    if (charged.holder === fiber) charged.held(isWaiting)
  }
}

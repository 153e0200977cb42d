/**
 * Which fibers may hold something that others wait for: counters by the number of the fiber, many fibers to a counter.
 * Zero means that it surely holds nothing; that is all that the hot path has to pay for the search for deadlocks. Owned by
 * `TimeFrame`.
 */
const size = 1 << 12
const held = new Uint32Array(size)

/** The fiber of that number is one that has to give something back. */
export const holds = (fiber: number): void => {
  held[fiber & (size - 1)]!++
}

/** It has given it back. */
export const returns = (fiber: number): void => {
  held[fiber & (size - 1)]!--
}

export const mayHold = (fiber: number): boolean => held[fiber & (size - 1)]! > 0

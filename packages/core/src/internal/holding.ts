/**
 * Which fibers may hold an item of a pool: counters by the number of the fiber, many fibers to a counter. Zero means that
 * it surely holds none; that is all that the hot path has to pay for the search for deadlocks. Owned by `ResourcePool`.
 */
import type * as Fiber from "effect/Fiber"

type AnyFiber = Fiber.Fiber<unknown, unknown>

const size = 1 << 12
const held = new Uint32Array(size)

/** The fiber is one that has to give something back. */
export const holds = (fiber: AnyFiber): void => {
  held[fiber.id & (size - 1)]!++
}

/** It has given it back. */
export const returns = (fiber: AnyFiber): void => {
  held[fiber.id & (size - 1)]!--
}

export const mayHold = (fiber: AnyFiber): boolean => held[fiber.id & (size - 1)]! > 0

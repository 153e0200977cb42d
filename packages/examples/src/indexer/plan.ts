/**
 * How much is done at once, and in pieces of what size, so that the budgets are never exceeded.
 *
 * A budget refuses what does not fit: it has no queue to wait in. So the work is cut to fit beforehand. At most
 * `concurrency` files are open at a time; each holds one chunk of its contents and one table of its words.
 */
import type { Budget } from "@chronovyan/core"
import { Effect, Schedule } from "effect"

export interface Limits {
  readonly memory: number
  readonly files: number
  readonly workers: number
  /** Is a terminal watching? Then the tree is listed a second time, to know how much there is. */
  readonly watched: boolean
}

export interface Plan {
  readonly budget: Budget.Budget
  readonly workers: number
  /** Directories that are open at once. */
  readonly listings: number
  /** Files that are being read at once. */
  readonly concurrency: number
  /** The most of one file that is in memory. */
  readonly chunkBytes: number
  /** The most that its table of words takes. */
  readonly tableBytes: number
}

/** The part of a file that decides whether it is text has to fit into a chunk. */
const smallestPiece = 8 * 1024
const largestPiece = 1024 * 1024

/** A chunk and a table for one file. */
export const smallestMemory = 2 * smallestPiece

export const make = ({ files, memory, watched, workers }: Limits): Plan => {
  const listings = watched && files > 2 ? 2 : 1
  // More files than workers, so that some can be opened and read while others are hashed.
  const concurrency = Math.min(files - listings, workers * 4, Math.floor(memory / smallestMemory))
  const piece = Math.min(largestPiece, powerOfTwo(memory / concurrency / 2))
  return {
    budget: { memory, descriptors: files, workers },
    workers,
    listings,
    concurrency,
    chunkBytes: piece,
    tableBytes: piece
  }
}

/**
 * Tries again while the budget refuses. That happens when files were given up at their deadline: until the system has
 * opened or closed them they still hold what they had, and others have to wait.
 */
export const whenThereIsRoom = <A, E extends { readonly _tag: string }, R>(allocation: Effect.Effect<A, E, R>) =>
  Effect.retry(allocation, {
    while: (error) => error._tag === "BudgetExceeded",
    schedule: Schedule.spaced("10 millis")
  })

/** The memory for the contents of a file: a byte more than there should be, so that one that has grown shows. */
export const chunkBytes = (plan: Plan, size: number): number => Math.min(size + 1, plan.chunkBytes)

/** The memory for its words, 8 bytes each: no text has more of them than half of its size. */
export const tableBytes = (plan: Plan, size: number): number =>
  Math.min(2 * powerOfTwo(Math.max(size, 32) * 4), plan.tableBytes)

/** The largest one that is not larger. */
const powerOfTwo = (n: number): number => 2 ** Math.floor(Math.log2(n))

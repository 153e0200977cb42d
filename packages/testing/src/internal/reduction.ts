import type { Run } from "./run.ts"
import type { Seen } from "./scheduler.ts"

/**
 * States that a search has been in already: what comes of them need not be looked at again. A state is what the scenario
 * says of its world, how far each fiber is, who may go on in which order, and what time it is.
 */
export class Visited {
  /** How many more decisions were allowed when a state was met. */
  private readonly states = new Map<string, number>()

  /** Was the state met before, with as many decisions left? */
  isKnown(state: string, left: number): boolean {
    const before = this.states.get(state)
    if (before !== undefined && before >= left) return true
    this.states.set(state, left)
    return false
  }
}

/** Follows the states of one run. */
export class Reduction {
  private readonly visited: Visited
  /** How many more decisions are allowed. */
  private readonly left: number
  /** How many of them may be interrupts. */
  private readonly interrupts: number
  private readonly positions = new Map<number, number>()
  private readonly yields = new Map<number, number>()

  constructor(visited: Visited, left: number, interrupts: number) {
    this.visited = visited
    this.left = left
    this.interrupts = interrupts
  }

  acts({ operations, ordinal }: Seen): void {
    this.positions.set(ordinal, operations - 2 * (this.yields.get(ordinal) ?? 0))
  }

  /** To yield takes a fiber two operations that make no difference. */
  yielded(fiber: number): void {
    this.yields.set(fiber, (this.yields.get(fiber) ?? 0) + 1)
  }

  /** A turn is over; answers whether the search was in this state before. */
  turned({ bodies, clock, scheduler }: Run<any>, state: () => unknown): boolean {
    const positions = Array.from(this.positions, ([fiber, position]) => `${fiber}:${position}`).sort().join()
    const ended = bodies.map((body) => body?.pollUnsafe() === undefined ? 0 : 1).join("")
    const key = `${JSON.stringify(state())} ${positions} ${ended} ${scheduler.queue} ${clock.agenda} ${this.interrupts}`
    return this.visited.isKnown(key, this.left)
  }
}

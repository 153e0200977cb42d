/**
 * What all frames of one manager have in common: the clock, the numbers, the counters and the listeners. The list of
 * what is live is no second book-keeping: it is the lists that the frames keep of what they own.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Random from "effect/Random"
import type { Definition } from "./definition.ts"
import { Events } from "./events.ts"
import { Statistics } from "./statistics.ts"
import { Timers } from "./timers.ts"

export class Registry {
  readonly clock: Clock.Clock
  /** The context of the manager: what runs in the background runs in it. */
  readonly context: Context.Context<never>
  /** When it was made: what counts in it is small numbers, which engines keep better than large ones. */
  private readonly epoch: number
  readonly timers: Timers
  readonly events: Events
  readonly statistics = new Map<string, Statistics>()
  private readonly byDefinition = new WeakMap<Definition, Statistics>()
  private lastDefinition: Definition | undefined = undefined
  private lastStatistics: Statistics | undefined = undefined
  /** Borrows from pools that a budget was charged for, without an allocation of their own. */
  readonly chargedBorrows = new Set<object>()
  private readAt = -1
  private monotonic = 0
  private lastArrival = 0
  frames = 0
  allocations = 0
  /** How many wait for a budget. */
  requests = 0

  constructor(clock: Clock.Clock, context: Context.Context<never>, eventCapacity: number, watchesOrders = false) {
    this.clock = clock
    this.epoch = clock.currentTimeMillisUnsafe()
    this.context = context
    this.timers = new Timers(clock, context)
    this.events = new Events(eventCapacity, watchesOrders)
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** From 0 to 1, by the `Random` of the manager. */
  random(): number {
    return Context.get(this.context, Random.Random).nextDoubleUnsafe()
  }

  /** Milliseconds since the registry was made, by the same clock. */
  elapsed(): number {
    return this.clock.currentTimeMillisUnsafe() - this.epoch
  }

  /** The monotonic time at that moment, which is now: read once for each millisecond, since many wait in one. */
  monotonicAt(elapsed: number): number {
    if (elapsed !== this.readAt) {
      this.readAt = elapsed
      this.monotonic = this.timers.now()
    }
    return this.monotonic
  }

  /** The monotonic time now, later than that of all who have arrived before: of two that wait one has always come first. */
  arrival(): number {
    const now = this.timers.now()
    return this.lastArrival = now > this.lastArrival ? now : this.lastArrival + 1e-6
  }

  /** That, as milliseconds since the epoch of all clocks. */
  timeOf(elapsed: number): number {
    return this.epoch + elapsed
  }

  keyOf(resource: string, kind: Statistics["kind"]): string {
    return `${kind} ${resource}`
  }

  statisticsOf(definition: Definition): Statistics {
    // Most programs allocate the same thing many times over.
    if (definition === this.lastDefinition) return this.lastStatistics!
    let statistics = this.byDefinition.get(definition)
    if (statistics === undefined) {
      // Definitions of one name and kind count as one, so that definitions made on the fly leave nothing behind.
      const key = this.keyOf(definition.name, definition.kind)
      statistics = this.statistics.get(key) ?? new Statistics(definition.name, definition.kind)
      this.statistics.set(key, statistics)
      this.byDefinition.set(definition, statistics)
    }
    this.lastDefinition = definition
    this.lastStatistics = statistics
    return statistics
  }
}

import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Cause, Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import type { Fiber } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { count, World } from "./poolRandomWorld.ts"
import type { Failure, Item, Random, Tally } from "./poolRandomWorld.ts"
import { counting, Meant } from "./sweepWorld.ts"

export type Pool = ResourcePool.ResourcePool<Item, Failure>
export type Program<A = unknown> = Effect.Effect<A, unknown, any>
export type Standing = ResourcePool.Stats & { readonly key: number }

/** Somebody who has items, or waits for one. */
export interface Borrower {
  readonly kind: string
  /** Of the pool that it waits for. */
  key: number
  since: number
  isWaiting: boolean
  /** The keys of the pools that its items are of. */
  readonly has: Array<number>
}

/** A frame that is no borrower's own, and the scope that it ends with. */
export interface Elsewhere {
  readonly frame: TimeFrame.TimeFrame
  readonly scope: Scope.Closeable
}

/** Refusals that any borrower has to expect. */
const refusals = new Set(["Refused", "PoolTimeout", "PoolOverloaded", "BudgetExceeded", "Broken", "TimeoutError"])
const refusalsInFrames = new Set(["DeadlineExceeded", "FrameClosed", "AllocationReleased"])

/** Where a random program takes place: a pool or several with keys, with a manager, in a frame, or on its own. */
export class Stage {
  readonly random: Random
  readonly tally: Tally
  readonly world: World
  readonly isManaged: boolean
  readonly isKeyed: boolean
  readonly maxTotal: number
  readonly size: { readonly min: number; readonly max: number }
  readonly options
  readonly borrowers: Array<Borrower> = []
  readonly fibers: Array<{ readonly name: string; readonly fiber: Fiber.Fiber<unknown, unknown> }> = []
  /** Sleeps of the pool and of its items that have not ended. */
  readonly timers = { sleeping: 0 }
  readonly managerScope = Scope.makeUnsafe()
  readonly poolScope = Scope.makeUnsafe()
  readonly scopes: Array<Scope.Closeable> = [Scope.makeUnsafe(), Scope.makeUnsafe()]
  readonly frames: Array<Elsewhere> = []
  pools: ReadonlyArray<Pool> = []
  private context: Context.Context<ResourceManager.ResourceManager> = Context.empty() as never
  /** The pool has been told to end. */
  isEnding = false
  now: () => number = () => 0
  private keyed: ResourcePool.KeyedPool<number, Item, Failure> | undefined = undefined
  private owner: Elsewhere | undefined = undefined
  private pending: ReadonlyArray<Effect.Effect<void>> = []

  constructor(random: Random, tally: Tally) {
    this.random = random
    this.tally = tally
    this.world = new World(random, tally)
    this.isManaged = random(4) > 0
    this.isKeyed = random(4) === 0
    this.maxTotal = 3 + random(2)
    this.size = this.isKeyed ? { min: 0, max: 3 } : { min: random(3), max: 3 }
    this.options = this.optionsOf()
  }

  private optionsOf() {
    const { isKeyed, random, size: { max }, world } = this
    const maybe = <A>(options: A): A | {} => random(10) < 4 ? options : {}
    const mostly = <A>(options: A): A | {} => random(10) < 8 ? options : {}
    const options = {
      max,
      concurrency: world.concurrency,
      order: random(2) === 0 ? "lifo" as const : "fifo" as const,
      priorityAgeing: [5, 50, Infinity][random(3)]!,
      createTimeout: 15,
      validateTimeout: 5,
      resetTimeout: 5,
      releaseTimeout: 15,
      closeTimeout: 60,
      validateAfter: [0, 3, 20][random(3)]!,
      creationBackoff: random(4) === 0 ? false as const : { base: 2, max: 16 },
      ...maybe({ acquireTimeout: 30 }),
      ...maybe({ maxWaiting: 4 }),
      ...maybe({ idleTimeToLive: 12 }),
      ...maybe({ maxLifetime: 60 }),
      ...maybe({ maxUses: 4 }),
      ...maybe({ targetUtilization: 0.6 }),
      ...maybe({ overdueAfter: 25 }),
      ...maybe({ borrowCost: { turns: 1 } }),
      ...maybe({ codel: { target: 4, interval: 20 } }),
      ...mostly({ validate: world.validate, ...maybe({ keepalive: 9 }) }),
      ...mostly({ reset: world.reset })
    }
    for (const name of Object.keys(options)) count(this.tally, `programs with ${name}`)
    if (isKeyed) count(this.tally, "programs with keys")
    return options as typeof options & { readonly acquireTimeout?: number }
  }

  pick<A>(from: ReadonlyArray<A>): A | undefined {
    return from.length === 0 ? undefined : from[this.random(from.length)]
  }

  // How it begins.

  open(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const clock = yield* Clock.clockWith(Effect.succeed)
      this.now = () => clock.currentTimeMillisUnsafe()
      this.context = Context.make(Clock.Clock, counting(clock, this.timers)) as never
      if (this.isManaged) {
        const layer = ResourceManager.layer({ budget: { things: 100, turns: 6 }, gracePeriod: 60 })
        const manager = yield* this.placed(Layer.buildWithScope(layer, this.managerScope))
        this.context = Context.merge(this.context, manager)
        for (const name of ["one", "other"]) this.frames.push(yield* this.openFrame(name))
        if (this.random(3) > 0) this.owner = yield* this.openFrame("owner")
      }
      yield* Effect.orDie(this.placed(this.openPools()))
    })
  }

  openFrame(name: string): Effect.Effect<Elsewhere> {
    const scope = Scope.makeUnsafe()
    const budget = name === "owner" ? { things: 9 } : { turns: 3 }
    return Effect.map(
      this.placed(Scope.provide(TimeFrame.make({ name, budget }), scope)),
      (frame) => ({ frame, scope })
    )
  }

  private openPools(): Program<void> {
    const { maxTotal, options, owner, poolScope, size } = this
    const place = <A, E, R>(self: Effect.Effect<A, E, R>) =>
      owner === undefined ? Scope.provide(self, poolScope) : TimeFrame.provide(self, owner.frame)
    const definition = this.world.define()
    if (!this.isKeyed) {
      return Effect.map(place(ResourcePool.make(definition, { ...options, ...size, params: 0 })), (pool) => {
        this.pools = [pool]
      })
    }
    return Effect.gen({ self: this }, function*() {
      const keyed = yield* place(ResourcePool.keyed(definition, { ...options, maxTotal }))
      this.keyed = keyed
      this.pools = yield* Effect.forEach([0, 1, 2], (key) => ResourcePool.at(keyed, key))
    })
  }

  /** Provides the clock, and the manager if there is one. */
  placed<A, E>(self: Effect.Effect<A, E, any>): Effect.Effect<A, E> {
    return Effect.provideContext(self, this.context) as Effect.Effect<A, E>
  }

  /** What the pools end with. */
  get scope(): Scope.Closeable {
    return this.owner?.scope ?? this.poolScope
  }

  /** How all pools stand that there are. */
  get standings(): ReadonlyArray<Standing> {
    if (this.keyed !== undefined) return Effect.runSync(ResourcePool.keys(this.keyed))
    return this.pools.map((pool, key) => ({ key, ...Effect.runSync(ResourcePool.stats(pool)) }))
  }

  // How it goes on.

  borrower(kind: string, key: number): Borrower {
    const borrower = { kind, key, since: this.now(), isWaiting: true, has: [] }
    this.borrowers.push(borrower)
    return borrower
  }

  /** Has something done on a fiber of its own, when the turn of those is. */
  fork(name: string, program: Program, borrower?: Borrower): void {
    const observed = Effect.onExit(program, (exit) =>
      Effect.sync(() => {
        if (borrower !== undefined) borrower.isWaiting = false
        this.judge(name, exit)
      }))
    const forked = Effect.map(start(this.placed(observed)), (fiber) => {
      this.fibers.push({ name, fiber })
    })
    this.pending = [...this.pending, forked]
  }

  readonly forked: Effect.Effect<void> = Effect.suspend(() => {
    const { pending } = this
    this.pending = []
    return Effect.forEach(pending, (one) => one, { discard: true })
  })

  readonly settled: Effect.Effect<void> = Effect.andThen(this.forked, settle)

  advance(millis: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      yield* this.settled
      for (let left = millis; left > 0; left -= 50) yield* TestClock.adjust(Math.min(left, 50))
      yield* settle
    })
  }

  /** Nobody fails but as is meant, and told. */
  private judge(name: string, exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    for (const reason of exit.cause.reasons) {
      if (reason._tag === "Interrupt") continue
      const isDefect = reason._tag === "Die"
      const error = isDefect ? reason.defect : reason.error
      const { _tag: tag = "" } = error as Partial<Failure>
      const isMeant = isDefect ? error instanceof Meant : this.mayHear(name, tag)
      if (isMeant) count(this.tally, isDefect ? "died" : tag)
      else this.world.wrong.push(`${name}: ${Cause.pretty(exit.cause)}`)
    }
  }

  private mayHear(name: string, tag: string): boolean {
    if (tag === "WouldDeadlock") return name === "nested use"
    if (tag === "PoolClosed") return this.isEnding
    return refusals.has(tag) || (this.isManaged && refusalsInFrames.has(tag))
  }
}

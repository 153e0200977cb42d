import { ResourceDefinition, ResourceManager, ResourcePool } from "@chronovyan/core"
import { Explore, ScriptedResource } from "@chronovyan/testing"
import { Cause, Clock, Context, Effect, Exit, Fiber, Latch, Layer, Schema, Scope } from "effect"
import { faultsOf, Maker } from "./exploreFaults.ts"
import { counting, troublesOf } from "./sweepWorld.ts"

/** What the programs of these scenarios may fail with. */
export const refusals: ReadonlySet<string> = new Set([
  "AllocationReleased",
  "BudgetExceeded",
  "DeadlineExceeded",
  "FrameClosed",
  "InvalidParams",
  "PoolClosed",
  "PoolOverloaded",
  "PoolTimeout",
  "ScriptedFailure",
  "UnknownResource",
  "WouldDeadlock"
])

/** What they have failed with so far. */
export const met = new Set<string>()

const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)

const isScripted = (error: unknown) => tagOf(error) === "ScriptedFailure"

/** What nobody meant to happen, or nothing. */
const unmeant = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const defects: Array<unknown> = []
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Die") defects.push(reason.defect)
    if (reason._tag !== "Fail") continue
    const tag = tagOf(reason.error)
    if (!refusals.has(tag)) return `failed with ${tag}`
    met.add(tag)
  }
  // Beside the defect of a finalizer Effect makes defects of the failures as well.
  const isMeant = defects.every((defect) => refusals.has(tagOf(defect))) && defects.some(isScripted)
  return defects.length === 0 || isMeant ? undefined : `died: ${Cause.pretty(exit.cause)}`
}

/** Of one thing or value, without params. */
export type Definition = ResourceDefinition.ResourceDefinition<void, Item, unknown>
export type Item = ScriptedResource.Item
export type Pool = ResourcePool.ResourcePool<Item, unknown>
export type Program = Effect.Effect<unknown, unknown, ResourceManager.ResourceManager>
export type Keyed = ResourcePool.KeyedPool<string, Item, unknown>
type Stats = ResourcePool.Stats

/** Lets others go on, and then some time pass. */
export const moment = Effect.andThen(Effect.yieldNow, Effect.sleep(5))

/** Uses an item like one who counts on being its only user. */
export const work = (item: Item): Effect.Effect<void> => ScriptedResource.use(item, Effect.yieldNow)

/** The same, while time passes. */
export const toil = (item: Item): Effect.Effect<void> => ScriptedResource.use(item, moment)

/** Goes on, however it ends. */
export const tries = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.map(Effect.exit(self), (exit) => {
    unmeant(exit)
    return exit
  })

/** What one run has: a manager, definitions of every kind, and the books of what they make. */
export class World {
  /** Each is for one user at a time. */
  readonly things: Maker
  /** Each is for many. */
  readonly values: Maker
  readonly troubles: Array<string> = []
  readonly managerScope = Scope.makeUnsafe()
  /** What the stage of the scenario belongs to. */
  readonly stageScope = Scope.makeUnsafe()
  /** Bodies that ended by an interruption, from wherever it came. */
  readonly interrupted = new Set<string>()
  readonly pools: Array<Pool> = []
  readonly keyed: Array<Keyed> = []
  /** May an item of a pool have many users at once? */
  isForMany = false
  /** Timers of the manager. */
  sleeping = 0
  hasManager = true
  context: Context.Context<ResourceManager.ResourceManager> = Context.empty() as never

  constructor(turn: number) {
    this.things = new Maker("thing", turn, 1)
    this.values = new Maker("value", turn, Infinity)
  }

  private readonly value = {
    cost: () => ({ units: 1 }),
    acquire: () => this.values.make,
    release: ScriptedResource.release
  }

  readonly Thing = ResourceDefinition.temporal("thing", {
    cost: () => ({ units: 1 }),
    acquire: () => this.things.make,
    release: ScriptedResource.release,
    interruptible: true
  })
  /** Its acquisition ignores interruption. */
  readonly Deaf = ResourceDefinition.temporal("deaf", {
    cost: () => ({ units: 1 }),
    acquire: () => this.things.make,
    release: ScriptedResource.release
  })
  /** Undoes itself, by a scope. */
  readonly Scoped = ResourceDefinition.temporal("scoped", {
    cost: () => ({ units: 1 }),
    acquire: () => Effect.acquireRelease(this.things.make, ScriptedResource.release, { interruptible: true })
  })
  /** Takes something of a rate. */
  readonly Call = ResourceDefinition.temporal("call", { ...this.value, cost: () => ({ calls: 1, units: 1 }) })
  readonly Pair = ResourceDefinition.temporal("pair", { ...this.value, cost: () => ({ units: 2 }) })
  readonly Named = ResourceDefinition.temporal("named", {
    params: Schema.String,
    acquire: () => this.things.make,
    release: ScriptedResource.release,
    interruptible: true
  })
  readonly Shared = ResourceDefinition.shared("shared", this.value)
  readonly Lasting = ResourceDefinition.shared("lasting", { ...this.value, idleTimeToLive: 20 })
  readonly Persistent = ResourceDefinition.persistent("persistent", this.value)
  readonly Each = ResourceDefinition.persistent("each", { ...this.value, params: Schema.String })
  readonly ByTurns = ResourceDefinition.shared("byTurns", {
    acquire: () => this.things.make,
    release: ScriptedResource.release,
    access: "readWrite"
  })

  wrong(what: string): void {
    this.troubles.push(what)
  }

  /** Runs what one of the fibers does to its end, whatever that is. */
  observe(name: string, program: Program): Effect.Effect<void> {
    // A defect that meets an interruption is only caught where that can not pass through.
    return Effect.uninterruptibleMask((restore) =>
      Effect.map(Effect.exit(restore(Effect.provideContext(program, this.context))), (exit) => {
        const trouble = unmeant(exit)
        if (trouble !== undefined) this.wrong(`"${name}" ${trouble}`)
        if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) this.interrupted.add(name)
      })
    )
  }

  private end(scope: Scope.Closeable): Effect.Effect<void> {
    return Effect.map(Effect.exit(Scope.close(scope, Exit.void)), (exit) => {
      const trouble = unmeant(exit)
      if (trouble !== undefined) this.wrong(`the end ${trouble}`)
    })
  }

  readonly closeStage: Effect.Effect<void> = Effect.suspend(() => this.end(this.stageScope))

  readonly closeManager: Effect.Effect<void> = Effect.suspend(() => {
    this.hasManager = false
    return this.end(this.managerScope)
  })

  /** A pool of things that ends with the stage. */
  pool<const O extends ResourcePool.Options<Item>>(options: O): Effect.Effect<Pool, never, Scope.Scope> {
    const all = { ...care, name: "pool", ...options } as ResourcePool.Options<Item>
    return Effect.map(Effect.orDie(ResourcePool.make(this.Thing, all)), (pool) => this.adopt(pool, options.max ?? 10))
  }

  /** Takes a pool of so many things into the books. */
  adopt(pool: ResourcePool.Any, max: number): Pool {
    const { things } = this
    things.most = (this.pools.length === 0 ? 0 : things.most) + max
    this.pools.push(pool as Pool)
    return pool as Pool
  }

  /** The same for each name. */
  keyedPool<const O extends ResourcePool.KeyedOptions<Item>>(options: O): Effect.Effect<Keyed, never, Scope.Scope> {
    const all = { ...care, ...options } as ResourcePool.KeyedOptions<Item>
    return Effect.map(ResourcePool.keyed(this.Named, all), (pools) => {
      this.things.most = options.maxTotal ?? Infinity
      this.keyed.push(pools)
      return pools
    })
  }
}

/** Chance has no part in these pools, and each item is validated before it is lent and reset when it returns. */
export const care = {
  validate: ScriptedResource.validate,
  validateAfter: 0,
  reset: ScriptedResource.reset,
  creationBackoff: { base: 5, max: 5 },
  lifetimeJitter: 0
} as const

/** Some fibers that do public operations on one world. */
export interface Case<Stage = any> {
  readonly name: string
  /** The public operations that it is about. */
  readonly covers: ReadonlyArray<string>
  /** Does a schedule take several times as long as others do? Then it has a third as many. */
  readonly isSlow?: boolean
  /** Do its pools keep items alive? Then they never come to rest. */
  readonly isRestless?: boolean
  /** Names of definitions and frames that may stay when nobody uses them any more. */
  readonly idle?: ReadonlyArray<string>
  /** Units of rates: what is taken of them is not held. */
  readonly flows?: ReadonlyArray<string>
  /** May fibers be interrupted by what others do? */
  readonly endsOthers?: boolean
  /** May pools have ended? */
  readonly endsPools?: boolean
  readonly stage: (world: World) => Effect.Effect<Stage, never, ResourceManager.ResourceManager | Scope.Scope>
  readonly fibers: (world: World, stage: Stage) => Readonly<Record<string, Program>>
}

export const define = <Stage>(one: Case<Stage>): Case => one
export const noStage = () => Effect.void

interface Played {
  readonly world: World
  readonly stage: any
}

/** The case as a scenario, with the faults of that turn. */
export const scenarioOf = (one: Case, turn: number): Explore.Scenario<Played> => {
  const faults = Object.entries(faultsOf(turn)).map(([step, outcome]) => `${step} ${outcome}`).join(", ")
  return Explore.make<Played>({
    name: `${one.name} (turn ${turn}: ${faults})`,
    // Defects are told apart below.
    mayDie: true,
    // To look for leaks takes a third of the time.
    mayLeak: turn % 8 > 0,
    settle: one.isRestless === true ? 40 : "1 minute",
    setup: Effect.gen(function*() {
      const world = new World(turn)
      const clock = yield* Clock.clockWith(Effect.succeed)
      yield* Effect.addFinalizer(() => world.closeManager)
      const layer = ResourceManager.layer({ budget: { units: 100 }, gracePeriod: "1 second" })
      world.context = yield* Layer.buildWithScope(layer, world.managerScope).pipe(
        Effect.provideService(Clock.Clock, counting(clock, world))
      )
      yield* Effect.addFinalizer(() => world.closeStage)
      const stage = yield* one.stage(world).pipe(Scope.provide(world.stageScope), Effect.provideContext(world.context))
      return { world, stage }
    }) as Effect.Effect<Played, never, Scope.Scope>,
    fibers: ({ stage, world }) =>
      Object.fromEntries(
        Object.entries(one.fibers(world, stage)).map(([name, program]) => [name, world.observe(name, program)])
      ),
    check: ({ world }, { exits, running }) =>
      Effect.gen(function*() {
        for (const name of world.interrupted) {
          if (one.endsOthers !== true && Exit.isSuccess(exits[name]!)) {
            world.wrong(`"${name}" was interrupted by nobody`)
          }
        }
        if (running.length > 0 && one.endsPools !== true && one.isRestless !== true) {
          world.wrong(`${running.length} fibers are left`)
        }
        yield* checkPools(world, one)
        if (world.hasManager) {
          const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, world.context)
          const idle = new Set(one.idle)
          if (world.pools.length + world.keyed.length > 0) {
            for (const name of ["pool", "thing", "named"]) idle.add(name)
          }
          for (const trouble of troublesOf(snapshot, idle)) {
            if (one.flows?.some((unit) => trouble.startsWith(`${unit} of`)) !== true) world.wrong(trouble)
          }
        }
        return [...world.troubles.splice(0), ...world.things.book.findings, ...world.values.book.findings]
      }),
    afterClose: ({ world }) => {
      const { things, troubles, values } = world
      if (world.sleeping > 0) world.wrong(`${world.sleeping} timers of the manager still run`)
      for (const { book, wrong } of [things, values]) troubles.push(...wrong, ...ScriptedResource.check(book))
      return troubles
    }
  })
}

const checkPools = (world: World, one: Case) =>
  Effect.gen(function*() {
    let total = 0
    for (const pool of world.pools) {
      const before = yield* ResourcePool.stats(pool)
      if (before.state !== "open" && !(one.endsPools === true && before.state === "closed")) {
        world.wrong(`it is ${before.state}`)
      }
      unrest(world, before, one)
      if (before.state === "open") yield* checkRoom(world, pool, before.max)
      const stats = yield* ResourcePool.stats(pool)
      unrest(world, stats, one)
      total += stats.total
    }
    for (const keyed of world.keyed) {
      for (const stats of yield* ResourcePool.keys(keyed)) {
        unrest(world, stats, one)
        total += stats.total
      }
    }
    const live = world.things.book.leftOpen.length
    if (world.pools.length + world.keyed.length > 0 && live !== total && one.isRestless !== true) {
      world.wrong(`${live} things are open, but the pools have ${total}`)
    }
  })

/** What is wrong with a pool that nobody uses. */
const unrest = (world: World, { counts, max, ...stats }: Stats, one: Case): void => {
  const { abandoned, busy, closing, creating, idle, total, used, waiting } = stats
  const isBusy = abandoned + used + waiting > 0 || (one.isRestless !== true && busy + closing + creating > 0)
  if (isBusy || idle !== total - busy - closing - creating || total > max) {
    world.wrong(`nobody is there, but ${JSON.stringify({ max, ...stats })}`)
  }
  if (counts.borrowed !== counts.returned) world.wrong(`${counts.borrowed} borrowed, ${counts.returned} returned`)
}

/** Tries until it is served, since creations may fail. */
const insist = (borrow: Effect.Effect<unknown, unknown>, times = 10): Effect.Effect<unknown> =>
  Effect.flatMap(
    Effect.exit(borrow),
    (exit) => Exit.isSuccess(exit) || times === 1 ? Effect.void : insist(borrow, times - 1)
  )

/** Are there as many to be had at once as there may be? */
const checkRoom = (world: World, pool: Pool, max: number) =>
  Effect.gen(function*() {
    const gate = Latch.makeUnsafe(false)
    let served = 0
    const arrive = Effect.suspend(() => {
      served++
      return gate.await
    })
    const borrow = insist(
      ResourcePool.use(pool, (item) => world.isForMany ? arrive : ScriptedResource.use(item, arrive))
    )
    const fibers = yield* Effect.forEach(Array.from({ length: max }), () => Effect.forkChild(borrow))
    yield* Effect.sleep(200)
    if (served < max) world.wrong(`${served} of ${max} are there to be borrowed`)
    yield* gate.open
    yield* Effect.sleep(200)
    yield* Fiber.interruptAll(fibers)
  })

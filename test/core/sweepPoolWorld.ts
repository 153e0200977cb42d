import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { mayHold } from "@chronovyan/core/internal/holding"
import { Cause, Clock, Context, Effect, Exit, Fiber, Latch, Layer, Scope } from "effect"
import { booksOf, counting } from "./sweepWorld.ts"

export const outcomes = ["ok", "fails", "dies", "slow", "never"] as const
/** What comes of a hook: `never` waits for a gate that is opened when all else is over. */
export type Outcome = (typeof outcomes)[number]

/** Where it happens, and who else is there. */
export const places = ["alone", "with others", "in a frame", "in a frame, with others", "in a frame, at a cost"] as const
export type Place = (typeof places)[number]

export interface Cell {
  readonly create: Outcome
  readonly validate: Outcome
  readonly reset: Outcome
  readonly release: Outcome
  /** What never ends ignores interruption as well, and so does all of the acquisition. */
  readonly stubborn: boolean
  readonly place: Place
}

export const nameOf = ({ create, place, release, reset, stubborn, validate }: Cell): string =>
  `create ${create}, validate ${validate}, reset ${reset}, release ${release}${stubborn ? ", stubborn" : ""}, ${place}`

export type Failure = { readonly _tag: string } | string
export type Pool = ResourcePool.ResourcePool<Item, Failure>
export type Thing = ResourceDefinition.OfKind<"temporal", ResourceDefinition.ResourceDefinition<void, Item, Failure>>
export type Program = Effect.Effect<unknown, unknown, ResourceManager.ResourceManager>

export interface Item {
  readonly id: number
  /** Its creation failed after it had been opened. */
  readonly isBroken: boolean
  users: number
  closing: number
  closed: number
}

/** A defect that is meant to happen. */
class Meant extends Error {}

export const max = 2
/** Longer than anything here may take by itself. */
const longest = 1000

/** One pool, what it lends, and the books on all of it. */
export class World {
  readonly cell: Cell
  readonly items: Array<Item> = []
  readonly troubles: Array<string> = []
  /** What never ends waits for this. */
  readonly gate = Latch.makeUnsafe()
  /** Opened when the body begins. */
  readonly go = Latch.makeUnsafe()
  readonly poolScope = Scope.makeUnsafe()
  readonly managerScope = Scope.makeUnsafe()
  readonly rivals: Array<Fiber.Fiber<unknown, unknown>> = []
  readonly options: ReturnType<World["optionsOf"]>
  fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>> = []
  /** As long as this is true, all hooks go well. */
  isHealthy = true
  /** Sleeps of the library that have not ended. */
  sleeping = 0
  /** Creations, and releases, that have begun and not ended. */
  creating = 0
  releasing = 0
  /** The pool may have more than its maximum for a while, as that was made smaller. */
  mayExceed = false
  context: Context.Context<ResourceManager.ResourceManager> = undefined as never
  pool: Pool = undefined as never
  /** What the body opened by itself, to be looked at like the pool. */
  readonly pools: Array<Pool> = []
  owner: TimeFrame.TimeFrame | undefined = undefined

  constructor(cell: Cell) {
    this.cell = cell
    this.options = this.optionsOf()
  }

  get isFramed(): boolean {
    return this.cell.place.startsWith("in a frame")
  }

  get hasOthers(): boolean {
    return this.cell.place.endsWith("others") || this.cell.place.endsWith("cost")
  }

  private optionsOf() {
    return {
      max,
      maxUses: 2,
      acquireTimeout: 60,
      createTimeout: 20,
      validateTimeout: 20,
      resetTimeout: 20,
      releaseTimeout: 20,
      closeTimeout: 100,
      validateAfter: 0,
      // Whatever is drawn at random, this comes to 5 ms.
      creationBackoff: { base: 5, max: 5 },
      validate: () => this.hook("validate"),
      reset: () => this.hook("reset"),
      ...(this.cell.place.endsWith("cost") ? { borrowCost: { turns: 1 } } : {})
    }
  }

  // What happens in the pool.

  private hook(what: "create" | "validate" | "reset" | "release"): Effect.Effect<void, string> {
    return Effect.suspend((): Effect.Effect<void, string> => {
      this.look()
      switch (this.isHealthy ? "ok" : this.cell[what]) {
        case "ok":
          return Effect.void
        case "fails":
          return Effect.fail("no")
        case "dies":
          return Effect.die(new Meant(what))
        case "slow":
          return Effect.sleep(7)
        case "never":
          return this.cell.stubborn ? Effect.uninterruptible(this.gate.await) : this.gate.await
      }
    })
  }

  private open(isBroken = false): Item {
    const item = { id: this.items.length, isBroken, users: 0, closing: 0, closed: 0 }
    this.items.push(item)
    return item
  }

  private counted<A, E, R>(what: "creating" | "releasing", effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this[what]++
      return Effect.onExit(effect, () => Effect.sync(() => void this[what]--))
    })
  }

  private readonly acquire = Effect.suspend(() => this.counted("creating", this.hook("create")))

  private readonly release = (item: Item): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (item.users > 0) this.troubles.push(`${item.id} is closed while it is used`)
      if (item.closing++ > 0) this.troubles.push(`${item.id} is closed twice`)
      const close = Effect.sync(() => void item.closed++)
      const failed = !this.isHealthy && (this.cell.release === "fails" || this.cell.release === "dies")
      const hook = Effect.orDie(this.hook("release"))
      return this.counted("releasing", failed ? Effect.andThen(close, hook) : Effect.andThen(hook, close))
    })

  /** With a release of its own, uninterruptibly; or with a scope, where what fails has been opened already. */
  readonly thing: Thing = (() => {
    const cost = () => ({ things: 1 })
    return (this.isStubborn
      ? ResourceDefinition.temporal("thing", {
        cost,
        acquire: () => Effect.map(this.acquire, () => this.open()),
        release: this.release
      })
      : ResourceDefinition.temporal("thing", { cost, acquire: () => this.scoped })) as unknown as Thing
  })()

  get isStubborn(): boolean {
    return this.cell.stubborn
  }

  get scoped(): Effect.Effect<Item, string, Scope.Scope> {
    const opened = (isBroken: boolean) => Effect.acquireRelease(Effect.sync(() => this.open(isBroken)), this.release)
    return Effect.suspend(() =>
      this.isHealthy || (this.cell.create !== "fails" && this.cell.create !== "dies")
        ? Effect.andThen(this.acquire, opened(false))
        : Effect.tap(opened(true), () => this.acquire)
    )
  }

  /** What no pool may ever show. */
  look(): void {
    if (this.pool === undefined) return
    const stats = Effect.runSync(ResourcePool.stats(this.pool))
    const { abandoned, busy, closing, creating, idle, total, used, waiting } = stats
    if (Math.min(abandoned, busy, closing, creating, idle, total, used, waiting) < 0) {
      this.troubles.push(`negative: ${JSON.stringify({ ...stats, counts: undefined })}`)
    }
    if (idle + used + creating + busy + closing !== total) {
      this.troubles.push(`${idle} idle, ${used} used, ${creating} made, ${busy} busy, ${closing} closing of ${total}`)
    }
    if (total > stats.max && !this.mayExceed) this.troubles.push(`${total} items, at most ${stats.max}`)
  }

  // How it is borrowed.

  /** Uses an item for two steps. */
  readonly work = (item: Item): Effect.Effect<void> => this.working(item, steps)

  working<A, E, R>(item: Item, body: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.look()
        if (item.closing > 0) this.troubles.push(`${item.id} is lent after it was closed`)
        if (item.users++ > 0) this.troubles.push(`${item.id} is used by two`)
      }),
      () => body,
      () => Effect.sync(() => void item.users--)
    )
  }

  readonly use: Effect.Effect<void, Failure> = Effect.suspend(() => ResourcePool.use(this.pool, this.work))

  /** Runs it where the cell says. */
  inPlace<A, E>(program: Effect.Effect<A, E, any>, needsFrame = false): Effect.Effect<A, unknown> {
    const { owner } = this
    if (owner === undefined && !needsFrame) return Effect.provideContext(program, this.context)
    const framed = TimeFrame.run(program, { name: "borrower", budget: { turns: 5 } })
    return Effect.provideContext(owner === undefined ? framed : TimeFrame.provide(framed, owner), this.context) as any
  }

  // What comes after.

  readonly check = (isEnded: boolean): Effect.Effect<Array<string>> =>
    Effect.gen({ self: this }, function*() {
      const { rivals, troubles } = this
      this.go.openUnsafe()
      yield* Effect.sleep(longest)
      for (const [index, rival] of rivals.entries()) {
        if (rival.pollUnsafe() === undefined) troubles.push(`rival ${index} is stuck`)
      }
      this.look()
      for (const pool of [this.pool, ...this.pools]) yield* this.checkRest(pool)
      this.isHealthy = true
      if (!isEnded) yield* this.checkCapacity
      yield* this.checkEnd
      return troubles.splice(0)
    })

  /** Nobody does anything: everything is idle, or is known to hang. */
  private checkRest(pool: Pool) {
    return Effect.map(ResourcePool.stats(pool), (stats) => {
      const { busy, closing, counts, creating, idle, state, total, used, waiting } = stats
      if (used + waiting + creating + busy + closing > 0 || idle !== total) {
        this.troubles.push(`at rest, but ${JSON.stringify({ ...stats, counts: undefined })}`)
      }
      if (total > stats.max) this.troubles.push(`at rest, but ${total} of at most ${stats.max}`)
      if (counts.borrowed !== counts.returned) {
        this.troubles.push(`${counts.borrowed} borrowed, ${counts.returned} returned`)
      }
      if (pool !== this.pool || this.pools.length > 0) return
      const hanging = this.creating + this.releasing
      if (stats.abandoned !== hanging) this.troubles.push(`${stats.abandoned} left behind, but ${hanging} hang`)
      const left = this.items.filter(({ closing }) => closing === 0).length
      if (left !== total) this.troubles.push(`${left} are open, ${total} known`)
      const hangs = this.items.filter(({ closed, closing, isBroken }) => closing > closed && !isBroken).length
      if (state !== "closed" && counts.created !== counts.closed + total + hangs) {
        this.troubles.push(`${counts.created} made, ${counts.closed} closed, ${total} there, ${hangs} hang`)
      }
    })
  }

  /** As many borrow at once as there may be, one of them nested; and who would wait for ever hears of it. */
  private readonly checkCapacity = Effect.gen({ self: this }, function*() {
    const { pool } = this
    const { max } = yield* ResourcePool.stats(pool)
    const got = new Set<Item>()
    const gate = Latch.makeUnsafe()
    const hold = ResourcePool.use(pool, (item) => {
      got.add(item)
      return this.working(item, gate.await)
    })
    const holders = yield* Effect.forEach(Array.from({ length: max }), () => Effect.forkChild(Effect.exit(hold)))
    yield* Effect.sleep(100)
    if (got.size !== max) this.troubles.push(`${got.size} of ${max} are there to be borrowed`)
    gate.openUnsafe()
    yield* Fiber.awaitAll(holders)

    const depth = (level: number): Effect.Effect<number, Failure> =>
      Effect.catch(
        ResourcePool.use(pool, () => depth(level + 1)),
        (error) =>
          typeof error === "object" && error._tag === "WouldDeadlock" ? Effect.succeed(level) : Effect.fail(error)
      )
    const nested = yield* Effect.exit(depth(0))
    if (!Exit.isSuccess(nested) || nested.value !== max) this.troubles.push(`nested borrows end with ${inWords(nested)}`)

    const busy = Latch.makeUnsafe()
    const rivals = yield* Effect.forEach(
      Array.from({ length: max - 1 }),
      () => Effect.forkChild(Effect.exit(ResourcePool.use(pool, () => busy.await)))
    )
    yield* Effect.sleep(10)
    const waits = yield* Effect.forkChild(
      Effect.exit(ResourcePool.use(pool, () => ResourcePool.use(pool, () => Effect.void)))
    )
    yield* Effect.sleep(10)
    busy.openUnsafe()
    const exit = yield* Fiber.join(waits)
    if (max > 1 && !Exit.isSuccess(exit)) this.troubles.push(`a nested borrow that can be served: ${inWords(exit)}`)
    yield* Fiber.awaitAll(rivals)
  })

  /** It ends in time, and then nothing is left but what never ends; in the end not even that. */
  private readonly checkEnd = Effect.gen({ self: this }, function*() {
    const { troubles } = this
    const scope = yield* Effect.forkChild(Effect.exit(Scope.close(this.poolScope, Exit.void)))
    yield* Effect.sleep(longest)
    const closed = scope.pollUnsafe()
    if (closed === undefined) troubles.push("the scope of the pool can not be closed")
    else this.note(Exit.flatten(closed))
    for (const item of this.items) {
      if (item.closing === 0) troubles.push(`${item.id} is open after the pool has ended`)
    }
    this.gate.openUnsafe()
    yield* Effect.sleep(longest)
    for (const item of this.items) {
      if (item.closed !== 1) troubles.push(`${item.id} was closed ${item.closed} times`)
    }
    for (const pool of [this.pool, ...this.pools]) {
      const { abandoned, state, total } = yield* ResourcePool.stats(pool)
      if (state !== "closed" || total !== 0 || abandoned !== 0) {
        troubles.push(`in the end it is ${state}, with ${total}, and ${abandoned} left behind`)
      }
    }
    yield* Fiber.await(scope)
    const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, this.context)
    troubles.push(...booksOf(snapshot))
    for (const { resource, state } of snapshot.allocations) troubles.push(`${resource} is ${state} in the end`)
    for (const { parent, path, phase } of snapshot.frames) {
      if (parent !== null) troubles.push(`the frame "${path}" is ${phase} in the end`)
    }
    for (const { budgets, path } of snapshot.frames) {
      for (const { unit, used } of budgets) if (used !== 0) troubles.push(`${used} ${unit} of "${path}" in the end`)
    }
    for (const { acquired, released, resource, shares } of snapshot.resources) {
      if (acquired !== released || shares !== 0) {
        troubles.push(`${resource}: ${acquired} acquired, ${released} released, ${shares} shares`)
      }
    }
  })

  readonly afterClose = (): Array<string> => {
    const { troubles } = this
    if (this.sleeping > 0) troubles.push(`${this.sleeping} timers of the library are left`)
    const running = this.fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length
    if (running > 0) troubles.push(`${running} fibers are stuck`)
    for (let id = 0; id < 4096; id++) {
      if (mayHold({ id } as never)) troubles.push(`fiber ${id} is taken for a holder`)
    }
    return troubles.splice(0)
  }

  /** Only what is meant to die may die. */
  note(exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    for (const reason of exit.cause.reasons) {
      const isMeant = reason._tag !== "Die" || reason.defect instanceof Meant || reason.defect === "no"
      if (!isMeant) this.troubles.push(`a defect: ${Cause.pretty(exit.cause)}`)
    }
  }

  /** Runs it to its end, whatever that is. */
  observe(program: Effect.Effect<unknown, unknown>): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.map(Effect.exit(restore(program)), (exit) => this.note(exit))
    )
  }
}

export const inWords = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? String(exit.value) : Cause.pretty(exit.cause)

export const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** One item is idle and was used once. With others, one has the second item until the body begins, and two come then. */
export const makeWorld = (cell: Cell): Effect.Effect<World> =>
  Effect.gen(function*() {
    const world = new World(cell)
    const clock = counting(yield* Clock.clockWith(Effect.succeed), world)
    const layer = ResourceManager.layer({ budget: { things: 100, turns: 100 }, gracePeriod: 100 })
    const context = yield* Layer.buildWithScope(layer, world.managerScope).pipe(
      Effect.provideService(Clock.Clock, clock)
    )
    world.context = Context.add(context, Clock.Clock, clock)
    const make = ResourcePool.make(world.thing, world.options)
    if (world.isFramed) {
      const made = Effect.gen(function*() {
        const owner = world.owner = yield* TimeFrame.make({ name: "owner", budget: { things: 10 }, gracePeriod: 400 })
        world.pool = yield* TimeFrame.provide(make, owner)
      })
      yield* Effect.provideContext(Scope.provide(made, world.poolScope), world.context)
    } else world.pool = yield* Effect.provideContext(Scope.provide(make, world.poolScope), world.context)
    const holds = ResourcePool.use(world.pool, (item) =>
      Effect.andThen(steps, world.hasOthers ? world.working(item, Effect.andThen(world.go.await, steps)) : Effect.void))
    const come = (millis: number) =>
      Effect.andThen(world.go.await, Effect.andThen(millis === 0 ? Effect.void : Effect.sleep(millis), world.use))
    const first = Effect.forkChild(world.observe(world.inPlace(holds)), { startImmediately: true })
    const second = yield* Effect.forkChild(world.observe(world.inPlace(world.use)), { startImmediately: true })
    if (world.hasOthers) world.rivals.push(yield* first)
    yield* Fiber.await(second)
    if (!world.hasOthers) return Object.assign(world, { isHealthy: false })
    for (const millis of [0, 0, 3]) {
      world.rivals.push(
        yield* Effect.forkDetach(world.observe(world.inPlace(come(millis))), { startImmediately: true })
      )
    }
    return Object.assign(world, { isHealthy: false })
  }) as Effect.Effect<World>

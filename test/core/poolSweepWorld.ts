import { ResourceDefinition, ResourceManager, ResourcePool } from "@chronovyan/core"
import { Sweep } from "@chronovyan/testing"
import { Clock, Effect, Exit, Fiber, Latch, Layer, Schema, Scope } from "effect"
import type { Context } from "effect"
import { failureOf, start } from "./fixtures.ts"

export const outcomes = ["ok", "fails", "dies", "slow", "never"] as const
export type Outcome = (typeof outcomes)[number]

/** What becomes of each thing that a pool has done to its items. */
export interface Vector {
  readonly creation: Outcome
  readonly validation: Outcome
  readonly reset: Outcome
  readonly release: Outcome
}
export type Hook = keyof Vector

export const hooks: ReadonlyArray<Hook> = ["creation", "validation", "reset", "release"]

export const inWords = (vector: Vector) => hooks.map((hook) => `${hook} ${vector[hook]}`).join(", ")

export const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** Every limit of these pools, in milliseconds, and more than anything here takes that ends at all. */
const limit = 20

/** What these pools lend. */
export class Item {
  readonly id: number
  users = 0
  wasLent = false
  releases = 0
  closingSince = Infinity
  isClosed = false

  constructor(id: number) {
    this.id = id
  }
}

/** Makes and ends items, after the script, and notes all that must not happen. */
export class Books {
  readonly items: Array<Item> = []
  readonly wrong: Array<string> = []
  /** How many are under way. */
  readonly going = { creation: 0, validation: 0, reset: 0, release: 0 }
  /** What was not `ok`, as `hook outcome`. */
  readonly bitten = new Set<string>()
  private readonly calls = { creation: 0, validation: 0, reset: 0, release: 0 }
  private readonly vector: Vector
  private readonly max: number
  private readonly knownGood: number

  /** The first items are made without trouble, so many as are `knownGood`. */
  constructor(vector: Vector, max: number, knownGood: number) {
    this.vector = vector
    this.max = max
    this.knownGood = knownGood
  }

  /** The first two go as the script says, and all others are well. */
  act(hook: Hook): Effect.Effect<void, string> {
    return Effect.uninterruptibleMask((restore) => {
      const call = ++this.calls[hook] - (hook === "creation" ? this.knownGood : 0)
      const outcome = call === 1 || call === 2 ? this.vector[hook] : "ok"
      if (outcome !== "ok") this.bitten.add(`${hook} ${outcome}`)
      this.going[hook]++
      return Effect.onExit(restore(play(outcome, call)), () => Effect.sync(() => void this.going[hook]--))
    })
  }

  readonly acquire = Effect.suspend(() =>
    Effect.map(Effect.andThen(this.act("creation"), Clock.currentTimeMillis), (now) => this.open(now))
  )

  open(now: number): Item {
    const item = new Item(this.items.length + 1)
    this.items.push(item)
    // A release that takes too long keeps no place.
    const there = this.items.filter(({ closingSince, isClosed }) => !isClosed && now - closingSince < limit)
    if (there.length > this.max) this.wrong.push(`${there.length} of at most ${this.max} are open`)
    return item
  }

  readonly release = (item: Item): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (++item.releases > 1) this.wrong.push(`${item.id} is closed twice`)
      if (item.users > 0) this.wrong.push(`${item.id} is closed while it is used`)
      item.closingSince = now
      // By its type it can not fail, but the pool has to bear it.
      return Effect.onExit(this.act("release") as Effect.Effect<void>, () =>
        Effect.sync(() => void (item.isClosed = true)))
    })

  /** Uses an item for a while, as one does who counts on having it alone. */
  readonly work = (item: Item, body: Effect.Effect<unknown> = steps): Effect.Effect<unknown> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        if (item.releases > 0) this.wrong.push(`${item.id} is lent after it was closed`)
        item.wasLent = true
        if (++item.users > 1) this.wrong.push(`${item.id} is used by two`)
      }),
      () => body,
      () => Effect.sync(() => void item.users--)
    )

  /** Those of which no release has begun. */
  get unreleased(): number {
    return this.items.filter(({ releases }) => releases === 0).length
  }
}

const play = (outcome: Outcome, call: number): Effect.Effect<void, string> => {
  switch (outcome) {
    case "ok":
      return Effect.void
    case "fails":
      return Effect.fail("scripted")
    case "dies":
      return Effect.die("scripted")
    case "slow":
      return call === 1 ? Effect.andThen(steps, Effect.yieldNow) : Effect.sleep(3)
    case "never":
      return Effect.never
  }
}

export type Pool = ResourcePool.ResourcePool<Item, { readonly _tag: string } | string>

type Standing =
  & Pick<
    ResourcePool.Stats,
    "abandoned" | "busy" | "closing" | "creating" | "idle" | "state" | "total" | "used" | "waiting"
  >
  & { readonly borrowed: number; readonly returned: number }

export interface World {
  readonly pool: Pool
  readonly books: Books
  readonly scope: Scope.Closeable
  readonly manager: Context.Context<ResourceManager.ResourceManager>
  /** Opened when the body begins. */
  readonly go: Latch.Latch
  readonly use: Effect.Effect<unknown, unknown>
  readonly standing: Effect.Effect<Standing>
  readonly rivals: ReadonlyArray<Fiber.Fiber<unknown, unknown>>
  /** Fibers that had not ended when all was at rest. */
  running: ReadonlyArray<Fiber.Fiber<unknown, unknown>>
}

export interface Operation {
  readonly name: string
  readonly max?: number
  readonly options?: {
    readonly [
      K in "acquireTimeout" | "createTimeout" | "validateTimeout" | "resetTimeout" | "releaseTimeout"
    ]?: number
  }
  /** Is there nothing when it begins, so that the first creations are those of the script? Otherwise somebody has an item. */
  readonly isCold?: boolean
  readonly isKeyed?: boolean
  /** Does the pool end in it? */
  readonly ends?: boolean
  readonly body: (world: World) => Effect.Effect<unknown, unknown, ResourceManager.ResourceManager>
}

/** Tries until it is served or the pool has ended, since creations may fail. */
const insist = (borrow: Effect.Effect<unknown, unknown>, times = 30): Effect.Effect<unknown> =>
  Effect.flatMap(Effect.exit(borrow), (exit) => {
    if (Exit.isSuccess(exit) || times === 1 || isRefusal(failureOf(exit))) return Effect.void
    return insist(borrow, times - 1)
  })

const isRefusal = (error: unknown) => typeof error === "object" && (error as { _tag: string })._tag === "PoolClosed"

const makePool = (operation: Operation, books: Books, vector: Vector, max: number) => {
  const options = {
    max,
    maxUses: 2,
    validateAfter: 0,
    validate: () => books.act("validation"),
    reset: () => books.act("reset"),
    createTimeout: limit,
    validateTimeout: limit,
    resetTimeout: limit,
    releaseTimeout: limit,
    closeTimeout: 20 * limit,
    // Short enough for its random part to be rounded away.
    creationBackoff: { base: 5, max: 5 },
    ...operation.options
  }
  const recipe = {
    acquire: () => books.acquire,
    release: books.release,
    // A creation that hangs may as well be one that can be interrupted.
    interruptible: vector.creation === "never" && vector.release !== "never"
  }
  return Effect.gen(function*() {
    if (operation.isKeyed === true) {
      const Thing = ResourceDefinition.temporal("thing", { params: Schema.String, ...recipe })
      const pools = yield* ResourcePool.keyed(Thing, { ...options, maxTotal: max })
      const standing = Effect.map(ResourcePool.keys(pools), sumUp)
      return { pool: yield* ResourcePool.at(pools, "blue"), other: yield* ResourcePool.at(pools, "red"), standing }
    }
    const pool = yield* ResourcePool.make(ResourceDefinition.temporal("thing", recipe), options)
    return { pool, other: pool, standing: Effect.map(ResourcePool.stats(pool), (stats) => sumUp([stats])) }
  }).pipe(Effect.orDie)
}

const sumUp = (all: ReadonlyArray<ResourcePool.Stats>): Standing => {
  const sum = (of: (stats: ResourcePool.Stats) => number) => all.reduce((total, stats) => total + of(stats), 0)
  return {
    state: all[0]?.state ?? "open",
    total: sum(({ total }) => total),
    idle: sum(({ idle }) => idle),
    used: sum(({ used }) => used),
    creating: sum(({ creating }) => creating),
    busy: sum(({ busy }) => busy),
    closing: sum(({ closing }) => closing),
    waiting: sum(({ waiting }) => waiting),
    abandoned: sum(({ abandoned }) => abandoned),
    borrowed: sum(({ counts }) => counts.borrowed),
    returned: sum(({ counts }) => counts.returned)
  }
}

/** What is wrong with a pool that nobody uses. */
const unrest = (world: World, standing: Standing, isKeyed: boolean): ReadonlyArray<string> => {
  const { books, rivals } = world
  const { going } = books
  const { abandoned, borrowed, closing, idle, returned, total, waiting } = standing
  const found = books.wrong.splice(0)
  if (rivals.some((rival) => rival.pollUnsafe() === undefined)) found.push("a rival hangs")
  if (idle !== total) found.push(`nobody is there, but ${JSON.stringify(standing)}`)
  if (waiting > 0) found.push(`${waiting} are said to wait`)
  if (borrowed !== returned) found.push(`${borrowed} borrowed, ${returned} returned`)
  if (books.unreleased !== total) found.push(`${books.unreleased} are open, but the pool has ${total}`)
  if (going.validation + going.reset > 0) found.push("a hook goes on for ever")
  // The pool of a key takes its books along.
  if (!isKeyed && abandoned + closing !== going.creation + going.release) {
    found.push(
      `${abandoned} left behind, ${closing} closing, but ${going.creation} creations and ${going.release} releases go on`
    )
  }
  return found
}

/** Are there as many to be had at once as there may be? */
const missing = ({ books, pool }: World, max: number) =>
  Effect.gen(function*() {
    const gate = Latch.makeUnsafe(false)
    let served = 0
    const arrive = Effect.suspend(() => {
      served++
      return gate.await
    })
    const borrow = insist(ResourcePool.use(pool, (item) => books.work(item, arrive)))
    const fibers = yield* Effect.forEach(Array.from({ length: max }), () => start(borrow))
    yield* Effect.sleep(20 * limit)
    const found = served < max ? [`${served} of ${max} are there to be borrowed`] : []
    yield* gate.open
    yield* Effect.sleep(20 * limit)
    yield* Fiber.interruptAll(fibers)
    return found
  })

/** One operation as a scenario; `bitten` gets to know what was not well at all in any run, as `hook outcome`. */
export const scenarioOf = (
  operation: Operation,
  vector: Vector,
  options: { readonly fibers: "all" | "main"; readonly bitten: Set<string> }
) => {
  const { ends = false, isCold = false, isKeyed = false, max = 2 } = operation
  return Sweep.make({
    name: `${operation.name}: ${inWords(vector)}`,
    setup: Effect.gen(function*() {
      const books = new Books(vector, max, isCold ? 0 : 1)
      const scope = yield* Scope.make()
      const manager = yield* Layer.build(ResourceManager.layer())
      const { other, pool, standing } = yield* Scope.provide(makePool(operation, books, vector, max), scope)
      yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
      const go = Latch.makeUnsafe(false)
      // One has an item and lets go when the body begins; another one comes then.
      const holder = ResourcePool.use(other, (item) => books.work(item, Effect.andThen(go.await, steps)))
      const late = Effect.andThen(go.await, insist(ResourcePool.use(other, (item) => books.work(item))))
      const rivals = yield* Effect.forEach(
        isCold ? [late] : [insist(holder), late],
        (rival) => Effect.forkScoped(rival)
      )
      const use = ResourcePool.use(pool, (item) => books.work(item))
      return { pool, books, scope, manager, go, use, standing, rivals, running: [] } as World
    }),
    body: (world) =>
      Effect.uninterruptibleMask((restore) =>
        restore(Effect.andThen(world.go.open, operation.body(world))).pipe(
          Effect.provideContext(world.manager),
          Effect.catchDefect((defect) => defect === "scripted" ? Effect.void : Effect.die(defect))
        )
      ),
    check: (world, exit, { running }) =>
      Effect.gen(function*() {
        const { books, go, pool, standing } = world
        yield* go.open
        yield* Effect.sleep(20 * limit)
        const first = yield* standing
        const { state } = first
        const found = [...unrest(world, first, isKeyed)]
        world.running = running
        // Whoever is interrupted may not have come to the end of the pool.
        const isOpen = !ends || (state === "open" && Exit.isFailure(exit))
        if (state !== (isOpen ? "open" : "closed")) found.push(`the pool is ${state}`)
        if (isOpen) found.push(...yield* missing(world, max))
        else if (!isRefusal(failureOf(yield* Effect.exit(ResourcePool.use(pool, books.work))))) {
          found.push("it lends on")
        }
        found.push(...unrest(world, yield* standing, isKeyed))
        return found
      }),
    afterClose: (world) =>
      Effect.gen(function*() {
        const { books, running } = world
        yield* Effect.sleep("1 minute")
        const found = books.wrong.splice(0)
        for (const { id, releases } of books.items) if (releases !== 1) found.push(`${id} was closed ${releases} times`)
        const hanging = books.going.creation + books.going.release
        const isBusy = running.some((fiber) => fiber.pollUnsafe() === undefined)
        if (isBusy && hanging === 0) found.push("a fiber goes on for ever")
        for (const each of books.bitten) options.bitten.add(each)
        return found
      }),
    fibers: options.fibers,
    settle: "1 second"
  })
}

import { Budget, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, heldNow, managed, settle, start, usedBy } from "./fixtures.ts"

type Job = Effect.Effect<unknown, { readonly _tag: string }, ResourceManager.ResourceManager>

/** Runs it in a frame that refuses early. */
const within = (timeout: number, options: Omit<TimeFrame.Options, "name" | "timeout"> = {}) =>
  TimeFrame.run({ name: "request", timeout, admission: true, ...options })

const patient = 1_000_000

/** Answers how it was refused, if it was refused at once. */
const refusedOf = (job: Job) =>
  Effect.gen(function*() {
    const fiber = yield* start(Effect.exit(job))
    const exit = fiber.pollUnsafe()
    if (exit === undefined) yield* Fiber.interrupt(fiber)
    const error = exit === undefined ? undefined : failureOf(yield* Fiber.join(fiber))
    return error?._tag === "DeadlineExceeded" ? error as ResourceError.DeadlineExceeded : undefined
  })

/** Lets so many of them run side by side, for as long as it takes. */
const runAll = (count: number, job: Job, every: number) =>
  Effect.gen(function*() {
    const fibers = []
    for (let index = 0; index < count; index++) fibers.push(yield* start(job))
    while (fibers.some((fiber) => fiber.pollUnsafe() === undefined)) yield* TestClock.adjust(every)
  })

describe("A pool, asked from a frame with admission,", () => {
  /** Two items, each used for 100 ms. */
  const make = (options: { readonly max?: number; readonly creation?: number } = {}) =>
    Effect.gen(function*() {
      const state = { uses: 100 }
      const pool = yield* ResourcePool.make({
        acquire: Effect.sleep(options.creation ?? 0),
        size: options.max ?? 2,
        name: "pool"
      })
      const use = Effect.suspend(() => ResourcePool.use(pool, () => Effect.sleep(state.uses)))
      return { pool, state, use }
    })

  it.effect("refuses a borrower whose turn would come too late: by the queue, the items and how long they are held", () =>
    Effect.gen(function*() {
      const { pool, use } = yield* make()
      yield* runAll(10, within(patient)(use), 100)
      for (let index = 0; index < 6; index++) yield* start(within(patient)(use))
      // Four wait, and one comes back every 50 ms.
      const error = yield* refusedOf(within(249)(use))
      assert.deepInclude(error, { frame: "server/request", phase: "admission", timeout: 249 })
      assert.deepInclude(error?.refused, { expected: 250, left: 249, resource: "pool" })
      assert.deepStrictEqual(error?.holders.map(({ resource }) => resource), ["pool", "pool"])
      assert.match(error!.message, /it is expected to take 250 ms.*Held by:\n {2}- "pool" by server\/request for 0 ms/)
      const stats = yield* ResourcePool.stats(pool)
      assert.deepInclude(stats, { used: 2, waiting: 4 })
      assert.deepInclude(stats.counts, { cancelled: 0, refused: 1 })
      assert.isUndefined(yield* refusedOf(within(251)(use)))
      const { resources } = yield* ResourceManager.snapshot
      assert.strictEqual(resources.find(({ kind }) => kind === "pool")?.refused, 1)
      yield* TestClock.adjust(1000)
      assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 2, used: 0, waiting: 0 })
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("refuses nobody who need not wait, or before it has seen a few", () =>
    Effect.gen(function*() {
      const { use } = yield* make()
      yield* runAll(1, within(patient)(use), 100)
      yield* start(within(patient)(use))
      assert.isUndefined(yield* refusedOf(within(1)(use)))
      yield* start(within(patient)(use))
      assert.isUndefined(yield* refusedOf(within(1)(use)))
      yield* TestClock.adjust(1000)
      yield* runAll(10, within(patient)(use), 100)
      assert.isUndefined(yield* refusedOf(within(1)(use)))
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("serves others again when the queue has gone, and when items are held for a shorter time", () =>
    Effect.gen(function*() {
      const { state, use } = yield* make()
      yield* runAll(10, within(patient)(use), 100)
      for (let index = 0; index < 6; index++) yield* start(within(patient)(use))
      assert.isDefined(yield* refusedOf(within(100)(use)))
      yield* TestClock.adjust(200)
      assert.isUndefined(yield* refusedOf(within(100)(use)))
      yield* TestClock.adjust(200)
      state.uses = 10
      yield* runAll(50, within(patient)(use), 10)
      for (let index = 0; index < 6; index++) yield* start(within(patient)(use))
      assert.isUndefined(yield* refusedOf(within(100)(use)))
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("notices that nothing comes back any more", () =>
    Effect.gen(function*() {
      const { state, use } = yield* make()
      state.uses = 10
      yield* runAll(10, within(patient)(use), 10)
      state.uses = patient
      yield* start(within(patient)(use))
      yield* start(within(patient)(use))
      const fibers = [yield* start(Effect.exit(within(500)(use)))]
      yield* TestClock.adjust(400)
      // Nobody has been served for 400 ms: as long again, and its own turn.
      const error = yield* refusedOf(within(300)(use))
      assert.approximately(error!.refused!.expected, 405, 1)
      yield* TestClock.adjust(100)
      yield* Fiber.joinAll(fibers)
      // The one that has waited in vain tells those who come after it.
      assert.isDefined(yield* refusedOf(within(25)(use)))
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("goes by how long it takes to make an item, where one can be made", () =>
    Effect.gen(function*() {
      const { pool, use } = yield* make({ creation: 1000, max: 8 })
      yield* ResourcePool.resize(pool, { min: 8, max: 8 })
      yield* runAll(1, within(patient)(use), 1000)
      yield* runAll(9, within(patient)(use), 1000)
      // Nine have waited; the creations before the first one asked were not looked at.
      yield* ResourcePool.retireAll(pool)
      yield* TestClock.adjust(1000)
      yield* ResourcePool.resize(pool, { min: 0, max: 8 })
      yield* ResourcePool.retireAll(pool)
      assert.strictEqual((yield* ResourcePool.stats(pool)).total, 0)
      const error = yield* refusedOf(within(999)(use))
      assert.deepInclude(error?.refused, { expected: 1000, left: 999 })
      // It makes the item all the same, for those who come later; when that will be there, nobody knows.
      assert.strictEqual((yield* ResourcePool.stats(pool)).creating, 1)
      assert.isUndefined(yield* refusedOf(within(999)(use)))
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 1)
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("counts those ahead by priority", () =>
    Effect.gen(function*() {
      const { use } = yield* make()
      yield* runAll(10, within(patient)(use), 100)
      for (let index = 0; index < 6; index++) yield* start(within(patient)(use))
      assert.isDefined(yield* refusedOf(within(100)(use)))
      const urgent = Effect.provideService(use, ResourcePool.Priority, 1)
      assert.isUndefined(yield* refusedOf(within(100)(urgent)))
      assert.isDefined(yield* refusedOf(within(49)(urgent)))
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("gives back what a refused borrower was charged", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make({ acquire: Effect.void, size: 1, name: "pool", borrowCost: { borrows: 1 } })
      const use = ResourcePool.use(pool, () => Effect.sleep(100))
      const hold = Effect.andThen(ResourceManager.allocate(pool), Effect.sleep(100))
      yield* runAll(6, within(patient)(use), 100)
      yield* runAll(6, within(patient)(hold), 100)
      yield* start(within(patient)(use))
      yield* start(within(patient)(hold))
      assert.isDefined(yield* refusedOf(within(100)(use)))
      assert.isDefined(yield* refusedOf(within(100)(hold)))
      assert.strictEqual(yield* usedBy("", "borrows"), 2)
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* usedBy("", "borrows"), 0)
      assert.deepStrictEqual(yield* heldNow, ["pool live"])
    }).pipe(TimeFrame.run({ name: "server" }), managed()))
})

describe("A budget that is waited for, asked from a frame with admission,", () => {
  const Desk = ResourceDefinition.temporal("desk", {
    cost: () => ({ desks: 1 }),
    acquire: () => Effect.succeed("desk")
  })
  const use = ResourceManager.use(Desk, () => Effect.sleep(100))

  it.effect("refuses one whose turn would come too late: by the line, and how quickly it went of late", () =>
    Effect.gen(function*() {
      yield* runAll(10, within(patient)(use), 100)
      for (let index = 0; index < 4; index++) yield* start(within(patient)(use))
      // Three wait, and one is served every 100 ms.
      const error = yield* refusedOf(within(399)(use))
      assert.deepInclude(error, { frame: "office/request", phase: "admission" })
      assert.deepInclude(error?.refused, { expected: 400, left: 399, resource: "desk", unit: "desks" })
      assert.deepStrictEqual(error?.holders.map(({ resource }) => resource), ["desk"])
      assert.strictEqual(yield* usedBy("office", "desks"), 1)
      assert.isUndefined(yield* refusedOf(within(400)(use)))
      yield* TestClock.adjust(400)
      assert.strictEqual(yield* usedBy("office", "desks"), 0)
      assert.strictEqual((yield* ResourceManager.snapshot).resources[0]?.refused, 1)
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))

  it.effect("refuses nobody before a few were served, nor whom it would serve at once", () =>
    Effect.gen(function*() {
      yield* runAll(5, within(patient)(use), 100)
      yield* start(within(patient)(use))
      // Four have waited.
      assert.isUndefined(yield* refusedOf(within(1)(use)))
      yield* TestClock.adjust(100)
      yield* runAll(3, within(patient)(use), 100)
      assert.isUndefined(yield* refusedOf(within(1)(use)))
      yield* start(within(patient)(use))
      assert.isDefined(yield* refusedOf(within(1)(use)))
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))

  it.effect("notices that nobody is served any more, and that it goes on", () =>
    Effect.gen(function*() {
      yield* runAll(10, within(patient)(use), 100)
      const stuck = yield* start(within(patient)(ResourceManager.use(Desk, () => Effect.never)))
      const waits = yield* start(Effect.exit(within(1000)(use)))
      yield* TestClock.adjust(600)
      const error = yield* refusedOf(within(600)(use))
      assert.deepInclude(error?.refused, { expected: 700, left: 600 })
      yield* TestClock.adjust(400)
      yield* Fiber.join(waits)
      yield* Fiber.interrupt(stuck)
      assert.isUndefined(yield* refusedOf(within(1)(use)))
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))

  it.effect("adds how long the acquisition will take", () =>
    Effect.gen(function*() {
      const Slow = ResourceDefinition.temporal("slow", { cost: () => ({ desks: 1 }), acquire: () => Effect.sleep(100) })
      const slow = ResourceManager.use(Slow, () => Effect.void)
      yield* runAll(10, within(patient)(slow), 100)
      yield* start(within(patient)(slow))
      const error = yield* refusedOf(within(199)(slow))
      assert.deepInclude(error?.refused, { expected: 200, left: 199, unit: "desks" })
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))

  it.effect("lets a probe of a slow acquisition wait its turn", () =>
    Effect.gen(function*() {
      const Slow = ResourceDefinition.temporal("slow", { cost: () => ({ desks: 1 }), acquire: () => Effect.sleep(500) })
      const slow = ResourceManager.use(Slow, () => Effect.void)
      for (let index = 0; index < 5; index++) yield* runAll(1, within(patient)(slow), 500)
      yield* TestClock.adjust(1000)
      yield* start(within(patient)(use))
      assert.isUndefined(yield* refusedOf(within(250)(slow)))
      assert.isDefined(yield* refusedOf(within(250)(slow)))
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))

  it.effect("knows of a rate when it will be back, without having seen any", () =>
    Effect.gen(function*() {
      const Call = ResourceDefinition.temporal("call", { cost: () => ({ tokens: 10 }), acquire: () => Effect.void })
      const call = ResourceManager.use(Call, () => Effect.void)
      yield* within(patient)(call)
      yield* start(within(patient)(call))
      yield* start(within(patient)(call))
      // Ten tokens a second, and two wait.
      const error = yield* refusedOf(within(2999)(call))
      assert.deepInclude(error?.refused, { expected: 3000, left: 2999, resource: "call", unit: "tokens" })
      const fiber = yield* start(within(3001)(call))
      yield* TestClock.adjust(3000)
      yield* Fiber.join(fiber)
    }).pipe(
      TimeFrame.run({ name: "gateway", budget: { tokens: Budget.rate(10, "1 second") }, exhausted: "wait" }),
      managed()
    ))

  it.effect("counts the turns of other tenants, not all who wait", () =>
    Effect.gen(function*() {
      yield* runAll(10, within(patient)(use), 100)
      for (let index = 0; index < 6; index++) yield* start(within(patient, { tenant: "large" })(use))
      assert.isDefined(yield* refusedOf(within(400, { tenant: "large" })(use)))
      // Of two tenants that take turns each is served every other time.
      assert.isUndefined(yield* refusedOf(within(200, { tenant: "small" })(use)))
      assert.isDefined(yield* refusedOf(within(199, { tenant: "small" })(use)))
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))

  it.effect("refuses a set as a whole", () =>
    Effect.gen(function*() {
      yield* runAll(10, within(patient)(use), 100)
      yield* start(within(patient)(use))
      const both = ResourceManager.allocateAll([[Desk], [Desk]])
      const error = yield* refusedOf(within(10)(Effect.asVoid(both)))
      assert.strictEqual(error?.refused?.resource, "desk and desk")
      yield* settle
      assert.strictEqual(yield* usedBy("office", "desks"), 1)
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 2 }, exhausted: "wait" }), managed()))
})

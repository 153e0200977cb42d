import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, settle, start } from "./fixtures.ts"
import { failedWith, hold, makeStock } from "./poolFixtures.ts"

const { Thing } = makeStock()
const ok = () => Effect.void

/** Options that are mistakes; the name of the option has to be in the message. */
const wrong: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
  ["max", { max: 0 }],
  ["max", { max: -1 }],
  ["max", { max: 1.5 }],
  ["max", { max: Number.NaN }],
  ["max", { max: Infinity }],
  ["min", { min: -1 }],
  ["min", { min: 0.5 }],
  ["min", { min: 3, max: 2 }],
  ["min", { min: 11 }],
  ["concurrency", { concurrency: 0 }],
  ["concurrency", { concurrency: 2.5 }],
  ["targetUtilization", { targetUtilization: 0 }],
  ["targetUtilization", { targetUtilization: 0.05 }],
  ["targetUtilization", { targetUtilization: 1.1 }],
  ["targetUtilization", { targetUtilization: Number.NaN }],
  ["acquireTimeout", { acquireTimeout: -1 }],
  ["acquireTimeout", { acquireTimeout: "soon" }],
  ["acquireTimeout", { acquireTimeout: Number.NaN }],
  ["maxWaiting", { maxWaiting: -1 }],
  ["maxWaiting", { maxWaiting: 0.5 }],
  ["priorityAgeing", { priorityAgeing: -1 }],
  ["order", { order: "random" }],
  ["parallelism", { warmUp: { parallelism: 0 } }],
  ["idleTimeToLive", { idleTimeToLive: -1 }],
  ["maxLifetime", { maxLifetime: -1 }],
  ["lifetimeJitter", { lifetimeJitter: -0.1 }],
  ["lifetimeJitter", { lifetimeJitter: 1.1 }],
  ["maxUses", { maxUses: 0 }],
  ["validateTimeout", { validateTimeout: -1 }],
  ["validateAfter", { validateAfter: -1 }],
  ["keepalive", { validate: ok, keepalive: -1 }],
  ["keepalive", { keepalive: "1 second" }],
  ["resetTimeout", { resetTimeout: -1 }],
  ["createTimeout", { createTimeout: -1 }],
  ["releaseTimeout", { releaseTimeout: -1 }],
  ["closeTimeout", { closeTimeout: -1 }],
  ["creationBackoff", { creationBackoff: { base: -1, max: 10 } }],
  ["creationBackoff", { creationBackoff: { base: 1, max: -1 } }],
  ["codel", { codel: { target: -1 } }],
  ["codel", { codel: { interval: -1 } }],
  ["overdueAfter", { overdueAfter: -1 }],
  ["units", { borrowCost: { units: -1 } }],
  ["units", { borrowCost: { units: 0.5 } }]
]

describe("A wrong option", () => {
  for (const [name, options] of wrong) {
    it.effect(`is a mistake in the program, not an error to handle: ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const { state, Thing } = makeStock()
        const exit = yield* Effect.exit(ResourcePool.make(Thing, { min: 1, ...options } as { readonly min: number }))
        const [defect] = defectsOf(exit)
        assert.isTrue(Cause.isIllegalArgumentError(defect), String(defect))
        assert.include((defect as Error).message, name)
        yield* settle
        assert.strictEqual(state.started, 0)
      }))
  }

  it.effect("is found in Effect's own options as well", () =>
    Effect.gen(function*() {
      for (
        const options of [{ size: 0 }, { min: 3, max: 2 }, { max: 2, timeToLive: -1 }, { size: 1, concurrency: 0 }]
      ) {
        const exit = yield* Effect.exit(ResourcePool.make(
          { acquire: Effect.void, ...options } as { size: 1 } & {
            acquire: Effect.Effect<void>
          }
        ))
        assert.isTrue(Cause.isIllegalArgumentError(defectsOf(exit)[0]), JSON.stringify(options))
      }
    }))

  it.effect("of resize changes nothing", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { min: 2, max: 4 })
      for (const size of [{ max: 0 }, { min: 5 }, { min: -1 }, { max: 1.5 }, { min: 3, max: 2 }, { max: Infinity }]) {
        const exit = yield* Effect.exit(ResourcePool.resize(pool, size))
        assert.isTrue(Cause.isIllegalArgumentError(defectsOf(exit)[0]), JSON.stringify(size))
      }
      assert.deepInclude(yield* ResourcePool.stats(pool), { min: 2, max: 4 })
    }))

  it.effect("of close leaves the pool open", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { max: 1 })
      const exit = yield* Effect.exit(ResourcePool.close(pool, { timeout: -1 }))
      assert.isTrue(Cause.isIllegalArgumentError(defectsOf(exit)[0]))
      assert.strictEqual((yield* ResourcePool.stats(pool)).state, "open")
      yield* ResourcePool.use(pool, ok)
    }))

  it.effect("params that do not fit are an error that the maker can handle", () =>
    Effect.gen(function*() {
      const Sized = ResourceDefinition.temporal("sized", { params: Schema.Int, acquire: Effect.succeed })
      const exit = yield* Effect.exit(ResourcePool.make(Sized, { params: 0.5 }))
      assert.strictEqual(failureOf(exit)?._tag, "InvalidParams")
    }))

  it.effect("a definition that is shared already can not be pooled", () =>
    Effect.gen(function*() {
      const Shared = ResourceDefinition.shared("shared", { acquire: () => Effect.void })
      const exit = yield* Effect.exit(ResourcePool.make(Shared as unknown as typeof Thing, { max: 1 }))
      assert.match(String(defectsOf(exit)[0]), /"shared" is shared: only temporal/)
    }))
})

describe("Left out,", () => {
  it.effect("max is 10, min is 0, and the name is that of the definition", () =>
    Effect.gen(function*() {
      const { state, Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, {})
      yield* settle
      assert.deepInclude(yield* ResourcePool.stats(pool), { name: "thing", min: 0, max: 10, total: 0 })
      const holders = yield* Effect.forEach(Array.from({ length: 11 }), () => hold(pool))
      yield* settle
      assert.strictEqual(state.started, 10)
      assert.isFalse(holders[10]!.has())
    }))

  it.effect("the name of a pool made with Effect's own options is pool", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make({ acquire: Effect.void, size: 1 })
      assert.strictEqual(pool.name, "pool")
      const named = yield* ResourcePool.make({ acquire: Effect.void, size: 1, name: "mine" })
      assert.strictEqual(named.name, "mine")
    }))

  it.effect("nobody is too many to wait, and nobody waits too long", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { max: 1 })
      const holder = yield* hold(pool)
      const waiting = yield* Effect.forEach(Array.from({ length: 2000 }), () => start(ResourcePool.use(pool, ok)))
      yield* settle
      yield* TestClock.adjust("365 days")
      assert.strictEqual((yield* ResourcePool.stats(pool)).waiting, 2000)
      yield* holder.release
      yield* Effect.repeat(ResourcePool.stats(pool), { until: ({ waiting, used }) => waiting + used === 0 })
      for (const fiber of waiting) assert.isDefined(fiber.pollUnsafe())
    }))

  it.effect("an item is never too old, idle for too long, or used too often", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      for (let use = 0; use < 1000; use++) yield* ResourcePool.use(pool, ok)
      yield* TestClock.adjust("365 days")
      yield* ResourcePool.use(pool, ok)
      assert.deepStrictEqual(stock.open(), [1])
    }))

  it.effect("a creation may take 30 seconds", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.never })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(29_999)
      assert.strictEqual(stock.state.started, 1)
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(stock.state.started, 2)
    }))

  it.effect("the first items are made in the background", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.never })
      const pool = yield* ResourcePool.make(stock.Thing, { min: 3 })
      yield* settle
      assert.deepInclude(yield* ResourcePool.stats(pool), { total: 3, creating: 3, idle: 0 })
    }))
})

describe("At its floor,", () => {
  it.effect("a timeout of nothing lends what is there, and refuses at once otherwise", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { min: 1, max: 1, acquireTimeout: 0 })
      yield* settle
      yield* ResourcePool.use(pool, ok)
      const holder = yield* hold(pool)
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      assert.strictEqual(failedWith(fiber)._tag, "PoolTimeout")
      yield* holder.release
      yield* ResourcePool.use(pool, ok)
    }))

  it.effect("one use for each item makes a new one each time", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxUses: 1 })
      for (let use = 1; use <= 5; use++) {
        assert.strictEqual(yield* ResourcePool.use(pool, ({ id }) => Effect.succeed(id)), use)
      }
      assert.deepStrictEqual(stock.closed, [1, 2, 3, 4, 5])
    }))

  it.effect("no time to be idle closes an item when it comes back", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, idleTimeToLive: 0 })
      yield* ResourcePool.use(pool, ok)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(stock.closed, [1])
    }))

  it.effect("no time to live leaves every borrower an item that was made for it", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxLifetime: 0 })
      const fiber = yield* start(ResourcePool.use(pool, ({ isOpen }) => Effect.succeed(isOpen)))
      yield* settle
      assert.isTrue(yield* Fiber.join(fiber))
      yield* settle
      assert.deepStrictEqual(stock.closed, [1])
    }))
})

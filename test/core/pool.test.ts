import { ResourceDefinition, ResourceManager, ResourcePool, Snapshot, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Ref, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"

/** A resource that counts. */
const counting = Effect.gen(function*() {
  const made = yield* Ref.make(0)
  const live = yield* Ref.make(0)
  const acquire = Effect.acquireRelease(
    Ref.updateAndGet(made, (n) => n + 1).pipe(Effect.tap(() => Ref.update(live, (n) => n + 1))),
    () => Ref.update(live, (n) => n - 1)
  )
  return { made, live, acquire }
})

describe("ResourcePool as Effect's Pool", () => {
  it.effect("makes its items at the start", () =>
    Effect.gen(function*() {
      const { acquire, made } = yield* counting
      yield* ResourcePool.make({ acquire, size: 10 })
      yield* Effect.repeat(Ref.get(made), { until: (n) => n === 10 })
    }))

  it.effect("releases all of them with its scope", () =>
    Effect.gen(function*() {
      const { acquire, live } = yield* counting
      const scope = yield* Scope.make()
      yield* Scope.provide(ResourcePool.make({ acquire, size: 10 }), scope)
      yield* Effect.repeat(Ref.get(live), { until: (n) => n === 10 })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Ref.get(live), 0)
    }))

  it.effect("lends an item again and again", () =>
    Effect.gen(function*() {
      const { acquire, made } = yield* counting
      const pool = yield* ResourcePool.make({ acquire, size: 1 })
      for (let i = 0; i < 100; i++) assert.strictEqual(yield* ResourcePool.use(pool, (n) => Effect.succeed(n)), 1)
      assert.strictEqual(yield* Ref.get(made), 1)
      const stats = yield* ResourcePool.stats(pool)
      assert.strictEqual(stats.counts.borrowed, 100)
      assert.strictEqual(stats.idle, 1)
    }))

  it.effect("tries a failed creation again for the next one who asks", () =>
    Effect.gen(function*() {
      const count = yield* Ref.make(0)
      const acquire = Ref.updateAndGet(count, (n) => n + 1).pipe(
        Effect.flatMap((n) => n <= 10 ? Effect.fail(n) : Effect.succeed(n))
      )
      const pool = yield* ResourcePool.make({ acquire, size: 10 })
      const got = yield* Effect.retry(Effect.scoped(ResourcePool.get(pool)), Schedule.forever)
      assert.isAtLeast(got, 11)
    }))

  it.effect("hands an item to the one who waits", () =>
    Effect.gen(function*() {
      const { acquire } = yield* counting
      const pool = yield* ResourcePool.make({ acquire, size: 1 })
      const gate = yield* Deferred.make<void>()
      const order: Array<number> = []
      const holder = yield* Effect.forkChild(ResourcePool.use(pool, () => Deferred.await(gate)))
      yield* Effect.yieldNow
      const others = yield* Effect.forEach([1, 2, 3], (n) =>
        Effect.forkChild(ResourcePool.use(pool, () => Effect.sync(() => order.push(n)))))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.strictEqual((yield* ResourcePool.stats(pool)).waiting, 3)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll([holder, ...others])
      assert.deepStrictEqual(order, [1, 2, 3])
    }))

  it.effect("invalidated items are replaced", () =>
    Effect.gen(function*() {
      const { acquire, live, made } = yield* counting
      const pool = yield* ResourcePool.make({ acquire, size: 2 })
      yield* Effect.repeat(Ref.get(made), { until: (n) => n === 2 })
      yield* ResourcePool.invalidate(pool, 1)
      yield* ResourcePool.invalidate(pool, 2)
      assert.strictEqual(yield* Effect.scoped(ResourcePool.get(pool)), 3)
      assert.isAtMost(yield* Ref.get(live), 2)
    }))

  it.effect("surplus items end when they have been idle for long enough", () =>
    Effect.gen(function*() {
      const { acquire, live } = yield* counting
      const pool = yield* ResourcePool.makeWithTTL({ acquire, min: 10, max: 15, timeToLive: "60 seconds" })
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkChild(ResourcePool.use(pool, () => Deferred.await(gate))).pipe(Effect.repeat({ times: 14 }))
      yield* Effect.repeat(Ref.get(live), { until: (n) => n === 15 })
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* Ref.get(live), 10)
    }))
})

describe("ResourcePool", () => {
  const Connection = ResourceDefinition.temporal("connection", {
    cost: () => ({ connections: 1 }),
    acquire: () => Effect.succeed({ ping: Effect.void }),
    release: () => Effect.void
  })

  it.effect("is allocated like any definition, and shows who has what", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Connection, { min: 1, max: 2, acquireTimeout: "1 second" })
      const handle = yield* ResourceManager.allocate(pool)
      const text = Snapshot.render(yield* ResourceManager.snapshot)
      assert.include(text, "connection  pool  1 of at most 2 in use, 0 idle")
      yield* handle.release
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 1)
    }).pipe(TimeFrame.run({ name: "server", budget: { connections: 5 } }), Effect.provide(ResourceManager.layer())))

  it.effect("times out with the reason and the holders", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Connection, { max: 1, acquireTimeout: "1 second" })
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        TimeFrame.run(ResourcePool.use(pool, () => Deferred.await(gate)), { name: "holder" })
      )
      yield* Effect.repeat(ResourcePool.stats(pool), { until: (s) => s.used === 1 })
      const fiber = yield* Effect.forkChild(Effect.flip(ResourcePool.use(pool, () => Effect.void)))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "PoolTimeout")
      yield* Deferred.succeed(gate, undefined)
    }).pipe(TimeFrame.run({ name: "server", budget: { connections: 5 } }), Effect.provide(ResourceManager.layer())))

  it.effect("refuses a nested borrow that would never end", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Connection, { max: 1 })
      const nested = ResourcePool.use(pool, () =>
        TimeFrame.run(ResourcePool.use(pool, () => Effect.void), { name: "inner", timeout: "1 second" }))
      const error = yield* Effect.flip(nested)
      assert.strictEqual(error._tag, "WouldDeadlock")
    }).pipe(TimeFrame.run({ name: "server", budget: { connections: 5 } }), Effect.provide(ResourceManager.layer())))
})

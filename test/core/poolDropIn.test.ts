import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Latch, Pool, Ref, Scope } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, settle, start } from "./fixtures.ts"
import { ownScope } from "./poolFixtures.ts"

class Prefix extends Context.Service<Prefix, string>()("Prefix") {}

/** Numbered items: how many were made, and how many there are. */
const counting = (options: { readonly fails?: (n: number) => boolean; readonly slow?: number } = {}) =>
  Effect.gen(function*() {
    const made = yield* Ref.make(0)
    const live = yield* Ref.make(0)
    const acquire = Effect.acquireRelease(
      Effect.gen(function*() {
        const n = yield* Ref.updateAndGet(made, (n) => n + 1)
        if (options.slow !== undefined) yield* Effect.sleep(options.slow)
        if (options.fails?.(n) === true) return yield* Effect.fail(n)
        yield* Ref.update(live, (n) => n + 1)
        return n
      }),
      () => Ref.update(live, (n) => n - 1)
    )
    return { acquire, live: Ref.get(live), made: Ref.get(made) }
  })

// What both do alike: a program of Effect's Pool runs with this one when the name is changed.
for (
  const [name, pools] of [
    ["that", Pool],
    ["ResourcePool in its place", ResourcePool as unknown as typeof Pool]
  ] as const
) {
  describe(`A program of Effect's Pool with ${name}`, () => {
    it.effect("makes a fixed number of items at the start, and closes them with its scope", () =>
      Effect.gen(function*() {
        const { acquire, live, made } = yield* counting()
        const scope = yield* Scope.make()
        yield* Scope.provide(pools.make({ acquire, size: 7 }), scope)
        yield* settle
        assert.strictEqual(yield* made, 7)
        assert.strictEqual(yield* live, 7)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* live, 0)
      }))

    it.effect("closes the other items when a release dies", () =>
      Effect.gen(function*() {
        const live = yield* Ref.make(0)
        const acquire = Effect.acquireRelease(
          Ref.updateAndGet(live, (n) => n + 1),
          () => Effect.andThen(Ref.update(live, (n) => n - 1), Effect.die("no"))
        )
        const scope = yield* Scope.make()
        yield* Scope.provide(pools.make({ acquire, size: 3 }), scope)
        yield* settle
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* Ref.get(live), 0)
      }))

    it.effect("lends the item that was made first", () =>
      Effect.gen(function*() {
        const { acquire } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 3 })
        yield* settle
        assert.strictEqual(yield* pools.use(pool, Effect.succeed), 1)
      }))

    it.effect("lends the item that came back last", () =>
      Effect.gen(function*() {
        const { acquire } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 3 })
        yield* settle
        const [one, two] = [yield* Scope.make(), yield* Scope.make()]
        yield* Scope.provide(pools.get(pool), one)
        assert.strictEqual(yield* Scope.provide(pools.get(pool), two), 2)
        yield* Scope.close(one, Exit.void)
        yield* Scope.close(two, Exit.void)
        assert.strictEqual(yield* Effect.scoped(pools.get(pool)), 2)
      }))

    it.effect("returns an item when its user succeeds, fails, dies or is interrupted", () =>
      Effect.gen(function*() {
        const { acquire, made } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 1 })
        assert.strictEqual(yield* pools.use(pool, (n) => Effect.succeed(n + 10)), 11)
        assert.strictEqual(yield* Effect.flip(pools.use(pool, () => Effect.fail("failed"))), "failed")
        assert.deepStrictEqual(defectsOf(yield* Effect.exit(pools.use(pool, () => Effect.die("died")))), ["died"])
        const thrown = new Error("thrown")
        const exit = yield* Effect.exit(pools.use(pool, (): Effect.Effect<void> => {
          throw thrown
        }))
        assert.deepStrictEqual(defectsOf(exit), [thrown])
        const fiber = yield* start(pools.use(pool, () => Effect.never))
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* pools.use(pool, Effect.succeed), 1)
        assert.strictEqual(yield* made, 1)
      }))

    it.effect("keeps an item lent for as long as the scope of get is open", () =>
      Effect.gen(function*() {
        const { acquire } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 1 })
        const scope = yield* Scope.make()
        yield* Scope.provide(pools.get(pool), scope)
        const other = yield* start(pools.use(pool, Effect.succeed))
        yield* settle
        assert.isUndefined(other.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* Fiber.join(other), 1)
      }))

    it.effect("gives an item to a scope that is closed, and takes it back at once", () =>
      Effect.gen(function*() {
        const { acquire } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 1 })
        const scope = yield* Scope.make()
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* Scope.provide(pools.get(pool), scope), 1)
        assert.strictEqual(yield* pools.use(pool, Effect.succeed), 1)
      }))

    it.effect("lets several users have one item at once", () =>
      Effect.gen(function*() {
        const { acquire, made } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 1, concurrency: 3 })
        const gate = yield* Latch.make()
        const users = yield* Effect.forEach([1, 2, 3, 4], () => start(pools.use(pool, () => gate.await)))
        yield* settle
        assert.deepInclude(yield* pools.stats(pool), { idle: 0, used: 1, pending: 1, min: 1, max: 1 })
        yield* gate.open
        yield* Fiber.joinAll(users)
        assert.strictEqual(yield* made, 1)
      }))

    it.effect("makes more items ahead of need for a lower target of utilization", () =>
      Effect.gen(function*() {
        const { acquire, made } = yield* counting()
        const pool = yield* pools.makeWithTTL({
          acquire,
          min: 0,
          max: 10,
          targetUtilization: 0.5,
          timeToLive: "1 minute"
        })
        yield* Effect.scoped(Effect.andThen(Effect.all([pools.get(pool), pools.get(pool)]), settle))
        assert.strictEqual(yield* made, 4)
      }))

    it.effect("tells its borrower what the creation failed with, and tries again for the next", () =>
      Effect.gen(function*() {
        const { acquire } = yield* counting({ fails: (n) => n <= 3 })
        const pool = yield* pools.makeWithTTL({ acquire, min: 0, max: 1, timeToLive: "1 minute" })
        const seen: Array<number> = []
        const got = yield* pools.use(pool, Effect.succeed).pipe(
          Effect.tapError((n) => Effect.sync(() => seen.push(n))),
          Effect.retry({ times: 5 })
        )
        assert.deepStrictEqual(seen, [1, 2, 3])
        assert.strictEqual(got, 4)
      }))

    it.effect("a defect of the creation is one for its borrower", () =>
      Effect.gen(function*() {
        const pool = yield* pools.makeWithTTL({ acquire: Effect.die("no"), min: 0, max: 1, timeToLive: "1 minute" })
        assert.deepStrictEqual(defectsOf(yield* Effect.exit(pools.use(pool, () => Effect.void))), ["no"])
      }))

    it.effect("lets a borrower be interrupted while it waits", () =>
      Effect.gen(function*() {
        const { acquire } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 1 })
        const scope = yield* Scope.make()
        yield* Scope.provide(pools.get(pool), scope)
        const fiber = yield* start(pools.use(pool, () => Effect.void))
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        assert.strictEqual((yield* pools.stats(pool)).pending, 0)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* pools.use(pool, Effect.succeed), 1)
      }))

    it.effect("replaces an item that was invalidated, which it closes when it comes back", () =>
      Effect.gen(function*() {
        const { acquire, live } = yield* counting()
        const pool = yield* pools.make({ acquire, size: 1 })
        const scope = yield* Scope.make()
        const first = yield* Scope.provide(pools.get(pool), scope)
        yield* pools.invalidate(pool, first)
        yield* Scope.close(scope, Exit.void)
        yield* settle
        assert.strictEqual(yield* pools.use(pool, Effect.succeed), 2)
        assert.strictEqual(yield* live, 1)
      }))

    it.effect("changes nothing for an item that is none of its own", () =>
      Effect.gen(function*() {
        const pool = yield* pools.make({ acquire: Effect.sync(() => ({})), size: 1 })
        const item = yield* pools.use(pool, Effect.succeed)
        yield* pools.invalidate(pool, {})
        assert.strictEqual(yield* pools.use(pool, Effect.succeed), item)
      }))

    it.effect("closes surplus items that nobody used for the time to live", () =>
      Effect.gen(function*() {
        const { acquire, live } = yield* counting()
        const pool = yield* pools.makeWithTTL({ acquire, min: 2, max: 5, timeToLive: "1 minute" })
        yield* Effect.scoped(Effect.all(Array.from({ length: 5 }, () => pools.get(pool))))
        assert.strictEqual(yield* live, 5)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* live, 5)
        // Effect's own looks once in a while.
        yield* TestClock.adjust("61 seconds")
        assert.strictEqual(yield* live, 2)
      }))

    it.effect("is piped through its operations", () =>
      Effect.gen(function*() {
        const pool = yield* pools.make({ acquire: Effect.succeed(7), size: 1 })
        assert.strictEqual(yield* pool.pipe(pools.use((n) => Effect.succeed(n))), 7)
        yield* pool.pipe(pools.invalidate(7))
        assert.strictEqual(yield* Effect.scoped(pool.pipe(pools.get)), 7)
      }))

    it.effect("makes its items with the services of the place where it was made", () =>
      Effect.gen(function*() {
        const acquire = Effect.map(Prefix, (prefix) => `${prefix}-item`)
        const pool = yield* pools.makeWithTTL({ acquire, min: 0, max: 1, timeToLive: "1 minute" }).pipe(
          Effect.provideService(Prefix, "made")
        )
        assert.strictEqual(yield* pools.use(pool, Effect.succeed), "made-item")
      }))

    it.effect("ends once those who have items have given them back", () =>
      Effect.gen(function*() {
        const { acquire, live } = yield* counting()
        const scope = yield* Scope.make()
        const pool = yield* Scope.provide(pools.make({ acquire, size: 2 }), scope)
        const gate = yield* Latch.make()
        yield* settle
        const user = yield* start(pools.use(pool, () => gate.await))
        const end = yield* start(Scope.close(scope, Exit.void))
        yield* settle
        assert.isUndefined(end.pollUnsafe())
        yield* gate.open
        yield* Fiber.joinAll([user, end])
        assert.strictEqual(yield* live, 0)
      }))
  })
}

// Where Effect's own Pool of 4.1.0 has trouble.
describe("ResourcePool, other than Effect's Pool,", () => {
  it.effect("closes what a failed creation had opened", () =>
    Effect.gen(function*() {
      const opened = yield* Ref.make(0)
      const closed = yield* Ref.make(0)
      const acquire = Effect.acquireRelease(
        Ref.update(opened, (n) => n + 1),
        () => Ref.update(closed, (n) => n + 1)
      ).pipe(Effect.andThen(Effect.fail("late")))
      const pool = yield* ResourcePool.makeWithTTL({ acquire, min: 0, max: 3, timeToLive: "1 minute" })
      assert.strictEqual(yield* Effect.flip(ResourcePool.use(pool, () => Effect.void)), "late")
      assert.strictEqual(yield* Ref.get(opened), 1)
      assert.strictEqual(yield* Ref.get(closed), 1)
    }))

  it.effect("closes items that were made longer ago than the time to live when they come back", () =>
    Effect.gen(function*() {
      const { acquire, live } = yield* counting()
      const pool = yield* ResourcePool.makeWithTTL({
        acquire,
        min: 2,
        max: 5,
        timeToLive: "1 minute",
        timeToLiveStrategy: "creation"
      })
      const scope = yield* Scope.make()
      const items = yield* Effect.all(Array.from({ length: 5 }, () => Scope.provide(ResourcePool.get(pool), scope)))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* live, 5)
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.notInclude(items, yield* ResourcePool.use(pool, Effect.succeed))
    }))

  it.effect("is never wedged by a creation that fails once while borrowers yield at every step", () =>
    Effect.gen(function*() {
      for (let offset = 0; offset < 80; offset++) {
        const { acquire } = yield* counting({ fails: (n) => n === 1 })
        const pool = yield* ResourcePool.makeWithTTL({ acquire, min: 0, max: 1, timeToLive: "1 minute" })
        const fibers = yield* Effect.forEach([1, 2, 3], () =>
          start(Effect.andThen(
            Effect.forEach(Array.from({ length: 2048 - offset }), () => Effect.void, { discard: true }),
            Effect.exit(ResourcePool.use(pool, Effect.succeed))
          )))
        yield* settle
        yield* settle
        for (const fiber of fibers) assert.isDefined(fiber.pollUnsafe(), `offset ${offset}`)
        assert.strictEqual(yield* ResourcePool.use(pool, Effect.succeed), 2)
      }
    }))

  it.effect("tells twenty who wait of a slow creation that failed at once, not one after another", () =>
    Effect.gen(function*() {
      const { acquire, made } = yield* counting({ fails: () => true, slow: 50 })
      const pool = yield* ResourcePool.makeWithTTL({ acquire, min: 0, max: 1, timeToLive: "1 minute" })
      const fibers = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => start(ResourcePool.use(pool, () => Effect.void))
      )
      yield* settle
      yield* TestClock.adjust("50 millis")
      for (const fiber of fibers) assert.strictEqual(failureOf(fiber.pollUnsafe()!), 1)
      assert.strictEqual(yield* made, 1)
    }))

  it.effect("never has more than max items, also when all that are lent are invalidated", () =>
    Effect.gen(function*() {
      const { acquire, live } = yield* counting()
      const pool = yield* ResourcePool.make({ acquire, size: 2 })
      const scope = yield* ownScope
      const items = yield* Effect.all([ResourcePool.get(pool), ResourcePool.get(pool)]).pipe(Scope.provide(scope))
      yield* Effect.forEach(items, (item) => ResourcePool.invalidate(pool, item))
      yield* settle
      assert.strictEqual(yield* live, 2)
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual(yield* live, 2)
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.created, 4)
    }))

  it.effect("makes ten items at a time when it warms up", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      let creating = 0
      const acquire = Effect.andThen(Effect.sync(() => void creating++), gate.await)
      yield* ResourcePool.make({ acquire, size: 50 })
      yield* settle
      assert.strictEqual(creating, 10)
      yield* gate.open
      yield* settle
      yield* settle
      assert.strictEqual(creating, 50)
    }))

  it.effect("says that it is closed to those who come after its end", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const pool = yield* Scope.provide(ResourcePool.make({ acquire: Effect.succeed(1), size: 1 }), scope)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(ResourcePool.use(pool, Effect.succeed))
      assert.strictEqual(error._tag, "PoolClosed")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(ResourcePool.get(pool))))._tag, "PoolClosed")
    }))

  it.effect("does not hang when an item is lent and the scope of the pool is closed on the same fiber", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const fiber = yield* start(Effect.scoped(Effect.gen(function*() {
        const pool = yield* ResourcePool.make({ acquire: Effect.succeed(1), size: 1 })
        // It is given back when the scope closes, before the pool ends.
        yield* ResourcePool.get(pool)
        yield* Deferred.await(gate)
      })))
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
    }))
})

import { ResourcePool, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { managed, settle, start } from "./fixtures.ts"
import { assertSane, failedWith, hold, makeStock, ownScope, queueUp, spawn, working } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

const ok = () => Effect.void
const tagOf = (fiber: Fiber.Fiber<unknown, unknown>) => (failedWith(fiber) as { readonly _tag: string })._tag

describe("close", () => {
  it.effect("tells those who wait and those who come later that the pool is closed (HikariCP#861, tarn#81)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holder = yield* hold(pool)
      const waiting = yield* start(ResourcePool.use(pool, ok))
      const end = yield* start(ResourcePool.close(pool))
      yield* settle
      assert.strictEqual(tagOf(waiting), "PoolClosed")
      const error = yield* Effect.flip(ResourcePool.use(pool, ok))
      assert.strictEqual((error as { readonly _tag: string })._tag, "PoolClosed")
      assert.match((error as Error).message, /The pool "thing" is closed.*scope that made the pool/)
      assert.isUndefined(end.pollUnsafe())
      yield* holder.release
      assert.deepStrictEqual(yield* Fiber.join(end), [])
      assert.strictEqual((yield* ResourcePool.stats(pool)).state, "closed")
      assert.deepStrictEqual(stock.wrong, [])
    }))

  it.effect("closes items side by side: ten of 100 ms take 100 ms", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { min: 10, max: 10 })
      yield* settle
      const end = yield* start(ResourcePool.close(pool))
      yield* settle
      yield* TestClock.adjust(99)
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(end.pollUnsafe())
      assert.strictEqual(stock.closed.length, 10)
    }))

  it.effect("closes items as they come back, not only when all are back", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      const [one, two] = [yield* hold(pool), yield* hold(pool)]
      const end = yield* start(ResourcePool.close(pool))
      yield* one.release
      yield* settle
      assert.deepStrictEqual(stock.closed, [1])
      assert.isUndefined(end.pollUnsafe())
      yield* two.release
      yield* Fiber.join(end)
    }))

  it.effect("has a deadline, and names who still holds an item then (node-postgres#2199)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3 })
      yield* ResourcePool.use(pool, ok)
      yield* spawn(TimeFrame.run(ResourcePool.use(pool, () => Effect.never), { name: "stuck" }))
      const quick = yield* hold(pool)
      yield* settle
      yield* TestClock.adjust(100)
      const end = yield* start(ResourcePool.close(pool, { timeout: "5 seconds" }))
      yield* quick.release
      yield* TestClock.adjust(4999)
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      const holders = yield* Fiber.join(end)
      assert.deepStrictEqual(holders.map(({ age, frame }) => ({ age, frame })), [{ age: 5100, frame: "server/stuck" }])
      // They have been closed under them.
      assert.deepStrictEqual(stock.open(), [])
      assertSane(yield* ResourcePool.stats(pool))
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("waits for closeTimeout when it is not told otherwise", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, closeTimeout: "2 seconds" })
      yield* hold(pool)
      const end = yield* start(ResourcePool.close(pool))
      yield* settle
      yield* TestClock.adjust(1999)
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual((yield* Fiber.join(end)).length, 1)
    }))

  it.effect("waits for 30 seconds outside of frames when nobody says otherwise", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      yield* hold(pool)
      const end = yield* start(ResourcePool.close(pool))
      yield* settle
      yield* TestClock.adjust(29_999)
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual((yield* Fiber.join(end)).length, 1)
    }))

  it.effect("waits for the grace period of the frame that owns the pool", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      yield* hold(pool)
      const end = yield* start(ResourcePool.close(pool))
      yield* settle
      yield* TestClock.adjust("3 seconds")
      yield* settle
      assert.strictEqual((yield* Fiber.join(end)).length, 1)
    }).pipe(TimeFrame.run({ name: "server", gracePeriod: "3 seconds" }), managed()))

  it.effect("with no time at all closes items under their users, and says who", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holder = yield* hold(pool)
      const end = yield* start(ResourcePool.close(pool, { timeout: 0 }))
      yield* settle
      assert.strictEqual((yield* Fiber.join(end)).length, 1)
      assert.deepStrictEqual(stock.closed, [1])
      // Coming back afterwards is no trouble.
      yield* holder.release
      assert.deepStrictEqual(stock.closed, [1])
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("twice at once: both return when it is done, with the same answer", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      yield* ResourcePool.use(pool, ok)
      yield* hold(pool)
      const ends = yield* Effect.forEach([1, 2], () => start(ResourcePool.close(pool, { timeout: 500 })))
      yield* settle
      yield* TestClock.adjust(599)
      assert.deepStrictEqual(ends.map((end) => end.pollUnsafe()), [undefined, undefined])
      yield* TestClock.adjust(1)
      const [one, two] = yield* Fiber.joinAll(ends)
      assert.strictEqual(one!.length, 1)
      assert.deepStrictEqual(one, two)
      assert.deepStrictEqual(yield* ResourcePool.close(pool), one)
    }))

  it.effect("a second one that is interrupted does not disturb the first", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holder = yield* hold(pool)
      const [one, two] = [yield* start(ResourcePool.close(pool)), yield* start(ResourcePool.close(pool))]
      yield* settle
      yield* start(Fiber.interrupt(two))
      yield* holder.release
      assert.deepStrictEqual(yield* Fiber.join(one), [])
      assert.deepStrictEqual(stock.open(), [])
    }))

  it.effect("a release that dies is no trouble for the others", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: (id) => id === 2 ? Effect.die("no") : Effect.void })
      const pool = yield* ResourcePool.make(stock.Thing, { min: 3, max: 3 })
      yield* settle
      yield* ResourcePool.close(pool)
      assert.sameMembers(stock.closed, [1, 3])
      assert.strictEqual((yield* ResourcePool.stats(pool)).total, 0)
    }))

  it.effect("is not held up by a release that never ends for longer than closeTimeout, once more", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const stock = makeStock({ release: () => gate.await })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, closeTimeout: "1 second", releaseTimeout: "1 hour" })
      yield* Effect.addFinalizer(() => gate.open)
      yield* ResourcePool.use(pool, ok)
      const end = yield* start(ResourcePool.close(pool))
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.isDefined(end.pollUnsafe())
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(stock.closed, [1])
    }))

  it.effect("tells a borrower whose item is being validated", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 1,
        max: 1,
        validateTimeout: "1 hour",
        validate: () => Effect.never
      })
      yield* settle
      yield* TestClock.adjust("1 second")
      const checking = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      const end = yield* start(ResourcePool.close(pool, { timeout: "1 second" }))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(end.pollUnsafe())
      assert.strictEqual(tagOf(checking), "PoolClosed")
      yield* TestClock.adjust("2 hours")
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("waits for an item that is being reset, but not for longer than its time", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, resetTimeout: "1 hour", reset: () => Effect.never })
      yield* ResourcePool.use(pool, ok)
      const end = yield* start(ResourcePool.close(pool, { timeout: "1 second" }))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(end.pollUnsafe())
      assert.deepStrictEqual(stock.closed, [1])
    }))
})

describe("The scope of a pool", () => {
  it.effect("that closes while items are held waits for them, and closes them", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const scope = yield* ownScope
      const pool = yield* Scope.provide(ResourcePool.make(stock.Thing, { max: 2 }), scope)
      const gate = yield* Latch.make()
      const user = yield* start(ResourcePool.use(pool, working(stock, () => gate.await)))
      yield* settle
      const end = yield* start(Scope.close(scope, Exit.void))
      yield* settle
      assert.isUndefined(end.pollUnsafe())
      yield* gate.open
      yield* Fiber.joinAll([user, end])
      assert.deepStrictEqual(stock.closed, [1])
      assert.deepStrictEqual(stock.wrong, [])
    }))

  it.effect("that closes with a holder that never lets go ends all the same", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const scope = yield* ownScope
      const pool = yield* Scope.provide(ResourcePool.make(stock.Thing, { max: 1, closeTimeout: "1 second" }), scope)
      const holder = yield* hold(pool)
      const end = yield* start(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(end.pollUnsafe())
      assert.deepStrictEqual(stock.closed, [1])
      yield* holder.release
    }))

  it.effect("that is closed on the fiber that holds an item can not wait for itself for ever", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const scope = yield* ownScope
      const pool = yield* Scope.provide(ResourcePool.make(stock.Thing, { max: 1, closeTimeout: "1 second" }), scope)
      const fiber = yield* start(ResourcePool.use(pool, () => Scope.close(scope, Exit.void)))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
    }))

  it.effect("is not needed any more after close", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const scope = yield* ownScope
      const pool = yield* Scope.provide(ResourcePool.make(stock.Thing, { min: 2 }), scope)
      yield* settle
      yield* ResourcePool.close(pool)
      assert.strictEqual(stock.closed.length, 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(stock.closed.length, 2)
    }))
})

describe("A release of an item", () => {
  it.effect("keeps its place for as long as releaseTimeout, and then goes on without it", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const stock = makeStock({ release: (id) => id === 1 ? gate.await : Effect.void })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxUses: 1, releaseTimeout: "5 seconds" })
      yield* ResourcePool.use(pool, ok)
      const served: Array<string> = []
      yield* queueUp(pool, served, "next")
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual(served, [])
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual(served, ["next"])
      assert.strictEqual((yield* ResourcePool.stats(pool)).abandoned, 1)
      yield* gate.open
      yield* settle
      assert.strictEqual((yield* ResourcePool.stats(pool)).abandoned, 0)
      assert.includeMembers(stock.closed, [1])
    }))

  it.effect("takes 30 seconds at most when nobody says otherwise", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const stock = makeStock({ release: (id) => id === 1 ? gate.await : Effect.void })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxUses: 1 })
      yield* ResourcePool.use(pool, ok)
      const next = yield* start(ResourcePool.use(pool, ({ id }: Item) => Effect.succeed(id)))
      yield* settle
      yield* TestClock.adjust(29_999)
      assert.isUndefined(next.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(yield* Fiber.join(next), 2)
      yield* gate.open
    }))

  it.effect("that is slow delays nobody who gives an item back (HikariCP#607)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep("10 seconds") })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxUses: 1 })
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(stock.closed, [1])
    }))
})

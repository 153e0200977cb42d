import { ResourceDefinition, ResourcePool, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { managed, settle, start } from "./fixtures.ts"
import { makeStock } from "./poolFixtures.ts"

const ok = () => Effect.succeed("ok")

const isSuccess = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
  const exit = fiber.pollUnsafe()
  return exit !== undefined && Exit.isSuccess(exit)
}

describe("A borrower", () => {
  it.effect("that is resumed inside another one's return, and waits again at once, goes on when its item comes", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make(true)
      const first = makeStock()
      const second = makeStock({ release: () => gate.await })
      const outer = yield* ResourcePool.make(first.Thing, { max: 1 })
      let isGood = true
      const inner = yield* ResourcePool.make(second.Thing, { max: 1, validate: () => Effect.sync(() => isGood) })
      yield* ResourcePool.use(inner, ok)
      yield* TestClock.adjust("1 second")
      isGood = false
      yield* gate.close
      const hold = yield* Latch.make()
      yield* start(ResourcePool.use(outer, () => hold.await))
      yield* settle
      const nested = yield* start(ResourcePool.use(outer, () => ResourcePool.use(inner, ok)))
      yield* settle
      yield* hold.open
      yield* settle
      yield* gate.open
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isTrue(isSuccess(nested))
      assert.deepInclude(yield* ResourcePool.stats(outer), { used: 0, waiting: 0 })
      assert.deepInclude(yield* ResourcePool.stats(inner), { used: 0, waiting: 0 })
    }))

  it.effect("is told of its timeout in time, also among hundreds, of whom one tries again at once", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: "1 second" })
      const hold = yield* Latch.make()
      yield* start(ResourcePool.use(pool, () => hold.await))
      yield* settle
      yield* start(Effect.retry(ResourcePool.use(pool, ok), { times: 1 }))
      const many = yield* Effect.forEach(Array.from({ length: 600 }), () => start(ResourcePool.use(pool, ok)))
      yield* TestClock.adjust("1001 millis")
      yield* settle
      assert.strictEqual(many.filter((fiber) => fiber.pollUnsafe() === undefined).length, 0)
      yield* hold.open
    }))

  it.effect("keeps what it got into a scope that outlives its frame", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1 })
      const scope = yield* Scope.make()
      yield* Scope.provide(ResourcePool.get(pool), scope).pipe(TimeFrame.run({ name: "inner" }))
      const other = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      assert.isUndefined(other.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.isTrue(isSuccess(other))
    }).pipe(Effect.scoped, managed()))

  it.effect("that was still served by a drain is served also when all items are gone for a moment", () =>
    Effect.gen(function*() {
      let isDown = false
      const { Thing } = makeStock({ create: () => Effect.suspend(() => isDown ? Effect.fail("down") : Effect.void) })
      const pool = yield* ResourcePool.make(Thing, { max: 2, maxUses: 1, closeTimeout: "1 hour" })
      const hold = yield* Latch.make()
      yield* start(ResourcePool.use(pool, () => hold.await))
      yield* settle
      isDown = true
      const others = yield* Effect.forEach([1, 2, 3, 4, 5], () => start(Effect.exit(ResourcePool.use(pool, ok))))
      yield* settle
      const drained = yield* start(ResourcePool.drain(pool))
      yield* settle
      isDown = false
      yield* hold.open
      for (let step = 0; step < 10; step++) yield* TestClock.adjust("30 seconds")
      yield* settle
      assert.isTrue(isSuccess(drained))
      for (const other of others) assert.isDefined(other.pollUnsafe())
    }))
})

describe("An item", () => {
  it.effect("whose use failed goes idle, and ends with its time to live", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, idleTimeToLive: "1 minute" })
      yield* Effect.exit(ResourcePool.use(pool, () => Effect.fail("no")))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(stock.open(), [1])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(stock.open(), [])
    }))

  it.effect("that was just made is lent as it is, so that a strict check makes no busy loop", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 2,
        validateAfter: 0,
        validate: () => Effect.as(Effect.yieldNow, false)
      })
      assert.strictEqual(yield* ResourcePool.use(pool, ok), "ok")
      assert.isAtMost(stock.state.started, 2)
    }))
})

describe("The pool of a key", () => {
  const Tenant = ResourceDefinition.temporal("tenant", {
    params: Schema.String,
    acquire: (key) => Effect.succeed({ key }),
    release: () => Effect.void
  })

  it.effect("does not refuse the one whose only item has proved to be bad", () =>
    Effect.gen(function*() {
      let isGood = true
      const tenants = yield* ResourcePool.keyed(Tenant, {
        max: 2,
        validateAfter: 0,
        validate: () => Effect.sync(() => isGood)
      })
      const blue = yield* ResourcePool.at(tenants, "blue")
      yield* ResourcePool.use(blue, ok)
      isGood = false
      assert.strictEqual(yield* ResourcePool.use(blue, ok), "ok")
    }))

  it.effect("is forgotten when nobody ever got an item from it", () =>
    Effect.gen(function*() {
      const tenants = yield* ResourcePool.keyed(Tenant, { maxTotal: 1, acquireTimeout: "1 second" })
      const hold = yield* Latch.make()
      yield* start(Effect.flatMap(ResourcePool.at(tenants, "busy"), ResourcePool.use(() => hold.await)))
      yield* settle
      for (const key of ["a", "b", "c"]) {
        yield* start(Effect.exit(Effect.flatMap(ResourcePool.at(tenants, key), ResourcePool.use(ok))))
      }
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepStrictEqual((yield* ResourcePool.keys(tenants)).map(({ key }) => key), ["busy"])
      yield* hold.open
    }))

  it.effect("gives up its room for one who has waited for longer, however many want it", () =>
    Effect.gen(function*() {
      const tenants = yield* ResourcePool.keyed(Tenant, { maxTotal: 1 })
      const busy = yield* ResourcePool.at(tenants, "busy")
      const work = Effect.forever(ResourcePool.use(busy, () => Effect.sleep(10)))
      const fibers = [yield* start(work), yield* start(work)]
      yield* settle
      const other = yield* start(Effect.flatMap(ResourcePool.at(tenants, "other"), ResourcePool.use(ok)))
      for (let step = 0; step < 5; step++) yield* TestClock.adjust(10)
      yield* settle
      assert.isTrue(isSuccess(other))
      yield* Fiber.interruptAll(fibers)
    }))

  it.effect("passes its room on when an item that several share becomes idle", () =>
    Effect.gen(function*() {
      const tenants = yield* ResourcePool.keyed(Tenant, { maxTotal: 1, concurrency: 2, idleTimeToLive: "1 hour" })
      const [a, b] = yield* Effect.all([ResourcePool.at(tenants, "a"), ResourcePool.at(tenants, "b")])
      const hold = yield* Latch.make()
      yield* start(ResourcePool.use(a, () => hold.await))
      yield* settle
      const other = yield* start(ResourcePool.use(b, ok))
      yield* settle
      yield* hold.open
      yield* settle
      assert.isTrue(isSuccess(other))
    }))
})

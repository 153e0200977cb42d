import { ResourceError, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceEvent } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { managed, settle, start } from "./fixtures.ts"
import { failedWith, hold, makeStock } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

const ok = () => Effect.void
const server = TimeFrame.run({ name: "server" })

/** One of each kind. */
const refusals = Effect.gen(function*() {
  const make = (options: Omit<ResourcePool.Options<Item>, "max">) =>
    ResourcePool.make(makeStock().Thing, { ...options, max: 1 })
  const found: Array<ResourceError.ResourceError> = []
  const timed = yield* make({ acquireTimeout: 10 })
  yield* hold(timed)
  const late = yield* start(ResourcePool.use(timed, ok))
  yield* settle
  yield* TestClock.adjust(10)
  found.push(failedWith(late) as ResourceError.ResourceError)
  const full = yield* make({ maxWaiting: 0 })
  yield* hold(full)
  found.push((yield* Effect.flip(ResourcePool.use(full, ok))) as ResourceError.ResourceError)
  const nested = yield* make({})
  found.push(
    (yield* Effect.flip(ResourcePool.use(nested, () => ResourcePool.use(nested, ok)))) as ResourceError.ResourceError
  )
  yield* ResourcePool.close(nested)
  found.push((yield* Effect.flip(ResourcePool.use(nested, ok))) as ResourceError.ResourceError)
  return found
})

describe("What a pool refuses with", () => {
  it.effect("is data that survives a wire, and says the same on the other side", () =>
    Effect.gen(function*() {
      const errors = yield* refusals
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), [
        "PoolTimeout",
        "PoolOverloaded",
        "WouldDeadlock",
        "PoolClosed"
      ])
      for (const error of errors) {
        const wire = JSON.stringify(yield* Schema.encodeEffect(ResourceError.ResourceError)(error))
        const back = yield* Schema.decodeUnknownEffect(ResourceError.ResourceError)(JSON.parse(wire))
        assert.strictEqual(back.message, error.message)
        assert.strictEqual(back._tag, error._tag)
      }
    }).pipe(server, managed()))

  it.effect("names the pool, who asked, and who holds what", () =>
    Effect.gen(function*() {
      for (const error of yield* refusals) {
        assert.deepInclude(error as object, { pool: "thing", requestedBy: "server" })
        assert.include(error.message, `"thing"`)
        assert.include(error.message, "server")
        if (error._tag === "PoolClosed") continue
        assert.strictEqual((error as ResourceError.PoolTimeout).holders.length, 1)
        assert.include(error.message, `Held by:\n  - "thing" by server for`)
      }
    }).pipe(server, managed()))
})

describe("The events of a pool", () => {
  it.effect("tell of each borrow and return, with the frame and how long it was held", () =>
    Effect.gen(function*() {
      const told: Array<ResourceEvent.ResourceEvent> = []
      yield* ResourceManager.events.pipe(
        Stream.runForEach((event) => Effect.sync(() => told.push(event))),
        Effect.forkChild({ startImmediately: true })
      )
      const pool = yield* ResourcePool.make(makeStock().Thing, { name: "db", min: 1, max: 1 })
      yield* settle
      const fiber = yield* start(ResourcePool.use(pool, () => Effect.sleep(30)).pipe(TimeFrame.run({ name: "one" })))
      yield* TestClock.adjust(10)
      const waiter = yield* start(
        Effect.andThen(ResourceManager.allocate(pool), Effect.void).pipe(TimeFrame.run({ name: "two" }))
      )
      yield* TestClock.adjust(20)
      yield* Fiber.joinAll([fiber, waiter])
      yield* settle
      const lines = told.flatMap((event) =>
        "resource" in event && event.resource === "db"
          ? [
            event._tag === "Allocated"
              ? `+${event.frame} ${event.took}`
              : event._tag === "Released"
              ? `-${event.frame} ${event.held}`
              : event._tag
          ]
          : []
      )
      assert.deepStrictEqual(lines, ["+server/one 0", "-server/one 30", "+server/two 20", "-server/two 0"])
    }).pipe(server, managed()))
})

describe("The statistics of a pool", () => {
  it.effect("count what happened", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(5) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, acquireTimeout: 50 })
      const holder = yield* hold(pool)
      yield* TestClock.adjust(5)
      yield* settle
      const late = yield* start(ResourcePool.use(pool, ok))
      const dropped = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* Fiber.interrupt(dropped)
      yield* TestClock.adjust(50)
      assert.isDefined(late.pollUnsafe())
      yield* holder.release
      yield* ResourcePool.use(pool, ok)
      const { counts } = yield* ResourcePool.stats(pool)
      assert.deepInclude(counts, {
        created: 1,
        createTotal: 5,
        createMax: 5,
        borrowed: 2,
        returned: 2,
        timeouts: 1,
        cancelled: 1,
        waited: 1,
        waitTotal: 5,
        useTotal: 50,
        useMax: 50,
        usedHighWaterMark: 1,
        totalHighWaterMark: 1
      })
    }))

  it.effect("are a copy: what is read does not change any more", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(makeStock().Thing, { max: 1 })
      const before = yield* ResourcePool.stats(pool)
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(before.counts.borrowed, 0)
    }))

  it.effect("of Effect's own five are always numbers", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make({ acquire: Effect.succeed(1), size: 2 })
      yield* settle
      const { idle, max, min, pending, used } = yield* ResourcePool.stats(pool)
      assert.deepStrictEqual({ idle, max, min, pending, used }, { idle: 2, max: 2, min: 2, pending: 0, used: 0 })
    }))
})

describe("The end of the manager", () => {
  it.effect("ends the pools of its frames and waits for their items", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep(100) })
      const scope = yield* Scope.make()
      const manager = yield* Layer.buildWithScope(ResourceManager.layer(), scope)
      const frame = yield* TimeFrame.make({ name: "app" }).pipe(Effect.provideContext(manager), Scope.provide(scope))
      const pool = yield* TimeFrame.provide(ResourcePool.make(stock.Thing, { min: 3, max: 3 }), frame)
      yield* settle
      const end = yield* start(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust(99)
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.isDefined(end.pollUnsafe())
      assert.strictEqual(stock.closed.length, 3)
      const error = yield* Effect.flip(ResourcePool.use(pool, ok))
      assert.strictEqual(error._tag, "PoolClosed")
    }))
})

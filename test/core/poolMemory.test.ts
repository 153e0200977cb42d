import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { findGc } from "./collecting.ts"
import { settle, start } from "./fixtures.ts"
import { countingClock, hold, makeStock, queueUp } from "./poolFixtures.ts"

const gc = findGc()

/** Collects until it is gone, for a while. */
const isCollected = (ref: WeakRef<object>) =>
  Effect.gen(function*() {
    for (let round = 0; round < 20 && ref.deref() !== undefined; round++) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      gc!()
    }
    return ref.deref() === undefined
  })

describe("Memory", () => {
  for (const way of ["invalidated", "retired", "idle for too long", "worn out", "failed a check"] as const) {
    it.effect.skipIf(gc === undefined)(
      `an item that was ${way} can be collected (effect#8310)`,
      () =>
        Effect.gen(function*() {
          const refs: Array<WeakRef<object>> = []
          const acquire = Effect.sync(() => {
            const item = { bytes: new Uint8Array(1024) }
            refs.push(new WeakRef(item))
            return item
          })
          const pool = yield* ResourcePool.make({
            acquire,
            max: 2,
            ...(way === "idle for too long" ? { idleTimeToLive: "1 minute" } : {}),
            ...(way === "worn out" ? { maxUses: 1 } : {}),
            ...(way === "failed a check" ? { validate: () => Effect.succeed(refs.length > 1) } : {})
          })
          // On a fiber of its own, so that nothing of it is left on this one.
          yield* Fiber.join(
            yield* start(Effect.gen(function*() {
              yield* ResourcePool.use(
                pool,
                (item) => way === "invalidated" ? ResourcePool.invalidate(pool, item) : Effect.void
              )
              if (way === "retired") yield* ResourcePool.retireAll(pool)
              yield* TestClock.adjust("1 minute")
              if (way === "failed a check") yield* ResourcePool.use(pool, () => Effect.void)
            }))
          )
          yield* settle
          assert.isTrue(yield* isCollected(refs[0]!))
          // What the pool still has is not collected.
          yield* ResourcePool.use(pool, () => Effect.void)
          if (way !== "worn out") assert.isFalse(yield* isCollected(refs.at(-1)!))
        })
    )
  }

  it.effect.skipIf(gc === undefined)("the values of borrows that are over do not add up", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const refs: Array<WeakRef<object>> = []
      const borrow = ResourcePool.use(pool, () =>
        Effect.sync(() => {
          const result = { bytes: new Uint8Array(1024) }
          refs.push(new WeakRef(result))
          return result
        }))
      yield* Fiber.join(yield* start(Effect.asVoid(Effect.forEach([1, 2, 3, 4, 5], () => Effect.asVoid(borrow)))))
      yield* settle
      assert.isTrue(yield* isCollected(refs[0]!))
    }))
})

describe("Timers", () => {
  it.effect("none is armed by borrowing, whatever the timeouts are", () =>
    Effect.gen(function*() {
      const { clock, counts } = yield* countingClock
      yield* Effect.gen(function*() {
        const stock = makeStock()
        const pool = yield* ResourcePool.make(stock.Thing, {
          min: 2,
          max: 2,
          acquireTimeout: "1 second",
          createTimeout: "1 second",
          validate: () => Effect.void,
          reset: () => Effect.void
        })
        yield* settle
        yield* TestClock.adjust("1 second")
        const before = counts.started
        for (let use = 0; use < 100; use++) yield* ResourcePool.use(pool, () => Effect.void)
        assert.strictEqual(counts.started, before)
        assert.strictEqual(counts.asleep, 0)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("one serves all who wait, and none is left soon after nobody waits", () =>
    Effect.gen(function*() {
      const { clock, counts } = yield* countingClock
      yield* Effect.gen(function*() {
        const stock = makeStock()
        const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 1, acquireTimeout: "1 minute" })
        const holder = yield* hold(pool)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(counts.asleep, 0)
        const served: Array<string> = []
        yield* Effect.forEach(Array.from({ length: 100 }), (_, index) => queueUp(pool, served, String(index)))
        assert.strictEqual(counts.asleep, 1)
        yield* holder.release
        yield* settle
        assert.strictEqual(served.length, 100)
        yield* TestClock.adjust("300 millis")
        assert.strictEqual(counts.asleep, 0)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("none is armed for waiting without a timeout", () =>
    Effect.gen(function*() {
      const { clock, counts } = yield* countingClock
      yield* Effect.gen(function*() {
        const stock = makeStock()
        const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 1 })
        const holder = yield* hold(pool)
        yield* TestClock.adjust("1 second")
        const served: Array<string> = []
        yield* queueUp(pool, served, "waiting")
        assert.strictEqual(counts.asleep, 0)
        yield* holder.release
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("one looks after all idle items, and none when there are no more than min", () =>
    Effect.gen(function*() {
      const { clock, counts } = yield* countingClock
      yield* Effect.gen(function*() {
        const stock = makeStock()
        const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 20, idleTimeToLive: "1 minute" })
        const holders = yield* Effect.forEach(Array.from({ length: 20 }), () => hold(pool))
        for (const holder of holders) yield* holder.release
        yield* TestClock.adjust("1 second")
        assert.strictEqual(counts.asleep, 1)
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(stock.open().length, 1)
        assert.strictEqual(counts.asleep, 0)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("none is left behind by the end of a pool, whatever was armed", () =>
    Effect.gen(function*() {
      const { clock, counts } = yield* countingClock
      yield* Effect.gen(function*() {
        const stock = makeStock({ create: (id) => id > 2 ? Effect.fail("no") : Effect.void })
        const pool = yield* ResourcePool.make(stock.Thing, {
          min: 4,
          max: 4,
          acquireTimeout: "1 minute",
          idleTimeToLive: "1 minute",
          maxLifetime: "10 minutes",
          overdueAfter: "1 minute",
          validate: () => Effect.void,
          keepalive: "30 seconds"
        })
        const holder = yield* hold(pool)
        yield* settle
        assert.isAbove(counts.asleep, 0)
        yield* start(holder.release)
        yield* ResourcePool.close(pool)
        yield* TestClock.adjust("300 millis")
        assert.strictEqual(counts.asleep, 0)
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))
})

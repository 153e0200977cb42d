import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schema } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, managed, settle, start } from "./fixtures.ts"
import { makeStock } from "./poolFixtures.ts"

const nothing = () => Effect.void

describe("The last borrow of a pool that ends", () => {
  const ends = {
    "when it is closed": (pool: ResourcePool.ResourcePool<any, any>) => ResourcePool.close(pool),
    "when it is drained": (pool: ResourcePool.ResourcePool<any, any>) => ResourcePool.drain(pool)
  }
  for (const [when, end] of Object.entries(ends)) {
    for (const releasing of ["before its time is over", "after its time is over"]) {
      it.effect(`is counted once as released, ${when}, and comes back ${releasing}`, () =>
        Effect.gen(function*() {
          const { Thing } = makeStock()
          const pool = yield* ResourcePool.make(Thing, { name: "pool", max: 1, closeTimeout: "1 second" })
          const hold = yield* Latch.make()
          yield* start(ResourcePool.use(pool, () => hold.await))
          yield* settle
          yield* start(end(pool))
          yield* settle
          if (releasing.startsWith("after")) yield* TestClock.adjust("2 seconds")
          yield* hold.open
          yield* settle
          const { resources } = yield* ResourceManager.snapshot
          assert.deepInclude(resources.find(({ kind }) => kind === "pool"), { acquired: 1, released: 1, shares: 0 })
        }).pipe(TimeFrame.run({ name: "frame" }), managed()))
    }
  }
})

describe("A validation that is never content", () => {
  for (const [min, max] of [[0, 1], [0, 2], [1, 1], [1, 2], [2, 2]] as const) {
    it.effect(`makes no more than one item for each borrower, with min ${min} and max ${max} (node-pool#175)`, () =>
      Effect.gen(function*() {
        let made = 0
        const Thing = ResourceDefinition.temporal("thing", {
          acquire: () => Effect.sync(() => ++made < 100 ? made : Number.NaN)
        })
        const pool = yield* ResourcePool.make(Thing, {
          min,
          max,
          acquireTimeout: 100,
          validateAfter: 0,
          validate: () => Effect.succeed(false)
        })
        yield* settle
        for (const borrower of [1, 2, 3]) {
          const fiber = yield* start(ResourcePool.use(pool, nothing))
          yield* TestClock.adjust(200)
          assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
          assert.isAtMost(made, min + borrower * Math.max(1, min))
        }
      }))
  }
})

describe("A deadlock", () => {
  it.effect("that a smaller max makes is told to those who are in it", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 2 })
      const hold = yield* Latch.make()
      yield* start(ResourcePool.use(pool, () => hold.await))
      const nested = yield* start(ResourcePool.use(pool, () => ResourcePool.use(pool, nothing)))
      yield* settle
      assert.isUndefined(nested.pollUnsafe())
      yield* ResourcePool.resize(pool, { max: 1 })
      yield* settle
      assert.isUndefined(nested.pollUnsafe())
      yield* hold.open
      yield* settle
      yield* settle
      const failure = failureOf(nested.pollUnsafe()!) as { readonly _tag: string }
      assert.strictEqual(failure._tag, "WouldDeadlock")
      assert.deepInclude(yield* ResourcePool.stats(pool), { used: 0, waiting: 0, total: 1 })
    }))

  it.effect("that waits behind a suspension is told when the pool goes on", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1 })
      const turn = yield* Latch.make()
      const nested = yield* start(
        ResourcePool.use(pool, () => Effect.andThen(turn.await, ResourcePool.use(pool, nothing)))
      )
      yield* settle
      yield* ResourcePool.suspend(pool)
      yield* turn.open
      yield* settle
      assert.isUndefined(nested.pollUnsafe())
      yield* ResourcePool.resume(pool)
      yield* settle
      const failure = failureOf(nested.pollUnsafe()!) as { readonly _tag: string }
      assert.strictEqual(failure._tag, "WouldDeadlock")
    }))

  it.effect("all the way round thousands of keys is told to the last one only, and the others go on", () =>
    Effect.gen(function*() {
      const size = 2000
      const Thing = ResourceDefinition.temporal("thing", {
        params: Schema.Finite,
        acquire: (key) => Effect.succeed(key)
      })
      const pools = yield* ResourcePool.keyed(Thing, { max: 2, maxTotal: size })
      const keys = Array.from({ length: size }, (_, key) => key)
      const turn = yield* Latch.make()
      const fibers = yield* Effect.forEach(keys, (key) =>
        start(Effect.gen(function*() {
          const pool = yield* ResourcePool.at(pools, key)
          const next = yield* ResourcePool.at(pools, (key + 1) % size)
          yield* ResourcePool.use(pool, () => Effect.andThen(turn.await, ResourcePool.use(next, nothing)))
        })))
      yield* settle
      yield* turn.open
      const failed = (yield* Effect.forEach(fibers, Fiber.await)).filter(Exit.isFailure)
      assert.deepStrictEqual(failed.map((exit) => (failureOf(exit) as { readonly _tag: string })._tag), [
        "WouldDeadlock"
      ])
    }))
})

describe("A pool", () => {
  it.effect("that is drained and interrupted at once has not begun, or goes on to its end", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "drain",
        setup: Effect.suspend(() => ResourcePool.make(makeStock().Thing, { min: 1, max: 1 })),
        body: ResourcePool.drain,
        check: (pool) =>
          Effect.map(ResourcePool.stats(pool), ({ state }) => state === "open" || state === "closed" ? [] : [state])
      })
      assert.deepStrictEqual(report.failures, [])
    }))

  it.effect("counts a release that hangs as left behind, also of an item that came late", () =>
    Effect.gen(function*() {
      const Thing = ResourceDefinition.temporal("thing", {
        acquire: () => Effect.sleep(30),
        release: () => Effect.never
      })
      const pool = yield* ResourcePool.make(Thing, {
        max: 1,
        createTimeout: 20,
        releaseTimeout: 20,
        acquireTimeout: 15
      })
      yield* start(Effect.exit(ResourcePool.use(pool, nothing)))
      yield* Effect.forEach(Array.from({ length: 12 }), () => TestClock.adjust(10))
      assert.deepInclude(yield* ResourcePool.stats(pool), { abandoned: 1, total: 0, closing: 0 })
      yield* ResourcePool.close(pool, { timeout: 10 }).pipe(Effect.forkChild)
      yield* TestClock.adjust("1 second")
    }))
})

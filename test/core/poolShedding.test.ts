import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceEvent } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Fiber } from "effect"
import { TestClock } from "effect/testing"
import { managed, settle } from "./fixtures.ts"
import { failedWith, hold, makeStock, queueUp, spawn } from "./poolFixtures.ts"

const inServer = TimeFrame.run({ name: "server" })

const listen = Effect.gen(function*() {
  const told: Array<ResourceEvent.ResourceEvent> = []
  yield* ResourceManager.events.pipe(
    Stream.runForEach((event) => Effect.sync(() => told.push(event))),
    Effect.forkChild({ startImmediately: true })
  )
  return told
})

describe("codel", () => {
  /** One borrower after another, each held for `busy` milliseconds; answers how many of `count` were shed. */
  const load = (busy: number, options: ResourcePool.CoDel, count = 30) =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, codel: options })
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let index = 0; index < count; index++) {
        fibers.push(yield* spawn(ResourcePool.use(pool, () => Effect.sleep(busy))))
        yield* TestClock.adjust(20)
      }
      yield* TestClock.adjust("10 seconds")
      yield* settle
      return { pool, shed: fibers.filter((fiber) => fiber.pollUnsafe()!._tag === "Failure"), stock }
    })

  it.effect("refuses nobody while items are lent quickly", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* load(15, { target: 10, interval: 100 })).shed.length, 0)
    }))

  it.effect("refuses who waited too long while everybody does, and says for how long", () =>
    Effect.gen(function*() {
      const { pool, shed } = yield* load(60, { target: 10, interval: 100 })
      assert.isAbove(shed.length, 5)
      const error = failedWith(shed[0]!) as unknown as {
        readonly _tag: string
        readonly reason: string
        readonly waited: number
        readonly message: string
      }
      assert.deepInclude(error, { _tag: "PoolOverloaded", reason: "codel" })
      assert.isAbove(error.waited, 20)
      assert.include(error.message, `shed after waiting ${error.waited} ms`)
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.overloaded, shed.length)
    }))

  it.effect("refuses nobody any more once an interval is better", () =>
    Effect.gen(function*() {
      const { pool } = yield* load(60, { target: 10, interval: 100 })
      yield* TestClock.adjust("1 hour")
      const holder = yield* hold(pool)
      const served: Array<string> = []
      yield* queueUp(pool, served, "after an hour")
      yield* TestClock.adjust(25)
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["after an hour"])
    }))

  it.effect("counts those who had not to wait as the luckiest", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, codel: { target: 10, interval: 100 } })
      const served: Array<string> = []
      for (let round = 0; round < 20; round++) {
        const holder = yield* hold(pool)
        yield* queueUp(pool, served, String(round))
        yield* TestClock.adjust(40)
        yield* holder.release
        yield* settle
      }
      assert.strictEqual(served.length, 20)
    }))

  it.effect("has a target of 50 ms and an interval of 1 second when nothing is said", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* load(60, {}, 5)).shed.length, 0)
      const { shed } = yield* load(200, {}, 60)
      assert.isAbove(shed.length, 20)
      for (const fiber of shed) assert.isAbove((failedWith(fiber) as unknown as { waited: number }).waited, 100)
    }))
})

describe("overdueAfter", () => {
  it.effect("tells of who holds an item for longer, and when it came back after all (HikariCP)", () =>
    Effect.gen(function*() {
      const told = yield* listen
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, overdueAfter: "1 minute" })
      const holder = yield* hold(pool)
      const quick = yield* hold(pool)
      yield* TestClock.adjust(59_999)
      yield* quick.release
      yield* TestClock.adjust(1)
      yield* settle
      const overdue = told.filter(({ _tag }) => _tag === "BorrowOverdue")
      assert.strictEqual(overdue.length, 1)
      assert.deepInclude(overdue[0]!, { resource: "thing", held: 60_000, frame: "server" })
      yield* TestClock.adjust("1 hour")
      yield* settle
      // Told once.
      assert.strictEqual(told.filter(({ _tag }) => _tag === "BorrowOverdue").length, 1)
      assert.strictEqual(told.filter(({ _tag }) => _tag === "OverdueReturned").length, 0)
      yield* holder.release
      yield* settle
      const returned = told.filter(({ _tag }) => _tag === "OverdueReturned")
      assert.strictEqual(returned.length, 1)
      assert.deepInclude(returned[0]!, {
        held: 3_660_000,
        allocation: (overdue[0] as { readonly allocation: number }).allocation
      })
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.overdue, 1)
    }).pipe(inServer, managed()))

  it.effect("tells of each one that is overdue, at its time", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3, overdueAfter: "1 minute" })
      const overdue = Effect.map(ResourcePool.stats(pool), ({ counts }) => counts.overdue)
      for (const expected of [0, 0, 0]) {
        yield* hold(pool)
        assert.strictEqual(yield* overdue, expected)
        yield* TestClock.adjust("10 seconds")
      }
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* overdue, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* overdue, 2)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* overdue, 3)
    }))

  it.effect("says nothing of items that come back in time, however often", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, overdueAfter: "1 minute" })
      for (let round = 0; round < 10; round++) {
        const holder = yield* hold(pool)
        yield* TestClock.adjust("50 seconds")
        yield* holder.release
      }
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.overdue, 0)
    }))
})

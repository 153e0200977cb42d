import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { assertSane, hold, makeStock, queueUp, working } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

class Language extends Context.Service<Language, string>()("Language") {}

const idOf = ({ id }: Item) => Effect.succeed(id)
const ok = () => Effect.void

/** A pool with idle items that have not been used for a while. */
const stale = (options: ResourcePool.Options<Item>, stock = makeStock()) =>
  Effect.gen(function*() {
    const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 1, ...options })
    yield* settle
    yield* TestClock.adjust("1 second")
    return { stock, pool }
  })

describe("validate", () => {
  for (
    const [how, validate] of [
      ["fails", () => Effect.fail("dead")],
      ["dies", () => Effect.die("dead")],
      ["throws", () => {
        throw new Error("dead")
      }],
      ["answers false", () => Effect.succeed(false)],
      ["is interrupted", () => Effect.interrupt]
    ] as const
  ) {
    it.effect(`an item for which it ${how} is closed, and another one is lent`, () =>
      Effect.gen(function*() {
        const { pool, stock } = yield* stale({ validate: (item) => item.id === 1 ? validate() : Effect.void })
        assert.strictEqual(yield* ResourcePool.use(pool, idOf), 2)
        assert.deepStrictEqual(stock.closed, [1])
        const { counts, total } = yield* ResourcePool.stats(pool)
        assert.strictEqual(counts.validateFailed, 1)
        assert.strictEqual(total, 1)
      }))
  }

  it.effect("has a short timeout of its own: one second (pgx#2394)", () =>
    Effect.gen(function*() {
      const { pool, stock } = yield* stale({ validate: ({ id }) => id === 1 ? Effect.never : Effect.void })
      const fiber = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust(999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), 2)
      assert.deepStrictEqual(stock.closed, [1])
    }))

  it.effect("takes as long as validateTimeout says, also when it can not be interrupted", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const { pool } = yield* stale({
        validateTimeout: 50,
        validate: ({ id }) => id === 1 ? Effect.uninterruptible(gate.await) : Effect.void
      })
      const fiber = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust(50)
      yield* settle
      assert.strictEqual(yield* Fiber.join(fiber), 2)
      yield* gate.open
    }))

  it.effect("is skipped for an item that was used within half a second (HikariCP)", () =>
    Effect.gen(function*() {
      let checks = 0
      const { pool } = yield* stale({ validate: () => Effect.sync(() => ++checks) })
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(checks, 1)
      yield* TestClock.adjust(499)
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(checks, 1)
      yield* TestClock.adjust(500)
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(checks, 2)
    }))

  it.effect("is skipped for as long as validateAfter says, and never when that is nothing", () =>
    Effect.gen(function*() {
      let checks = 0
      const validate = () => Effect.sync(() => ++checks)
      const long = yield* stale({ validateAfter: "1 minute", validate })
      yield* ResourcePool.use(long.pool, ok)
      assert.strictEqual(checks, 0)
      const always = yield* stale({ validateAfter: 0, validate })
      yield* ResourcePool.use(always.pool, ok)
      yield* ResourcePool.use(always.pool, ok)
      assert.strictEqual(checks, 2)
    }))

  it.effect("is not skipped for an item whose last use failed or was interrupted", () =>
    Effect.gen(function*() {
      let checks = 0
      const { pool } = yield* stale({ validate: () => Effect.sync(() => ++checks) })
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(checks, 1)
      yield* Effect.exit(ResourcePool.use(pool, () => Effect.fail("no")))
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(checks, 2)
      const fiber = yield* start(ResourcePool.use(pool, () => Effect.never))
      yield* Fiber.interrupt(fiber)
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(checks, 3)
    }))

  it.effect("goes through all idle items before a new one is made", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const { pool } = yield* stale({ min: 3, max: 3, validate: ({ id }) => Effect.succeed(id >= 3) }, stock)
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 3)
      yield* settle
      assert.deepStrictEqual(stock.closed.toSorted(), [1, 2])
      assert.strictEqual((yield* ResourcePool.stats(pool)).total, 3)
    }))

  it.effect("holds up nobody else: another item is lent meanwhile", () =>
    Effect.gen(function*() {
      const { pool } = yield* stale({ max: 2, validate: ({ id }) => id === 1 ? Effect.sleep(500) : Effect.void })
      const slow = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 2)
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* Fiber.join(slow), 1)
    }))

  it.effect("aborting a borrow during the validation returns the item (tarn#67)", () =>
    Effect.gen(function*() {
      const { pool, stock } = yield* stale({ validate: () => Effect.sleep(100) })
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      assert.strictEqual((yield* ResourcePool.stats(pool)).busy, 1)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust(100)
      assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 1, busy: 0, used: 0 })
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 1)
      assert.deepStrictEqual(stock.closed, [])
    }))

  it.effect("an item whose borrower has left goes to who waits (tarn#67)", () =>
    Effect.gen(function*() {
      const { pool } = yield* stale({ validate: () => Effect.sleep(100) })
      const served: Array<string> = []
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* queueUp(pool, served, "waiter")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(served, ["waiter"])
    }))

  it.effect("lends the item to the one that it was validated for, and to nobody who came meanwhile", () =>
    Effect.gen(function*() {
      const { pool, stock } = yield* stale({ validate: () => Effect.sleep(100) })
      const first = yield* hold(pool)
      const second = yield* hold(pool)
      yield* TestClock.adjust(100)
      yield* settle
      assert.deepStrictEqual([first.has(), second.has()], [true, false])
      yield* first.release
      yield* settle
      assert.isTrue(second.has())
      assert.strictEqual(stock.state.started, 1)
    }))

  it.effect("cancelling at every step of it loses no item (tarn#67)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const { pool } = yield* stale({ validate: () => Effect.forEach([1, 2, 3], () => Effect.yieldNow) }, stock)
      for (let steps = 0; steps < 30; steps++) {
        yield* TestClock.adjust("1 second")
        const fiber = yield* Effect.forkChild(ResourcePool.use(pool, working(stock, () => Effect.yieldNow)))
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        yield* settle
        assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 1, used: 0, busy: 0 }, `after ${steps} steps`)
      }
      assert.deepStrictEqual(stock.wrong, [])
      assert.strictEqual(stock.state.started, 1)
    }))

  it.effect("leaves room for others to share the item once it proved to be good", () =>
    Effect.gen(function*() {
      const { pool } = yield* stale({ concurrency: 2, validate: () => Effect.sleep(10) })
      const holders = yield* Effect.forEach([1, 2, 3], () => hold(pool))
      yield* TestClock.adjust(10)
      yield* settle
      assert.deepStrictEqual(holders.map(({ has }) => has()), [true, true, false])
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("runs with the services of the place where the pool was made", () =>
    Effect.gen(function*() {
      const spoken: Array<string> = []
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 1,
        validateAfter: 0,
        validate: () => Effect.map(Language, (language) => spoken.push(language)),
        reset: () => Effect.map(Language, (language) => spoken.push(`${language} again`))
      }).pipe(Effect.provideService(Language, "English"))
      yield* settle
      yield* ResourcePool.use(pool, ok)
      assert.deepStrictEqual(spoken, ["English", "English again"])
    }))
})

describe("reset", () => {
  it.effect("runs on each return, before the item is lent again", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 1,
        reset: ({ id }) => Effect.andThen(Effect.yieldNow, Effect.sync(() => log.push(`reset ${id}`)))
      })
      const use = (name: string) =>
        ResourcePool.use(pool, () => Effect.andThen(Effect.sync(() => log.push(name)), Effect.yieldNow))
      yield* Effect.forEach(["a", "b"], use, { concurrency: 2 })
      yield* settle
      assert.deepStrictEqual(log, ["a", "reset 1", "b", "reset 1"])
    }))

  for (
    const [how, reset] of [
      ["fails", () => Effect.fail("no")],
      ["dies", () => Effect.die("no")],
      ["throws", () => {
        throw new Error("no")
      }]
    ] as const
  ) {
    it.effect(`an item for which it ${how} is closed, and who waits gets another one`, () =>
      Effect.gen(function*() {
        const stock = makeStock()
        const pool = yield* ResourcePool.make(stock.Thing, {
          max: 1,
          reset: ({ id }) => id === 1 ? reset() : Effect.void
        })
        const holder = yield* hold(pool)
        const waiter = yield* start(ResourcePool.use(pool, idOf))
        yield* holder.release
        yield* settle
        assert.strictEqual(yield* Fiber.join(waiter), 2)
        assert.deepStrictEqual(stock.closed, [1])
        assert.strictEqual((yield* ResourcePool.stats(pool)).counts.resetFailed, 1)
      }))
  }

  it.effect("one that is slow holds up nobody but the item", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 2,
        reset: ({ id }) => id === 1 ? Effect.sleep("4 seconds") : Effect.void
      })
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 1)
      assert.deepInclude(yield* ResourcePool.stats(pool), { busy: 1, idle: 0, used: 0 })
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 2)
      yield* settle
      yield* TestClock.adjust("4 seconds")
      assert.deepInclude(yield* ResourcePool.stats(pool), { busy: 0, idle: 2 })
      assert.deepStrictEqual(stock.closed, [])
    }))

  it.effect("one that hangs is given up after 5 seconds, and the item is closed", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const gate = yield* Latch.make()
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 1,
        reset: ({ id }) => id === 1 ? Effect.uninterruptible(gate.await) : Effect.void
      })
      yield* ResourcePool.use(pool, ok)
      const waiter = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust(4999)
      assert.isUndefined(waiter.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiter), 2)
      assert.deepStrictEqual(stock.closed, [1])
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(stock.wrong, [])
    }))

  it.effect("takes as long as resetTimeout says", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, resetTimeout: 50, reset: () => Effect.never })
      yield* ResourcePool.use(pool, ok)
      yield* settle
      yield* TestClock.adjust(50)
      yield* settle
      assert.deepStrictEqual(stock.closed, [1])
    }))

  it.effect("does not run for an item that is closed anyway", () =>
    Effect.gen(function*() {
      let resets = 0
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 1,
        maxUses: 1,
        reset: () => Effect.sync(() => ++resets)
      })
      yield* ResourcePool.use(pool, ok)
      yield* settle
      assert.deepStrictEqual(stock.closed, [1])
      assert.strictEqual(resets, 0)
    }))

  it.effect("waits until the last one of several has returned the item", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      let worst = 0
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 1,
        concurrency: 2,
        reset: ({ users }) => Effect.sync(() => void (worst = Math.max(worst, users)))
      })
      const gate = yield* Latch.make()
      const user = yield* start(ResourcePool.use(pool, working(stock, () => gate.await)))
      yield* settle
      yield* ResourcePool.use(pool, working(stock, ok))
      yield* gate.open
      yield* Fiber.join(user)
      assert.strictEqual(worst, 0)
    }))
})

import { ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { managed, settle, start } from "./fixtures.ts"
import { failedWith, hold, makeStock, queueUp } from "./poolFixtures.ts"

const ok = () => Effect.void

/** Asks for an item, and answers what the refusal looks like once `wait` milliseconds are over. */
const refusedAfter = <A, E>(pool: ResourcePool.ResourcePool<A, E>, wait: number) =>
  Effect.gen(function*() {
    const fiber = yield* start(ResourcePool.use(pool, ok))
    yield* settle
    yield* TestClock.adjust(wait - 1)
    assert.isUndefined(fiber.pollUnsafe(), "it was refused too early")
    yield* TestClock.adjust(1)
    const error = failedWith(fiber) as unknown as ResourceError.PoolTimeout
    assert.strictEqual(error._tag, "PoolTimeout")
    return error
  })

describe("acquireTimeout", () => {
  it.effect("is exact, also for those who came at another moment", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: 100 })
      yield* hold(pool)
      const ends: Array<readonly [string, number]> = []
      const wait = (name: string) =>
        Effect.gen(function*() {
          yield* Effect.exit(ResourcePool.use(pool, ok))
          ends.push([name, yield* Effect.clockWith((clock) => clock.currentTimeMillis)])
        })
      for (const name of ["a", "b", "c"]) {
        yield* start(wait(name))
        yield* settle
        yield* TestClock.adjust(30)
      }
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(ends, [["a", 100], ["b", 130], ["c", 160]])
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.timeouts, 3)
    }))

  it.effect("does not end a borrow that has its item", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: 100 })
      const holder = yield* hold(pool)
      const served: Array<string> = []
      yield* TestClock.adjust(99)
      yield* queueUp(pool, served, "next")
      yield* TestClock.adjust(99)
      yield* holder.release
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(served, ["next"])
    }))

  it.effect("says that nobody returned an item in time: a backlog", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: 100 })
      // Items come and go, but there are too many before it.
      yield* Effect.forEach([1, 2, 3, 4, 5], () => start(Effect.exit(ResourcePool.use(pool, () => Effect.sleep(40)))))
      yield* settle
      const fiber = yield* start(ResourcePool.use(pool, ok))
      for (let step = 0; step < 100; step++) yield* TestClock.adjust(1)
      const error = failedWith(fiber) as ResourceError.PoolTimeout
      assert.deepInclude(error, {
        phase: "wait",
        reason: "backlog",
        pool: "thing",
        timeout: 100,
        used: 1,
        total: 1,
        max: 1
      })
      yield* TestClock.adjust("1 second")
    }))

  it.effect("says that every item is held for longer than one could wait: slow holders", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 2, acquireTimeout: 100 })
      yield* Effect.forEach([1, 2], () => hold(pool))
      const error = yield* refusedAfter(pool, 100)
      assert.deepInclude(error, { phase: "wait", reason: "slowHolders", used: 2, total: 2, max: 2 })
      assert.strictEqual(error.holders.length, 2)
      assert.isAtLeast(error.holders[0]!.age, 100)
    }))

  it.effect("says that an item may have leaked when one is overdue", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 2, acquireTimeout: 100, overdueAfter: "10 seconds" })
      yield* hold(pool)
      yield* TestClock.adjust("20 seconds")
      const other = yield* hold(pool)
      yield* settle
      assert.isTrue(other.has())
      const error = yield* refusedAfter(pool, 100)
      assert.deepInclude(error, { phase: "wait", reason: "leak" })
      // Who has had it for longest comes first.
      assert.deepStrictEqual(error.holders.map(({ age }) => age), [20_100, 100])
    }))

  it.effect("says what the creation fails with while it fails", () =>
    Effect.gen(function*() {
      let tries = 0
      const stock = makeStock({
        create: () => tries++ === 0 ? Effect.fail("refused") : Effect.andThen(Effect.sleep(1), Effect.fail("no route"))
      })
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 1,
        acquireTimeout: 100,
        creationBackoff: { base: "1 minute", max: "1 minute" }
      })
      // Two failures in a row: from then on there is a pause.
      yield* Effect.exit(ResourcePool.use(pool, ok))
      const second = yield* start(Effect.exit(ResourcePool.use(pool, ok)))
      yield* settle
      yield* TestClock.adjust(1)
      assert.isDefined(second.pollUnsafe())
      const error = yield* refusedAfter(pool, 100)
      assert.deepInclude(error, { phase: "create", reason: "creationFailing", total: 0 })
      assert.include(error.cause, "no route")
      assert.include((yield* ResourcePool.stats(pool)).creationError, "no route")
    }))

  it.effect("says that a new item was being made, but did not arrive in time", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep("1 second") })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, acquireTimeout: 100 })
      const error = yield* refusedAfter(pool, 100)
      assert.deepInclude(error, { phase: "create", reason: "creationSlow", used: 0, total: 1 })
      assert.isFalse("cause" in error && error.cause !== undefined)
      yield* TestClock.adjust("1 second")
      // The item that arrived late is kept (node-postgres#3543).
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 1)
    }))

  it.effect("says that an item was being validated, but did not answer in time", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 1,
        max: 1,
        acquireTimeout: 100,
        validateTimeout: "1 second",
        validate: () => Effect.never
      })
      yield* settle
      yield* TestClock.adjust(501)
      const error = yield* refusedAfter(pool, 100)
      assert.deepInclude(error, { phase: "validate", reason: "validationSlow" })
      yield* TestClock.adjust("1 second")
    }))

  it.effect("says that the pool was suspended", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 1, acquireTimeout: 100 })
      yield* settle
      yield* ResourcePool.suspend(pool)
      assert.deepInclude(yield* refusedAfter(pool, 100), { reason: "suspended", used: 0, total: 1 })
    }))

  it.effect("covers validation and waiting together: who has to wait again keeps its deadline (node-mysql2#4498)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id === 1 ? Effect.void : Effect.sleep("1 minute") })
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 1,
        max: 1,
        acquireTimeout: 100,
        validate: () => Effect.andThen(Effect.sleep(60), Effect.fail("dead"))
      })
      yield* settle
      yield* TestClock.adjust(501)
      assert.deepInclude(yield* refusedAfter(pool, 100), { phase: "create", reason: "creationSlow" })
      yield* TestClock.adjust("1 minute")
    }))

  it.effect("keeps every deadline, in whatever order borrowers have to wait again (node-mysql2#4498)", () =>
    Effect.gen(function*() {
      let checks = 0
      const stock = makeStock({ create: (id) => id <= 2 ? Effect.void : Effect.sleep("1 minute") })
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 2,
        max: 2,
        acquireTimeout: 100,
        // The first one to ask hears first that its item is dead.
        validate: () =>
          Effect.suspend(() => Effect.andThen(Effect.sleep(checks++ === 0 ? 60 : 20), Effect.fail("dead")))
      })
      yield* settle
      yield* TestClock.adjust(501)
      const first = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(30)
      const second = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(5)
      const third = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(64)
      assert.isUndefined(first.pollUnsafe(), "99 ms")
      yield* TestClock.adjust(1)
      assert.isDefined(first.pollUnsafe(), "100 ms after the first one came")
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust(30)
      assert.isDefined(second.pollUnsafe(), "100 ms after the second one came")
      assert.isUndefined(third.pollUnsafe())
      yield* TestClock.adjust(5)
      assert.isDefined(third.pollUnsafe(), "100 ms after the third one came")
      yield* TestClock.adjust("1 minute")
    }))

  it.effect("of one that waits again is kept when others wait already (node-mysql2#4498)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id === 1 ? Effect.void : Effect.sleep("1 minute") })
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 1,
        max: 1,
        acquireTimeout: 100,
        validate: () => Effect.andThen(Effect.sleep(60), Effect.fail("dead"))
      })
      yield* settle
      yield* TestClock.adjust(501)
      const checking = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(10)
      const waiting = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(89)
      assert.isUndefined(checking.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(checking.pollUnsafe())
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(10)
      assert.isDefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 minute")
    }))

  it.effect("is kept although the creation can not be interrupted", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const stock = makeStock({ create: () => Effect.uninterruptible(gate.await) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, acquireTimeout: 100 })
      assert.strictEqual((yield* refusedAfter(pool, 100)).phase, "create")
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(stock.open(), [1])
    }))

  it.effect("is not lengthened by the slow release of an item (HikariCP#607)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep("10 seconds") })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, acquireTimeout: 100, maxUses: 1 })
      yield* ResourcePool.use(pool, ok)
      // There is room for another one, so nobody waits for the release.
      const before = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* ResourcePool.use(pool, ok)
      assert.strictEqual(yield* Effect.clockWith((clock) => clock.currentTimeMillis), before)
      assert.strictEqual((yield* ResourcePool.stats(pool)).closing, 2)
      // The places of both are taken until they are closed.
      yield* refusedAfter(pool, 100)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(stock.closed, [1, 2])
    }))

  it.effect("tells of thousands at once", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: 100 })
      yield* hold(pool)
      const fibers = yield* Effect.forEach(Array.from({ length: 3000 }), () =>
        start(Effect.flip(ResourcePool.use(pool, ok))))
      yield* TestClock.adjust(100)
      yield* Effect.repeat(ResourcePool.stats(pool), {
        until: ({ waiting }) =>
          waiting === 0
      })
      const errors = yield* Fiber.joinAll(fibers)
      for (const error of errors) assert.strictEqual(error._tag, "PoolTimeout")
    }))
})

describe("A refusal", () => {
  it.effect("names the holders with their frames, and says what to do (sqlx#2276)", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { name: "db", max: 1, acquireTimeout: 100 })
      yield* start(TimeFrame.run(ResourcePool.use(pool, () => Effect.never), { name: "report" }))
      yield* settle
      const fiber = yield* start(TimeFrame.run(ResourcePool.use(pool, ok), { name: "request" }))
      yield* settle
      yield* TestClock.adjust(100)
      const error = failedWith(fiber) as ResourceError.PoolTimeout
      assert.strictEqual(error.requestedBy, "server/request")
      assert.deepStrictEqual(
        error.holders.map(({ age, frame, resource, state }) => ({ age, frame, resource, state })),
        [
          { age: 100, frame: "server/report", resource: "db", state: "live" }
        ]
      )
      for (
        const part of [
          `The pool "db" had nothing to lend to server/request within 100 ms`,
          "1 in use of 1, at most 1, 1 waiting",
          "slowHolders",
          "raise max",
          `"db" by server/report for 100 ms`
        ]
      ) assert.include(error.message, part)
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("outside of frames tells who by its fiber", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: 100 })
      const holder = yield* hold(pool)
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(100)
      const error = failedWith(fiber) as ResourceError.PoolTimeout
      assert.strictEqual(error.requestedBy, `fiber #${fiber.id}`)
      assert.include(error.message, `fiber #${holder.fiber.id}`)
    }))

  it.effect("lists a hundred holders, and counts the others", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 120, acquireTimeout: 100 })
      yield* Effect.forEach(Array.from({ length: 120 }), () => hold(pool))
      yield* settle
      const error = yield* refusedAfter(pool, 100)
      assert.strictEqual(error.holders.length, 100)
      assert.strictEqual(error.omitted, 20)
      assert.include(error.message, "and 115 more")
    }))

  it.effect("names the traced function that holds the item", () =>
    Effect.gen(function*() {
      const { Thing } = makeStock()
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: 100 })
      const nightlyReport = Effect.fn("nightlyReport")(function*() {
        return yield* ResourcePool.use(pool, () => Effect.never)
      })
      const holder = yield* start(nightlyReport())
      yield* settle
      const error = yield* refusedAfter(pool, 100)
      assert.strictEqual(error.holders[0]!.callSite, "nightlyReport")
      assert.include(error.message, "nightlyReport")
      yield* Fiber.interrupt(holder)
    }))

  for (
    const [reason, advice] of [
      ["creationSlow", "keep items warm with min"],
      ["suspended", "resume the pool"],
      ["validationSlow", "shorten validateTimeout"]
    ] as const
  ) {
    it.effect(`for ${reason} says what to do about that`, () =>
      Effect.gen(function*() {
        const stock = makeStock({ create: () => reason === "creationSlow" ? Effect.sleep("1 second") : Effect.void })
        const pool = yield* ResourcePool.make(stock.Thing, {
          min: 1,
          max: 1,
          acquireTimeout: 100,
          validate: () => Effect.sleep(900)
        })
        yield* settle
        if (reason !== "creationSlow") yield* TestClock.adjust(600)
        if (reason === "suspended") yield* ResourcePool.suspend(pool)
        const error = yield* refusedAfter(pool, 100)
        assert.strictEqual(error.reason, reason)
        assert.include(error.message, advice)
        yield* TestClock.adjust("1 second")
      }))
  }
})

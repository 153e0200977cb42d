import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { assertSane, failedWith, hold, makeStock, ownScope, queueUp, working } from "./poolFixtures.ts"

/** A pool of one item, which somebody has. */
const taken = (options: Omit<ResourcePool.Options<unknown>, "max"> = {}) =>
  Effect.gen(function*() {
    const stock = makeStock()
    const pool = yield* ResourcePool.make(stock.Thing, { ...options, max: 1 })
    const holder = yield* hold(pool)
    yield* settle
    return { stock, pool, holder, served: [] as Array<string> }
  })

const withPriority = (priority: number) => Effect.provideService(ResourcePool.Priority, priority)

describe("Those who wait for an item", () => {
  it.effect("are served in the order in which they came (asyncpg#1247, go#31708)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      const names = Array.from({ length: 100 }, (_, index) => String(index))
      yield* Effect.forEach(names, (name) => queueUp(pool, served, name))
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, names)
    }))

  it.effect("are not overtaken by who comes when the item has just come back (asyncpg#1247)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      yield* queueUp(pool, served, "waiter")
      // In one step: it is given back, and somebody asks.
      yield* start(Effect.andThen(holder.release, queueUp(pool, served, "barger")))
      yield* settle
      assert.deepStrictEqual(served, ["waiter", "barger"])
    }))

  it.effect("wait a bounded time under steady load: nobody is passed over (asyncpg#1247)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      const loop = (name: string): Effect.Effect<unknown, unknown> =>
        Effect.repeat(
          ResourcePool.use(pool, () => Effect.andThen(Effect.sync(() => served.push(name)), Effect.sleep(1))),
          { times: 9 }
        )
      yield* Effect.forEach(["a", "b", "c"], (name) => start(loop(name)))
      yield* holder.release
      for (let step = 0; step < 40; step++) yield* TestClock.adjust(1)
      assert.strictEqual(served.join(""), "abc".repeat(10))
    }))

  it.effect("lose nothing when one of them is dropped in flight (bb8#59)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      const dropped = yield* start(ResourcePool.use(pool, () => Effect.never))
      yield* queueUp(pool, served, "next")
      yield* Fiber.interrupt(dropped)
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["next"])
      const stats = yield* ResourcePool.stats(pool)
      assert.deepInclude(stats, { idle: 1, used: 0, waiting: 0 })
      assert.strictEqual(stats.counts.cancelled, 1)
    }))

  it.effect("a release between the look and the enqueuing wakes the waiter (bb8#122)", () =>
    Effect.gen(function*() {
      // The order of the two is varied by how many steps each takes first.
      for (let steps = 0; steps < 12; steps++) {
        const { holder, pool, served } = yield* taken()
        const pause = Effect.forEach(Array.from({ length: steps }), () => Effect.yieldNow, { discard: true })
        const giving = yield* Effect.forkChild(
          Effect.andThen(Effect.forEach(Array.from({ length: 6 }), () => Effect.yieldNow), holder.release)
        )
        const asking = yield* Effect.forkChild(Effect.andThen(
          pause,
          ResourcePool.use(pool, () => Effect.sync(() => served.push("asked")))
        ))
        yield* Fiber.join(giving)
        yield* settle
        assert.isDefined(asking.pollUnsafe(), `after ${steps} steps`)
      }
    }))

  it.effect("a released item goes to the next waiter when the first one was cancelled (keypool#706)", () =>
    Effect.gen(function*() {
      const { holder, pool, served, stock } = yield* taken()
      const first = yield* start(ResourcePool.use(pool, working(stock, () => Effect.never)))
      yield* queueUp(pool, served, "second")
      // In one step: the item is handed to the first one, which is cancelled before it runs.
      yield* holder.release.pipe(Effect.andThen(Effect.sync(() => first.interruptUnsafe())))
      yield* settle
      assert.deepStrictEqual(served, ["second"])
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("a grant made to a waiter whose interruption is under way passes on (keypool#706)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      const first = yield* start(ResourcePool.use(pool, () => Effect.never))
      yield* queueUp(pool, served, "second")
      yield* Effect.suspend(() => {
        first.interruptUnsafe()
        return holder.release
      })
      yield* settle
      assert.deepStrictEqual(served, ["second"])
      assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 1, used: 0, waiting: 0 })
    }))

  for (const way of ["use", "get"] as const) {
    it.effect(`cancelling at every step of ${way} between the taking and the bracket returns the item (keypool#708)`, () =>
      Effect.gen(function*() {
        const stock = makeStock()
        const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
        for (let steps = 0; steps < 40; steps++) {
          const holder = yield* hold(pool)
          yield* settle
          const borrow = way === "use"
            ? ResourcePool.use(pool, () => Effect.never)
            : Effect.scoped(Effect.andThen(ResourcePool.get(pool), Effect.never))
          const victim = yield* Effect.forkChild(borrow)
          const release = yield* Effect.forkChild(holder.release)
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(victim)
          yield* Fiber.join(release)
          assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 1, used: 0, waiting: 0 }, `after ${steps} steps`)
        }
        assert.strictEqual(stock.state.started, 1)
      }))
  }

  it.effect("a dead waiter is never woken: it takes nothing from the living (sqlx#918)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      const dead = yield* Effect.forEach(
        Array.from({ length: 50 }),
        (_, index) => queueUp(pool, served, `dead ${index}`)
      )
      yield* queueUp(pool, served, "alive")
      yield* Effect.forEach(dead, Fiber.interrupt)
      assert.strictEqual((yield* ResourcePool.stats(pool)).waiting, 1)
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["alive"])
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.borrowed, 2)
    }))

  it.effect("a release onto a waiter that has timed out goes to the next (cds-dbs#1721)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken({ acquireTimeout: "1 second" })
      const late = yield* start(ResourcePool.use(pool, () => Effect.sync(() => served.push("late"))))
      yield* TestClock.adjust(500)
      yield* queueUp(pool, served, "next")
      yield* TestClock.adjust(500)
      yield* holder.release
      yield* settle
      assert.strictEqual((failedWith(late) as { readonly _tag: string })._tag, "PoolTimeout")
      assert.deepStrictEqual(served, ["next"])
    }))

  it.effect("a released item is kept for the waiter that is woken for it (php-async#236)", () =>
    Effect.gen(function*() {
      const { holder, pool, stock } = yield* taken()
      const order: Array<string> = []
      const note = (name: string) =>
        ResourcePool.use(
          pool,
          working(stock, () => Effect.andThen(Effect.sync(() => order.push(name)), Effect.yieldNow))
        )
      yield* start(note("woken"))
      yield* holder.release
      // Before the woken one had its turn, others try to get it.
      yield* Effect.forEach(["one", "two", "three"], (name) => start(note(name)))
      yield* settle
      yield* settle
      assert.deepStrictEqual(order, ["woken", "one", "two", "three"])
      assert.deepStrictEqual(stock.wrong, [])
      assert.strictEqual(stock.items[0]!.mostUsers, 1)
    }))

  it.effect("all places of a shared item are filled when it comes", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(10) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, concurrency: 3 })
      const holders = yield* Effect.forEach([1, 2, 3, 4], () => hold(pool))
      yield* settle
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(holders.map(({ has }) => has()), [true, true, true, false])
      yield* holders[1]!.release
      yield* settle
      assert.isTrue(holders[3]!.has())
      assert.strictEqual(stock.state.started, 1)
    }))
})

describe("A priority", () => {
  it.effect("lets a higher one go first, and who came first among equals", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      for (const [name, priority] of [["a", 0], ["b", 1], ["c", -1], ["d", 1], ["e", 0], ["f", 5]] as const) {
        yield* queueUp(pool, served, name).pipe(withPriority(priority))
      }
      yield* holder.release
      yield* settle
      assert.strictEqual(served.join(""), "fbdaec")
    }))

  it.effect("is worth an earlier arrival of one second a step, so that nobody waits for ever", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      yield* queueUp(pool, served, "early")
      yield* TestClock.adjust(999)
      yield* queueUp(pool, served, "soon").pipe(withPriority(1))
      yield* TestClock.adjust(2)
      yield* queueUp(pool, served, "late").pipe(withPriority(1))
      yield* queueUp(pool, served, "late, but twice as urgent").pipe(withPriority(2))
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["late, but twice as urgent", "soon", "early", "late"])
    }))

  it.effect("is worth what priorityAgeing says", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken({ priorityAgeing: "1 minute" })
      yield* queueUp(pool, served, "first")
      yield* TestClock.adjust("59 seconds")
      yield* queueUp(pool, served, "urgent").pipe(withPriority(1))
      yield* TestClock.adjust("2 seconds")
      yield* queueUp(pool, served, "too late").pipe(withPriority(1))
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["urgent", "first", "too late"])
    }))

  it.effect("does not change when one runs out of time", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken({ acquireTimeout: "1 second" })
      const urgent = yield* start(ResourcePool.use(pool, () => Effect.void).pipe(withPriority(3)))
      yield* TestClock.adjust(300)
      const normal = yield* start(ResourcePool.use(pool, () => Effect.void))
      yield* TestClock.adjust(300)
      yield* queueUp(pool, served, "last").pipe(withPriority(9))
      yield* TestClock.adjust(400)
      assert.isDefined(urgent.pollUnsafe())
      assert.isUndefined(normal.pollUnsafe())
      yield* TestClock.adjust(300)
      assert.isDefined(normal.pollUnsafe())
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["last"])
    }))
})

describe("maxWaiting", () => {
  it.effect("refuses one too many at once, and says how many wait", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken({ maxWaiting: 2 })
      yield* Effect.forEach(["a", "b"], (name) => queueUp(pool, served, name))
      const refused = yield* start(ResourcePool.use(pool, () => Effect.void))
      yield* settle
      assert.deepInclude(failedWith(refused) as object, {
        _tag: "PoolOverloaded",
        reason: "maxWaiting",
        waiting: 3,
        waited: 0,
        max: 1
      })
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["a", "b"])
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.overloaded, 1)
      yield* ResourcePool.use(pool, () => Effect.void)
    }))

  it.effect("counts nobody for whom an item is being made", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(10) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3, maxWaiting: 0 })
      const holders = yield* Effect.forEach([1, 2, 3], () => hold(pool))
      const refused = yield* start(ResourcePool.use(pool, () => Effect.void))
      yield* settle
      assert.strictEqual(failedWith(refused)._tag, "PoolOverloaded")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(holders.map(({ has }) => has()), [true, true, true])
    }))

  it.effect("has room again as soon as one leaves", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken({ maxWaiting: 1 })
      const first = yield* queueUp(pool, served, "first")
      yield* Fiber.interrupt(first)
      yield* queueUp(pool, served, "second")
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["second"])
    }))
})

describe("The counts", () => {
  it.effect("are never negative nor above max, whatever happens to borrowers (deadpool#92, deadpool#205)", () =>
    Effect.gen(function*() {
      const stock = makeStock({
        create: (id) => id % 5 === 0 ? Effect.fail("no") : Effect.sleep(id % 3),
        release: (id) => Effect.sleep(id % 4)
      })
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 3,
        acquireTimeout: 7,
        maxUses: 3,
        creationBackoff: false
      })
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let step = 0; step < 300; step++) {
        fibers.push(yield* start(Effect.exit(ResourcePool.use(pool, working(stock, () => Effect.sleep(step % 6))))))
        if (step % 7 === 0) fibers[Math.floor(step / 2)]!.interruptUnsafe()
        if (step % 2 === 0) yield* TestClock.adjust(1)
        assertSane(yield* ResourcePool.stats(pool))
      }
      yield* TestClock.adjust("1 minute")
      const stats = yield* ResourcePool.stats(pool)
      assert.deepInclude(stats, { used: 0, waiting: 0, creating: 0, closing: 0, abandoned: 0 })
      assert.strictEqual(stats.counts.borrowed, stats.counts.returned)
      assert.isAtMost(stock.state.mostOpen, 3)
      yield* start(ResourcePool.close(pool))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(stock.open(), [])
      assert.deepStrictEqual(stock.wrong, [])
    }))

  it.effect("max covers idle and busy items together (keypool#389)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      const scope = yield* ownScope
      yield* Effect.all([ResourcePool.get(pool), ResourcePool.get(pool)]).pipe(Scope.provide(scope))
      const waiter = yield* hold(pool)
      yield* settle
      assert.strictEqual(stock.state.started, 2)
      assert.isFalse(waiter.has())
    }))

  it.effect("tell how long the one waits that has waited for longest, which is what to alert on (freehire#2819)", () =>
    Effect.gen(function*() {
      const { holder, pool, served } = yield* taken()
      assert.strictEqual((yield* ResourcePool.stats(pool)).oldestWait, 0)
      yield* queueUp(pool, served, "a")
      yield* TestClock.adjust("3 seconds")
      yield* queueUp(pool, served, "b").pipe(withPriority(9))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* ResourcePool.stats(pool)).oldestWait, 5000)
      yield* holder.release
      yield* settle
      const { counts, oldestWait } = yield* ResourcePool.stats(pool)
      assert.strictEqual(oldestWait, 0)
      assert.deepInclude(counts, { waitMax: 5000, useMax: 5000, waitingHighWaterMark: 2 })
    }))
})

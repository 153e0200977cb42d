import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, managed, settle, start } from "./fixtures.ts"
import { hold, makeStock, ownScope, spawn } from "./poolFixtures.ts"

const ok = () => Effect.void
type Failure = { readonly _tag: string }

const single = (name: string) =>
  Effect.gen(function*() {
    const stock = makeStock()
    return yield* ResourcePool.make(stock.Thing, { name, min: 1, max: 1 })
  })

type OfItems = Effect.Success<ReturnType<typeof single>>

const inFrame = (name: string) => TimeFrame.run({ name })

const wouldDeadlock = (exit: Exit.Exit<unknown, unknown> | undefined): ResourceError.WouldDeadlock => {
  assert.isDefined(exit, "it hangs")
  const failure = failureOf(exit) as ResourceError.WouldDeadlock
  assert.strictEqual(failure?._tag, "WouldDeadlock", String(exit))
  return failure
}

/** Takes from one pool, waits for its turn, then wants from another. */
const nested = (outer: OfItems, turn: Effect.Effect<void>, inner: OfItems) =>
  ResourcePool.use(outer, () => Effect.andThen(turn, ResourcePool.use(inner, ok)))

describe("A nested borrow", () => {
  it.effect("of the last item is an error, not a hang (syncthing#10841)", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const fiber = yield* spawn(ResourcePool.use(pool, () => ResourcePool.use(pool, ok)))
      yield* settle
      const error = wouldDeadlock(fiber.pollUnsafe())
      assert.strictEqual(error.pool, "db")
      assert.strictEqual(error.holders.length, 1)
      assert.match(error.message, /can not borrow from the pool "db"/)
      assert.match(error.message, /holds "db" and waits for "db"/)
      assert.match(error.message, /Borrow once and pass the item on/)
      // Nothing was borrowed, and the pool is as good as before.
      const stats = yield* ResourcePool.stats(pool)
      assert.deepInclude(stats, { idle: 1, used: 0, waiting: 0 })
      assert.strictEqual(stats.counts.deadlocks, 1)
      yield* ResourcePool.use(pool, ok)
    }))

  it.effect("inside an iteration is told to the one who iterates (syncthing#10841)", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const rows = [1, 2, 3]
      const error = yield* Effect.flip(
        ResourcePool.use(pool, () => Effect.forEach(rows, () => ResourcePool.use(pool, ok)))
      )
      assert.strictEqual((error as Failure)._tag, "WouldDeadlock")
    }))

  it.effect("by as many transactions as there are items is an error for one, and the others go on (knex#1040, sequelize#10976)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 5, max: 5 })
      yield* settle
      const gate = yield* Latch.make()
      const fibers = yield* Effect.forEach(
        Array.from({ length: 5 }),
        () => spawn(ResourcePool.use(pool, () => Effect.andThen(gate.await, ResourcePool.use(pool, ok))))
      )
      yield* settle
      yield* gate.open
      yield* settle
      const exits = fibers.map((fiber) => fiber.pollUnsafe())
      const refused = exits.filter((exit) => exit !== undefined && Exit.isFailure(exit))
      assert.strictEqual(refused.length, 1)
      wouldDeadlock(refused[0])
      for (const exit of exits) assert.isDefined(exit, "one hangs")
      assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 5, used: 0, waiting: 0 })
    }))

  it.effect("is found through a frame with a timeout, whose body runs on another fiber", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const fiber = yield* spawn(
        ResourcePool.use(
          pool,
          () => ResourcePool.use(pool, ok).pipe(TimeFrame.run({ name: "inner", timeout: "1 minute" }))
        ).pipe(inFrame("outer"))
      )
      yield* settle
      const error = wouldDeadlock(fiber.pollUnsafe())
      assert.strictEqual(error.requestedBy, "server/outer/inner")
      assert.deepStrictEqual(error.cycle, [{ frame: "server/outer/inner", holds: ["db"], waitsFor: "db" }])
    }).pipe(inFrame("server"), managed()))

  it.effect("is found through two frames with timeouts", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const inner = ResourcePool.use(pool, ok).pipe(
        TimeFrame.run({ name: "b", timeout: "30 seconds" }),
        TimeFrame.run({ name: "a", timeout: "1 minute" })
      )
      const fiber = yield* spawn(ResourcePool.use(pool, () => inner))
      yield* settle
      wouldDeadlock(fiber.pollUnsafe())
    }).pipe(inFrame("server"), managed()))

  it.effect("is found through get and allocate, in whatever order", () =>
    Effect.gen(function*() {
      const ways = {
        use: (pool: OfItems, inner: Effect.Effect<unknown, unknown, any>) => ResourcePool.use(pool, () => inner),
        get: (pool: OfItems, inner: Effect.Effect<unknown, unknown, any>) =>
          Effect.andThen(ResourcePool.get(pool), inner).pipe(inFrame("getting")),
        allocate: (pool: OfItems, inner: Effect.Effect<unknown, unknown, any>) =>
          Effect.andThen(ResourceManager.allocate(pool), inner).pipe(inFrame("allocating")),
        managerUse: (pool: OfItems, inner: Effect.Effect<unknown, unknown, any>) =>
          ResourceManager.use(pool, undefined, () => inner)
      }
      for (const [outer, takeOuter] of Object.entries(ways)) {
        for (const [inner, takeInner] of Object.entries(ways)) {
          const pool = yield* single("db")
          const fiber = yield* spawn(
            takeOuter(pool, takeInner(pool, Effect.void)).pipe(inFrame("nested")) as Effect.Effect<
              unknown,
              unknown
            >
          )
          yield* settle
          assert.isDefined(fiber.pollUnsafe(), `${inner} in ${outer} hangs`)
          assert.strictEqual((failureOf(fiber.pollUnsafe()!) as Failure)._tag, "WouldDeadlock", `${inner} in ${outer}`)
          assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 1, used: 0 })
        }
      }
    }).pipe(inFrame("server"), managed()))

  it.effect("is no deadlock while there is room", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3 })
      yield* ResourcePool.use(pool, () => ResourcePool.use(pool, () => ResourcePool.use(pool, ok)))
      assert.strictEqual(stock.state.started, 3)
    }))

  it.effect("is no deadlock when one item may be used by several", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, concurrency: 2 })
      yield* ResourcePool.use(pool, () => ResourcePool.use(pool, ok))
      const error = yield* Effect.flip(
        ResourcePool.use(pool, () => ResourcePool.use(pool, () => ResourcePool.use(pool, ok)))
      )
      assert.strictEqual((error as Failure)._tag, "WouldDeadlock")
    }))
})

describe("A cycle", () => {
  it.effect("of two pools is refused for the one that closes it, and names the frames", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* single("a"), yield* single("b")]
      yield* settle
      const gate = yield* Latch.make()
      const one = yield* spawn(nested(a, gate.await, b).pipe(inFrame("one")))
      const two = yield* spawn(nested(b, gate.await, a).pipe(inFrame("two")))
      yield* settle
      yield* gate.open
      yield* settle
      const error = wouldDeadlock(two.pollUnsafe())
      assert.strictEqual(error.requestedBy, "server/two")
      assert.deepStrictEqual(error.cycle, [
        { frame: "server/one", holds: ["a"], waitsFor: "b" },
        { frame: "server/two", holds: ["b"], waitsFor: "a" }
      ])
      assert.include(error.message, `server/one holds "a" and waits for "b"`)
      assert.include(error.message, `server/two holds "b" and waits for "a"`)
      // The other one got what the refused one gave back.
      assert.isTrue(Exit.isSuccess(one.pollUnsafe()!))
    }).pipe(inFrame("server"), managed()))

  it.effect("of three pools is refused, and names all of them", () =>
    Effect.gen(function*() {
      const [a, b, c] = [yield* single("a"), yield* single("b"), yield* single("c")]
      yield* settle
      const gate = yield* Latch.make()
      const fibers = [
        yield* spawn(nested(a, gate.await, b).pipe(inFrame("one"))),
        yield* spawn(nested(b, gate.await, c).pipe(inFrame("two"))),
        yield* spawn(nested(c, gate.await, a).pipe(inFrame("three")))
      ]
      yield* settle
      yield* gate.open
      yield* settle
      const error = wouldDeadlock(fibers[2]!.pollUnsafe())
      assert.sameMembers(error.cycle.map(({ frame }) => frame), ["server/one", "server/two", "server/three"])
      assert.strictEqual(error.cycle.at(-1)!.frame, "server/three")
      for (const fiber of fibers) assert.isDefined(fiber.pollUnsafe())
    }).pipe(inFrame("server"), managed()))

  it.effect("is found although one began to wait while a new item was being made for somebody else", () =>
    Effect.gen(function*() {
      const a = yield* single("a")
      const slow = makeStock({ create: () => Effect.sleep(100) })
      const b = yield* ResourcePool.make(slow.Thing, { name: "b", max: 1 })
      yield* settle
      const gate = yield* Latch.make()
      // Two gets the item of b that is being made, and one, who holds a, waits behind.
      const two = yield* spawn(nested(b, gate.await, a).pipe(inFrame("two")))
      const one = yield* spawn(nested(a, Effect.void, b).pipe(inFrame("one")))
      yield* settle
      yield* TestClock.adjust(100)
      yield* gate.open
      yield* settle
      wouldDeadlock(two.pollUnsafe())
      assert.isTrue(Exit.isSuccess(one.pollUnsafe()!))
    }).pipe(inFrame("server"), managed()))

  it.effect("is found although one began to wait while the pool was suspended", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* single("a"), yield* single("b")]
      yield* settle
      const gate = yield* Latch.make()
      const two = yield* spawn(nested(b, gate.await, a))
      yield* settle
      yield* ResourcePool.suspend(b)
      const one = yield* spawn(nested(a, Effect.void, b))
      yield* settle
      yield* ResourcePool.resume(b)
      yield* gate.open
      yield* settle
      wouldDeadlock(two.pollUnsafe())
      assert.isTrue(Exit.isSuccess(one.pollUnsafe()!))
    }))

  it.effect("that was resolved by an interruption is none", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* single("a"), yield* single("b")]
      yield* settle
      const gate = yield* Latch.make()
      const one = yield* spawn(nested(a, Effect.void, b))
      yield* Fiber.interrupt(one)
      const two = yield* spawn(nested(b, gate.await, a))
      yield* settle
      yield* gate.open
      yield* settle
      assert.isTrue(Exit.isSuccess(two.pollUnsafe()!))
    }))
})

describe("It is no deadlock", () => {
  it.effect("when siblings of one frame share a pool", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      const fiber = yield* spawn(
        Effect.forEach(
          Array.from({ length: 10 }, (_, index) => index),
          (index) => ResourcePool.use(pool, () => Effect.as(Effect.sleep(10), index)),
          { concurrency: 10 }
        ).pipe(inFrame("siblings"))
      )
      for (let step = 0; step < 6; step++) yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(fiber)).length, 10)
    }).pipe(inFrame("server"), managed()))

  it.effect("when siblings run in a frame with a timeout, each in one of its own", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const one = (index: number) =>
        ResourcePool.use(pool, () => Effect.as(Effect.sleep(10), index)).pipe(
          TimeFrame.run({ name: "one", timeout: "1 second" })
        )
      const fiber = yield* spawn(
        Effect.forEach([1, 2, 3], one, { concurrency: 3 }).pipe(TimeFrame.run({ name: "all", timeout: "2 seconds" }))
      )
      yield* settle
      for (let step = 0; step < 4; step++) yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* Fiber.join(fiber), [1, 2, 3])
    }).pipe(inFrame("server"), managed()))

  it.effect("when another holder can give back", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      const other = yield* hold(pool)
      const fiber = yield* spawn(ResourcePool.use(pool, () => ResourcePool.use(pool, ({ id }) => Effect.succeed(id))))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* other.release
      assert.strictEqual(yield* Fiber.join(fiber), 1)
    }))

  it.effect("when the other one waits for something else than a pool", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* single("a"), yield* single("b")]
      yield* settle
      const gate = yield* Latch.make()
      const other = yield* spawn(ResourcePool.use(b, () => gate.await))
      const fiber = yield* spawn(nested(a, Effect.void, b))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      yield* Fiber.joinAll([other, fiber])
    }))

  it.effect("when a waiter holds nothing", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const holder = yield* hold(pool)
      const fibers = yield* Effect.forEach([1, 2, 3], () => spawn(ResourcePool.use(pool, ok)))
      yield* settle
      assert.deepStrictEqual(fibers.map((fiber) => fiber.pollUnsafe()), [undefined, undefined, undefined])
      yield* holder.release
      yield* Fiber.joinAll(fibers)
    }))

  it.effect("when an item of the pool is closed at the moment, and its place will be free", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, maxUses: 1 })
      const fiber = yield* spawn(Effect.gen(function*() {
        yield* ResourcePool.use(pool, ok)
        return yield* ResourcePool.use(pool, () => ResourcePool.use(pool, ({ id }) => Effect.succeed(id)))
      }))
      yield* settle
      yield* TestClock.adjust(100)
      yield* settle
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* Fiber.join(fiber), 3)
      yield* TestClock.adjust(100)
    }))

  it.effect("when the holder's scope is closed by another fiber", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const scope = yield* ownScope
      const fiber = yield* spawn(Effect.gen(function*() {
        yield* Scope.provide(ResourcePool.get(pool), scope)
        yield* ResourcePool.use(pool, ok)
      }))
      yield* start(Effect.andThen(Effect.sleep(10), Scope.close(scope, Exit.void)))
      yield* settle
      yield* TestClock.adjust(10)
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!), String(fiber.pollUnsafe()))
    }))

  it.effect("but for a handle, which counts as its frame's, though another fiber could give it back", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const fiber = yield* spawn(
        Effect.gen(function*() {
          const handle = yield* ResourceManager.allocate(pool)
          yield* start(Effect.andThen(Effect.sleep(10), handle.release))
          yield* ResourcePool.use(pool, ok)
        }).pipe(inFrame("borrower"))
      )
      yield* settle
      assert.strictEqual((failureOf(fiber.pollUnsafe()!) as Failure)._tag, "WouldDeadlock")
    }).pipe(inFrame("server"), managed()))

  it.effect("when a former holder waits, whose item went to another frame", () =>
    Effect.gen(function*() {
      const pool = yield* single("db")
      const gate = yield* Latch.make()
      const other = yield* spawn(
        Effect.gen(function*() {
          yield* ResourceManager.allocate(pool)
          yield* gate.await
        }).pipe(inFrame("keeper"))
      )
      yield* settle
      const fiber = yield* spawn(ResourcePool.use(pool, ok).pipe(inFrame("asker")))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      yield* Fiber.joinAll([other, fiber])
    }).pipe(inFrame("server"), managed()))
})

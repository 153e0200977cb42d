import { Allocation, ResourceManager, ResourcePool, Snapshot, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, makeLog, managed, settle, start, usedBy } from "./fixtures.ts"
import { failedWith, hold, makeStock, spawn, working } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

const ok = () => Effect.void
const idOf = ({ id }: Item) => Effect.succeed(id)
const server = (options: Omit<TimeFrame.Options, "name" | "timeout"> = {}) =>
  TimeFrame.run({ name: "server", ...options })

/** Who uses items of the pool called thing, as the snapshot shows it. */
const borrows = Effect.map(
  ResourceManager.snapshot,
  ({ allocations }) =>
    allocations.filter(({ resource, share }) => resource === "db" && share).map(({ frame, state }) =>
      `${frame} ${state}`
    )
)

const make = (options: Omit<ResourcePool.Options<Item>, "name"> = {}, stock = makeStock()) =>
  Effect.map(ResourcePool.make(stock.Thing, { name: "db", ...options }), (pool) => ({ pool, stock }))

describe("In a snapshot", () => {
  it.effect("a borrow shows with the frame that has the item, and a waiter with the frame that waits", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      const gate = yield* Latch.make()
      const holder = yield* spawn(ResourcePool.use(pool, () => gate.await).pipe(TimeFrame.run({ name: "report" })))
      yield* settle
      const waiter = yield* spawn(
        Effect.scoped(Effect.andThen(ResourcePool.get(pool), Effect.void)).pipe(TimeFrame.run({ name: "request" }))
      )
      yield* settle
      assert.sameMembers(yield* borrows, ["server/report live", "server/request acquiring"])
      const snapshot = yield* ResourceManager.snapshot
      assert.deepInclude(snapshot.pools.find(({ name }) => name === "db")!, { used: 1, idle: 0, waiting: 1, max: 1 })
      assert.include(Snapshot.render(snapshot), "1 of at most 1 in use")
      yield* gate.open
      yield* Fiber.joinAll([holder, waiter])
      assert.deepStrictEqual(yield* borrows, [])
    }).pipe(server(), managed()))

  it.effect("an item that was borrowed with get is shown until its scope closes", () =>
    Effect.gen(function*() {
      const { pool } = yield* make()
      yield* Effect.gen(function*() {
        yield* ResourcePool.get(pool)
        assert.deepStrictEqual(yield* borrows, ["server/request live"])
      }).pipe(TimeFrame.run({ name: "request" }))
      assert.deepStrictEqual(yield* borrows, [])
    }).pipe(server(), managed()))

  it.effect("no pool and no borrow is left after the end of the pool", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const { pool } = yield* make({ min: 2 })
        yield* settle
        yield* ResourcePool.use(pool, ok)
        assert.strictEqual((yield* ResourceManager.snapshot).pools.length, 1)
      }))
      const snapshot = yield* ResourceManager.snapshot
      assert.deepStrictEqual(snapshot.pools, [])
      assert.deepStrictEqual(snapshot.allocations, [])
      assert.strictEqual(snapshot.frames.length, 2)
    }).pipe(server(), managed()))
})

describe("The budget", () => {
  it.effect("of the owner pays for each item once, however often it is borrowed", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 2, concurrency: 2 })
      yield* Effect.gen(function*() {
        yield* ResourcePool.get(pool)
        yield* ResourcePool.get(pool)
        yield* ResourcePool.get(pool)
        assert.strictEqual(yield* usedBy("server", "things"), 2)
        // The borrower does not pay for what the owner has.
        assert.isUndefined(yield* usedBy("server/request", "things"))
      }).pipe(TimeFrame.run({ name: "request", budget: {} }))
      assert.strictEqual(yield* usedBy("server", "things"), 2)
      yield* ResourcePool.close(pool)
      assert.strictEqual(yield* usedBy("server", "things"), 0)
    }).pipe(server({ budget: { things: 5 } }), managed()))

  it.effect("of a borrower is not charged for items, however small it is", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 2 })
      yield* ResourcePool.use(pool, ok).pipe(TimeFrame.run({ name: "poor", budget: { things: 0 } }))
    }).pipe(server({ budget: { things: 5 } }), managed()))

  it.effect("that is too small fails the borrow with BudgetExceeded from the creation", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 3 })
      const holder = yield* hold(pool)
      const fiber = yield* spawn(ResourcePool.use(pool, ok))
      yield* settle
      const error = failedWith(fiber)
      assert.strictEqual(error._tag, "BudgetExceeded")
      assert.deepInclude(error as ResourceError.BudgetExceeded, { unit: "things", limit: 1, used: 1, requested: 1 })
      yield* holder.release
      yield* ResourcePool.use(pool, ok)
    }).pipe(server({ budget: { things: 1 } }), managed()))

  it.effect("above several pools holds for all of them together (sqlx's parent_pool)", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* make({ max: 5 }), yield* make({ max: 5 })]
      yield* Effect.forEach([one.pool, two.pool, one.pool], hold)
      assert.strictEqual(yield* usedBy("server", "things"), 3)
      const fiber = yield* spawn(ResourcePool.use(two.pool, () => ResourcePool.use(two.pool, ok)))
      yield* settle
      assert.strictEqual(failedWith(fiber)._tag, "BudgetExceeded")
    }).pipe(server({ budget: { things: 3 } }), managed()))

  for (const way of ["use", "get", "allocate"] as const) {
    it.effect(`of the borrower pays the borrowCost of ${way}, from when it waits until it gives back`, () =>
      Effect.gen(function*() {
        const stock = makeStock()
        const pool = yield* ResourcePool.make(stock.Thing, { max: 1, borrowCost: { loans: 2 } })
        const gate = yield* Latch.make()
        const borrow: Effect.Effect<void, { readonly _tag: string }, TimeFrame.TimeFrame | Scope.Scope> = way === "use"
          ? ResourcePool.use(pool, () => gate.await)
          : way === "get"
          ? Effect.andThen(ResourcePool.get(pool), gate.await)
          : Effect.andThen(ResourceManager.allocate(pool), gate.await)
        const one = yield* spawn(borrow.pipe(TimeFrame.run({ name: "one", budget: { loans: 2 } })))
        yield* settle
        assert.strictEqual(yield* usedBy("server/one", "loans"), 2)
        assert.strictEqual(yield* usedBy("server", "loans"), 2)
        const two = yield* spawn(borrow.pipe(TimeFrame.run({ name: "two", budget: { loans: 1 } })))
        yield* settle
        const error = failedWith(two)
        assert.strictEqual(error._tag, "BudgetExceeded")
        assert.deepInclude(error as unknown as ResourceError.BudgetExceeded, { unit: "loans", requested: 2, limit: 1 })
        yield* gate.open
        yield* Fiber.join(one)
        assert.strictEqual(yield* usedBy("server", "loans"), 0)
      }).pipe(server({ budget: { loans: 10 } }), managed()))
  }

  it.effect("gets the borrowCost back from a borrow that failed, timed out or was interrupted", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, acquireTimeout: 100, borrowCost: { loans: 1 } })
      const holder = yield* hold(pool)
      assert.strictEqual(yield* usedBy("server", "loans"), 1)
      const late = yield* spawn(ResourcePool.use(pool, ok))
      const dropped = yield* spawn(ResourcePool.use(pool, ok))
      yield* settle
      assert.strictEqual(yield* usedBy("server", "loans"), 3)
      yield* Fiber.interrupt(dropped)
      assert.strictEqual(yield* usedBy("server", "loans"), 2)
      yield* TestClock.adjust(100)
      assert.strictEqual(failedWith(late)._tag, "PoolTimeout")
      yield* holder.release
      yield* Effect.exit(ResourcePool.use(pool, () => Effect.fail("no")))
      assert.strictEqual(yield* usedBy("server", "loans"), 0)
    }).pipe(server({ budget: { loans: 10 } }), managed()))

  it.effect("that paid a borrowCost gets it back, also when the item was got for an outer scope", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, borrowCost: { loans: 1 } })
      yield* Effect.gen(function*() {
        const outer = yield* Effect.scope
        yield* Effect.gen(function*() {
          yield* Scope.provide(ResourcePool.get(pool), outer)
          assert.strictEqual(yield* usedBy("server/outer/inner", "loans"), 1)
        }).pipe(TimeFrame.run({ name: "inner", budget: { loans: 1 } }))
      }).pipe(TimeFrame.run({ name: "outer", budget: { loans: 1 } }))
      assert.strictEqual(yield* usedBy("server", "loans"), 0)
      yield* ResourcePool.use(pool, ok)
    }).pipe(server({ budget: { loans: 1 } }), managed()))
})

describe("An allocation of a pool", () => {
  it.effect("has the item, and gives it back early, once", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      const handle = yield* ResourceManager.allocate(pool)
      assert.strictEqual(handle.value.id, 1)
      yield* handle.release
      yield* handle.release
      const stats = yield* ResourcePool.stats(pool)
      assert.deepInclude(stats, { idle: 1, used: 0 })
      assert.strictEqual(stats.counts.returned, 1)
    }).pipe(server(), managed()))

  it.effect("can not be used after its release", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      const handle = yield* ResourceManager.allocate(pool)
      yield* handle.release
      const exit = yield* Effect.exit(Effect.sync(() => handle.value))
      assert.strictEqual((defectsOf(exit)[0] as { readonly _tag: string })._tag, "AllocationReleased")
      assert.match(String((defectsOf(exit)[0] as Error).message), /"db".*has been released/)
    }).pipe(server(), managed()))

  it.effect("ends with its frame", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      const handle = yield* ResourceManager.allocate(pool).pipe(TimeFrame.run({ name: "short" }))
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 1)
      assert.throws(() => handle.value)
    }).pipe(server(), managed()))

  it.effect("can be moved to another frame, with which it ends", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      yield* Effect.gen(function*() {
        const outer = yield* TimeFrame.current
        const handle = yield* Effect.gen(function*() {
          const handle = yield* ResourceManager.allocate(pool)
          yield* Allocation.transfer(handle, outer)
          return handle
        }).pipe(TimeFrame.run({ name: "inner" }))
        assert.strictEqual(handle.value.id, 1)
        assert.deepStrictEqual(yield* borrows, ["server/outer live"])
      }).pipe(TimeFrame.run({ name: "outer" }))
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 1)
    }).pipe(server(), managed()))

  it.effect("can be moved with its borrowCost, which the new frame pays", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, borrowCost: { loans: 1 } })
      yield* Effect.gen(function*() {
        const outer = yield* TimeFrame.current
        yield* Effect.gen(function*() {
          yield* Allocation.transfer(yield* ResourceManager.allocate(pool), outer)
          assert.strictEqual(yield* usedBy("server/outer/inner", "loans"), 0)
        }).pipe(TimeFrame.run({ name: "inner", budget: { loans: 1 } }))
        assert.strictEqual(yield* usedBy("server/outer", "loans"), 1)
      }).pipe(TimeFrame.run({ name: "outer", budget: { loans: 1 } }))
      assert.strictEqual(yield* usedBy("server", "loans"), 0)
    }).pipe(server({ budget: { loans: 5 } }), managed()))

  it.effect("with others is all or none", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const { pool } = yield* make({ max: 1, acquireTimeout: 100 })
      yield* Effect.gen(function*() {
        const [item, text] = yield* ResourceManager.allocateAll([[pool], [Thing, "a"]])
        assert.strictEqual(item.value.id, 1)
        assert.strictEqual(text.value, "a")
        assert.strictEqual((yield* ResourcePool.stats(pool)).used, 1)
      }).pipe(TimeFrame.run({ name: "both" }))
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 1)
      const holder = yield* hold(pool)
      const fiber = yield* spawn(
        ResourceManager.allocateAll([[Thing, "b"], [pool]]).pipe(TimeFrame.run({ name: "neither" }))
      )
      yield* settle
      yield* TestClock.adjust(100)
      assert.strictEqual((failedWith(fiber) as { readonly _tag: string })._tag, "PoolTimeout")
      yield* holder.release
    }).pipe(server(), managed()))

  it.effect("is used without a handle as well", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      assert.strictEqual(yield* ResourceManager.use(pool, undefined, idOf), 1)
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 1)
    }).pipe(server(), managed()))

  it.effect("in a frame that has ended is refused", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      const frame = yield* TimeFrame.current.pipe(TimeFrame.run({ name: "gone" }))
      const exit = yield* Effect.exit(TimeFrame.provide(ResourceManager.allocate(pool), frame))
      assert.strictEqual((failureOf(exit) as { readonly _tag: string })._tag, "FrameClosed")
      assert.strictEqual((yield* ResourcePool.stats(pool)).used, 0)
    }).pipe(server(), managed()))
})

describe("A frame that ends", () => {
  it.effect("gives back what it borrowed, before what it acquired earlier is released", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const { pool } = yield* make({ max: 1, reset: () => say("item back") })
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, "first")
        yield* ResourcePool.get(pool)
        yield* ResourceManager.allocate(Thing, "last")
      }).pipe(TimeFrame.run({ name: "request" }))
      assert.deepStrictEqual(lines, ["+first", "+last", "-last", "item back", "-first"])
    }).pipe(server(), managed()))

  it.effect("at its deadline while it waits names the pool, and leaves the queue", () =>
    Effect.gen(function*() {
      const { pool } = yield* make({ max: 1 })
      const holder = yield* hold(pool)
      const fiber = yield* spawn(ResourcePool.use(pool, ok).pipe(TimeFrame.run({ name: "request", timeout: 100 })))
      yield* settle
      yield* TestClock.adjust(100)
      yield* settle
      const error = failedWith(fiber) as ResourceError.DeadlineExceeded
      assert.strictEqual(error._tag, "DeadlineExceeded")
      assert.deepStrictEqual(error.waitingFor, ["db"])
      assert.include(error.message, `while waiting for "db"`)
      assert.strictEqual((yield* ResourcePool.stats(pool)).waiting, 0)
      yield* holder.release
      yield* ResourcePool.use(pool, ok)
    }).pipe(server(), managed()))

  it.effect("at its deadline with an item in use gives it back", () =>
    Effect.gen(function*() {
      const { pool, stock } = yield* make({ max: 1 })
      const fiber = yield* spawn(
        ResourcePool.use(pool, working(stock, () => Effect.never)).pipe(
          TimeFrame.run({ name: "request", timeout: 100 })
        )
      )
      yield* settle
      yield* TestClock.adjust(100)
      yield* settle
      const error = failedWith(fiber) as ResourceError.DeadlineExceeded
      assert.deepStrictEqual(error.holders.map(({ resource, state }) => ({ resource, state })), [
        { resource: "db", state: "live" }
      ])
      assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 1, used: 0 })
      assert.deepStrictEqual(stock.wrong, [])
    }).pipe(server(), managed()))

  it.effect("leaves an item to a fiber that outlived it, which gives it back by itself, and shows it as an orphan", () =>
    Effect.gen(function*() {
      const { pool, stock } = yield* make({ max: 1 })
      const gate = yield* Latch.make()
      const detached = yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkDetach(ResourcePool.use(pool, (item) => Effect.as(gate.await, item.id)), {
          startImmediately: true
        })
        yield* settle
        return fiber
      }).pipe(TimeFrame.run({ name: "request" }))
      assert.isUndefined(detached.pollUnsafe())
      const { allocations } = yield* ResourceManager.snapshot
      assert.deepStrictEqual(
        allocations.filter(({ orphaned }) => orphaned).map(({ frame, resource, state }) => [frame, resource, state]),
        [["server/request", "db", "live"]]
      )
      const next = yield* hold(pool)
      yield* settle
      assert.isFalse(next.has())
      yield* gate.open
      yield* settle
      assert.strictEqual(yield* Fiber.join(detached), 1)
      assert.isTrue(next.has())
      assert.deepStrictEqual(stock.closed, [])
    }).pipe(server(), managed()))

  it.effect("owns its pool, which ends with it", () =>
    Effect.gen(function*() {
      const { pool, stock } = yield* make({ min: 2 }).pipe(
        Effect.tap(settle),
        TimeFrame.run({ name: "owner" })
      )
      assert.sameMembers(stock.closed, [1, 2])
      assert.strictEqual(
        ((yield* Effect.flip(ResourcePool.use(pool, ok))) as { readonly _tag: string })._tag,
        "PoolClosed"
      )
    }).pipe(server(), managed()))

  it.effect("that owns a pool waits for a borrower in another frame, for as long as its grace period", () =>
    Effect.gen(function*() {
      const ready = yield* Latch.make()
      let pool: Effect.Success<ReturnType<typeof make>>["pool"] | undefined
      let stock: ReturnType<typeof makeStock> | undefined
      const owner = yield* spawn(
        Effect.gen(function*() {
          const made = yield* make({ max: 1 })
          pool = made.pool
          stock = made.stock
          yield* ready.await
        }).pipe(TimeFrame.run({ name: "owner", gracePeriod: "1 second" }))
      )
      yield* settle
      yield* spawn(ResourcePool.use(pool!, () => Effect.never).pipe(TimeFrame.run({ name: "user" })))
      yield* settle
      yield* ready.open
      yield* settle
      yield* TestClock.adjust(999)
      assert.isUndefined(owner.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.isTrue(Exit.isSuccess(owner.pollUnsafe()!))
      assert.deepStrictEqual(stock!.closed, [1])
    }).pipe(server(), managed()))
})

describe("Without a manager", () => {
  it.effect("a pool lends, waits, times out and closes, and needs nothing but a scope", () =>
    Effect.gen(function*() {
      const { pool, stock } = yield* make({ max: 1, acquireTimeout: 100 })
      const holder = yield* hold(pool)
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* TestClock.adjust(100)
      assert.strictEqual((failedWith(fiber) as { readonly _tag: string })._tag, "PoolTimeout")
      yield* holder.release
      yield* ResourcePool.close(pool)
      assert.deepStrictEqual(stock.closed, [1])
    }))
})

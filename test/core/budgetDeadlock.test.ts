import {
  Allocation,
  Budget,
  Cost,
  ResourceDefinition,
  ResourceManager,
  ResourcePool,
  TimeFrame
} from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schema } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, managed, settle, start } from "./fixtures.ts"
import { makeStock } from "./poolFixtures.ts"

const unit = (name: string) =>
  ResourceDefinition.temporal(name, { cost: (): Cost.Cost => ({ [name]: 1 }), acquire: () => Effect.succeed(name) })

const Connection = unit("connection")
const Token = unit("token")

const nothing = () => Effect.void

/** Takes one thing, waits for its turn, then wants another. */
const nested = (
  name: string,
  outer: typeof Connection,
  turn: Effect.Effect<void>,
  inner: typeof Connection
) =>
  ResourceManager.use(outer, () => Effect.andThen(turn, ResourceManager.use(inner, nothing))).pipe(
    TimeFrame.run({ name })
  )

const deadlockOf = (fiber: Fiber.Fiber<unknown, unknown>): ResourceError.WouldDeadlock => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, "it hangs")
  const failure = failureOf(exit) as ResourceError.WouldDeadlock
  assert.strictEqual(failure?._tag, "WouldDeadlock", String(exit))
  return failure
}

const waiting = (budget: Budget.Budget) => TimeFrame.run({ name: "server", budget, exhausted: "wait" })

describe("A wait for a budget that could never end", () => {
  it.effect("is refused to the last of those who each need one more, and the others go on (sequelize#10976)", () =>
    Effect.gen(function*() {
      const turn = yield* Latch.make()
      const fibers = yield* Effect.forEach(
        ["one", "two"],
        (name) => start(nested(`transaction ${name}`, Connection, turn.await, Connection))
      )
      yield* settle
      yield* turn.open
      yield* settle
      const error = deadlockOf(fibers[1]!)
      assert.deepInclude(error, { pool: "connection", requestedBy: "server/transaction two" })
      assert.deepStrictEqual(error.cycle.map(({ frame }) => frame), [
        "server/transaction one",
        "server/transaction two"
      ])
      assert.match(error.message, /can not wait for 1 of "connection" in server for "connection"/)
      assert.match(error.message, /server\/transaction one.* holds "connection" and waits for "connection"/)
      yield* settle
      assert.isTrue(Exit.isSuccess(fibers[0]!.pollUnsafe()!))
    }).pipe(waiting({ connection: 2 }), managed()))

  it.effect("is refused all the way round two units", () =>
    Effect.gen(function*() {
      const turn = yield* Latch.make()
      const one = yield* start(nested("one", Connection, turn.await, Token))
      const two = yield* start(nested("two", Token, turn.await, Connection))
      yield* settle
      yield* turn.open
      yield* settle
      assert.deepStrictEqual(deadlockOf(two).cycle, [
        { frame: "server/one", holds: ["connection"], waitsFor: "token" },
        { frame: "server/two", holds: ["token"], waitsFor: "connection" }
      ])
      yield* settle
      assert.isTrue(Exit.isSuccess(one.pollUnsafe()!))
    }).pipe(waiting({ connection: 1, token: 1 }), managed()))

  it.effect("is refused all the way round a budget and a pool, whoever is last", () =>
    Effect.gen(function*() {
      for (const last of ["pool", "budget"]) {
        const pool = yield* ResourcePool.make(makeStock().Thing, { name: "db", max: 1 })
        const early = yield* Latch.make()
        const late = yield* Latch.make()
        const [ofBudget, ofPool] = last === "pool" ? [early, late] : [late, early]
        const budgetLast = yield* start(
          ResourcePool.use(pool, () => Effect.andThen(ofBudget.await, ResourceManager.use(Connection, nothing)))
        )
        const poolLast = yield* start(
          ResourceManager.use(Connection, () => Effect.andThen(ofPool.await, ResourcePool.use(pool, nothing)))
        )
        yield* settle
        yield* early.open
        yield* settle
        yield* late.open
        yield* settle
        const { cycle } = deadlockOf(last === "pool" ? poolLast : budgetLast)
        assert.deepStrictEqual(cycle.map(({ waitsFor }) => waitsFor).toSorted(), ["connection", "db"])
        yield* settle
        assert.isTrue(Exit.isSuccess((last === "pool" ? budgetLast : poolLast).pollUnsafe()!))
      }
    }).pipe(waiting({ connection: 1 }), managed()))

  it.effect("is refused where a frame with a timeout of its own waits on behalf of who holds it", () =>
    Effect.gen(function*() {
      const fiber = yield* start(
        ResourceManager.use(
          Connection,
          () => ResourceManager.use(Connection, nothing).pipe(TimeFrame.run({ name: "query", timeout: "1 minute" }))
        )
      )
      yield* settle
      assert.strictEqual(deadlockOf(fiber).requestedBy, "server/query")
    }).pipe(waiting({ connection: 1 }), managed()))
})

describe("A want for more than one holder has", () => {
  it.effect("is a deadlock when one of those whom it takes waits for it, whoever else may give back", () =>
    Effect.gen(function*() {
      const units = (name: string, units: number) =>
        ResourceDefinition.temporal(name, { cost: (): Cost.Cost => ({ units }), acquire: () => Effect.succeed(name) })
      const One = units("one", 1)
      const pool = yield* ResourcePool.make(makeStock().Thing, { name: "db", max: 1 })
      const hold = yield* Latch.make()
      const turn = yield* Latch.make()
      yield* start(ResourceManager.use(One, () => hold.await))
      const borrower = yield* start(
        ResourceManager.use(One, () => Effect.andThen(turn.await, ResourcePool.use(pool, nothing)))
      )
      const lender = yield* start(ResourcePool.use(pool, () => ResourceManager.use(units("two", 2), nothing)))
      yield* settle
      yield* turn.open
      yield* settle
      assert.deepStrictEqual(deadlockOf(borrower).cycle.map(({ waitsFor }) => waitsFor), ["units", "db"])
      yield* hold.open
      yield* settle
      assert.isTrue(Exit.isSuccess(lender.pollUnsafe()!))
    }).pipe(waiting({ units: 2 }), managed()))
})

describe("The search for a deadlock", () => {
  it.effect("costs one who begins to wait the same, however much others hold and however many wait", () =>
    Effect.gen(function*() {
      let looks = 0
      const Counted = ResourceDefinition.temporal("counted", {
        params: Schema.Literals(["desk", "chair"]),
        cost: (unit): Cost.Cost =>
          new Proxy({ [unit]: 1 }, {
            get: (cost, key) => {
              looks++
              return cost[key as "desk"]
            }
          }),
        acquire: () => Effect.void
      })
      const gate = yield* Latch.make()
      const use = (unit: "desk" | "chair", body: Effect.Effect<void, any, any>) =>
        ResourceManager.use(Counted, unit, () => body)
      // Half of them hold a desk and no more, and the chairs are taken.
      for (let i = 0; i < 500; i++) yield* start(use("desk", gate.await))
      for (let i = 0; i < 10; i++) yield* start(use("chair", gate.await))
      const looksOf = Effect.gen(function*() {
        const before = looks
        yield* start(use("desk", use("chair", gate.await)))
        yield* settle
        return looks - before
      })
      const first = yield* looksOf
      for (let i = 0; i < 497; i++) yield* start(use("desk", use("chair", gate.await)))
      const last = yield* looksOf
      assert.isAtMost(last, first)
      assert.isBelow(first, 30)
      yield* gate.open
    }).pipe(waiting({ desk: 1000, chair: 10 }), managed()))

  it.effect("is refused to one who holds what it has moved out of a frame inside of its own", () =>
    Effect.gen(function*() {
      const turn = yield* Latch.make()
      const program = (name: string, timeout?: number) =>
        Effect.gen(function*() {
          const outer = yield* TimeFrame.current
          yield* Effect.flatMap(ResourceManager.allocate(Connection), Allocation.transfer(outer)).pipe(
            TimeFrame.run({ name: "build", ...(timeout === undefined ? undefined : { timeout }) })
          )
          yield* turn.await
          yield* ResourceManager.use(Connection, nothing)
        }).pipe(TimeFrame.run({ name }))
      const fibers = [yield* start(program("one")), yield* start(program("two", 1000))]
      yield* settle
      yield* turn.open
      yield* settle
      const error = deadlockOf(fibers[1]!)
      assert.deepStrictEqual(error.cycle.map(({ frame, holds }) => [frame, holds]), [
        ["server/one", ["connection"]],
        ["server/two", ["connection"]]
      ])
      assert.isTrue(Exit.isSuccess(fibers[0]!.pollUnsafe()!))
    }).pipe(waiting({ connection: 2 }), managed()))

  it.effect("knows what one who waits has lost meanwhile", () =>
    Effect.gen(function*() {
      const theirs = yield* TimeFrame.make({ name: "theirs" })
      const turn = yield* Latch.make()
      const other = yield* start(nested("other", Token, turn.await, Connection))
      let handle: Allocation.Handle | undefined
      const holder = yield* start(
        Effect.gen(function*() {
          handle = yield* ResourceManager.allocate(Connection)
          yield* ResourceManager.use(Token, nothing)
        }).pipe(TimeFrame.run({ name: "holder" }))
      )
      yield* settle
      yield* Allocation.transfer(handle!, theirs)
      yield* turn.open
      yield* settle
      // It waits for the end of another frame, and not for the one who waits for its token.
      assert.isUndefined(other.pollUnsafe())
      yield* TimeFrame.close(theirs)
      yield* settle
      assert.isTrue(Exit.isSuccess(other.pollUnsafe()!))
      assert.isTrue(Exit.isSuccess(holder.pollUnsafe()!))
    }).pipe(waiting({ connection: 1, token: 1 }), managed()))
})

describe("There is no deadlock", () => {
  it.effect("while another holder can still give back", () =>
    Effect.gen(function*() {
      const hold = yield* Latch.make()
      yield* start(ResourceManager.use(Connection, () => hold.await))
      const fiber = yield* start(nested("one", Connection, Effect.void, Connection))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* hold.open
      yield* settle
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
    }).pipe(waiting({ connection: 2 }), managed()))

  it.effect("with one who has waited, though the frame that it waited in has gone elsewhere meanwhile", () =>
    Effect.gen(function*() {
      const Session = ResourceDefinition.temporal("session", { acquire: () => TimeFrame.current })
      const elsewhere = yield* TimeFrame.current
      const [free, moves, end] = [yield* Latch.make(), yield* Latch.make(), yield* Latch.make()]
      yield* start(ResourceManager.use(Token, () => free.await))
      const holder = yield* start(ResourceManager.use(Connection, () =>
        Effect.gen(function*() {
          const session = yield* ResourceManager.allocate(Session)
          yield* start(Effect.andThen(moves.await, Allocation.transfer(session, elsewhere)))
          yield* ResourceManager.use(Token, nothing).pipe(TimeFrame.provide(session.value))
          yield* end.await
        }).pipe(TimeFrame.run({ name: "holder", timeout: 1000 }))))
      yield* settle
      yield* moves.open
      yield* settle
      yield* free.open
      yield* settle
      const turn = yield* Latch.make()
      const other = yield* start(nested("other", Token, turn.await, Connection))
      const behind = yield* start(ResourceManager.use(Token, nothing))
      yield* settle
      yield* turn.open
      yield* settle
      assert.isUndefined(other.pollUnsafe())
      yield* end.open
      yield* settle
      assert.isTrue(Exit.isSuccess(behind.pollUnsafe()!))
      assert.isTrue(Exit.isSuccess(other.pollUnsafe()!))
      assert.isTrue(Exit.isSuccess(holder.pollUnsafe()!))
    }).pipe(waiting({ connection: 1, token: 1 }), managed()))

  it.effect("while a rate refills", () =>
    Effect.gen(function*() {
      const fiber = yield* start(nested("one", Token, Effect.void, Token))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
    }).pipe(waiting({ token: Budget.rate(1, "1 second") }), managed()))

  it.effect("for who needs so little that it can go ahead of those who wait for what it has", () =>
    Effect.gen(function*() {
      const Large = ResourceDefinition.temporal("large", {
        cost: (): Cost.Cost => ({ connection: 9 }),
        acquire: () => Effect.succeed("large")
      })
      const turn = yield* Latch.make()
      const small = yield* start(nested("small", Connection, turn.await, Connection))
      yield* settle
      const large = yield* start(ResourceManager.use(Large, nothing))
      yield* start(ResourceManager.use(Connection, () => Effect.void))
      yield* settle
      yield* turn.open
      yield* settle
      assert.isTrue(Exit.isSuccess(small.pollUnsafe()!))
      assert.isTrue(Exit.isSuccess(large.pollUnsafe()!))
    }).pipe(waiting({ connection: 9 }), managed()))

  it.effect("for who can be served before the one that waits for what it has, when another one gives back", () =>
    Effect.gen(function*() {
      const Both = ResourceDefinition.temporal("both", {
        cost: (): Cost.Cost => ({ connection: 2 }),
        acquire: () => Effect.succeed("both")
      })
      const turn = yield* Latch.make()
      const hold = yield* Latch.make()
      yield* start(ResourceManager.use(Connection, () => hold.await))
      const small = yield* start(nested("small", Connection, turn.await, Connection))
      yield* settle
      const large = yield* start(ResourceManager.use(Both, nothing))
      yield* settle
      yield* turn.open
      yield* settle
      assert.isUndefined(small.pollUnsafe())
      yield* hold.open
      yield* settle
      assert.isTrue(Exit.isSuccess(small.pollUnsafe()!))
      assert.isTrue(Exit.isSuccess(large.pollUnsafe()!))
    }).pipe(waiting({ connection: 2 }), managed()))

  it.effect("where a frame has a reserve that comes back", () =>
    Effect.gen(function*() {
      const hold = yield* Latch.make()
      yield* start(TimeFrame.run(hold.await, { name: "sure", reserve: { connection: 1 } }))
      const fiber = yield* start(nested("one", Connection, Effect.void, Connection))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* hold.open
      yield* settle
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
    }).pipe(waiting({ connection: 2 }), managed()))
})

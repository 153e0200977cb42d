import { Cost, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schema } from "effect"
import { failureOf, managed, settle, start } from "./fixtures.ts"
import { makeStock } from "./poolFixtures.ts"

const Thing = ResourceDefinition.temporal("thing", {
  params: Schema.Int,
  cost: (u): Cost.Cost => ({ u }),
  acquire: () => Effect.succeed("thing")
})

const nothing = () => Effect.void

const deadlockOf = (fiber: Fiber.Fiber<unknown, unknown>) => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, "it hangs")
  const failure = failureOf(exit) as ResourceError.WouldDeadlock | undefined
  assert.strictEqual(failure?._tag, "WouldDeadlock", String(exit))
  return failure!
}

const succeeded = (fiber: Fiber.Fiber<unknown, unknown>) => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, "it hangs")
  assert.isTrue(Exit.isSuccess(exit), String(exit))
}

/** Has some of its reserve, and wants more when its turn comes. */
const sure = (name: string, turn: Latch.Latch, has: number, wants: number) =>
  ResourceManager.use(Thing, has, () => Effect.andThen(turn.await, ResourceManager.use(Thing, wants, nothing))).pipe(
    TimeFrame.run({ name, reserve: { u: 5 } })
  )

const inServer = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(TimeFrame.run({ name: "server", budget: { u: 10 }, exhausted: "wait" }), managed())

describe("Frames with a reserve each, that want more than that", () => {
  for (const [has, wants] of [[5, 1], [3, 3], [1, 5], [5, 5]] as const) {
    it.effect(`wait for one another: with ${has} of 5, the last one that asks for ${wants} is refused`, () =>
      inServer(Effect.gen(function*() {
        const turn = yield* Latch.make()
        const fibers = [yield* start(sure("one", turn, has, wants)), yield* start(sure("two", turn, has, wants))]
        yield* settle
        yield* turn.open
        yield* settle
        const error = deadlockOf(fibers[1]!)
        assert.deepInclude(error, { pool: "u", requestedBy: "server/two" })
        assert.deepStrictEqual(error.cycle.map(({ frame }) => frame), ["server/one", "server/two"])
        succeeded(fibers[0]!)
      })))
  }

  it.effect("wait as long as the other one goes on: its reserve comes back when it ends", () =>
    inServer(Effect.gen(function*() {
      const [turn, later] = [yield* Latch.make(), yield* Latch.make()]
      const other = yield* start(sure("other", later, 5, 1))
      const one = yield* start(sure("one", turn, 5, 1))
      yield* turn.open
      yield* settle
      assert.isUndefined(one.pollUnsafe())
      yield* Fiber.interrupt(other)
      yield* settle
      succeeded(one)
    })))
})

describe("A reserve that nobody uses", () => {
  it.effect("does not come back while the frame waits for one who waits for it", () =>
    inServer(Effect.gen(function*() {
      const db = yield* ResourcePool.make(makeStock().Thing, { name: "db", max: 1 })
      const turn = yield* Latch.make()
      const borrower = yield* start(
        ResourcePool.use(db, () => Effect.andThen(turn.await, ResourceManager.use(Thing, 6, nothing))).pipe(
          TimeFrame.run({ name: "borrower" })
        )
      )
      const keeper = yield* start(
        ResourcePool.use(db, nothing).pipe(TimeFrame.run({ name: "keeper", reserve: { u: 5 } }))
      )
      yield* turn.open
      yield* settle
      const error = deadlockOf(borrower)
      assert.deepStrictEqual(error.cycle, [
        { frame: "server/keeper", holds: ["u"], waitsFor: "db" },
        { frame: "server/borrower", holds: ["db"], waitsFor: "u" }
      ])
      succeeded(keeper)
    })))

  it.effect("comes back when its frame waits for something else", () =>
    inServer(Effect.gen(function*() {
      const turn = yield* Latch.make()
      yield* start(turn.await.pipe(TimeFrame.run({ name: "keeper", reserve: { u: 5 } })))
      const one = yield* start(
        ResourceManager.use(Thing, 4, () => ResourceManager.use(Thing, 4, nothing)).pipe(TimeFrame.run({ name: "one" }))
      )
      yield* settle
      assert.isUndefined(one.pollUnsafe())
      yield* turn.open
      yield* settle
      succeeded(one)
    })))

  it.effect("counts once where the frame around has some as well", () =>
    inServer(Effect.gen(function*() {
      const [turn, later] = [yield* Latch.make(), yield* Latch.make()]
      const other = yield* start(sure("other", later, 4, 4))
      const one = yield* start(sure("one", turn, 4, 4).pipe(TimeFrame.run({ name: "outer", reserve: { u: 5 } })))
      yield* turn.open
      yield* settle
      assert.isUndefined(one.pollUnsafe())
      yield* later.open
      yield* settle
      const error = deadlockOf(other)
      assert.deepStrictEqual(error.cycle.map(({ frame }) => frame), ["server/outer/one", "server/other"])
      succeeded(one)
    })))
})

import type { ResourceError } from "@chronovyan/core"
import { Budget, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Latch } from "effect"
import { failureOf, managed, settle, start } from "./fixtures.ts"
import { makeStock } from "./poolFixtures.ts"

const ok = () => Effect.void

const inFrame = (name: string) => TimeFrame.run({ name })

const Slot = ResourceDefinition.temporal("slot", { cost: () => ({ slots: 1 }), acquire: () => Effect.succeed("slot") })

const onePool = ResourcePool.make(makeStock().Thing, { name: "db", max: 1 })

/** A shared value whose acquisition does that first. */
const catalogOf = <E, R>(first: Effect.Effect<unknown, E, R>) =>
  ResourceDefinition.shared("catalog", { acquire: () => Effect.as(first, "catalog") })

const deadlockOf = (exit: Exit.Exit<unknown, unknown> | undefined) => {
  assert.isDefined(exit, "it hangs")
  const failure = failureOf(exit) as ResourceError.WouldDeadlock | undefined
  assert.strictEqual(failure?._tag, "WouldDeadlock", String(exit))
  return failure!
}

const succeeded = (exit: Exit.Exit<unknown, unknown> | undefined) => {
  assert.isDefined(exit, "it hangs")
  assert.isTrue(Exit.isSuccess(exit), String(exit))
}

describe("The acquisition of a shared value", () => {
  it.effect("is refused what its first user has and does not give back before the value is there", () =>
    Effect.gen(function*() {
      const db = yield* onePool
      const Catalog = catalogOf(ResourcePool.use(db, ok))
      const user = yield* start(
        ResourcePool.use(db, () => ResourceManager.allocate(Catalog)).pipe(inFrame("user"))
      )
      yield* settle
      const error = deadlockOf(user.pollUnsafe())
      assert.strictEqual(error.pool, "db")
      assert.deepStrictEqual(error.cycle, [
        { frame: "server/user", holds: ["db"], waitsFor: "catalog" },
        { frame: "catalog/catalog", holds: ["catalog"], waitsFor: "db" }
      ])
      assert.include(error.message, `server/user holds "db" and waits for "catalog"`)
      assert.strictEqual((yield* ResourcePool.stats(db)).idle, 1)
      yield* ResourceManager.use(Catalog, ok)
    }).pipe(inFrame("server"), managed()))

  it.effect("that waits already is refused as soon as one who has what it waits for waits for it", () =>
    Effect.gen(function*() {
      const db = yield* onePool
      const turn = yield* Latch.make()
      const Catalog = catalogOf(ResourcePool.use(db, ok))
      const holder = yield* start(
        ResourcePool.use(db, () => Effect.andThen(turn.await, ResourceManager.use(Catalog, ok))).pipe(inFrame("holder"))
      )
      const first = yield* start(ResourceManager.use(Catalog, ok).pipe(inFrame("first")))
      yield* settle
      assert.isUndefined(first.pollUnsafe())
      yield* turn.open
      yield* settle
      deadlockOf(holder.pollUnsafe())
      deadlockOf(first.pollUnsafe())
      assert.strictEqual((yield* ResourcePool.stats(db)).idle, 1)
    }).pipe(inFrame("server"), managed()))

  it.effect("may fall back to something else, and then all who wait get the value", () =>
    Effect.gen(function*() {
      const db = yield* onePool
      const turn = yield* Latch.make()
      const Catalog = catalogOf(Effect.ignore(ResourcePool.use(db, ok)))
      const holder = yield* start(
        ResourcePool.use(db, () => Effect.andThen(turn.await, ResourceManager.use(Catalog, ok)))
      )
      const first = yield* start(ResourceManager.use(Catalog, ok))
      yield* settle
      yield* turn.open
      yield* settle
      succeeded(holder.pollUnsafe())
      succeeded(first.pollUnsafe())
    }).pipe(inFrame("server"), managed()))

  it.effect("is refused a budget that its user has used up", () =>
    Effect.gen(function*() {
      const Catalog = catalogOf(ResourceManager.use(Slot, ok).pipe(Budget.wait()))
      const user = yield* start(
        ResourceManager.use(Slot, () => ResourceManager.allocate(Catalog)).pipe(inFrame("user"))
      )
      yield* settle
      const error = deadlockOf(user.pollUnsafe())
      assert.deepStrictEqual(error.cycle.map(({ waitsFor }) => waitsFor), ["catalog", "slots"])
    }).pipe(inFrame("server"), managed({ budget: { slots: 1 } })))

  it.effect("is refused a turn that its user has", () =>
    Effect.gen(function*() {
      const table = yield* ResourceManager.allocate(
        ResourceDefinition.shared("table", { access: "readWrite", acquire: () => Effect.succeed({}) })
      )
      const Catalog = catalogOf(table.read(ok))
      const user = yield* start(table.write(() => ResourceManager.allocate(Catalog)).pipe(inFrame("user")))
      yield* settle
      assert.deepInclude(deadlockOf(user.pollUnsafe()), { pool: "table", turn: "read" })
      yield* table.write(ok)
    }).pipe(inFrame("server"), managed()))

  it.effect("is refused when the circle goes through the acquisition of another value", () =>
    Effect.gen(function*() {
      const db = yield* onePool
      const Inner = ResourceDefinition.shared("inner", { acquire: () => ResourcePool.use(db, ok) })
      const Catalog = catalogOf(ResourceManager.allocate(Inner))
      const user = yield* start(ResourcePool.use(db, () => ResourceManager.allocate(Catalog)).pipe(inFrame("user")))
      yield* settle
      assert.deepStrictEqual(deadlockOf(user.pollUnsafe()).cycle.map(({ frame, waitsFor }) => [frame, waitsFor]), [
        ["catalog/catalog", "inner"],
        ["server/user", "catalog"],
        ["inner/inner", "db"]
      ])
    }).pipe(inFrame("server"), managed()))

  it.effect("waits like anyone else as long as somebody else can give back what it waits for", () =>
    Effect.gen(function*() {
      const db = yield* ResourcePool.make(makeStock().Thing, { name: "db", max: 2 })
      const latch = yield* Latch.make()
      const Catalog = catalogOf(ResourcePool.use(db, ok))
      yield* start(ResourcePool.use(db, () => latch.await))
      const user = yield* start(ResourcePool.use(db, () => ResourceManager.use(Catalog, ok)))
      yield* settle
      assert.isUndefined(user.pollUnsafe())
      yield* latch.open
      yield* settle
      succeeded(user.pollUnsafe())
    }).pipe(inFrame("server"), managed()))

  it.effect("that a user no longer waits for is in nobody's way", () =>
    Effect.gen(function*() {
      const db = yield* onePool
      const latch = yield* Latch.make()
      const Catalog = catalogOf(latch.await)
      const holder = yield* start(
        ResourcePool.use(db, () => Effect.race(ResourceManager.use(Catalog, ok), Effect.void))
      )
      const other = yield* start(ResourceManager.use(Catalog, () => ResourcePool.use(db, ok)))
      yield* settle
      succeeded(holder.pollUnsafe())
      yield* latch.open
      yield* settle
      succeeded(other.pollUnsafe())
    }).pipe(inFrame("server"), managed()))
})

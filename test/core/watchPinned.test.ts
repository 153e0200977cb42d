import { Allocation, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { heldNow, managed, settle, start } from "./fixtures.ts"
import { booksOf } from "./sweepWorld.ts"
import { contradictionsIn } from "./watchHistory.ts"

const Thing = ResourceDefinition.temporal("thing", {
  cost: () => ({ units: 1 }),
  acquire: () => Effect.succeed("thing"),
  release: () => Effect.void
})

const troubles = Effect.map(ResourceManager.snapshot, (one) => [...contradictionsIn(one), ...booksOf(one)])

/** How a definition or pool stands. */
const stateOf = (name: string, kind: string) =>
  Effect.map(ResourceManager.snapshot, ({ resources }) => {
    const { acquired, released, shares } = resources.find((one) => one.resource === name && one.kind === kind)!
    return { acquired, released, shares }
  })

describe("Pinned", () => {
  it.effect("who waited for what a move gives back may release what is moved", () =>
    Effect.gen(function*() {
      const outer = yield* TimeFrame.current
      yield* Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(Thing)
        const waiting = yield* start(ResourceManager.use(Thing, () => one.release))
        yield* Allocation.transfer(one, outer)
        yield* Fiber.join(waiting)
        assert.isFalse(one.isLive)
        assert.deepStrictEqual(yield* heldNow, [])
        assert.deepStrictEqual(yield* troubles, [])
      }).pipe(TimeFrame.run({ name: "inner", budget: { units: 1 }, exhausted: "wait" }))
    }).pipe(TimeFrame.run({ name: "outer" }), managed()))

  it.effect("what is still borrowed when its pool has ended is counted and shown until it comes back", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const pool = yield* ResourcePool.make(Thing, { name: "pool", min: 2, max: 2, warmUp: { failFast: true } })
      const inside = yield* start(ResourcePool.use(pool, () => gate.await))
      // In no frame.
      const outside = Effect.runFork(ResourcePool.use(pool, () => gate.await))
      yield* start(ResourcePool.close(pool, { timeout: "1 second" }))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(yield* stateOf("pool", "pool"), { acquired: 2, released: 0, shares: 2 })
      assert.deepStrictEqual((yield* heldNow).toSorted(), ["pool live", "pool live orphaned"])
      assert.deepStrictEqual(yield* troubles, [])
      yield* gate.open
      yield* Fiber.join(inside)
      yield* Fiber.join(outside)
      assert.deepStrictEqual(yield* stateOf("pool", "pool"), { acquired: 2, released: 2, shares: 0 })
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("what is done to an item that comes back sees that it has", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const look = Effect.map(ResourceManager.snapshot, (snapshot) => {
        seen.push(...contradictionsIn(snapshot), ...booksOf(snapshot))
        seen.push(`${snapshot.allocations.filter(({ share }) => share).length} borrowed`)
      })
      const options = { name: "pool", max: 1, borrowCost: { borrows: 1 }, reset: () => look }
      const pool = yield* ResourcePool.make(Thing, options)
      yield* ResourcePool.use(pool, () => Effect.void)
      yield* ResourceManager.use(pool, () => Effect.void)
      yield* (yield* ResourceManager.allocate(pool)).release
      yield* Effect.scoped(ResourcePool.get(pool))
      yield* TimeFrame.run(ResourceManager.allocate(pool), { name: "inner" })
      assert.deepStrictEqual(seen, Array.from({ length: 5 }, () => "0 borrowed"))
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

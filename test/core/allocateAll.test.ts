import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch } from "effect"
import {
  Costly,
  defectsOf,
  failureOf,
  heldNow,
  makeGated,
  makeLog,
  managed,
  settle,
  start,
  tagOf,
  usedBy
} from "./fixtures.ts"

const failing = (error: Effect.Effect<never, string>) =>
  ResourceDefinition.temporal("failing", { acquire: () => error })

describe("ResourceManager.allocateAll", () => {
  it.effect("gives all of them, in the order of the list, each with its own handle", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      yield* Effect.gen(function*() {
        const [a, b, costly] = yield* ResourceManager.allocateAll([[Thing, "a"], [Thing, "b"], [Costly, { memory: 3 }]])
        assert.deepStrictEqual([a.value, b.value, costly.value], ["a", "b", { memory: 3 }])
        yield* a.release
        assert.isTrue(b.isLive)
        assert.deepStrictEqual(yield* ResourceManager.allocateAll([]), [])
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+a", "+b", "-a", "-b"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("charges the budgets as one, before anything is acquired", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const exit = yield* Effect.exit(ResourceManager.allocateAll([[Thing, "a"], [Costly, { memory: 6 }], [Costly, {
        memory: 5
      }]]))
      assert.deepInclude(failureOf(exit), {
        _tag: "BudgetExceeded",
        limit: 10,
        requested: 11,
        unit: "memory",
        used: 0
      })
      assert.deepStrictEqual(lines, [])
      assert.strictEqual(yield* usedBy("frame", "memory"), 0)
      const [six] = yield* ResourceManager.allocateAll([[Costly, { memory: 6 }], [Costly, { memory: 4 }]])
      assert.strictEqual(yield* usedBy("frame", "memory"), 10)
      yield* six.release
      assert.strictEqual(yield* usedBy("frame", "memory"), 4)
    }).pipe(TimeFrame.run({ name: "frame", budget: { memory: 10 } }), managed()))

  it.effect("decodes all params before anything is charged or acquired", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const exit = yield* Effect.exit(
        ResourceManager.allocateAll([[Thing, "a"], [Costly, { memory: 6 }], [Thing, 5 as unknown as string]])
      )
      assert.deepInclude(failureOf(exit), { _tag: "InvalidParams", resource: "thing" })
      assert.deepStrictEqual(lines, [])
      assert.strictEqual(yield* usedBy("frame", "memory"), 0)
    }).pipe(TimeFrame.run({ name: "frame", budget: { memory: 10 } }), managed()))

  for (
    const [how, end] of [["fails", Effect.fail("no")], ["dies", Effect.die("no")], [
      "is interrupted",
      Effect.interrupt
    ]] as const
  ) {
    it.effect(`gives back what it has, the last one first, when one ${how}`, () =>
      Effect.gen(function*() {
        const { lines, Thing } = makeLog()
        const exit = yield* Effect.exit(ResourceManager.allocateAll([
          [Thing, "a"],
          [Costly, { memory: 1 }],
          [Thing, "b"],
          [failing(end)],
          [Costly, { memory: 2 }],
          [Thing, "c"]
        ]))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(
          how === "fails" ? failureOf(exit) : defectsOf(exit)[0],
          how === "is interrupted" ? undefined : "no"
        )
        assert.deepStrictEqual(lines, ["+a", "+b", "-b", "-a"])
        assert.strictEqual(yield* usedBy("frame", "memory"), 0)
        assert.deepStrictEqual(yield* heldNow, [])
      }).pipe(TimeFrame.run({ name: "frame", budget: { memory: 10 } }), managed()))
  }

  it.effect("is interrupted between two of them, and gives back what it has", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const { acquireGate, Gated, state } = makeGated({ acquire: true })
      const fiber = yield* start(ResourceManager.allocateAll([[Thing, "a"], [Gated], [Thing, "b"]]))
      const interrupting = yield* start(Fiber.interrupt(fiber))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* acquireGate.open
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(lines, ["+a", "-a"])
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that can not be interrupted, is not", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const { acquireGate, Gated } = makeGated({ acquire: true })
      const fiber = yield* ResourceManager.allocateAll([[Gated], [Thing, "b"]]).pipe(Effect.uninterruptible, start)
      const interrupting = yield* start(Fiber.interrupt(fiber))
      yield* acquireGate.open
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(lines, ["+b"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("fails with FrameClosed when its frame closes in the middle, and leaves nothing", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const { acquireGate, Gated, state } = makeGated({ acquire: true })
      const frame = yield* TimeFrame.make({ name: "frame", budget: { memory: 10 } })
      const fiber = yield* ResourceManager.allocateAll([[Thing, "a"], [Gated], [Costly, { memory: 3 }], [Thing, "b"]])
        .pipe(TimeFrame.provide(frame), Effect.exit, start)
      yield* TimeFrame.close(frame)
      assert.deepStrictEqual(lines, ["+a", "-a"])
      yield* acquireGate.open
      assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "FrameClosed")
      assert.deepStrictEqual(lines, ["+a", "-a"])
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
      assert.deepStrictEqual(yield* heldNow, [])
      assert.strictEqual(yield* usedBy("", "gates"), 0)
    }).pipe(Effect.scoped, managed()))

  it.effect("names true holders while some of what it has charged is not acquired yet", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const Slow = ResourceDefinition.temporal("slow", { cost: () => ({ memory: 3 }), acquire: () => gate.await })
      const fiber = yield* start(ResourceManager.allocateAll([[Slow], [Costly, { memory: 5 }]]))
      const error = failureOf(yield* Effect.exit(ResourceManager.allocate(Costly, { memory: 3 })))
      assert.strictEqual(error?._tag, "BudgetExceeded")
      if (error?._tag !== "BudgetExceeded") return
      assert.strictEqual(error.used, 8)
      assert.strictEqual(error.holders.reduce((sum, { amount }) => sum + amount, 0), 8)
      yield* gate.open
      yield* Fiber.join(fiber)
    }).pipe(TimeFrame.run({ name: "frame", budget: { memory: 10 } }), managed()))

  it.effect("takes shared values as well, which the manager pays for", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const Shared = ResourceDefinition.shared("shared", {
        cost: () => ({ memory: 100 }),
        acquire: () => Effect.as(say("+shared"), "shared"),
        release: () => say("-shared")
      })
      const exit = yield* ResourceManager.allocateAll([[Shared], [Shared], [Thing, "a"], [failing(Effect.fail("no"))]])
        .pipe(TimeFrame.run({ name: "first" }), Effect.exit)
      assert.strictEqual(failureOf(exit), "no")
      assert.deepStrictEqual(lines, ["+shared", "+a", "-a", "-shared"])
      yield* ResourceManager.allocateAll([[Shared], [Thing, "b"]]).pipe(TimeFrame.run({ name: "second" }))
      assert.deepStrictEqual(lines.slice(4), ["+shared", "+b", "-b", "-shared"])
      assert.strictEqual(yield* usedBy("", "memory"), 0)
    }).pipe(TimeFrame.run({ name: "frame", budget: { memory: 10 } }), managed()))
})

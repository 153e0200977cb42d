import { Allocation, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, pipe } from "effect"
import { TestClock } from "effect/testing"
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

const frameNamed = (name: string, budget?: { readonly [unit: string]: number }) =>
  TimeFrame.make(budget === undefined ? { name } : { name, budget })

describe("A handle", () => {
  it.effect("gives its value, its number and its name, until it is released", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const thing = yield* ResourceManager.allocate(Thing, "a")
      assert.isTrue(Allocation.isAllocation(thing))
      assert.isFalse(Allocation.isAllocation({ value: 1 }))
      assert.deepInclude({ id: thing.id, isLive: thing.isLive, resource: thing.resource, value: thing.value }, {
        id: 1,
        isLive: true,
        resource: "thing",
        value: "a"
      })
      yield* thing.release
      assert.isFalse(thing.isLive)
      assert.strictEqual(thing.resource, "thing")
      let thrown: unknown
      try {
        void thing.value
      } catch (error) {
        thrown = error
      }
      assert.deepInclude(thrown, { _tag: "AllocationReleased", allocation: 1, frame: "frame", resource: "thing" })
      assert.include((thrown as Error).message, "has been released")
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("has no value from the moment on in which its release starts", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate } = makeGated({ release: true })
      const gated = yield* ResourceManager.allocate(Gated)
      const releasing = yield* start(gated.release)
      assert.isFalse(gated.isLive)
      assert.throws(() => gated.value, /released/)
      yield* releaseGate.open
      yield* Fiber.join(releasing)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("can be printed after its release", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const thing = yield* ResourceManager.allocate(Thing, "a")
      yield* thing.release
      assert.isString(JSON.stringify(thing))
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("is none of another value that happens to be released", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const a = yield* ResourceManager.allocate(Thing, "a")
      const b = yield* ResourceManager.allocate(Thing, "b")
      yield* a.release
      assert.strictEqual(b.value, "b")
      assert.deepStrictEqual(lines, ["+a", "+b", "-a"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

describe("An early release", () => {
  it.effect("happens once, and gives back what it cost", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      yield* Effect.gen(function*() {
        const thing = yield* ResourceManager.allocate(Thing, "a")
        const costly = yield* ResourceManager.allocate(Costly, { memory: 5 })
        assert.strictEqual(yield* usedBy("frame", "memory"), 5)
        yield* costly.release
        assert.strictEqual(yield* usedBy("frame", "memory"), 0)
        yield* costly.release
        assert.strictEqual(yield* usedBy("frame", "memory"), 0)
        yield* thing.release
        yield* thing.release
        assert.deepStrictEqual(lines, ["+a", "-a"])
      }).pipe(TimeFrame.run({ name: "frame", budget: { memory: 10 } }))
      assert.deepStrictEqual(lines, ["+a", "-a"])
    }).pipe(managed()))

  it.effect("keeps everybody waiting who releases at the same time, and the frame that closes", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate, state } = makeGated({ release: true })
      const frame = yield* frameNamed("frame")
      const gated = yield* ResourceManager.allocate(Gated).pipe(TimeFrame.provide(frame))
      const fibers = yield* Effect.forEach([1, 2, 3], () => start(gated.release))
      const closing = yield* start(TimeFrame.close(frame))
      yield* settle
      assert.isTrue([...fibers, closing].every((fiber) => fiber.pollUnsafe() === undefined))
      yield* releaseGate.open
      yield* Fiber.joinAll([...fibers, closing])
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
    }).pipe(Effect.scoped, managed()))

  it.effect("goes on when its fiber is interrupted", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate, state } = makeGated({ release: true })
      const gated = yield* ResourceManager.allocate(Gated)
      const releasing = yield* start(gated.release)
      const interrupting = yield* start(Fiber.interrupt(releasing))
      yield* settle
      assert.isUndefined(releasing.pollUnsafe())
      yield* releaseGate.open
      yield* Fiber.join(interrupting)
      assert.strictEqual(state.released, 1)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  for (const early of [true, false]) {
    it.effect(`inside of the release itself changes nothing, ${early ? "early" : "when the frame closes"}`, () =>
      Effect.gen(function*() {
        let released = 0
        let handle: Allocation.Handle | undefined
        const Recursive = ResourceDefinition.temporal("recursive", {
          acquire: () => Effect.void,
          release: () =>
            Effect.yieldNow.pipe(
              Effect.andThen(Effect.suspend(() => handle!.release)),
              Effect.andThen(Effect.sync(() => released++))
            )
        })
        yield* Effect.gen(function*() {
          handle = yield* ResourceManager.allocate(Recursive)
          if (early) yield* handle.release
        }).pipe(TimeFrame.run({ name: "frame" }))
        assert.strictEqual(released, 1)
      }).pipe(managed()))
  }

  it.effect("tells the release that it went well, whatever happens later", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const Watching = ResourceDefinition.temporal("watching", {
        acquire: () => Effect.void,
        release: (_, exit) => Effect.sync(() => seen.push(exit._tag))
      })
      yield* Effect.gen(function*() {
        const early = yield* ResourceManager.allocate(Watching)
        yield* ResourceManager.allocate(Watching)
        yield* early.release
        return yield* Effect.fail("no")
      }).pipe(TimeFrame.run({ name: "frame" }), Effect.exit)
      assert.deepStrictEqual(seen, ["Success", "Failure"])
    }).pipe(managed()))
})

describe("Allocation.transfer", () => {
  it.effect("moves to the parent: it outlives the inner frame and ends with the outer one", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      yield* Effect.gen(function*() {
        const outer = yield* TimeFrame.current
        const kept = yield* Effect.gen(function*() {
          const kept = yield* ResourceManager.allocate(Thing, "kept")
          yield* ResourceManager.allocate(Thing, "left")
          yield* Allocation.transfer(kept, outer)
          return kept
        }).pipe(TimeFrame.run({ name: "inner" }))
        assert.deepStrictEqual(lines, ["+kept", "+left", "-left"])
        assert.strictEqual(kept.value, "kept")
      }).pipe(TimeFrame.run({ name: "outer" }))
      assert.deepStrictEqual(lines, ["+kept", "+left", "-left", "-kept"])
    }).pipe(managed()))

  it.effect("moves to a sibling, with its charge, and comes first there when that one closes", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const a = yield* frameNamed("a", { memory: 10 })
      const b = yield* frameNamed("b", { memory: 10 })
      const costly = yield* ResourceManager.allocate(Costly, { memory: 7 }).pipe(TimeFrame.provide(a))
      const thing = yield* ResourceManager.allocate(Thing, "moved").pipe(TimeFrame.provide(a))
      yield* ResourceManager.allocate(Thing, "old").pipe(TimeFrame.provide(b))
      yield* pipe(costly, Allocation.transfer(b))
      yield* Allocation.transfer(thing, b)
      assert.deepStrictEqual([yield* usedBy("a", "memory"), yield* usedBy("b", "memory")], [0, 7])
      yield* TimeFrame.close(a)
      assert.deepStrictEqual(costly.value, { memory: 7 })
      yield* costly.release
      assert.strictEqual(yield* usedBy("b", "memory"), 0)
      yield* TimeFrame.close(b)
      assert.deepStrictEqual(lines, ["+moved", "+old", "-moved", "-old"])
    }).pipe(Effect.scoped, managed()))

  it.effect("fails and changes nothing when the other frame is closed", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const closed = yield* frameNamed("closed")
      yield* TimeFrame.close(closed)
      yield* Effect.gen(function*() {
        const thing = yield* ResourceManager.allocate(Thing, "a")
        const exit = yield* Effect.exit(Allocation.transfer(thing, closed))
        assert.deepInclude(failureOf(exit), { _tag: "FrameClosed", frame: "closed", resource: "thing" })
        assert.strictEqual(thing.value, "a")
        lines.push("still there")
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+a", "still there", "-a"])
    }).pipe(Effect.scoped, managed()))

  it.effect("fails and changes nothing when the other frame has too little room", () =>
    Effect.gen(function*() {
      const a = yield* frameNamed("a", { memory: 10 })
      const b = yield* frameNamed("b", { memory: 6, files: 5 })
      yield* ResourceManager.allocate(Costly, { memory: 1 }).pipe(TimeFrame.provide(b))
      const costly = yield* ResourceManager.allocate(Costly, { files: 1, memory: 6 }).pipe(TimeFrame.provide(a))
      const exit = yield* Effect.exit(Allocation.transfer(costly, b))
      assert.deepInclude(failureOf(exit), { _tag: "BudgetExceeded", frame: "b", limit: 6, requested: 6, used: 1 })
      assert.deepStrictEqual([yield* usedBy("a", "memory"), yield* usedBy("b", "memory")], [6, 1])
      assert.strictEqual(yield* usedBy("b", "files"), 0)
      assert.isTrue(costly.isLive)
      yield* TimeFrame.close(a)
      assert.isFalse(costly.isLive)
      assert.strictEqual(yield* usedBy("b", "memory"), 1)
    }).pipe(Effect.scoped, managed()))

  it.effect("does not count twice in a limit that both frames lie in", () =>
    Effect.gen(function*() {
      const costly = yield* ResourceManager.allocate(Costly, { memory: 8 }).pipe(
        Effect.tap((costly) => Effect.flatMap(frameNamed("sibling"), (to) => Allocation.transfer(costly, to))),
        Effect.tap((costly) => Effect.flatMap(TimeFrame.current, (outer) => Allocation.transfer(costly, outer)))
      )
      assert.strictEqual(yield* usedBy("outer", "memory"), 8)
      const [budget] = (yield* ResourceManager.snapshot).frames.find(({ name }) => name === "outer")!.budgets
      assert.deepInclude(budget, { highWaterMark: 8, limit: 10, used: 8 })
      yield* costly.release
      assert.strictEqual(yield* usedBy("outer", "memory"), 0)
    }).pipe(TimeFrame.run({ name: "outer", budget: { memory: 10 } }), managed()))

  it.effect("fails for what has been released, and dies for a frame of another manager", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const frame = yield* TimeFrame.current
      const released = yield* ResourceManager.allocate(Thing, "a")
      yield* released.release
      const gone = yield* Effect.exit(Allocation.transfer(released, frame))
      assert.strictEqual(tagOf(gone), "AllocationReleased")
      const thing = yield* ResourceManager.allocate(Thing, "b")
      yield* Allocation.transfer(thing, frame)
      assert.isTrue(thing.isLive)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("to a frame of another manager dies, and changes nothing", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const there = yield* frameNamed("there")
      yield* Effect.gen(function*() {
        const here = yield* frameNamed("here")
        const thing = yield* ResourceManager.allocate(Thing, "a").pipe(TimeFrame.provide(here))
        const exit = yield* Effect.exit(Allocation.transfer(thing, there))
        assert.match(String(defectsOf(exit)[0]), /another manager/)
        assert.isTrue(thing.isLive)
      }).pipe(managed())
    }).pipe(Effect.scoped, managed()))

  it.effect("rescues a value from a frame that is closing, before its turn has come", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const { Gated, releaseGate } = makeGated({ release: true })
      const from = yield* frameNamed("from")
      const to = yield* frameNamed("to")
      const thing = yield* ResourceManager.allocate(Thing, "a").pipe(TimeFrame.provide(from))
      yield* ResourceManager.allocate(Gated).pipe(TimeFrame.provide(from))
      const closing = yield* start(TimeFrame.close(from))
      yield* Allocation.transfer(thing, to)
      yield* releaseGate.open
      yield* Fiber.join(closing)
      assert.strictEqual(thing.value, "a")
      yield* TimeFrame.close(to)
      assert.deepStrictEqual(lines, ["+a", "-a"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(Effect.scoped, managed()))

  it.effect("moves a shared value's use, so that the value stays with the other frame", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Shared = ResourceDefinition.shared("shared", {
        acquire: () => say("+shared"),
        release: () => say("-shared")
      })
      const to = yield* frameNamed("to")
      yield* ResourceManager.allocate(Shared).pipe(
        Effect.flatMap((share) => Allocation.transfer(share, to)),
        TimeFrame.run({ name: "from" })
      )
      assert.deepStrictEqual(lines, ["+shared"])
      yield* TimeFrame.close(to)
      assert.deepStrictEqual(lines, ["+shared", "-shared"])
    }).pipe(Effect.scoped, managed()))
})

it.effect("A late release of a handle whose frame has left it behind waits for the release under way", () =>
  Effect.gen(function*() {
    const gate = yield* Latch.make()
    const Slow = ResourceDefinition.temporal("slow", { acquire: () => Effect.void, release: () => gate.await })
    const slow = yield* ResourceManager.allocate(Slow).pipe(TimeFrame.run({ name: "frame", gracePeriod: 0 }))
    const waiting = yield* start(slow.release)
    yield* TestClock.adjust("1 second")
    assert.isUndefined(waiting.pollUnsafe())
    yield* gate.open
    yield* Fiber.join(waiting)
    assert.deepStrictEqual(yield* heldNow, [])
  }).pipe(managed()))

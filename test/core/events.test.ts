import { Allocation, ResourceDefinition, ResourceEvent, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Costly, makeGated, makeLog, managed, settle, start } from "./fixtures.ts"

const listen = Effect.gen(function*() {
  const told: Array<ResourceEvent.ResourceEvent> = []
  yield* ResourceManager.events.pipe(
    Stream.runForEach((event) => Effect.sync(() => told.push(event))),
    Effect.forkChild({ startImmediately: true })
  )
  return told
})

describe("ResourceManager.events", () => {
  it.effect("tells the complete history of a scenario, each fact after it happened", () =>
    Effect.gen(function*() {
      const told = yield* listen
      const Failing = ResourceDefinition.temporal("failing", { acquire: () => Effect.fail("no") })
      const Slow = ResourceDefinition.temporal("slow", {
        params: Schema.String,
        cost: () => ({ memory: 2 }),
        acquire: () => Effect.sleep("10 millis"),
        release: () => Effect.sleep("20 millis")
      })
      const fiber = yield* Effect.gen(function*() {
        const outer = yield* TimeFrame.current
        yield* Effect.gen(function*() {
          const slow = yield* ResourceManager.allocate(Slow, "a")
          yield* Effect.exit(ResourceManager.allocate(Failing))
          yield* Effect.exit(ResourceManager.allocate(Costly, { memory: 4 }))
          yield* Allocation.transfer(slow, outer)
        }).pipe(TimeFrame.run({ name: "inner" }))
      }).pipe(TimeFrame.run({ name: "outer", budget: { memory: 5 } }), start)
      yield* TestClock.adjust("10 millis")
      yield* TestClock.adjust("20 millis")
      yield* Fiber.join(fiber)
      yield* settle
      assert.deepStrictEqual(
        told.map((event) => event._tag === "AcquireFailed" ? Object.assign({}, event, { cause: "(in words)" }) : event),
        [
          { _tag: "FrameOpened", at: 0, frame: "outer", frameId: 1 },
          { _tag: "FrameOpened", at: 0, frame: "outer/inner", frameId: 2 },
          {
            _tag: "Allocated",
            allocation: 1,
            at: 10,
            cost: { memory: 2 },
            frame: "outer/inner",
            frameId: 2,
            resource: "slow",
            share: false,
            took: 10
          },
          {
            _tag: "AcquireFailed",
            allocation: 2,
            at: 10,
            cause: "(in words)",
            frame: "outer/inner",
            frameId: 2,
            resource: "failing",
            share: false,
            took: 0
          },
          {
            _tag: "BudgetRefused",
            at: 10,
            frame: "outer/inner",
            frameId: 2,
            limit: 5,
            refusedBy: "outer",
            requested: 4,
            resource: "costly",
            unit: "memory",
            used: 2
          },
          {
            _tag: "Transferred",
            allocation: 1,
            at: 10,
            frame: "outer",
            frameId: 1,
            from: "outer/inner",
            resource: "slow"
          },
          { _tag: "FrameEnded", at: 10, frame: "outer/inner", frameId: 2, lasted: 10 },
          {
            _tag: "Released",
            allocation: 1,
            at: 30,
            frame: "outer",
            frameId: 1,
            held: 20,
            resource: "slow",
            share: false
          },
          { _tag: "FrameEnded", at: 30, frame: "outer", frameId: 1, lasted: 30 }
        ]
      )
    }).pipe(managed()))

  it.effect("tells of deadlines, bodies left behind, late arrivals and overdue releases", () =>
    Effect.gen(function*() {
      const told = yield* listen
      const { acquireGate, Gated, releaseGate } = makeGated({ acquire: true, release: true })
      const fiber = yield* ResourceManager.allocate(Gated).pipe(
        TimeFrame.run({ name: "late", timeout: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      yield* acquireGate.open
      yield* settle
      yield* ResourceManager.allocate(Gated).pipe(TimeFrame.run({ name: "overdue", gracePeriod: 0 }))
      yield* releaseGate.open
      yield* settle
      assert.deepStrictEqual(told.map((event) => `${event._tag} ${"frame" in event ? event.frame : ""}`), [
        "FrameOpened late",
        "FrameExpired late",
        "BodyLeftBehind late",
        "FrameEnded late",
        "LateArrival late",
        "FrameOpened overdue",
        "Allocated overdue",
        "ReleaseOverdue overdue",
        "FrameEnded overdue",
        "Released late",
        "Released overdue"
      ])
    }).pipe(managed()))

  it.effect("tells of shared values: their own allocation, each use, and retirement", () =>
    Effect.gen(function*() {
      const told = yield* listen
      const Shared = ResourceDefinition.shared("shared", { acquire: () => Effect.void, release: () => Effect.void })
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Shared)
        yield* ResourceManager.retire(Shared)
      }).pipe(TimeFrame.run({ name: "user" }))
      yield* settle
      assert.deepStrictEqual(
        told.map((event) => `${event._tag} ${"share" in event ? event.share : "frame" in event ? event.frame : ""}`),
        [
          "FrameOpened user",
          "FrameOpened shared",
          "Allocated false",
          "Allocated true",
          "Retired ",
          "Released false",
          "FrameEnded shared",
          "Released true",
          "FrameEnded user"
        ]
      )
    }).pipe(managed()))

  it.effect("can be encoded and decoded, every one of them", () =>
    Effect.gen(function*() {
      const told = yield* listen
      const { Thing } = makeLog()
      yield* ResourceManager.use(Thing, "a", () => Effect.void).pipe(TimeFrame.run({ name: "frame" }))
      yield* settle
      assert.strictEqual(told.length, 4)
      for (const event of told) {
        const encoded = yield* Schema.encodeEffect(ResourceEvent.ResourceEvent)(event)
        const decoded = yield* Schema.decodeUnknownEffect(ResourceEvent.ResourceEvent)(
          JSON.parse(JSON.stringify(encoded))
        )
        assert.deepStrictEqual(decoded, event)
      }
    }).pipe(managed()))

  it.effect("never makes anyone wait: a listener that lags loses the newest and is told how many", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const gate = yield* Latch.make()
      const told: Array<ResourceEvent.ResourceEvent> = []
      yield* ResourceManager.events.pipe(
        Stream.rechunk(1),
        Stream.runForEach((event) => Effect.andThen(gate.await, Effect.sync(() => told.push(event)))),
        Effect.forkChild({ startImmediately: true })
      )
      const fast = yield* listen
      const frame = yield* TimeFrame.make({ name: "frame" })
      yield* settle
      for (let index = 0; index < 50; index++) {
        yield* ResourceManager.allocate(Thing, "a").pipe(TimeFrame.provide(frame))
        yield* settle
      }
      assert.strictEqual(fast.length, 51)
      yield* gate.open
      yield* settle
      yield* ResourceManager.allocate(Thing, "a").pipe(TimeFrame.provide(frame))
      yield* settle
      const dropped = told.flatMap((event) => event._tag === "EventsDropped" ? [event.count] : [])
      assert.isAbove(dropped.length, 0)
      const seen = told.filter((event) => event._tag !== "EventsDropped").length
      assert.isBelow(seen, 20)
      assert.strictEqual(seen + dropped.reduce((sum, count) => sum + count, 0), 52)
      assert.isTrue(fast.every((event) => event._tag !== "EventsDropped"))
    }).pipe(Effect.scoped, managed({ eventCapacity: 8 })))

  it.effect("records nothing while nobody listens, and nothing from before", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const use = ResourceManager.use(Thing, "a", () => Effect.void).pipe(TimeFrame.run({ name: "frame" }))
      yield* use
      const first = yield* ResourceManager.events.pipe(Stream.take(2), Stream.runCollect, start)
      yield* use
      assert.deepStrictEqual([...(yield* Fiber.join(first))].map(({ _tag }) => _tag), ["FrameOpened", "Allocated"])
      yield* use
      const second = yield* ResourceManager.events.pipe(Stream.take(1), Stream.runCollect, start)
      yield* use
      assert.deepStrictEqual([...(yield* Fiber.join(second))].map(({ _tag }) => _tag), ["FrameOpened"])
    }).pipe(managed()))

  it.effect("end when the manager has closed, after the last fact", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const told: Array<string> = []
      const listening = yield* Effect.gen(function*() {
        const listening = yield* ResourceManager.events.pipe(
          Stream.runForEach(({ _tag }) => Effect.sync(() => told.push(_tag))),
          (effect) => Effect.forkDetach(effect, { startImmediately: true })
        )
        yield* ResourceManager.use(Thing, "a", () => Effect.void).pipe(TimeFrame.run({ name: "frame" }))
        return listening
      }).pipe(managed())
      yield* settle
      assert.isDefined(listening.pollUnsafe())
      assert.deepStrictEqual(told, ["FrameOpened", "Allocated", "Released", "FrameEnded", "FrameEnded"])
    }))
})

import { Allocation, ResourceDefinition, ResourceManager, Snapshot, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Latch, Stream } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, managed, settle, start } from "./fixtures.ts"

const Thing = ResourceDefinition.temporal("thing", {
  cost: () => ({ things: 1 }),
  acquire: () => Effect.sync(() => ({ open: true })),
  release: (thing) => Effect.sync(() => void (thing.open = false))
})

/** Made of something else that it allocates. */
const Composite = ResourceDefinition.temporal("composite", {
  acquire: () => Effect.map(ResourceManager.allocate(Thing), (thing) => ({ thing }))
})

describe("What an acquisition allocates", () => {
  it.effect("ends with the allocation, not with the frame of its caller", () =>
    Effect.gen(function*() {
      for (let index = 0; index < 10; index++) yield* ResourceManager.use(Composite, () => Effect.void)
      const snapshot = yield* ResourceManager.snapshot
      assert.deepStrictEqual(snapshot.allocations, [])
      assert.strictEqual(snapshot.frames[1]!.budgets[0]!.used, 0)
    }).pipe(TimeFrame.run({ name: "server", budget: { things: 1 } }), managed()))

  it.effect("is gone when the acquisition fails", () =>
    Effect.gen(function*() {
      const Failing = ResourceDefinition.temporal("failing", {
        acquire: () => Effect.andThen(ResourceManager.allocate(Thing), Effect.fail("refused"))
      }).pipe(ResourceDefinition.mapAcquire(Effect.retry({ times: 3 })))
      yield* Effect.exit(ResourceManager.allocate(Failing))
      assert.deepStrictEqual((yield* ResourceManager.snapshot).allocations, [])
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("moves with the allocation, and its charge as well", () =>
    Effect.gen(function*() {
      const server = yield* TimeFrame.current
      const kept = yield* Effect.gen(function*() {
        const composite = yield* ResourceManager.allocate(Composite)
        yield* Allocation.transfer(composite, server)
        return composite
      }).pipe(TimeFrame.run({ name: "request", budget: { things: 1 } }))
      assert.isTrue(kept.value.thing.value.open)
      const { allocations, frames } = yield* ResourceManager.snapshot
      assert.deepStrictEqual(allocations.map(({ frame, resource }) => [resource, frame]), [
        ["composite", "server"],
        ["thing", "server/composite"]
      ])
      assert.strictEqual(frames.find(({ name }) => name === "server")!.budgets[0]!.used, 1)
    }).pipe(TimeFrame.run({ name: "server", budget: { things: 2 } }), managed()))

  it.effect("may be in a frame, whose releases have the grace period of the frames around it", () =>
    Effect.gen(function*() {
      const Hanging = ResourceDefinition.temporal("hanging", {
        acquire: () => Effect.void,
        release: () => Effect.never
      })
      const Stepwise = ResourceDefinition.temporal("stepwise", {
        acquire: () => Effect.as(TimeFrame.run(ResourceManager.allocate(Hanging), { name: "step" }), "done")
      })
      const fiber = yield* start(ResourceManager.use(Stepwise, Effect.succeed))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("done"))
    }).pipe(TimeFrame.run({ name: "server", gracePeriod: "1 second" }), managed()))

  it.effect("is shown inside of it", () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Composite)
      assert.strictEqual(
        Snapshot.render(yield* ResourceManager.snapshot),
        [
          "manager  things 1",
          "└─ server  open 0 ms",
          "   ├─ composite  open 0 ms",
          "   │  └─ thing #2  held 0 ms  things 1",
          "   └─ composite #1  held 0 ms"
        ].join("\n")
      )
    }).pipe(TimeFrame.run({ name: "server" }), managed()))
})

describe("A deadline", () => {
  it.effect("comes when it is due, also when the wall clock has been set back", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let back = 0
      const shifted = Object.assign(Object.create(clock), {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - back
      })
      yield* Effect.gen(function*() {
        const fiber = yield* start(Effect.exit(TimeFrame.run(Effect.never, { name: "frame", timeout: "1 second" })))
        back = 3_600_000
        yield* TestClock.adjust("1 second")
        assert.isDefined(fiber.pollUnsafe())
      }).pipe(managed(), Effect.provideService(Clock.Clock, shifted))
    }))
})

describe("A frame on a fiber that does not belong to the frame around it", () => {
  it.effect("is interrupted alone when that closes: its fiber goes on", () =>
    Effect.gen(function*() {
      const request = yield* TimeFrame.make({ name: "request" })
      const worker = yield* Effect.never.pipe(
        TimeFrame.run({ name: "job" }),
        TimeFrame.provide(request),
        Effect.exit,
        Effect.map((exit) => `went on after ${Exit.hasInterrupts(exit) ? "an interruption" : "something else"}`),
        start
      )
      yield* TimeFrame.close(request)
      assert.strictEqual(yield* Fiber.join(worker), "went on after an interruption")
    }).pipe(Effect.scoped, managed()))

  it.effect("that is closed from outside is interrupted before anything is released", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const Told = ResourceDefinition.temporal("told", {
        acquire: () => Effect.void,
        release: () => Effect.sync(() => void log.push("released"))
      })
      let frame: TimeFrame.TimeFrame | undefined
      yield* Effect.gen(function*() {
        frame = yield* TimeFrame.current
        yield* ResourceManager.allocate(Told)
        return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push("interrupted")))
      }).pipe(TimeFrame.run({ name: "job" }), start)
      yield* TimeFrame.close(frame!)
      assert.deepStrictEqual(log, ["interrupted", "released"])
    }).pipe(managed()))
})

describe("A listener that lags", () => {
  it.effect("is told how much it missed, also at the end, and with room for one event", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const seen: Array<string> = []
      const listening = yield* Effect.gen(function*() {
        const fiber = yield* ResourceManager.events.pipe(
          Stream.runForEach((event) =>
            Effect.andThen(
              gate.await,
              Effect.sync(() => seen.push(event._tag === "EventsDropped" ? `${event.count} dropped` : event._tag))
            )
          ),
          Effect.forkDetach({ startImmediately: true })
        )
        yield* settle
        for (let index = 0; index < 5; index++) yield* TimeFrame.run(Effect.void, { name: "frame" })
        return fiber
      }).pipe(Effect.provide(ResourceManager.layer({ eventCapacity: 1 })))
      yield* gate.open
      yield* Fiber.join(listening)
      // Each of the five frames tells two events, and the manager tells its end.
      const dropped = seen.filter((one) => one.endsWith("dropped")).reduce((sum, one) => sum + Number.parseInt(one), 0)
      const told = seen.filter((one) => !one.endsWith("dropped")).length
      assert.strictEqual(told + dropped, 11)
      assert.isAbove(dropped, 0)
    }))
})

describe("Definitions that need each other", () => {
  it.effect("are refused, and leave nothing that waits for ever", () =>
    Effect.gen(function*() {
      // The compiler can not infer the types of a circle either.
      const allocate = ResourceManager.allocate as unknown as (definition: unknown) => Effect.Effect<unknown>
      const A: unknown = ResourceDefinition.shared("a", {
        acquire: () => Effect.andThen(Effect.yieldNow, Effect.suspend(() => allocate(B)))
      })
      const B = ResourceDefinition.shared("b", {
        acquire: () => Effect.andThen(Effect.yieldNow, Effect.suspend(() => allocate(A)))
      })
      const exit = yield* Effect.exit(allocate(A))
      assert.match(String(defectsOf(exit)[0]), /break the circle/)
      yield* settle
      assert.deepStrictEqual((yield* ResourceManager.snapshot).allocations, [])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

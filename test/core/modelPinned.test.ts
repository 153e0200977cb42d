import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Latch, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { VirtualClock } from "../../packages/testing/src/internal/services.ts"
import { counting } from "./sweepWorld.ts"

const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow)

/** A manager that the test closes itself, and how many timers it has. */
const makeManager = (options?: ResourceManager.Options) =>
  Effect.gen(function*() {
    const timers = { sleeping: 0 }
    const scope = yield* Scope.make()
    const clock = counting(yield* Clock.clockWith(Effect.succeed), timers)
    const context = yield* Layer.buildWithScope(ResourceManager.layer(options), scope).pipe(
      Effect.provideService(Clock.Clock, clock)
    )
    return { close: Scope.close(scope, Exit.void), context, timers }
  })

/** When a frame of 200 ms has ended whose body makes time pass while nobody else can run. */
const endOf = (body: Effect.Effect<void, never, ResourceManager.ResourceManager>, clock: VirtualClock) =>
  Effect.gen(function*() {
    const fiber = yield* TimeFrame.run(body, { name: "busy", timeout: "200 millis" }).pipe(
      Effect.provide(ResourceManager.layer()),
      Effect.provideService(Clock.Clock, clock),
      Effect.forkChild({ startImmediately: true })
    )
    do yield* settle
    while (fiber.pollUnsafe() === undefined && clock.wakeNext(10_000, () => {}))
    return clock.now
  })

const Slow = ResourceDefinition.temporal("slow", {
  acquire: () => Effect.succeed("slow"),
  release: () => Effect.sleep("50 millis")
})

/** Ignores interruption for longer than any deadline here. */
const Late = ResourceDefinition.temporal("late", {
  acquire: () => Effect.sleep("1 minute"),
  release: () => Effect.void
})

describe("Closing", () => {
  it.effect("of the manager starts no idle time for a value whose last user it has left behind", () =>
    Effect.gen(function*() {
      const { close, context, timers } = yield* makeManager({ gracePeriod: "10 millis" })
      const Shared = ResourceDefinition.shared("shared", {
        acquire: () => Effect.succeed("shared"),
        idleTimeToLive: "1 hour",
        access: "readWrite"
      })
      const frame = yield* TimeFrame.make({ name: "frame" }).pipe(Effect.provideContext(context))
      const handle = yield* TimeFrame.provide(ResourceManager.allocate(Shared), frame)
      const turn = yield* Effect.forkChild(handle.read(() => Effect.sleep("1 second")), { startImmediately: true })
      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([closing.pollUnsafe()?._tag, turn.pollUnsafe()?._tag], ["Success", "Success"])
      assert.strictEqual(timers.sleeping, 0, "a timer of the closed manager runs")
    }).pipe(Effect.scoped))

  for (const [name, release] of [["at once", Effect.void], ["after a while", Effect.sleep("50 millis")]] as const) {
    it.effect(`a frame from the body of one inside goes through when a release ends ${name}`, () =>
      Effect.gen(function*() {
        const Thing = ResourceDefinition.temporal("thing", {
          acquire: () => Effect.succeed("thing"),
          release: () => release
        })
        const outer = yield* TimeFrame.make({ name: "outer" })
        const body = yield* Effect.gen(function*() {
          yield* TimeFrame.provide(ResourceManager.allocate(Thing), outer)
          yield* TimeFrame.close(outer)
          return "went on"
        }).pipe(
          TimeFrame.run({ name: "inner" }),
          TimeFrame.provide(outer),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(body.pollUnsafe(), Exit.succeed("went on"))
      }).pipe(Effect.scoped, Effect.provide(ResourceManager.layer())))
  }
})

describe("What has no purpose any more", () => {
  it.effect("is not acquired: the rest of a set whose frame has closed", () =>
    Effect.gen(function*() {
      const begun: Array<string> = []
      const named = (name: string, millis: number) =>
        ResourceDefinition.temporal(name, {
          acquire: () => Effect.andThen(Effect.sync(() => begun.push(name)), Effect.sleep(millis)),
          release: () => Effect.void
        })
      const frame = yield* TimeFrame.make({ name: "frame" })
      const all = yield* ResourceManager.allocateAll([[named("first", 10)], [named("second", 10)]]).pipe(
        TimeFrame.provide(frame),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TimeFrame.close(frame)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(all)))
      assert.deepStrictEqual(begun, ["first"])
    }).pipe(Effect.scoped, Effect.provide(ResourceManager.layer())))

  it.effect("is interrupted: the acquisition of a shared value when the manager closes", () =>
    Effect.gen(function*() {
      let interrupted = false
      const Shared = ResourceDefinition.shared("shared", {
        acquire: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted = true))
      })
      const { close, context } = yield* makeManager()
      const frame = yield* TimeFrame.make({ name: "frame" }).pipe(Effect.provideContext(context))
      const user = yield* Effect.forkChild(TimeFrame.provide(ResourceManager.allocate(Shared), frame), {
        startImmediately: true
      })
      yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.isTrue(interrupted)
      assert.isDefined(user.pollUnsafe(), "the user waits for ever")
    }).pipe(Effect.scoped))
})

describe("Events", () => {
  it.effect("tell the end of a frame before that of the frame around it, with a body that runs", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { close, context } = yield* makeManager()
      yield* Stream.runForEach(
        ResourceManager.events,
        (event) => Effect.sync(() => event._tag === "FrameEnded" && seen.push(event.frame))
      ).pipe(
        Effect.provideContext(context),
        Effect.forkChild({ startImmediately: true })
      )
      const outer = yield* TimeFrame.make({ name: "outer" }).pipe(Effect.provideContext(context))
      yield* Effect.uninterruptible(Effect.sleep("10 millis")).pipe(
        TimeFrame.run({ name: "inner" }),
        TimeFrame.provide(outer),
        Effect.provideContext(context),
        Effect.forkDetach({ startImmediately: true })
      )
      yield* settle
      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      yield* settle
      assert.deepStrictEqual(seen, ["outer/inner", "outer", ""])
    }).pipe(Effect.scoped))
})

describe("A frame without a timeout", () => {
  it.effect("has the deadline of the frame outside", () =>
    Effect.gen(function*() {
      const left = yield* TimeFrame.remaining.pipe(
        TimeFrame.run({ name: "inner" }),
        TimeFrame.run({ name: "outer", timeout: "20 millis" })
      )
      assert.strictEqual(Duration.toMillis(left), 20)
    }).pipe(Effect.provide(ResourceManager.layer())))
})

describe("A scoped acquisition", () => {
  it.effect("is charged and in sight until its scope has closed, however long that takes", () =>
    Effect.gen(function*() {
      const Scoped = ResourceDefinition.temporal("scoped", {
        cost: () => ({ memory: 1 }),
        acquire: () => Effect.addFinalizer(() => Effect.sleep("1 second"))
      })
      const fiber = yield* ResourceManager.allocate(Scoped).pipe(
        TimeFrame.run({ name: "frame", gracePeriod: "10 millis" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("500 millis")
      assert.isDefined(fiber.pollUnsafe())
      const snapshot = yield* ResourceManager.snapshot
      assert.deepStrictEqual(snapshot.allocations.map((one) => [one.state, one.orphaned]), [["releasing", true]])
      assert.strictEqual(snapshot.frames[0]!.budgets[0]!.used, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* ResourceManager.snapshot).allocations, [])
    }).pipe(Effect.provide(ResourceManager.layer())))
})

describe("At its deadline a frame", () => {
  it.effect("has one grace period for its body and its releases together", () =>
    Effect.gen(function*() {
      const fiber = yield* ResourceManager.allocate(Slow).pipe(
        Effect.andThen(Effect.uninterruptible(Effect.sleep("60 millis"))),
        TimeFrame.run({ name: "frame", timeout: "20 millis", gracePeriod: "60 millis" }),
        Effect.exit,
        Effect.andThen(Clock.currentTimeMillis),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), 80)
    }).pipe(Effect.provide(ResourceManager.layer())))

  it.effect("is not held by an acquisition that its body makes for another frame", () =>
    Effect.gen(function*() {
      const outer = yield* TimeFrame.make({ name: "outer" })
      const fiber = yield* TimeFrame.provide(ResourceManager.allocate(Late), outer).pipe(
        TimeFrame.run({ name: "inner", timeout: "20 millis", gracePeriod: "10 seconds" }),
        Effect.exit,
        Effect.andThen(Clock.currentTimeMillis),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(fiber), 20)
    }).pipe(Effect.scoped, Effect.provide(ResourceManager.layer())))

  it.effect("is not held by a release of what belongs to another frame", () =>
    Effect.gen(function*() {
      const outer = yield* TimeFrame.make({ name: "outer" })
      const handle = yield* TimeFrame.provide(ResourceManager.allocate(Slow), outer)
      const fiber = yield* handle.release.pipe(
        TimeFrame.run({ name: "inner", timeout: "20 millis", gracePeriod: "10 seconds" }),
        Effect.exit,
        Effect.andThen(Clock.currentTimeMillis),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(fiber), 20)
    }).pipe(Effect.scoped, Effect.provide(ResourceManager.layer())))

  it.effect("is not held by an acquisition of its body that the end of the manager has left behind", () =>
    Effect.gen(function*() {
      const { close, context, timers } = yield* makeManager()
      const fiber = yield* ResourceManager.allocate(Late).pipe(
        TimeFrame.run({ name: "frame", timeout: "20 millis", gracePeriod: "10 seconds" }),
        Effect.provideContext(context),
        Effect.forkDetach({ startImmediately: true })
      )
      yield* close
      yield* TestClock.adjust("20 millis")
      assert.isDefined(fiber.pollUnsafe(), "its caller waits for the grace period")
      assert.strictEqual(timers.sleeping, 0, "a timer of the closed manager runs")
    }))

  it.effect("waits out its body although something of a set has not begun yet", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const log: Array<string> = []
      const Interruptible = ResourceDefinition.temporal("interruptible", {
        acquire: () =>
          Effect.onInterrupt(gate.await, () =>
            Effect.andThen(Effect.sleep("5 millis"), Effect.sync(() => log.push("undone"))))
      })
      const fiber = yield* ResourceManager.allocateAll([[Interruptible], [Late]]).pipe(
        TimeFrame.run({ name: "frame", timeout: "20 millis", gracePeriod: "1 second" }),
        Effect.exit,
        Effect.tap(() =>
          Effect.sync(() => log.push("ended"))
        ),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual(log, ["undone", "ended"])
    }).pipe(Effect.provide(ResourceManager.layer())))

  it.effect("counts the time for which its body has held up everything", () =>
    Effect.gen(function*() {
      const clock = new VirtualClock()
      const body = Effect.suspend(() => {
        clock.now += 150
        return Effect.never
      })
      assert.strictEqual(yield* endOf(body, clock), 200)
    }))

  it.effect("is not held up by one with the same timeout that was opened later", () =>
    Effect.gen(function*() {
      const clock = new VirtualClock()
      const later = TimeFrame.run(Effect.never, { name: "later", timeout: "200 millis" })
      const body = Effect.suspend(() => {
        clock.now += 150
        return Effect.andThen(Effect.forkDetach(later, { startImmediately: true }), Effect.never)
      })
      assert.strictEqual(yield* endOf(body, clock), 200)
    }))
})

describe("Retiring", () => {
  it.effect("returns when the value is released, also for the second one who asks", () =>
    Effect.gen(function*() {
      let released = false
      const Shared = ResourceDefinition.persistent("shared", {
        acquire: () => Effect.succeed("shared"),
        release: () => Effect.andThen(Effect.sleep("50 millis"), Effect.sync(() => released = true))
      })
      yield* TimeFrame.run(ResourceManager.allocate(Shared), { name: "frame" })
      const first = yield* Effect.forkChild(ResourceManager.retire(Shared), { startImmediately: true })
      const second = yield* ResourceManager.retire(Shared).pipe(
        Effect.map(() => released),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      assert.isTrue(yield* Fiber.join(second))
    }).pipe(Effect.provide(ResourceManager.layer())))
})

import { Allocation, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, heldNow, makeGated, makeLog, managed, settle, start, tagOf, usedBy } from "./fixtures.ts"

describe("At its deadline a frame", () => {
  it.effect("interrupts its body, releases what it owned, and fails with what it held and waited for", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const Waiting = ResourceDefinition.temporal("waiting", { acquire: () => Effect.never })
      const fiber = yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, "a")
        yield* TestClock.adjust("100 millis")
        yield* ResourceManager.allocate(Waiting).pipe(TimeFrame.run({ name: "inner" }))
      }).pipe(
        Effect.onInterrupt(() => say("interrupted")),
        TimeFrame.run({ name: "request", timeout: "250 millis" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("149 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const exit = yield* Fiber.join(fiber)
      assert.deepStrictEqual(lines, ["+a", "interrupted", "-a"])
      const error = failureOf(exit)!
      assert.strictEqual(error._tag, "DeadlineExceeded")
      if (error._tag !== "DeadlineExceeded") return
      assert.strictEqual(error.frame, "request")
      assert.strictEqual(error.timeout, 250)
      assert.deepStrictEqual(error.waitingFor, ["waiting"])
      assert.deepStrictEqual(
        error.holders.map(({ age, frame, resource, since, state }) => ({ age, frame, resource, since, state })),
        [
          { age: 150, frame: "request/inner", resource: "waiting", since: 100, state: "acquiring" },
          { age: 250, frame: "request", resource: "thing", since: 0, state: "live" }
        ]
      )
    }).pipe(managed()))

  it.effect("fails so that its caller can catch it", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.never.pipe(
        TimeFrame.run({ name: "frame", timeout: "1 second" }),
        Effect.catchTag("DeadlineExceeded", (error) => Effect.succeed(error.frame)),
        start
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "frame")
    }).pipe(managed()))

  it.effect("does not wait for a fiber of its scope that is stuck in an acquisition", () =>
    Effect.gen(function*() {
      const Slow = ResourceDefinition.temporal("slow", {
        acquire: () => Effect.sleep("2 seconds"),
        release: () => Effect.void
      })
      const fiber = yield* Effect.forkScoped(ResourceManager.allocate(Slow)).pipe(
        Effect.andThen(Effect.never),
        TimeFrame.run({ name: "frame", timeout: "20 millis", gracePeriod: "500 millis" }),
        Effect.exit,
        Effect.andThen(Clock.currentTimeMillis),
        start
      )
      yield* TestClock.adjust("20 millis")
      assert.strictEqual(fiber.pollUnsafe()?._tag, "Success")
      assert.strictEqual(yield* Fiber.join(fiber), 20)
    }).pipe(managed()))

  /** A frame inside, whose body is stuck where somebody else has closed it. */
  const closedInside = (
    options: { readonly timeout?: "1 hour"; readonly between: number },
    isStuckInRelease: boolean,
    then: Effect.Effect<unknown> = Effect.void
  ) =>
    Effect.gen(function*() {
      const { acquireGate, Gated, releaseGate } = makeGated(isStuckInRelease ? { release: true } : { acquire: true })
      const other = yield* TimeFrame.make({ name: "other" })
      const inner: Array<TimeFrame.TimeFrame> = []
      let body: Effect.Effect<unknown, unknown, any> = Effect.gen(function*() {
        inner.push(yield* TimeFrame.current)
        const frame = isStuckInRelease ? other : inner[0]!
        const handle = yield* TimeFrame.provide(ResourceManager.allocate(Gated), frame)
        yield* handle.release
      })
      const timeout = options.timeout === undefined ? {} : { timeout: options.timeout }
      body = TimeFrame.run(body, { name: "inner", ...timeout })
      for (let i = 0; i < options.between; i++) body = TimeFrame.run(body, { name: "between" })
      const fiber = yield* Effect.onExit(body, () => then).pipe(
        TimeFrame.run({ name: "outer", timeout: "1 second", gracePeriod: "10 seconds" }),
        Effect.exit,
        start
      )
      yield* settle
      yield* TimeFrame.close(inner[0]!)
      return { fiber: fiber as Fiber.Fiber<unknown>, acquireGate, releaseGate }
    })

  for (const isStuckInRelease of [false, true]) {
    const what = isStuckInRelease ? "a release elsewhere" : "an acquisition"
    it.effect(`does not wait for a body stuck in ${what} of a frame inside that somebody else has closed`, () =>
      Effect.gen(function*() {
        for (const between of [0, 2]) {
          for (const options of [{ between }, { between, timeout: "1 hour" }] as const) {
            const { acquireGate, fiber, releaseGate } = yield* closedInside(options, isStuckInRelease)
            assert.isUndefined(fiber.pollUnsafe())
            yield* TestClock.adjust("1 second")
            yield* settle
            assert.isDefined(fiber.pollUnsafe(), `it is held up: ${JSON.stringify(options)}`)
            yield* acquireGate.open
            yield* releaseGate.open
            yield* settle
          }
        }
        assert.deepStrictEqual(yield* heldNow, [])
      }).pipe(Effect.scoped, managed()))
  }

  it.effect("waits for a body that is not stuck any more in a frame inside that somebody else has closed", () =>
    Effect.gen(function*() {
      const { acquireGate, fiber } = yield* closedInside({ between: 1 }, false, Effect.sleep("3 seconds"))
      yield* acquireGate.open
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
    }).pipe(Effect.scoped, managed()))

  it.effect("that lies within another one, is the one to fail", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.never.pipe(
        TimeFrame.run({ name: "inner", timeout: "1 second" }),
        Effect.exit,
        Effect.flatMap((inner) => Effect.as(Effect.never, inner)),
        TimeFrame.run({ name: "outer", timeout: "2 seconds" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.deepInclude(failureOf(yield* Fiber.join(fiber)), { _tag: "DeadlineExceeded", frame: "outer" })
    }).pipe(managed()))

  it.effect("that its parent reaches first, ends with its parent", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.never.pipe(
        TimeFrame.run({ name: "inner", timeout: "1 hour" }),
        Effect.catchTag("DeadlineExceeded", () => Effect.succeed("inner caught it")),
        TimeFrame.run({ name: "outer", timeout: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      assert.deepInclude(failureOf(yield* Fiber.join(fiber)), { _tag: "DeadlineExceeded", frame: "outer" })
    }).pipe(managed()))

  it.effect("takes nothing new while its body winds up", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      let windingUp: Exit.Exit<unknown, { readonly _tag: string }> | undefined
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() =>
          Effect.map(Effect.exit(ResourceManager.allocate(Thing, "in vain")), (exit) => windingUp = exit)
        ),
        TimeFrame.run({ name: "frame", timeout: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "DeadlineExceeded")
      assert.strictEqual(tagOf(windingUp!), "FrameClosed")
      assert.deepStrictEqual(lines, [])
    }).pipe(managed()))

  it.effect("waits for a body that winds up within the grace period", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const fiber = yield* ResourceManager.allocate(Thing, "a").pipe(
        Effect.andThen(Effect.never),
        Effect.onInterrupt(() => Effect.andThen(Effect.sleep("900 millis"), say("wound up"))),
        TimeFrame.run({ name: "frame", timeout: "1 second", gracePeriod: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1899 millis")
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepStrictEqual(lines, ["+a"])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "DeadlineExceeded")
      assert.deepStrictEqual(lines, ["+a", "wound up", "-a"])
    }).pipe(managed()))

  for (const [gracePeriod, last] of [["1 second", 2000], [0, 1000]] as const) {
    it.effect(`leaves a body behind that ignores interruption, after a grace period of ${gracePeriod}`, () =>
      Effect.gen(function*() {
        const { lines, say, Thing } = makeLog()
        const gate = yield* Latch.make()
        const fiber = yield* ResourceManager.allocate(Thing, "a").pipe(
          Effect.andThen(gate.await),
          Effect.andThen(say("body went on")),
          Effect.uninterruptible,
          TimeFrame.run({ name: "frame", timeout: "1 second", gracePeriod }),
          Effect.exit,
          start
        )
        yield* TestClock.adjust(last - 1)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "DeadlineExceeded")
        assert.deepStrictEqual(lines, ["+a", "-a"])
        yield* gate.open
        yield* settle
        assert.deepStrictEqual(lines, ["+a", "-a", "body went on"])
      }).pipe(managed()))
  }

  it.effect("waits for ever for a body that ignores interruption when the grace period is infinite", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* Effect.uninterruptible(gate.await).pipe(
        TimeFrame.run({ name: "frame", timeout: "1 second", gracePeriod: Infinity }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1000 days")
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "DeadlineExceeded")
    }).pipe(managed()))

  it.effect("keeps what its body died of on the way out", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() => Effect.die("bug")),
        TimeFrame.run({ name: "frame", timeout: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(fiber)
      assert.strictEqual(tagOf(exit), "DeadlineExceeded")
      assert.deepStrictEqual(defectsOf(exit), ["bug"])
    }).pipe(managed()))

  it.effect("that is now already, does not run its body", () =>
    Effect.gen(function*() {
      let ran = false
      const exit = yield* Effect.sync(() => ran = true).pipe(TimeFrame.run({ name: "frame", timeout: 0 }), Effect.exit)
      assert.strictEqual(tagOf(exit), "DeadlineExceeded")
      assert.isFalse(ran)
    }).pipe(managed()))

  it.effect("that was not reached, does nothing any more", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Effect.succeed(1).pipe(TimeFrame.run({ name: "frame", timeout: "1 second" })), 1)
      const sleeping = yield* start(
        Effect.as(Effect.sleep("999 millis"), 2).pipe(TimeFrame.run({ name: "frame", timeout: "1 second" }))
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(sleeping), 2)
    }).pipe(managed()))

  it.effect("interrupts a body that runs on a fiber of its own, however the frame around it has ended", () =>
    Effect.gen(function*() {
      const detached = yield* Effect.never.pipe(
        TimeFrame.run({ name: "inner", timeout: "1 second" }),
        Effect.exit,
        (inner) => Effect.forkDetach(inner, { startImmediately: true }),
        TimeFrame.run({ name: "outer", timeout: "100 millis" })
      )
      yield* TestClock.adjust("1 hour")
      assert.isDefined(detached.pollUnsafe())
      yield* Fiber.interrupt(detached)
    }).pipe(managed()))
})

describe("An acquisition that ignores interruption", () => {
  it.effect("does not hold its caller past the deadline; its value is released when it comes, and paid for until then", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated, state } = makeGated({ acquire: true })
      const fiber = yield* ResourceManager.allocate(Gated).pipe(
        TimeFrame.run({ name: "request", timeout: "1 second", gracePeriod: "1 hour" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(fiber)
      assert.deepInclude(failureOf(exit), { _tag: "DeadlineExceeded", waitingFor: ["gated"] })
      assert.deepStrictEqual(yield* heldNow, ["gated acquiring orphaned"])
      assert.strictEqual(yield* usedBy("", "gates"), 1)
      yield* acquireGate.open
      yield* settle
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
      assert.deepStrictEqual(yield* heldNow, [])
      assert.strictEqual(yield* usedBy("", "gates"), 0)
      const { resources } = yield* ResourceManager.snapshot
      assert.deepInclude(resources[0], { resource: "gated", acquired: 1, late: 1, live: 0, released: 1 })
    }).pipe(managed()))

  it.effect("does not hold a caller past the deadline that was interrupted before it", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated, state } = makeGated({ acquire: true })
      const fiber = yield* ResourceManager.allocate(Gated).pipe(
        TimeFrame.run({ name: "request", timeout: "1 second" }),
        start
      )
      const interrupting = yield* start(Fiber.interrupt(fiber))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause))
      yield* acquireGate.open
      yield* settle
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
    }).pipe(managed()))

  it.effect("in a frame inside does not hold the frame outside past its deadline", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated, state } = makeGated({ acquire: true })
      const fiber = yield* ResourceManager.use(Gated, () => Effect.void).pipe(
        TimeFrame.run({ name: "inner", budget: { gates: 5 } }),
        TimeFrame.run({ name: "outer", timeout: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      assert.deepInclude(failureOf(yield* Fiber.join(fiber)), { _tag: "DeadlineExceeded", waitingFor: ["gated"] })
      yield* acquireGate.open
      yield* settle
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
      assert.strictEqual(yield* usedBy("", "gates"), 0)
    }).pipe(managed()))

  it.effect("fails late, and only gives back what it cost", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const Failing = ResourceDefinition.temporal("failing", {
        cost: () => ({ gates: 1 }),
        acquire: () => Effect.andThen(gate.await, Effect.fail("late")),
        release: () => Effect.void
      })
      const fiber = yield* ResourceManager.allocate(Failing).pipe(
        TimeFrame.run({ name: "request", timeout: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      const error = failureOf(yield* Fiber.join(fiber))
      assert.isTrue(typeof error === "object" && error._tag === "DeadlineExceeded")
      yield* gate.open
      yield* settle
      assert.strictEqual(yield* usedBy("", "gates"), 0)
      assert.deepInclude((yield* ResourceManager.snapshot).resources[0], { failed: 1, late: 0, acquired: 0 })
    }).pipe(managed()))
})

describe("An acquisition that can be interrupted", () => {
  it.effect("is cleaned up within the grace period before its frame ends at the deadline", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Handshake = ResourceDefinition.temporal("handshake", {
        acquire: () =>
          Effect.acquireRelease(say("+socket"), () => Effect.andThen(Effect.sleep("10 millis"), say("-socket"))).pipe(
            Effect.andThen(Effect.never)
          )
      })
      const fiber = yield* ResourceManager.allocate(Handshake).pipe(
        TimeFrame.run({ name: "request", timeout: "1 second", gracePeriod: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "DeadlineExceeded")
      assert.deepStrictEqual(lines, ["+socket", "-socket"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("elsewhere in the frame does not cost its body the grace period", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Waiting = ResourceDefinition.temporal("waiting", { acquire: () => Effect.never })
      const fiber = yield* Effect.gen(function*() {
        yield* Effect.forkScoped(ResourceManager.allocate(Waiting), { startImmediately: true })
        return yield* Effect.never
      }).pipe(
        Effect.onInterrupt(() => Effect.andThen(Effect.sleep("10 millis"), say("wound up"))),
        TimeFrame.run({ name: "request", timeout: "1 second", gracePeriod: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "DeadlineExceeded")
      assert.deepStrictEqual(lines, ["wound up"])
    }).pipe(managed()))
})

it.effect("A handle that a body gave back in time is not given back again at the deadline", () =>
  Effect.gen(function*() {
    const { lines, Thing } = makeLog()
    const fiber = yield* ResourceManager.allocate(Thing, "a").pipe(
      Effect.tap((thing) => thing.release),
      Effect.tap((thing) => Effect.sync(() => assert.isTrue(Allocation.isAllocation(thing) && !thing.isLive))),
      Effect.andThen(Effect.never),
      TimeFrame.run({ name: "frame", timeout: "1 second" }),
      Effect.exit,
      start
    )
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(fiber)
    assert.deepStrictEqual(lines, ["+a", "-a"])
  }).pipe(managed()))

import { Allocation, ResourceDefinition, ResourceError, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, heldNow, managed, start, usedBy } from "./fixtures.ts"

class Down extends Data.TaggedError("Down") {}

/** A resource that takes as long as the test says. */
const makeSlow = (name = "slow") => {
  const state = { takes: 500, begun: 0, fails: false }
  const Slow = ResourceDefinition.temporal(name, {
    cost: () => ({ slots: 1 }),
    acquire: () =>
      Effect.suspend(() => {
        state.begun++
        return Effect.andThen(Effect.sleep(state.takes), state.fails ? Effect.fail(new Down()) : Effect.void)
      })
  })
  /** One after another, so many that have all the time, in a frame that lets the manager learn. */
  const learn = (count: number) =>
    Effect.gen(function*() {
      for (let index = 0; index < count; index++) {
        const fiber = yield* ResourceManager.use(Slow, () => Effect.void).pipe(
          TimeFrame.run({ name: "patient", timeout: "1 day", admission: true }),
          Effect.exit,
          start
        )
        yield* TestClock.adjust(state.takes)
        yield* Fiber.join(fiber)
      }
    })
  /** Asks with so many milliseconds left; answers at once what became of it, `undefined`: it was let in. */
  const ask = (timeout: number, admission: boolean | TimeFrame.Admission = true) =>
    Effect.gen(function*() {
      const before = state.begun
      const fiber = yield* ResourceManager.use(Slow, () => Effect.void).pipe(
        TimeFrame.run({ name: "request", timeout, admission }),
        Effect.exit,
        start
      )
      const exit = fiber.pollUnsafe()
      if (exit === undefined) yield* Fiber.interrupt(fiber)
      const error = exit === undefined ? undefined : failureOf(yield* Fiber.join(fiber))
      const refused = error?._tag === "DeadlineExceeded" ? error : undefined
      assert.strictEqual(state.begun - before, refused === undefined ? 1 : 0)
      return refused
    })
  return { ask, learn, Slow, state }
}

describe("A frame with admission", () => {
  it.effect("refuses at once what is expected to take longer than it has left, with all that is to be known of it", () =>
    Effect.gen(function*() {
      const { ask, learn } = makeSlow()
      yield* learn(5)
      const error = yield* ask(250)
      assert.instanceOf(error, ResourceError.DeadlineExceeded)
      assert.strictEqual(error.phase, "admission")
      assert.strictEqual(error.frame, "request")
      assert.strictEqual(error.timeout, 250)
      assert.deepStrictEqual(error.refused, { expected: 500, left: 250, requestedBy: "request", resource: "slow" })
      assert.deepStrictEqual(error.holders, [])
      assert.strictEqual(
        error.message,
        `"slow" in request was refused early: it is expected to take 500 ms, but the frame request has 250 ms left of ` +
          `250 ms. Try again later, or give it more time`
      )
      assert.deepStrictEqual(yield* heldNow, [])
      assert.strictEqual(yield* usedBy("", "slots"), 0)
    }).pipe(managed()))

  it.effect("lets in what is expected to be there in time, be it at the last moment", () =>
    Effect.gen(function*() {
      const { ask, learn } = makeSlow()
      yield* learn(5)
      assert.isUndefined(yield* ask(500))
      assert.isDefined(yield* ask(499))
    }).pipe(managed()))

  it.effect("refuses nobody before it has seen a few", () =>
    Effect.gen(function*() {
      const { ask, learn } = makeSlow()
      assert.isUndefined(yield* ask(100))
      // The one that was given up when nothing was known tells something as well.
      yield* learn(3)
      assert.isUndefined(yield* ask(100))
      yield* learn(1)
      assert.isDefined(yield* ask(100))
      assert.isUndefined(yield* ask(100, { minimumSamples: 6 }))
    }).pipe(managed()))

  it.effect("does not take those for known that were given up early", () =>
    Effect.gen(function*() {
      const { ask, learn } = makeSlow()
      yield* learn(4)
      for (let index = 0; index < 10; index++) assert.isUndefined(yield* ask(100))
      yield* learn(1)
      assert.isDefined(yield* ask(100))
    }).pipe(managed()))

  it.effect("refuses nobody where it does not say so, and nothing where nothing is slow", () =>
    Effect.gen(function*() {
      const { ask, learn, state } = makeSlow()
      yield* learn(5)
      assert.isUndefined(yield* ask(100, false))
      const quick = makeSlow("quick")
      quick.state.takes = 0
      yield* quick.learn(5)
      assert.isUndefined(yield* quick.ask(1))
      const plain = yield* Effect.exit(
        ResourceManager.use(quick.Slow, () => Effect.void).pipe(
          TimeFrame.run({ name: "request", timeout: 1, admission: true })
        )
      )
      assert.isTrue(Exit.isSuccess(plain))
      assert.strictEqual(state.begun, 6)
    }).pipe(managed()))

  it.effect("lets one through every so often, and hears from it that all is well again", () =>
    Effect.gen(function*() {
      const { ask, learn, Slow, state } = makeSlow()
      yield* learn(20)
      assert.isDefined(yield* ask(250))
      yield* TestClock.adjust("999 millis")
      assert.isDefined(yield* ask(250))
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(yield* ask(250))
      assert.isDefined(yield* ask(250))
      yield* TestClock.adjust("1 second")
      state.takes = 0
      // One that is quick is followed by another one at once: it takes as many as it takes.
      let served = 0
      for (let refused = 0; refused === 0 && served < 100; served++) {
        const exit = yield* ResourceManager.use(Slow, () => Effect.void).pipe(
          TimeFrame.run({ name: "request", timeout: 250, admission: true }),
          Effect.exit
        )
        if (Exit.isFailure(exit)) refused++
      }
      assert.strictEqual(served, 100)
      assert.isBelow((yield* ResourceManager.snapshot).resources[0]!.expected!, 10)
    }).pipe(managed()))

  it.effect("waits for the next probe when the one before was slow still", () =>
    Effect.gen(function*() {
      const { ask, learn } = makeSlow()
      yield* learn(5)
      yield* TestClock.adjust("1 second")
      assert.isUndefined(yield* ask(250, { probeEvery: "1 second" }))
      yield* TestClock.adjust("1 second")
      assert.isDefined(yield* ask(250, { probeEvery: "1500 millis" }))
      assert.isUndefined(yield* ask(250, { probeEvery: "1 second" }))
    }).pipe(managed()))

  it.effect("forgets what was long ago", () =>
    Effect.gen(function*() {
      const { ask, learn } = makeSlow()
      yield* learn(5)
      yield* TestClock.adjust("1 minute")
      const never = { probeEvery: "1 hour" } as const
      assert.isUndefined(yield* ask(250, never))
      assert.isUndefined(yield* ask(250, never))
    }).pipe(managed()))

  it.effect("thinks more of what was just now than of what was before a pause", () =>
    Effect.gen(function*() {
      const { ask, learn, state } = makeSlow()
      state.takes = 100
      yield* learn(20)
      yield* TestClock.adjust("20 seconds")
      state.takes = 1000
      yield* learn(2)
      // 4 of 100, which have become older meanwhile, and 2 of 1000.
      const { expected } = (yield* ResourceManager.snapshot).resources[0]!
      assert.approximately(expected!, 410, 20)
      assert.isDefined(yield* ask(300))
    }).pipe(managed()))

  it.effect("learns from those that are never served", () =>
    Effect.gen(function*() {
      const { ask, Slow, state } = makeSlow()
      state.takes = 1_000_000
      for (let index = 0; index < 5; index++) {
        const fiber = yield* ResourceManager.allocate(Slow).pipe(
          TimeFrame.run({ name: "request", timeout: "2 seconds", admission: true }),
          Effect.exit,
          start
        )
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(failureOf(yield* Fiber.join(fiber))?._tag, "DeadlineExceeded")
      }
      assert.isUndefined(yield* ask(1999))
      assert.strictEqual((yield* ask(1999))?.phase, "admission")
      // A race that somebody else has won does not say that it was quick.
      for (let index = 0; index < 20; index++) yield* ask(1_000_000)
      assert.isDefined(yield* ask(1999))
    }).pipe(managed()))

  it.effect("counts what fails for as long as it took", () =>
    Effect.gen(function*() {
      const { ask, learn, state } = makeSlow()
      state.fails = true
      yield* learn(5)
      assert.isDefined(yield* ask(250))
      state.takes = 0
      yield* learn(50)
      assert.isUndefined(yield* ask(250))
    }).pipe(managed()))

  it.effect("adds as many deviations as it is told", () =>
    Effect.gen(function*() {
      const { ask, learn, state } = makeSlow()
      for (const takes of [400, 600, 400, 600, 400, 600]) {
        state.takes = takes
        yield* learn(1)
      }
      assert.isUndefined(yield* ask(600))
      assert.isDefined(yield* ask(600, { deviations: 2 }))
      assert.isDefined(yield* ask(450))
      assert.isUndefined(yield* ask(450, { deviations: -2 }))
    }).pipe(managed()))

  it.effect("hands it on to frames inside, which may turn it off", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const inside = (admission?: boolean) =>
        Effect.gen(function*() {
          const fiber = yield* ResourceManager.allocate(Slow).pipe(
            TimeFrame.run({ name: "query", ...(admission === undefined ? undefined : { admission }) }),
            TimeFrame.run({ name: "request", timeout: 250, admission: true }),
            Effect.exit,
            start
          )
          const exit = fiber.pollUnsafe()
          if (exit === undefined) yield* Fiber.interrupt(fiber)
          return exit && failureOf(yield* Fiber.join(fiber))
        })
      const error = yield* inside()
      assert.deepInclude(error as ResourceError.DeadlineExceeded, {
        frame: "request",
        phase: "admission",
        timeout: 250
      })
      assert.strictEqual((error as ResourceError.DeadlineExceeded).refused?.requestedBy, "request/query")
      assert.isUndefined(yield* inside(false))
    }).pipe(managed()))

  it.effect("goes by the deadline that comes first, be it outside or in the frame that it came from", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const session = yield* TimeFrame.make({ name: "session", admission: true })
      const ask = ResourceManager.allocate(Slow).pipe(TimeFrame.withAdmission())
      const left = (effect: Effect.Effect<unknown, { readonly _tag: string }, ResourceManager.ResourceManager>) =>
        Effect.map(Effect.flip(effect), (error) => error as unknown as ResourceError.DeadlineExceeded)
      const outside = yield* left(ask.pipe(
        TimeFrame.run({ name: "query", timeout: "1 hour" }),
        TimeFrame.run({ name: "request", timeout: 300 })
      ))
      assert.strictEqual(outside.refused?.left, 300)
      const inner = yield* left(ask.pipe(
        TimeFrame.run({ name: "query", timeout: 200 }),
        TimeFrame.run({ name: "request", timeout: 300 })
      ))
      assert.deepInclude(inner, { frame: "request/query", timeout: 200 })
      const visit = yield* left(ask.pipe(
        TimeFrame.provide(session),
        TimeFrame.run({ name: "request", timeout: 400 })
      ))
      assert.deepInclude(visit, { frame: "request", timeout: 400 })
      assert.strictEqual(visit.refused?.requestedBy, "session")
    }).pipe(Effect.scoped, managed()))

  it.effect("goes by the new deadline when it is extended", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const fiber = yield* Effect.gen(function*() {
        const refused = yield* Effect.flip(ResourceManager.allocate(Slow))
        yield* TimeFrame.extend(yield* TimeFrame.current, { timeout: "1 second" })
        yield* ResourceManager.allocate(Slow)
        return refused
      }).pipe(TimeFrame.run({ name: "request", timeout: 250, admission: true }), start)
      yield* TestClock.adjust(500)
      assert.strictEqual((yield* Fiber.join(fiber))._tag as string, "DeadlineExceeded")
    }).pipe(managed()))

  it.effect("names what it holds already", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const Quick = ResourceDefinition.temporal("quick", { acquire: () => Effect.void })
      const error = yield* Effect.flip(
        Effect.andThen(ResourceManager.allocate(Quick), ResourceManager.allocate(Slow)).pipe(
          TimeFrame.run({ name: "request", timeout: 250, admission: true })
        )
      )
      assert.strictEqual(error._tag, "DeadlineExceeded")
      assert.match(error.message, /give it more time. Held by:\n {2}- "quick" by request for 0 ms$/)
    }).pipe(managed()))

  it.effect("takes the parts of a set together", () =>
    Effect.gen(function*() {
      const a = makeSlow("a")
      const b = makeSlow("b")
      yield* b.learn(5)
      yield* a.learn(5)
      const both = (timeout: number) =>
        ResourceManager.allocateAll([[a.Slow], [b.Slow]]).pipe(
          TimeFrame.run({ name: "request", timeout, admission: true }),
          Effect.exit,
          start
        )
      const error = failureOf(yield* Fiber.join(yield* both(999))) as ResourceError.DeadlineExceeded
      assert.deepInclude(error.refused, { expected: 1000, left: 999, resource: "a and b" })
      assert.deepStrictEqual([a.state.begun, b.state.begun], [5, 5])
      const fiber = yield* both(1001)
      yield* TestClock.adjust(500)
      yield* TestClock.adjust(500)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    }).pipe(managed()))

  it.effect("does not refuse what is made for all: a shared value is waited for", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const Shared = ResourceDefinition.shared("shared", { acquire: () => ResourceManager.allocate(Slow) })
      for (let index = 0; index < 6; index++) {
        const fiber = yield* ResourceManager.use(Shared, () => Effect.void).pipe(
          TimeFrame.run({ name: "request", timeout: "250 millis", admission: true }),
          TimeFrame.withAdmission(),
          Effect.exit,
          start
        )
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("250 millis")
        assert.strictEqual(failureOf(yield* Fiber.join(fiber))?._tag, "DeadlineExceeded")
      }
    }).pipe(managed()))

  it.effect("counts whom it refuses, and tells of it", () =>
    Effect.gen(function*() {
      const { ask, learn } = makeSlow()
      yield* learn(5)
      const events = yield* ResourceManager.events.pipe(
        Stream.filter((event) => event._tag === "AdmissionRefused"),
        Stream.take(1),
        Stream.runCollect,
        start
      )
      yield* ask(250)
      yield* ask(100)
      const [event] = yield* Fiber.join(events)
      assert.deepInclude(event!, {
        _tag: "AdmissionRefused",
        expected: 500,
        frame: "request",
        left: 250,
        resource: "slow"
      })
      const [state] = (yield* ResourceManager.snapshot).resources
      assert.deepInclude(state!, { acquired: 5, expected: 500, failed: 0, refused: 2, resource: "slow" })
    }).pipe(managed()))
})

describe("TimeFrame.withAdmission", () => {
  it.effect("lets what is inside be refused, where it can be caught", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const answer = yield* ResourceManager.use(Slow, () => Effect.succeed("slow")).pipe(
        TimeFrame.withAdmission(),
        Effect.catchTag("DeadlineExceeded", ({ phase }) => Effect.succeed(`refused at ${phase}`)),
        TimeFrame.run({ name: "request", timeout: 250 })
      )
      assert.strictEqual(answer, "refused at admission")
    }).pipe(managed()))

  it.effect("lets what is inside take its time, where others are refused", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const fiber = yield* ResourceManager.allocate(Slow).pipe(
        TimeFrame.withAdmission(false),
        TimeFrame.run({ name: "request", timeout: 250, admission: true }),
        Effect.flip,
        start
      )
      yield* TestClock.adjust(250)
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag === "DeadlineExceeded" && error.phase, "body")
    }).pipe(managed()))

  it.effect("refuses nothing where there is no deadline", () =>
    Effect.gen(function*() {
      const { learn, Slow } = makeSlow()
      yield* learn(5)
      const fiber = yield* ResourceManager.allocate(Slow).pipe(
        Effect.map(({ isLive }: Allocation.Allocation<void>) => isLive),
        TimeFrame.withAdmission(),
        TimeFrame.run({ name: "job" }),
        start
      )
      yield* TestClock.adjust(500)
      assert.isTrue(yield* Fiber.join(fiber))
    }).pipe(managed()))

  it("does not take options that make no sense", () => {
    assert.throws(() => TimeFrame.withAdmission(Effect.void, { minimumSamples: 0 }), /minimumSamples/)
    assert.throws(() => TimeFrame.withAdmission(Effect.void, { deviations: NaN }), /deviations/)
    assert.throws(() => TimeFrame.withAdmission(Effect.void, { probeEvery: -1 }), /probeEvery/)
    assert.throws(() => TimeFrame.run(Effect.void, { name: "a", admission: { minimumSamples: NaN } }), /minimumSamples/)
  })
})

describe("DeadlineExceeded", () => {
  it("of before there was admission is one of a body", () => {
    const old = { _tag: "DeadlineExceeded", frame: "a", holders: [], timeout: 1, waitingFor: [] }
    const error = Schema.decodeUnknownSync(ResourceError.DeadlineExceeded)(old)
    assert.strictEqual(error.phase, "body")
    assert.isUndefined(error.refused)
  })

  it("survives JSON, with what was refused", () => {
    const error = new ResourceError.DeadlineExceeded({
      phase: "admission",
      frame: "gateway",
      timeout: 1000.2,
      refused: { expected: 1200.3, left: 999.7, requestedBy: "gateway/chat", resource: "call", unit: "tokens" },
      waitingFor: [],
      holders: []
    })
    const text = JSON.stringify(Schema.encodeSync(ResourceError.DeadlineExceeded)(error))
    const decoded = Schema.decodeUnknownSync(ResourceError.DeadlineExceeded)(JSON.parse(text))
    assert.deepStrictEqual(decoded.refused, error.refused)
    assert.strictEqual(
      decoded.message,
      `"call" in gateway/chat was refused early: it would have to wait for tokens, and is expected to take 1201 ms, but ` +
        `the frame gateway has 999 ms left of 1001 ms. Try again later, or give it more time`
    )
  })
})

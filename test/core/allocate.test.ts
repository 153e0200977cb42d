import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, Schema } from "effect"
import {
  defectsOf,
  define,
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

/** What must hold after an acquisition that came to nothing. */
const nothingIsLeft = Effect.gen(function*() {
  assert.deepStrictEqual(yield* heldNow, [])
  for (const frame of (yield* ResourceManager.snapshot).frames) {
    for (const budget of frame.budgets) assert.strictEqual(budget.used, 0, `${frame.path} ${budget.unit}`)
  }
})

describe("ResourceManager.allocate", () => {
  it.effect("decodes the params before anything is charged or acquired", () =>
    Effect.gen(function*() {
      let acquired: unknown
      const Buffer = ResourceDefinition.temporal("buffer", {
        params: Schema.NumberFromString.check(Schema.isGreaterThan(0)),
        cost: (bytes) => ({ memory: bytes }),
        acquire: (bytes) => Effect.sync(() => acquired = bytes)
      })
      const refused = yield* Effect.exit(ResourceManager.allocate(Buffer, "-1"))
      assert.deepInclude(failureOf(refused), { _tag: "InvalidParams", resource: "buffer" })
      assert.isUndefined(acquired)
      yield* nothingIsLeft
      const buffer = yield* ResourceManager.allocate(Buffer, "42")
      assert.strictEqual(buffer.value, 42)
      assert.strictEqual(acquired, 42)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 1.5, 2 ** 60, "1", null, undefined, {}]) {
    it.effect(`refuses the size ${String(wrong)} with InvalidParams`, () =>
      Effect.gen(function*() {
        const Buffer = ResourceDefinition.temporal("buffer", {
          params: Schema.Int.check(Schema.isGreaterThan(0)),
          cost: (bytes) => ({ memory: bytes }),
          acquire: () => Effect.void
        })
        const exit = yield* Effect.exit(ResourceManager.allocate(Buffer, wrong as number))
        assert.strictEqual(tagOf(exit), "InvalidParams")
        yield* nothingIsLeft
      }).pipe(TimeFrame.run({ name: "frame" }), managed()))
  }

  for (
    const [how, acquire, expected] of [
      ["fails", () => Effect.fail("no"), { fail: "no" }],
      ["dies", () => Effect.die("bug"), { die: "bug" }],
      ["interrupts itself", () => Effect.interrupt, { interrupt: true }],
      ["throws instead of making an effect", () => {
        throw "thrown"
      }, { die: "thrown" }],
      [
        "throws inside of its effect",
        () =>
          Effect.sync(() => {
            throw "thrown"
          }),
        { die: "thrown" }
      ],
      ["fails after a while", () => Effect.andThen(Effect.yieldNow, Effect.fail("no")), { fail: "no" }]
    ] as ReadonlyArray<
      readonly [
        string,
        () => Effect.Effect<void, unknown>,
        { readonly fail?: unknown; readonly die?: unknown; readonly interrupt?: boolean }
      ]
    >
  ) {
    for (const kind of ["temporal", "persistent", "shared"] as const) {
      for (const withRelease of [true, false]) {
        const what = `an acquisition of something ${kind}, ${withRelease ? "with" : "without"} a release,`
        it.effect(`leaves nothing of ${what} that ${how}`, () =>
          Effect.gen(function*() {
            let released = 0
            const Failing = define(kind)("failing", {
              cost: () => ({ memory: 1 }),
              acquire,
              ...(withRelease ? { release: () => Effect.sync(() => released++) } : undefined)
            })
            const exit = yield* Effect.exit(ResourceManager.allocate(Failing))
            assert.isTrue(Exit.isFailure(exit))
            assert.strictEqual(failureOf(exit), expected.fail)
            assert.deepStrictEqual(defectsOf(exit), expected.die === undefined ? [] : [expected.die])
            if (expected.interrupt) assert.isTrue(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause))
            assert.strictEqual(released, 0)
            yield* nothingIsLeft
          }).pipe(TimeFrame.run({ name: "frame" }), managed()))
      }
    }
  }

  it.effect("releases what a scoped acquisition had got hold of before it failed, before it fails itself", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Half = ResourceDefinition.temporal("half", {
        acquire: () =>
          Effect.acquireRelease(say("+socket"), () => Effect.andThen(Effect.yieldNow, say("-socket"))).pipe(
            Effect.andThen(Effect.fail("handshake"))
          )
      })
      const exit = yield* Effect.exit(ResourceManager.allocate(Half))
      lines.push("told")
      assert.strictEqual(failureOf(exit), "handshake")
      assert.deepStrictEqual(lines, ["+socket", "-socket", "told"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("ends the scope of a scoped acquisition with the allocation, not with the frame", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Scoped = ResourceDefinition.temporal("scoped", {
        acquire: () => Effect.acquireRelease(say("+a"), () => say("-a"))
      })
      const scoped = yield* ResourceManager.allocate(Scoped)
      yield* scoped.release
      lines.push("body goes on")
      assert.deepStrictEqual(lines, ["+a", "-a", "body goes on"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("can be interrupted when there is no release, and leaves nothing", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Slow = ResourceDefinition.temporal("slow", {
        cost: () => ({ memory: 1 }),
        acquire: () => Effect.andThen(Effect.acquireRelease(say("+a"), () => say("-a")), Effect.never)
      })
      const fiber = yield* start(ResourceManager.allocate(Slow))
      assert.deepStrictEqual(yield* heldNow, ["slow acquiring"])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(lines, ["+a", "-a"])
      yield* nothingIsLeft
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("is not interrupted in the middle of an acquisition with a release; the frame gets the value back", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated, state } = makeGated({ acquire: true })
      yield* Effect.gen(function*() {
        const fiber = yield* start(ResourceManager.allocate(Gated))
        const interrupting = yield* start(Fiber.interrupt(fiber))
        yield* settle
        assert.isUndefined(fiber.pollUnsafe())
        yield* acquireGate.open
        yield* Fiber.join(interrupting)
        assert.strictEqual(state.live, 1)
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
    }).pipe(managed()))

  it.effect("of something interruptible is not interrupted where its caller can not be", () =>
    Effect.gen(function*() {
      for (const kind of ["temporal", "shared", "persistent"] as const) {
        const gate = yield* Latch.make()
        const Slow = define(kind)("slow", { acquire: () => Effect.as(gate.await, kind) })
        const fiber = yield* ResourceManager.use(Slow, (value) => Effect.succeed(value)).pipe(
          Effect.uninterruptible,
          start
        )
        const interrupting = yield* start(Fiber.interrupt(fiber))
        yield* settle
        assert.isUndefined(fiber.pollUnsafe(), kind)
        yield* gate.open
        yield* Fiber.join(interrupting)
      }
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  for (const kind of ["temporal", "shared", "persistent"] as const) {
    it.effect(`gets something ${kind} for what a fiber does when it was interrupted`, () =>
      Effect.gen(function*() {
        const Connection = define(kind)("connection", {
          acquire: () => Effect.as(Effect.yieldNow, "connection")
        })
        let exit: Exit.Exit<unknown, unknown> | undefined
        const fiber = yield* Effect.never.pipe(
          Effect.onInterrupt(() =>
            Effect.map(Effect.exit(ResourceManager.use(Connection, Effect.succeed)), (it) => exit = it)
          ),
          start
        )
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(exit, Exit.succeed("connection"))
      }).pipe(TimeFrame.run({ name: "frame" }), managed()))
  }

  it.effect("inside of a release finds its frame closed, and leaves nothing", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      let seen: unknown
      yield* Effect.addFinalizer(() =>
        Effect.map(Effect.exit(ResourceManager.allocate(Thing, "in vain")), (exit) => seen = tagOf(exit))
      ).pipe(TimeFrame.run({ name: "frame" }))
      assert.strictEqual(seen, "FrameClosed")
      assert.deepStrictEqual(lines, [])
      yield* nothingIsLeft
    }).pipe(managed()))

  it.effect("inside of an early release finds its frame open", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const Flushing = ResourceDefinition.temporal("flushing", {
        acquire: () => Effect.void,
        release: () => Effect.orDie(ResourceManager.use(Thing, "flush", () => Effect.void))
      })
      const flushing = yield* ResourceManager.allocate(Flushing)
      yield* flushing.release
      assert.deepStrictEqual(lines, ["+flush", "-flush"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that is under way when its frame closes fails with FrameClosed when its value is there", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated, state } = makeGated({ acquire: true })
      const frame = yield* TimeFrame.make({ name: "frame" })
      const fiber = yield* ResourceManager.allocate(Gated).pipe(TimeFrame.provide(frame), Effect.exit, start)
      yield* TimeFrame.close(frame)
      assert.deepStrictEqual(yield* heldNow, ["gated acquiring orphaned"])
      yield* acquireGate.open
      assert.strictEqual(tagOf(yield* Fiber.join(fiber)), "FrameClosed")
      assert.deepStrictEqual(state, { acquiring: 1, live: 0, released: 1 })
      yield* nothingIsLeft
    }).pipe(Effect.scoped, managed()))
})

describe("ResourceManager.use", () => {
  it.effect("gives the value to the body and takes it back when that ends, whatever its end", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      const bodies: ReadonlyArray<(value: string) => Effect.Effect<string, string>> = [
        (value) => Effect.as(say(`use ${value}`), "done"),
        () => Effect.fail("no"),
        () => Effect.die("bug"),
        () => Effect.interrupt,
        () => {
          throw "thrown"
        }
      ]
      for (const [index, body] of bodies.entries()) {
        exits.push(yield* Effect.exit(ResourceManager.use(Thing, String(index), body)))
      }
      const fiber = yield* start(ResourceManager.use(Thing, "5", () => Effect.never))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(exits.slice(0, 3), [Exit.succeed("done"), Exit.fail("no"), Exit.die("bug")])
      assert.isTrue(Exit.isFailure(exits[3]!) && Cause.hasInterrupts(exits[3].cause))
      assert.deepStrictEqual(defectsOf(exits[4]!), ["thrown"])
      assert.deepStrictEqual(lines, [
        "+0",
        "use 0",
        "-0",
        ...[1, 2, 3, 4, 5].flatMap((index) => [`+${index}`, `-${index}`])
      ])
      yield* nothingIsLeft
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("tells the release how the body ended", () =>
    Effect.gen(function*() {
      const seen: Array<Exit.Exit<unknown, unknown>> = []
      const Watching = ResourceDefinition.temporal("watching", {
        acquire: () => Effect.void,
        release: (_, exit) => Effect.sync(() => seen.push(exit))
      })
      yield* ResourceManager.use(Watching, () => Effect.succeed(1))
      yield* Effect.exit(ResourceManager.use(Watching, () => Effect.fail("no")))
      assert.deepStrictEqual(seen, [Exit.succeed(1), Exit.fail("no")])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("does not fail when its frame is closed meanwhile, and releases once", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const result = yield* ResourceManager.use(
        Thing,
        "a",
        () => Effect.as(Effect.flatMap(TimeFrame.current, (frame) => TimeFrame.close(frame)), 1)
      ).pipe(TimeFrame.run({ name: "frame" }))
      assert.strictEqual(result, 1)
      assert.deepStrictEqual(lines, ["+a", "-a"])
    }).pipe(managed()))

  it.effect("of something shared lets go of it, and the last one ends it", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Shared = ResourceDefinition.shared("shared", { acquire: () => say("+"), release: () => say("-") })
      yield* ResourceManager.use(Shared, () => ResourceManager.use(Shared, () => say("used twice")))
      assert.deepStrictEqual(lines, ["+", "used twice", "-"])
      assert.strictEqual(yield* usedBy("", "memory"), undefined)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

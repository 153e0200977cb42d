import { ResourceDefinition, ResourceEvent, ResourceManager, Snapshot, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, heldNow, makeGated, makeLog, managed, settle, start, usedBy } from "./fixtures.ts"

const listen = Effect.gen(function*() {
  const told: Array<ResourceEvent.ResourceEvent> = []
  yield* ResourceManager.events.pipe(
    Stream.runForEach((event) => Effect.sync(() => told.push(event))),
    Effect.forkChild({ startImmediately: true })
  )
  return told
})

describe("A release that dies", () => {
  it.effect("does not skip the others, and the causes of all of them are told together", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const Dying = ResourceDefinition.temporal("dying", {
        params: Schema.String,
        acquire: (name) => Effect.succeed(name),
        release: (name) => Effect.die(name)
      })
      const exit = yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, "first")
        yield* ResourceManager.allocate(Dying, "one")
        yield* Effect.addFinalizer(() => Effect.die("finalizer"))
        yield* ResourceManager.allocate(Dying, "inner").pipe(
          TimeFrame.provide(yield* TimeFrame.make({ name: "inner" }))
        )
        yield* ResourceManager.allocate(Dying, "two")
        yield* Effect.addFinalizer(() => say("-finalizer"))
        return yield* Effect.fail("body")
      }).pipe(TimeFrame.run({ name: "frame" }), Effect.exit)
      // Effect turns a failure into a defect where a finalizer dies.
      assert.deepStrictEqual(defectsOf(exit), ["body", "two", "inner", "finalizer", "one"])
      assert.deepStrictEqual(lines, ["+first", "-finalizer", "-first"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("makes a frame die whose body went well", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.addFinalizer(() => Effect.die("bug")).pipe(
        TimeFrame.run({ name: "frame", timeout: "1 second" }),
        Effect.exit
      )
      assert.deepStrictEqual(defectsOf(exit), ["bug"])
    }).pipe(managed()))

  for (
    const [how, release] of [
      ["throws instead of making an effect", () => {
        throw new Error("thrown")
      }],
      ["throws inside its effect", () =>
        Effect.sync(() => {
          throw new Error("thrown")
        })],
      ["throws after a while", () =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => {
            throw new Error("thrown")
          })
        )]
    ] as ReadonlyArray<readonly [string, () => Effect.Effect<void>]>
  ) {
    it.effect(`is one that ${how} too`, () =>
      Effect.gen(function*() {
        const { lines, Thing } = makeLog()
        const Throwing = ResourceDefinition.temporal("throwing", {
          cost: () => ({ memory: 1 }),
          acquire: () => Effect.void,
          release
        })
        const exit = yield* Effect.gen(function*() {
          yield* ResourceManager.allocate(Thing, "first")
          yield* ResourceManager.allocate(Throwing)
          const early = yield* ResourceManager.allocate(Throwing)
          const inBody = yield* Effect.exit(early.release)
          assert.match(String(defectsOf(inBody)[0]), /thrown/)
          yield* early.release
          const used = yield* Effect.exit(ResourceManager.use(Throwing, () => Effect.void))
          assert.match(String(defectsOf(used)[0]), /thrown/)
        }).pipe(TimeFrame.run({ name: "frame" }), Effect.exit)
        assert.strictEqual(defectsOf(exit).length, 1)
        assert.match(String(defectsOf(exit)[0]), /thrown/)
        assert.deepStrictEqual(lines, ["+first", "-first"])
        assert.strictEqual(yield* usedBy("", "memory"), 0)
        assert.deepStrictEqual(yield* heldNow, [])
      }).pipe(managed()))
  }
})

describe("A release that outlasts the grace period", () => {
  it.effect("is reported and goes on behind its frame, which starts the others and pays until it has ended", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const { Gated, releaseGate, state } = makeGated({ release: true })
      const told = yield* listen
      const fiber = yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, "first")
        yield* ResourceManager.allocate(Gated)
        yield* ResourceManager.allocate(Thing, "last")
      }).pipe(TimeFrame.run({ name: "frame", gracePeriod: "1 second", budget: { gates: 1 } }), Effect.exit, start)
      yield* settle
      assert.deepStrictEqual(lines, ["+first", "+last", "-last"])
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const exit = yield* Fiber.join(fiber)
      assert.deepStrictEqual(defectsOf(exit), [])
      assert.deepStrictEqual(lines, ["+first", "+last", "-last", "-first"])
      assert.deepStrictEqual(yield* heldNow, ["gated releasing orphaned"])
      assert.strictEqual(yield* usedBy("", "gates"), 1)
      yield* releaseGate.open
      yield* settle
      assert.strictEqual(state.released, 1)
      assert.deepStrictEqual(yield* heldNow, [])
      assert.strictEqual(yield* usedBy("", "gates"), 0)
      assert.deepStrictEqual(told.map(({ _tag }) => _tag), [
        "FrameOpened",
        "Allocated",
        "Allocated",
        "Allocated",
        "Released",
        "ReleaseOverdue",
        "Released",
        "FrameEnded",
        "Released"
      ])
    }).pipe(managed()))

  it.effect("is one that hangs in a finalizer of the scope, or in an early release, as well", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate, state } = makeGated({ release: true })
      const told = yield* listen
      const fiber = yield* Effect.gen(function*() {
        yield* Effect.addFinalizer(() => releaseGate.await)
        const early = yield* ResourceManager.allocate(Gated)
        yield* Effect.forkDetach(early.release, { startImmediately: true })
      }).pipe(TimeFrame.run({ name: "frame", gracePeriod: "1 second" }), start)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(told.filter(({ _tag }) => _tag === "ReleaseOverdue").length, 2)
      assert.strictEqual(state.released, 0)
      yield* releaseGate.open
      yield* settle
      assert.strictEqual(state.released, 1)
    }).pipe(managed()))

  it.effect("counts for the frame as a whole: all releases together have that time", () =>
    Effect.gen(function*() {
      const released: Array<number> = []
      const Slow = ResourceDefinition.temporal("slow", {
        params: Schema.Number,
        acquire: (id) => Effect.succeed(id),
        release: (id) => Effect.andThen(Effect.sleep("400 millis"), Effect.sync(() => released.push(id)))
      })
      const fiber = yield* Effect.forEach([1, 2, 3, 4], (id) => ResourceManager.allocate(Slow, id)).pipe(
        TimeFrame.run({ name: "frame", gracePeriod: "1 second" }),
        start
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(released, [4, 3])
      assert.strictEqual((yield* heldNow).length, 2)
      yield* TestClock.adjust("400 millis")
      assert.deepStrictEqual(released.toSorted(), [1, 2, 3, 4])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("is left behind at once when there is no grace at all, while one that ends at once is not", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const { Gated, releaseGate } = makeGated({ release: true })
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, "first")
        yield* ResourceManager.allocate(Gated)
        yield* ResourceManager.allocate(Thing, "last")
      }).pipe(TimeFrame.run({ name: "frame", gracePeriod: 0 }))
      assert.deepStrictEqual(lines, ["+first", "+last", "-last", "-first"])
      assert.deepStrictEqual(yield* heldNow, ["gated releasing orphaned"])
      yield* releaseGate.open
    }).pipe(managed()))

  it.effect("does not exist when the grace period is infinite", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate } = makeGated({ release: true })
      const fiber = yield* ResourceManager.allocate(Gated).pipe(
        TimeFrame.run({ name: "frame", gracePeriod: Infinity }),
        start
      )
      yield* TestClock.adjust("1000 days")
      assert.isUndefined(fiber.pollUnsafe())
      yield* releaseGate.open
      yield* Fiber.join(fiber)
    }).pipe(managed()))

  it.effect("in a frame inside is reported and counted as left over when the frame outside has less patience", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate } = makeGated({ release: true })
      const told = yield* listen
      const fiber = yield* Effect.gen(function*() {
        const inner = yield* TimeFrame.make({ name: "inner", gracePeriod: Infinity })
        yield* ResourceManager.allocate(Gated).pipe(TimeFrame.provide(inner))
      }).pipe(TimeFrame.run({ name: "outer", gracePeriod: "1 second" }), start)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      const snapshot = yield* ResourceManager.snapshot
      yield* releaseGate.open
      yield* settle
      assert.strictEqual(Snapshot.orphans(snapshot).length, 1)
      assert.include(told.map(({ _tag }) => _tag), "ReleaseOverdue")
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("and dies then, is told with its defect", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const told = yield* listen
      const Dying = ResourceDefinition.temporal("dying", {
        acquire: () => Effect.void,
        release: () => Effect.andThen(gate.await, Effect.die("late bug"))
      })
      yield* ResourceManager.allocate(Dying).pipe(TimeFrame.run({ name: "frame", gracePeriod: 0 }))
      yield* gate.open
      yield* settle
      const released = told.find((event) => event._tag === "Released")
      assert.include(released?.defect, "late bug")
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))
})

describe("The grace period of a frame", () => {
  it.effect("is that of the frame around it, or the manager's, when it has none of its own", () =>
    Effect.gen(function*() {
      for (const [own, expected] of [[undefined, 3000], ["2 seconds", 2000]] as const) {
        const { Gated, releaseGate } = makeGated({ release: true })
        const fiber = yield* ResourceManager.allocate(Gated).pipe(
          TimeFrame.run({ name: "inner" }),
          TimeFrame.run(own === undefined ? { name: "outer" } : { name: "outer", gracePeriod: own }),
          start
        )
        yield* TestClock.adjust(expected - 1)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        yield* Fiber.join(fiber)
        yield* releaseGate.open
      }
    }).pipe(managed({ gracePeriod: "3 seconds" })))

  it.effect("ends even a frame that waits for a release that closes it", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.gen(function*() {
        const frame = yield* TimeFrame.current
        yield* Effect.addFinalizer(() => TimeFrame.close(frame))
      }).pipe(TimeFrame.run({ name: "frame", gracePeriod: "1 second" }), start)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
    }).pipe(managed()))
})

import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Duration, Effect, Exit, Fiber, Latch, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, heldNow, makeGated, makeLog, managed, start, tagOf } from "./fixtures.ts"

describe("A frame releases what it owns", () => {
  it.effect("last in, first out, across definitions, finalizers of its scope and frames inside", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, "first")
        yield* Effect.acquireRelease(Effect.void, () => say("-scoped"))
        const inner = yield* TimeFrame.make({ name: "inner" })
        yield* ResourceManager.allocate(Thing, "inside").pipe(TimeFrame.provide(inner))
        yield* Effect.addFinalizer(() => say("-finalizer"))
        yield* ResourceManager.allocate(Thing, "last")
      }).pipe(TimeFrame.run({ name: "outer" }))
      assert.deepStrictEqual(lines, [
        "+first",
        "+inside",
        "+last",
        "-last",
        "-finalizer",
        "-inside",
        "-scoped",
        "-first"
      ])
    }).pipe(managed()))

  it.effect("in the order in which values arrived, so that what another is made of ends after it", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const Session = ResourceDefinition.temporal("session", {
        acquire: () =>
          Effect.all([
            ResourceManager.allocate(Thing, "connection"),
            say("+session"),
            Effect.addFinalizer(() => say("-session"))
          ])
      })
      yield* ResourceManager.allocate(Session).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+connection", "+session", "-session", "-connection"])
    }).pipe(managed()))

  it.effect("in the order in which values arrived, also when they were asked for in another order", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const gate = yield* Latch.make()
      const Slow = ResourceDefinition.temporal("slow", {
        acquire: () => Effect.andThen(gate.await, say("+slow")),
        release: () => say("-slow")
      })
      yield* Effect.gen(function*() {
        const slow = yield* start(ResourceManager.allocate(Slow))
        yield* ResourceManager.allocate(Thing, "quick")
        yield* Effect.addFinalizer(() => say("-between"))
        yield* gate.open
        yield* Fiber.join(slow)
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+quick", "+slow", "-slow", "-between", "-quick"])
    }).pipe(managed()))

  for (
    const [how, body, check] of [
      ["succeeds", Effect.succeed(1), (exit: Exit.Exit<unknown, unknown>) => Exit.isSuccess(exit)],
      ["fails", Effect.fail("no"), (exit: Exit.Exit<unknown, unknown>) => failureOf(exit) === "no"],
      ["dies", Effect.die("bug"), (exit: Exit.Exit<unknown, unknown>) => defectsOf(exit)[0] === "bug"],
      [
        "is interrupted",
        Effect.interrupt,
        (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      ]
    ] as ReadonlyArray<
      readonly [string, Effect.Effect<unknown, unknown>, (exit: Exit.Exit<unknown, unknown>) => boolean]
    >
  ) {
    for (const timeout of [undefined, "1 second"] as const) {
      it.effect(`when its body ${how}${timeout === undefined ? "" : ", with a deadline"}, and tells each release`, () =>
        Effect.gen(function*() {
          const seen: Array<Exit.Exit<unknown, unknown>> = []
          const see = (exit: Exit.Exit<unknown, unknown>) => Effect.sync(() => seen.push(exit))
          const Watching = ResourceDefinition.temporal("watching", {
            acquire: () => Effect.void,
            release: (_, exit) => see(exit)
          })
          const Scoped = ResourceDefinition.temporal("scoped", { acquire: () => Effect.addFinalizer(see) })
          const exit = yield* Effect.gen(function*() {
            yield* ResourceManager.allocate(Watching)
            yield* ResourceManager.allocate(Scoped)
            yield* Effect.addFinalizer(see)
            const inner = yield* TimeFrame.make({ name: "inner" })
            yield* ResourceManager.allocate(Watching).pipe(TimeFrame.provide(inner))
            return yield* body
          }).pipe(TimeFrame.run(timeout === undefined ? { name: "frame" } : { name: "frame", timeout }), Effect.exit)
          assert.isTrue(check(exit), String(exit))
          assert.strictEqual(seen.length, 4)
          for (const told of seen) assert.isTrue(check(told), String(told))
        }).pipe(managed()))
    }
  }

  it.effect("when its caller is interrupted from outside, before the caller goes on", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      for (const options of [{ name: "plain" }, { name: "bounded", timeout: "1 minute" }] as const) {
        const fiber = yield* ResourceManager.allocate(Thing, options.name).pipe(
          Effect.andThen(Effect.never),
          TimeFrame.run(options),
          start
        )
        yield* Fiber.interrupt(fiber)
      }
      assert.deepStrictEqual(lines, ["+plain", "-plain", "+bounded", "-bounded"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("with the services that there were at the acquisition", () =>
    Effect.gen(function*() {
      const Name = Context.Service<string>("test/Name")
      const seen: Array<string> = []
      const Named = ResourceDefinition.temporal("named", {
        acquire: () => Effect.service(Name),
        release: (name) => Effect.map(Effect.service(Name), (now) => seen.push(`${name} ${now}`))
      })
      yield* Effect.gen(function*() {
        const early = yield* ResourceManager.allocate(Named).pipe(Effect.provideService(Name, "inner"))
        yield* ResourceManager.allocate(Named)
        yield* early.release
        assert.strictEqual(yield* Effect.service(Name), "outer")
      }).pipe(TimeFrame.run({ name: "frame" }), Effect.provideService(Name, "outer"))
      assert.deepStrictEqual(seen, ["inner inner", "outer outer"])
    }).pipe(managed()))

  it.effect("100,000 of them, without running out of stack", () =>
    Effect.gen(function*() {
      let live = 0
      const Counted = ResourceDefinition.temporal("counted", {
        acquire: () => Effect.sync(() => ++live),
        release: () => Effect.sync(() => --live)
      })
      const Async = ResourceDefinition.temporal("async", {
        acquire: () => Effect.sync(() => ++live),
        release: () => Effect.andThen(Effect.yieldNow, Effect.sync(() => --live))
      })
      yield* Effect.gen(function*() {
        for (let index = 0; index < 100_000; index++) {
          yield* ResourceManager.allocate(index % 100 === 0 ? Async : Counted)
        }
        assert.strictEqual(live, 100_000)
      }).pipe(TimeFrame.run({ name: "many" }))
      assert.strictEqual(live, 0)
    }).pipe(managed()), 30_000)
})

describe("Frames nest", () => {
  it.effect("with paths and the earlier deadline", () =>
    Effect.gen(function*() {
      const inner = Effect.all([TimeFrame.path, TimeFrame.remaining])
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* TimeFrame.current).name, "server")
        assert.deepStrictEqual(yield* TimeFrame.remaining, Duration.infinity)
        yield* Effect.gen(function*() {
          assert.deepStrictEqual(
            yield* inner.pipe(TimeFrame.run({ name: "query", timeout: "1 hour" })),
            ["server/request/query", Duration.millis(250)]
          )
          assert.deepStrictEqual(
            yield* inner.pipe(TimeFrame.run({ name: "query", timeout: "100 millis" })),
            ["server/request/query", Duration.millis(100)]
          )
          assert.deepStrictEqual(yield* inner, ["server/request", Duration.millis(250)])
        }).pipe(TimeFrame.run({ name: "request", timeout: "250 millis" }))
      }).pipe(TimeFrame.run({ name: "server" }))
    }).pipe(managed()))

  it.effect("1,000 deep, and close from outside and from inside", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const deep = (
        depth: number
      ): Effect.Effect<void, unknown, TimeFrame.TimeFrame | ResourceManager.ResourceManager> =>
        depth === 0
          ? Effect.asVoid(ResourceManager.allocate(Thing, "deepest"))
          : Effect.suspend(() => deep(depth - 1)).pipe(TimeFrame.run({ name: String(depth) }))
      yield* deep(1000).pipe(TimeFrame.run({ name: "top" }))
      yield* Effect.gen(function*() {
        let frame = yield* TimeFrame.current
        for (let depth = 0; depth < 1000; depth++) {
          frame = yield* TimeFrame.make({ name: String(depth) }).pipe(TimeFrame.provide(frame))
        }
        yield* ResourceManager.allocate(Thing, "inside").pipe(TimeFrame.provide(frame))
        assert.strictEqual((yield* ResourceManager.snapshot).frames.length, 1002)
      }).pipe(TimeFrame.run({ name: "outside" }))
      assert.deepStrictEqual(lines, ["+deepest", "-deepest", "+inside", "-inside"])
      assert.strictEqual((yield* ResourceManager.snapshot).frames.length, 1)
    }).pipe(managed()), 30_000)

  it.effect("and run in parallel, each with its own frame", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const gate = yield* Latch.make()
      const one = (name: string) =>
        Effect.gen(function*() {
          yield* ResourceManager.allocate(Thing, name)
          yield* gate.await
          return yield* TimeFrame.path
        }).pipe(TimeFrame.run({ name }))
      const fiber = yield* start(
        Effect.all(["a", "b", "c"].map(one), { concurrency: "unbounded" }).pipe(TimeFrame.run({ name: "all" }))
      )
      yield* Effect.yieldNow
      assert.strictEqual((yield* ResourceManager.snapshot).frames.length, 5)
      yield* gate.open
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["all/a", "all/b", "all/c"])
      assert.deepStrictEqual(lines.toSorted(), ["+a", "+b", "+c", "-a", "-b", "-c"])
    }).pipe(managed()))

  it.effect("and the frame around is the current one again when the one inside has ended", () =>
    Effect.gen(function*() {
      const before = yield* TimeFrame.current
      yield* Effect.exit(Effect.fail("no").pipe(TimeFrame.run({ name: "failing" })))
      yield* Effect.void.pipe(TimeFrame.run({ name: "bounded", timeout: "1 second" }))
      assert.strictEqual(yield* TimeFrame.current, before)
      assert.strictEqual(yield* Effect.scope, before as unknown as Scope.Scope)
    }).pipe(TimeFrame.run({ name: "outer" }), managed()))
})

describe("A closed frame", () => {
  it.effect("takes nothing new from a fiber that outlived it", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const gate = yield* Latch.make()
      const result = yield* Deferred.make<unknown>()
      yield* gate.await.pipe(
        Effect.andThen(ResourceManager.allocate(Thing, "late")),
        Effect.exit,
        Effect.flatMap((exit) => Deferred.succeed(result, failureOf(exit))),
        Effect.forkDetach,
        TimeFrame.run({ name: "short" })
      )
      yield* gate.open
      assert.deepInclude(yield* Deferred.await(result), { _tag: "FrameClosed", frame: "short", resource: "thing" })
      assert.deepStrictEqual(lines, [])
    }).pipe(managed()))

  it.effect("lets a frame that is opened inside it go into the nearest one that is open", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const closed = yield* TimeFrame.current.pipe(TimeFrame.run({ name: "closed", budget: { memory: 1 } }))
      const exit = yield* Effect.gen(function*() {
        assert.strictEqual(yield* TimeFrame.path, "inside")
        yield* Effect.addFinalizer(() => say("finalizer"))
        lines.push("body")
        return yield* ResourceManager.allocate(Thing, "in a frame of its own")
      }).pipe(TimeFrame.run({ name: "inside" }), TimeFrame.provide(closed), Effect.exit)
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(lines, ["body", "+in a frame of its own", "-in a frame of its own", "finalizer"])
      const timed = yield* ResourceManager.allocate(Thing, "in vain").pipe(
        TimeFrame.provide(closed),
        Effect.exit
      )
      assert.strictEqual(tagOf(timed), "FrameClosed")
    }).pipe(managed()))

  it.effect("can be closed by its own body, which goes on without it", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const exit = yield* Effect.gen(function*() {
        const thing = yield* ResourceManager.allocate(Thing, "a")
        yield* TimeFrame.close(yield* TimeFrame.current)
        lines.push(`live: ${thing.isLive}`)
        return yield* Effect.exit(ResourceManager.allocate(Thing, "b"))
      }).pipe(TimeFrame.run({ name: "suicidal" }))
      assert.strictEqual(tagOf(exit), "FrameClosed")
      assert.deepStrictEqual(lines, ["+a", "-a", "live: false"])
    }).pipe(managed()))

  it.effect("keeps everybody who closes it until its releases are done", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate, state } = makeGated({ release: true })
      const frame = yield* TimeFrame.make({ name: "shared" })
      yield* ResourceManager.allocate(Gated).pipe(TimeFrame.provide(frame))
      const closers = yield* Effect.forEach([1, 2, 3], () => start(TimeFrame.close(frame)))
      const interrupted = yield* start(TimeFrame.close(frame))
      yield* Fiber.interrupt(interrupted)
      assert.isTrue(closers.every((fiber) => fiber.pollUnsafe() === undefined))
      assert.strictEqual(state.released, 0)
      yield* releaseGate.open
      yield* Fiber.joinAll(closers)
      assert.strictEqual(state.released, 1)
      yield* TimeFrame.close(frame)
      assert.strictEqual(state.released, 1)
    }).pipe(Effect.scoped, managed()))

  it.effect("passes the exit that it was closed with to its releases", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const frame = yield* TimeFrame.make({ name: "frame" })
      yield* Effect.addFinalizer((exit) => Effect.sync(() => seen.push(failureOf(exit)))).pipe(TimeFrame.provide(frame))
      yield* TimeFrame.close(frame, Exit.fail("why"))
      assert.deepStrictEqual(seen, ["why"])
    }).pipe(Effect.scoped, managed()))
})

describe("A frame can not be made", () => {
  it("without a name", () => {
    assert.throws(() => Effect.void.pipe(TimeFrame.run({ name: "" })), /name/)
  })

  for (const amount of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    it(`with a limit of ${amount}`, () => {
      assert.throws(() => Effect.void.pipe(TimeFrame.run({ name: "frame", budget: { memory: amount } })), /memory/)
    })
  }

  it.effect("outside of a manager", () =>
    Effect.gen(function*() {
      const unmanaged = Effect.void.pipe(TimeFrame.run({ name: "frame" })) as Effect.Effect<void>
      const exit = yield* Effect.exit(unmanaged)
      assert.match(String(defectsOf(exit)[0]), /ResourceManager/)
      assert.isTrue(Option.isNone(yield* Effect.serviceOption(TimeFrame.TimeFrame)))
      yield* TestClock.adjust("1 second")
    }))
})

import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { booksOf, makeWorld } from "./sweepWorld.ts"

/** A manager that the test closes itself. */
const makeManager = (options?: ResourceManager.Options) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(ResourceManager.layer(options), scope)
    return { context, close: Scope.close(scope, Exit.void) }
  })

/** Says what happens to it, in a list. */
const told = (name: string, log: Array<string>) => ({
  acquire: () => Effect.sync(() => name),
  release: () => Effect.sync(() => void log.push(name))
})

const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow)

describe("Closing", () => {
  it.effect("wakes who comes to wait when it is done in the meantime", () =>
    Effect.asVoid(Sweep.assert({
      name: "a frame whose release lets others run",
      setup: makeWorld({ acquire: "ok", release: "yields", shape: "plain" }),
      body: (world) => world.observe(TimeFrame.run(ResourceManager.allocate(world.temporal()), { name: "frame" })),
      check: () => []
    })))

  it.effect("ends persistent values after the frames that use them", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { close, context } = yield* makeManager()
      const Buffer = ResourceDefinition.temporal("buffer", told("buffer", log))
      const Settings = ResourceDefinition.persistent("settings", told("settings", log))
      const frame = yield* TimeFrame.make({ name: "server" }).pipe(Effect.provideContext(context))
      yield* TimeFrame.provide(
        Effect.andThen(ResourceManager.allocate(Buffer), ResourceManager.allocate(Settings)),
        frame
      )
      yield* close
      assert.deepStrictEqual(log, ["buffer", "settings"])
    }).pipe(Effect.scoped))

  it.effect("releases what an acquisition has allocated after the value that was built on it", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const Socket = ResourceDefinition.temporal("socket", told("socket", log))
      const Client = ResourceDefinition.temporal("client", {
        acquire: () =>
          Effect.andThen(
            ResourceManager.allocate(Socket),
            Effect.addFinalizer(() => Effect.sync(() => void log.push("client")))
          )
      })
      yield* TimeFrame.run(ResourceManager.allocate(Client), { name: "frame" })
      assert.deepStrictEqual(log, ["client", "socket"])
    }).pipe(Effect.provide(ResourceManager.layer())))

  it.effect("is not held up by a use whose value ends at this moment", () =>
    Effect.gen(function*() {
      const entered = yield* Deferred.make<void>()
      const Shared = ResourceDefinition.shared("shared", {
        acquire: () => Effect.succeed("shared"),
        release: () => Deferred.succeed(entered, undefined)
      })
      const frame = yield* TimeFrame.make({ name: "frame", gracePeriod: "1 hour" })
      // Woken in the middle of the release, in the same step.
      const closing = yield* Effect.forkChild(Effect.andThen(Deferred.await(entered), TimeFrame.close(frame)), {
        startImmediately: true
      })
      const share = yield* TimeFrame.provide(ResourceManager.allocate(Shared), frame)
      yield* share.release
      yield* settle
      assert.isDefined(closing.pollUnsafe(), "the frame never closes")
    }).pipe(Effect.scoped, Effect.provide(ResourceManager.layer())))

  it.effect("leaves no timer of the manager behind", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld({ acquire: "ok", release: "ok", shape: "plain" })
      yield* TimeFrame.run(ResourceManager.allocate(world.shared("1 hour")), { name: "frame" }).pipe(
        Effect.provideContext(world.context)
      )
      yield* settle
      assert.strictEqual(world.sleeping, 1)
      yield* world.closeManager
      yield* settle
      assert.strictEqual(world.sleeping, 0)
    }))

  it.effect("of the manager ends the streams of its events", () =>
    Effect.gen(function*() {
      const { close, context } = yield* makeManager()
      const listener = yield* Stream.runDrain(ResourceManager.events).pipe(
        Effect.provideContext(context),
        Effect.forkChild({ startImmediately: true })
      )
      yield* settle
      yield* close
      yield* settle
      assert.isDefined(listener.pollUnsafe(), "the listener waits for ever")
      yield* Fiber.interrupt(listener)
    }))

  it.effect("a frame ahead of its time leaves nothing of it in the scope that it was made in", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const count = () => scope.state._tag === "Open" ? scope.state.finalizers?.size ?? 1 : 0
      for (let n = 0; n < 10; n++) {
        const frame = yield* Scope.provide(TimeFrame.make({ name: "short" }), scope)
        yield* TimeFrame.close(frame)
      }
      assert.isAtMost(count(), 1)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(ResourceManager.layer())))
})

describe("Budgets", () => {
  const Costly = ResourceDefinition.temporal("costly", {
    cost: () => ({ memory: 1 }),
    acquire: () => Effect.succeed("costly")
  })

  it.effect("count a unit that the manager does not limit wherever it is used", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Costly)
        const snapshot = yield* ResourceManager.snapshot
        assert.deepStrictEqual(booksOf(snapshot), [])
      }).pipe(TimeFrame.run({ name: "limited", budget: { memory: 5 } }), TimeFrame.run({ name: "unlimited" }))
      // Once the unit is known, and in a frame that was opened before that.
      yield* Effect.gen(function*() {
        yield* TimeFrame.run(ResourceManager.allocate(Costly), { name: "first", budget: {} })
        yield* ResourceManager.allocate(Costly)
        const snapshot = yield* ResourceManager.snapshot
        assert.deepStrictEqual(booksOf(snapshot), [])
        assert.strictEqual(snapshot.frames[0]!.budgets.find(({ unit }) => unit === "memory")?.used, 1)
      }).pipe(TimeFrame.run({ name: "limited", budget: { memory: 5 } }))
    }).pipe(Effect.provide(ResourceManager.layer())))

  it.effect("name a holder for all that an allocation of several has charged", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const Slow = ResourceDefinition.temporal("slow", {
        cost: () => ({ memory: 1 }),
        acquire: () => gate.await,
        release: () => Effect.void
      })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(ResourceManager.allocateAll([[Slow], [Slow], [Slow]]), {
          startImmediately: true
        })
        const snapshot = yield* ResourceManager.snapshot
        gate.openUnsafe()
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(booksOf(snapshot), [])
      }).pipe(TimeFrame.run({ name: "frame", budget: { memory: 3 } }))
    }).pipe(Effect.provide(ResourceManager.layer())))
})

describe("Frames", () => {
  it.effect("keep to the deadline of the frame outside on a fiber that is not its own", () =>
    Effect.gen(function*() {
      const inner = yield* Effect.gen(function*() {
        const fiber = yield* Effect.never.pipe(
          TimeFrame.run({ name: "inner", timeout: "1 hour" }),
          Effect.onExit(() => Effect.void),
          Effect.forkDetach({ startImmediately: true })
        )
        return yield* Effect.as(Effect.sleep("10 millis"), fiber)
      }).pipe(TimeFrame.run({ name: "outer", timeout: "1 second" }), Effect.forkChild)
      yield* TestClock.adjust("10 millis")
      const fiber = yield* Fiber.join(inner)
      yield* TestClock.adjust("2 seconds")
      const exit = fiber.pollUnsafe()
      yield* Fiber.interrupt(fiber)
      assert.isDefined(exit, "the inner body goes on after the deadline of the frame outside")
    }).pipe(Effect.provide(ResourceManager.layer())))
})

describe("Failures", () => {
  it.effect("of an acquisition are not lost when its scope dies as well", () =>
    Effect.gen(function*() {
      const Broken = ResourceDefinition.temporal("broken", {
        acquire: () =>
          Effect.andThen(Effect.addFinalizer(() => Effect.die("finalizer")), Effect.fail("refused" as const))
      })
      const exit = yield* Effect.exit(TimeFrame.run(ResourceManager.allocate(Broken), { name: "frame" }))
      const reasons = Exit.isFailure(exit) ? exit.cause.reasons : []
      const what = reasons.map((reason) =>
        reason._tag === "Die" ? reason.defect : reason._tag === "Fail" && reason.error
      )
      assert.sameMembers(what, ["refused", "finalizer"])
    }).pipe(Effect.provide(ResourceManager.layer())))
})

describe("Events", () => {
  it.effect("beyond the capacity of a listener are dropped and counted", () =>
    Effect.gen(function*() {
      const latch = Latch.makeUnsafe()
      const seen: Array<string> = []
      const listener = yield* Stream.runForEach(ResourceManager.events, (event) =>
        Effect.andThen(latch.await, Effect.sync(() => void seen.push(event._tag)))).pipe(
          Effect.forkChild({ startImmediately: true })
        )
      yield* settle
      for (let n = 0; n < 20; n++) {
        yield* TimeFrame.run(Effect.void, { name: "frame" })
      }
      latch.openUnsafe()
      yield* settle
      yield* TimeFrame.run(Effect.void, { name: "frame" })
      yield* settle
      yield* Fiber.interrupt(listener)
      assert.include(seen, "EventsDropped")
      assert.isBelow(seen.length, 20)
    }).pipe(Effect.provide(ResourceManager.layer({ eventCapacity: 4 }))))
})

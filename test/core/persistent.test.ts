import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Layer, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, heldNow, makeLog, managed, start, tagOf, usedBy } from "./fixtures.ts"

const makeSettings = () => {
  const log = makeLog()
  let made = 0
  const Settings = ResourceDefinition.persistent("settings", {
    params: Schema.String,
    cost: () => ({ settings: 1 }),
    acquire: (name) => Effect.suspend(() => Effect.as(log.say(`+${name}`), { id: ++made, name })),
    release: ({ name }) => log.say(`-${name}`)
  })
  return { ...log, Settings }
}

describe("A persistent value", () => {
  it.effect("outlives every frame and ends with the manager", () =>
    Effect.gen(function*() {
      const { lines, say, Settings } = makeSettings()
      yield* Effect.gen(function*() {
        for (const name of ["one", "two"]) {
          const settings = yield* ResourceManager.allocate(Settings, "s").pipe(
            Effect.map(({ value }) => value.id),
            TimeFrame.run({ name })
          )
          assert.strictEqual(settings, 1)
          yield* TestClock.adjust("1000 days")
        }
        assert.strictEqual(yield* usedBy("", "settings"), 1)
        yield* say("done")
      }).pipe(managed())
      assert.deepStrictEqual(lines, ["+s", "done", "-s"])
    }))

  it.effect("ends when it is retired and nobody uses it, and the next user gets a new one", () =>
    Effect.gen(function*() {
      const { lines, Settings } = makeSettings()
      const use = ResourceManager.use(Settings, "s", ({ id }) => Effect.succeed(id)).pipe(
        TimeFrame.run({ name: "frame" })
      )
      assert.strictEqual(yield* use, 1)
      yield* ResourceManager.retire(Settings)
      assert.deepStrictEqual(lines, ["+s", "-s"])
      assert.strictEqual(yield* use, 2)
      yield* Effect.gen(function*() {
        const held = yield* ResourceManager.allocate(Settings, "s")
        yield* ResourceManager.retire(Settings, "s")
        assert.strictEqual(held.value.id, 2)
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+s", "-s", "+s", "-s"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("can not be released by one of its users", () =>
    Effect.gen(function*() {
      const { lines, Settings } = makeSettings()
      const one = yield* ResourceManager.allocate(Settings, "s")
      const two = yield* ResourceManager.allocate(Settings, "s")
      yield* one.release
      yield* one.release
      assert.strictEqual(two.value.id, 1)
      yield* two.release
      assert.deepStrictEqual(lines, ["+s"])
      assert.throws(() => two.value, /released/)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

describe("When the manager closes", () => {
  it.effect("frames that are still open end first, persistent values last", () =>
    Effect.gen(function*() {
      const { lines, Settings, Thing } = makeSettings()
      yield* Effect.gen(function*() {
        const ready = yield* Latch.make()
        yield* Effect.gen(function*() {
          yield* ResourceManager.allocate(Thing, "before")
          yield* ResourceManager.allocate(Settings, "s")
          yield* ResourceManager.allocate(Thing, "after")
          yield* ready.open
          return yield* Effect.never
        }).pipe(TimeFrame.run({ name: "frame" }), Effect.forkDetach)
        yield* ready.await
      }).pipe(managed())
      assert.deepStrictEqual(lines, ["+before", "+s", "+after", "-after", "-before", "-s"])
    }))

  it.effect("a persistent value that another one uses ends after that one", () =>
    Effect.gen(function*() {
      const { lines, say, Settings } = makeSettings()
      const Database = ResourceDefinition.persistent("database", {
        acquire: () => Effect.andThen(ResourceManager.allocate(Settings, "s"), say("+db")),
        release: () => say("-db")
      })
      yield* ResourceManager.allocate(Database).pipe(TimeFrame.run({ name: "frame" }), managed())
      assert.deepStrictEqual(lines, ["+s", "+db", "-db", "-s"])
    }))

  it.effect("they end in the opposite order of their beginning", () =>
    Effect.gen(function*() {
      const { lines, Settings } = makeSettings()
      yield* Effect.forEach(["a", "b", "c"], (name) => ResourceManager.use(Settings, name, () => Effect.void)).pipe(
        TimeFrame.run({ name: "frame" }),
        managed()
      )
      assert.deepStrictEqual(lines, ["+a", "+b", "+c", "-c", "-b", "-a"])
    }))

  it.effect("an acquisition under way is interrupted, or released when its value comes late", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const gate = yield* Latch.make()
      const Polite = ResourceDefinition.persistent("polite", {
        acquire: () => Effect.onInterrupt(Effect.never, () => say("interrupted"))
      })
      const Stubborn = ResourceDefinition.persistent("stubborn", {
        acquire: () => Effect.andThen(gate.await, say("+")),
        release: () => say("-")
      })
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(ResourceManager.layer(), scope)
      const fibers = yield* Effect.forEach(
        [Polite, Stubborn],
        (definition) =>
          ResourceManager.allocate(definition).pipe(
            TimeFrame.run({ name: "frame" }),
            Effect.provideContext(context),
            Effect.exit,
            (effect) => Effect.forkDetach(effect, { startImmediately: true })
          )
      )
      const closing = yield* start(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(closing)
      yield* gate.open
      yield* TestClock.adjust(1)
      // A body does not outlive the manager of its frame.
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      assert.isTrue(exits.every(Exit.hasInterrupts))
      assert.deepStrictEqual(lines, ["interrupted", "+", "-"])
      const held = yield* Effect.provideContext(heldNow, context)
      assert.deepStrictEqual(held, [])
    }))

  it.effect("nothing can be allocated any more, and the error says so", () =>
    Effect.gen(function*() {
      const { lines, Settings, Thing } = makeSettings()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(ResourceManager.layer(), scope)
      yield* Scope.close(scope, Exit.void)
      const attempts = [
        Effect.asVoid(ResourceManager.allocate(Thing, "a")),
        Effect.asVoid(ResourceManager.allocate(Settings, "s")),
        Effect.asVoid(ResourceManager.allocateAll([[Thing, "a"], [Settings, "s"]])),
        ResourceManager.use(Thing, "a", () => Effect.void)
      ]
      for (const attempt of attempts) {
        const exit = yield* attempt.pipe(TimeFrame.run({ name: "late" }), Effect.provideContext(context), Effect.exit)
        assert.strictEqual(tagOf(exit), "FrameClosed")
      }
      assert.deepStrictEqual(lines, [])
      yield* ResourceManager.retire(Settings).pipe(Effect.provideContext(context))
    }))

  it.effect("it passes on what releases died of, and gives hanging ones its grace period", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const Dying = ResourceDefinition.persistent("dying", {
        acquire: () => Effect.void,
        release: () => Effect.die("bug")
      })
      const Hanging = ResourceDefinition.persistent("hanging", {
        acquire: () => Effect.void,
        release: () => gate.await
      })
      const fiber = yield* ResourceManager.allocateAll([[Dying], [Hanging]]).pipe(
        TimeFrame.run({ name: "frame" }),
        managed({ gracePeriod: "2 seconds" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(defectsOf(yield* Fiber.join(fiber)), ["bug"])
      yield* gate.open
    }))
})

describe("Two managers", () => {
  it.effect("share nothing", () =>
    Effect.gen(function*() {
      const { lines, Settings } = makeSettings()
      const one = yield* Layer.build(ResourceManager.layer({ budget: { settings: 1 } }))
      const two = yield* Layer.build(ResourceManager.layer({ budget: { settings: 1 } }))
      for (const context of [one, two, one] as ReadonlyArray<Context.Context<ResourceManager.ResourceManager>>) {
        yield* Effect.exit(
          ResourceManager.use(Settings, "s", () => Effect.void).pipe(
            TimeFrame.run({ name: "frame" }),
            Effect.provideContext(context)
          )
        )
      }
      assert.deepStrictEqual(lines, ["+s", "+s"])
      yield* ResourceManager.retire(Settings).pipe(Effect.provideContext(one))
      assert.deepStrictEqual(lines, ["+s", "+s", "-s"])
      assert.strictEqual(yield* usedBy("", "settings").pipe(Effect.provideContext(two)), 1)
    }).pipe(Effect.scoped))

  it.effect("one inside a frame of the other: the inner one owns the frames that are opened there", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      yield* ResourceManager.allocate(Thing, "a").pipe(
        Effect.andThen(Effect.map(heldNow, (held) => assert.deepStrictEqual(held, ["thing live"]))),
        TimeFrame.run({ name: "inner" }),
        managed()
      )
    }).pipe(TimeFrame.run({ name: "outer" }), managed()))
})

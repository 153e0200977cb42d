import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Leaks, Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, RcMap, References, Scope } from "effect"
import { globSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const nothing = Effect.addFinalizer(() => Effect.void)

/** Opens a scope that nobody closes. */
const openAndForget = Effect.fn("openAndForget")(function*() {
  const scope = yield* Scope.make()
  yield* Scope.provide(Effect.andThen(nothing, nothing), scope)
  return scope
})

const leaksOf = <A, E, R>(effect: Effect.Effect<A, E, R>, options?: Leaks.Options) =>
  Effect.map(Leaks.track(effect, options), ({ leaks }) => leaks)

const kindsOf = <A, E, R>(effect: Effect.Effect<A, E, R>, options?: Leaks.Options) =>
  Effect.map(leaksOf(effect, options), (leaks) => leaks.map(({ kind }) => kind))

const Connection = ResourceDefinition.temporal("connection", {
  acquire: () => Effect.succeed({}),
  release: () => Effect.void
})

const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.succeed({}) })

describe("Leaks finds", () => {
  it.effect("a scope that is not closed, with its finalizers and who opened it", () =>
    Effect.gen(function*() {
      const [leak, ...others] = yield* leaksOf(openAndForget())
      assert.isEmpty(others)
      assert.strictEqual(leak?.kind, "scope")
      if (leak?.kind !== "scope") return
      assert.strictEqual(leak.finalizers, 2)
      assert.strictEqual(leak.who, "openAndForget")
      assert.match(leak.at!, /Leaks\.test\.ts:\d+:\d+/)
      assert.match(
        Leaks.describe(leak),
        /^a scope is open that was first used in "openAndForget" \(.*\), 2 finalizers$/
      )
    }))

  it.effect("who added the finalizers", () =>
    Effect.gen(function*() {
      const connect = Effect.fn("connect")(() => nothing)
      const listen = Effect.fn("listen")(() => nothing)
      const program = Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Effect.andThen(connect(), listen()).pipe(Scope.provide(scope))
      })
      const [leak] = yield* leaksOf(program)
      assert.deepInclude(leak, { kind: "scope", who: undefined, finalizers: 2, addedBy: ["connect", "listen"] })
    }))

  it.effect("inner scopes as part of the outermost one, and fibers in it too", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Effect.gen(function*() {
          yield* nothing
          yield* Effect.forkScoped(Effect.never)
          yield* Scope.provide(nothing, yield* Scope.fork(scope))
          yield* Layer.build(Layer.effectDiscard(nothing))
        }).pipe(Scope.provide(scope))
      })
      const leaks = yield* leaksOf(program)
      assert.strictEqual(leaks.length, 1)
      assert.deepInclude(leaks[0], { kind: "scope", finalizers: 3, fibers: 1 })
    }))

  it.effect("a scope that only a forked child had as the current one", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const parent = yield* Scope.make()
        yield* Scope.provide(nothing, yield* Scope.fork(parent))
      })
      assert.deepStrictEqual(yield* kindsOf(program), ["scope"])
    }))

  it.effect("a fiber that was forgotten, and what it is in", () =>
    Effect.gen(function*() {
      const poll = Effect.fn("poll")(() => Effect.never)
      const leaks = yield* leaksOf(Effect.forkDetach(poll()))
      assert.strictEqual(leaks.length, 1)
      assert.deepInclude(leaks[0], { kind: "fiber", who: "poll" })
      assert.match(Leaks.describe(leaks[0]!), /^fiber #\d+ is still running in "poll" \(.*Leaks\.test\.ts:\d+:\d+\)$/)
    }))

  it.effect("a fiber that has not had its first turn when the effect is over", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* kindsOf(Effect.forkDetach(Effect.never)), ["fiber"])
    }))

  it.effect("what is left open by an effect that fails, dies or is interrupted", () =>
    Effect.gen(function*() {
      for (const end of [Effect.fail("no"), Effect.die("no"), Effect.interrupt]) {
        const { exit, leaks } = yield* Leaks.track(Effect.andThen(openAndForget(), end))
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(leaks.map(({ kind }) => kind), ["scope"])
      }
    }))

  it.effect("what effects leave open that were told not to yield", () =>
    Effect.gen(function*() {
      const around = Effect.provideService(kindsOf(openAndForget()), References.PreventSchedulerYield, true)
      assert.deepStrictEqual(yield* around, ["scope"])
    }))

  it.effect("a frame that a forgotten fiber runs, and what is held in it", () =>
    Effect.gen(function*() {
      const work = Effect.andThen(ResourceManager.allocate(Connection), Effect.never).pipe(
        TimeFrame.run({ name: "query" }),
        TimeFrame.run({ name: "request", timeout: "1 minute" })
      )
      const leaks = yield* leaksOf(Effect.forkDetach(work))
      assert.match(Leaks.describe(leaks[0]!), /^fiber #\d+ is still running$/)
      assert.deepStrictEqual(leaks.slice(1).map(Leaks.describe), [
        "the frame \"request\" is still open",
        "the frame \"request/query\" is still open",
        "\"connection\" is still held in the frame \"request/query\""
      ])
    }).pipe(Effect.provide(ResourceManager.layer())))

  it.effect("a manager that is not closed, with all that it holds", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(ResourceManager.layer(), scope)
        yield* ResourceManager.use(Settings, () => Effect.void).pipe(
          TimeFrame.run({ name: "request" }),
          Effect.provide(context)
        )
      })
      const leaks = yield* leaksOf(program)
      assert.deepStrictEqual(leaks.map(({ kind }) => kind), ["scope", "allocation"])
      assert.match(Leaks.describe(leaks[1]!), /^"settings" is still held/)
    }))

  it.effect("an allocation that has outlived its frame", () =>
    Effect.gen(function*() {
      const Stubborn = ResourceDefinition.temporal("stubborn", {
        acquire: () => Effect.void,
        release: () => Effect.never
      })
      const program = ResourceManager.allocate(Stubborn).pipe(
        TimeFrame.run({ name: "request", gracePeriod: 0 })
      )
      const words = (yield* leaksOf(program)).map(Leaks.describe)
      assert.include(words, "\"stubborn\" has outlived the frame \"request\"")
    }).pipe(Effect.provide(ResourceManager.layer())))
})

describe("Leaks has nothing against", () => {
  it.effect("scopes that are closed, and children of fibers that end", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        yield* Effect.scoped(nothing)
        yield* Effect.forkChild(Effect.never)
        yield* Effect.forkChild(Effect.scoped(Effect.andThen(nothing, Effect.never)), { startImmediately: true })
        const fiber = yield* Effect.forkDetach(Effect.never)
        yield* Fiber.interrupt(fiber)
        yield* Effect.provide(Effect.void, Layer.effectDiscard(nothing))
      })
      assert.isEmpty(yield* leaksOf(program))
    }))

  it.effect("what goes into a scope around it: finalizers, fibers, inner scopes and layers", () =>
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const program = Effect.gen(function*() {
        yield* nothing
        yield* Scope.provide(nothing, yield* Scope.fork(scope))
        yield* Layer.build(Layer.effectDiscard(nothing))
        yield* Effect.forkScoped(
          Effect.gen(function*() {
            yield* Effect.forkChild(Effect.never)
            return yield* Effect.scoped(Effect.andThen(nothing, Effect.never))
          }),
          { startImmediately: true }
        )
      })
      assert.isEmpty(yield* leaksOf(program))
    }))

  it.effect("a frame and a fiber of a frame that was opened around it", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        yield* ResourceManager.allocate(Connection)
        yield* ResourceManager.allocate(Settings)
        yield* Effect.forkScoped(TimeFrame.run(Effect.never, { name: "poll", timeout: "1 hour" }))
        yield* TimeFrame.run(ResourceManager.allocate(Connection), { name: "query" })
      })
      assert.isEmpty(yield* leaksOf(program))
    }).pipe(TimeFrame.run({ name: "request" }), Effect.provide(ResourceManager.layer())))

  it.effect("what a service around it keeps for the next one", () =>
    Effect.gen(function*() {
      class Rooms extends Context.Service<Rooms, RcMap.RcMap<string, string>>()("Rooms") {}
      const rooms = yield* RcMap.make({
        lookup: (name: string) => Effect.as(nothing, name),
        idleTimeToLive: "1 minute"
      })
      const program = Effect.scoped(Effect.flatMap(Rooms, (rooms) => RcMap.get(rooms, "blue")))
      assert.isEmpty(yield* Effect.provideService(leaksOf(program), Rooms, rooms))
    }))

  it.effect("what another effect does at the same time", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const [clean, dirty] = yield* Effect.all([
        leaksOf(Effect.scoped(Effect.andThen(nothing, Deferred.await(gate)))),
        leaksOf(Effect.andThen(openAndForget(), Effect.ensuring(Effect.yieldNow, Deferred.succeed(gate, void 0))))
      ], { concurrency: 2 })
      assert.isEmpty(clean)
      assert.strictEqual(dirty.length, 1)
    }))
})

describe("Leaks.track", () => {
  it.effect("gives what was interrupted its turns, and the time that it is told to", () =>
    Effect.gen(function*() {
      const interrupted = Effect.gen(function*() {
        const release = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
        const fiber = yield* Effect.forkDetach(Effect.onInterrupt(Effect.never, () => release), {
          startImmediately: true
        })
        fiber.interruptUnsafe()
      })
      assert.isEmpty(yield* leaksOf(interrupted))
      assert.deepStrictEqual(yield* kindsOf(interrupted, { settle: 0 }), ["fiber"])
      const late = Effect.forkDetach(Effect.sleep(50))
      assert.deepStrictEqual(yield* kindsOf(late), ["fiber"])
      assert.deepStrictEqual(yield* kindsOf(late, { wait: 40 }), ["fiber"])
      assert.isEmpty(yield* leaksOf(late, { wait: 50 }))
    }))

  it.live("waits by the clock of the program", () =>
    Effect.gen(function*() {
      assert.isEmpty(yield* leaksOf(Effect.forkDetach(Effect.sleep(5)), { wait: "1 minute" }))
    }))

  it("is loaded without core, which is an optional peer", () => {
    const folder = resolve(import.meta.dirname, "../../packages/testing/src")
    for (const file of globSync("**/*.ts", { cwd: folder })) {
      const code = readFileSync(join(folder, file), "utf8")
      assert.notMatch(code, /^(import|export) (?!type\b)[^"]* from "@chronovyan\/core/m, file)
    }
  })

  it.effect("overlooks what it is told to ignore", () =>
    Effect.gen(function*() {
      const ignore = (leak: Leaks.Leak) => leak.kind === "scope" && leak.who === "openAndForget"
      assert.deepStrictEqual(
        yield* kindsOf(Effect.andThen(openAndForget(), Effect.forkDetach(Effect.never)), { ignore }),
        ["fiber"]
      )
    }))

  it.effect("interrupts the effect when it is interrupted itself", () =>
    Effect.gen(function*() {
      let ended = false
      const program = Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended = true))
      const fiber = yield* Effect.forkChild(Leaks.track(program), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.isTrue(ended)
    }))

  it("needs no turn of the event loop when nothing is left open", () => {
    const { exit, leaks } = Effect.runSync(Leaks.track(Effect.scoped(Effect.as(nothing, 1))))
    assert.deepStrictEqual([exit, leaks], [Exit.succeed(1), []])
  })
})

describe("Leaks.check", () => {
  it.effect("succeeds with the value of an effect that leaves nothing open", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Leaks.check(Effect.succeed(1)), 1)
    }))

  it.effect("fails with a message that names all that is left open", () =>
    Effect.gen(function*() {
      const program = Effect.andThen(openAndForget(), Effect.forkDetach(Effect.withSpan(Effect.never, "poll")))
      const failure = yield* Effect.flip(Leaks.check(program))
      assert.strictEqual(failure._tag, "LeakFailure")
      const [first, ...lines] = failure.message.split("\n")
      assert.strictEqual(first, "2 things are left open:")
      assert.match(lines[0]!, /^ {2}a scope is open .*"openAndForget"/)
      assert.match(lines[1]!, /^ {2}fiber #\d+ is still running in "poll"/)
    }))

  it.effect("names the first 20, and says how many more there are", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(Leaks.check(Effect.replicateEffect(openAndForget(), 25)))
      const lines = failure.message.split("\n")
      assert.strictEqual(lines[0], "25 things are left open:")
      assert.strictEqual(lines.length, 22)
      assert.strictEqual(lines.at(-1), "  ... and 5 more")
    }))

  it.effect("lets the failure of the effect come first, and mentions what it leaves open", () =>
    Effect.gen(function*() {
      for (const end of [Effect.fail("own"), Effect.die("own")]) {
        const exit = yield* Effect.exit(Leaks.check(Effect.andThen(openAndForget(), end)))
        assert.isTrue(Exit.isFailure(exit))
        if (!Exit.isFailure(exit)) return
        assert.strictEqual(Cause.squash(exit.cause), "own")
        assert.match(Cause.pretty(exit.cause), /something is left open:/)
      }
    }))

  it.effect("can be swept", () =>
    Effect.gen(function*() {
      const scenario = Sweep.make({
        name: "a scope that is opened too early",
        setup: Effect.void,
        body: () => Effect.void,
        check: () =>
          Effect.map(
            leaksOf(Effect.scoped(Effect.andThen(nothing, Effect.sleep("1 second")))),
            (leaks) => leaks.map(Leaks.describe)
          )
      })
      yield* Sweep.assert(scenario, { modes: ["interrupt"] })
    }))
})

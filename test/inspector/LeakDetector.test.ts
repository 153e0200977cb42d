/* oxlint-disable vitest/no-standalone-expect -- the linter does not know it.effect */
import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { LeakDetector, type LeakReport } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Latch, Layer, Logger, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { makeGated, settle, start } from "../core/fixtures.ts"
import { inShort, load, raised, Sized, Thing, watched } from "./leaks.ts"

describe("a hold that is too long", () => {
  it.effect("is told of once, and taken back when it comes home", () =>
    Effect.gen(function*() {
      const told = yield* LeakDetector.reports.pipe(
        Stream.take(2),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      const thing = yield* ResourceManager.allocate(Thing)
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual(yield* raised, [])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* raised, ["overdue thing in server"])
      yield* TestClock.adjust("10 minutes")
      yield* thing.release
      yield* LeakDetector.look
      const [first, last] = yield* Fiber.join(told)
      assert.strictEqual(first!.message, "thing #1 has been held for 35.0 s in server: 31.0 s is expected")
      assert.strictEqual(last!.message, "thing #1 returned after all, after 10 min 36 s")
      assert.strictEqual(first!.id, last!.id)
      assert.deepStrictEqual(yield* raised, [])
    }).pipe(TimeFrame.run({ name: "server" }), watched({ holds: { thing: "31 seconds" } })))

  it.effect("is learned from how long those before were held, for each kind of frame", () =>
    Effect.gen(function*() {
      const keeper = yield* Effect.never.pipe(
        (never) => ResourceManager.use(Thing, () => never),
        TimeFrame.run({ name: "for good" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* load("request 7", () => ResourceManager.use(Thing, () => Effect.sleep("12 seconds")), {
        turns: 30,
        every: 3000
      })
      yield* ResourceManager.use(Thing, () => Effect.never).pipe(
        TimeFrame.run({ name: "request 8" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("55 seconds")
      assert.deepStrictEqual(yield* raised, [])
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* raised, ["overdue thing in server/request 8"])
      const [report] = yield* LeakDetector.current
      assert.match(report!.message, /of the \d+ before it the longest was held for 12\.0 s/)
      yield* Fiber.interrupt(keeper)
    }).pipe(TimeFrame.run({ name: "server" }), watched()))
})

describe("what has nobody to give it back", () => {
  it.effect("is told of when its frame ended without it", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated } = makeGated({ acquire: true })
      yield* ResourceManager.allocate(Gated).pipe(
        TimeFrame.run({ name: "request", timeout: "1 second" }),
        Effect.ignore,
        start
      )
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* raised, ["orphaned gated in server/request"])
      yield* acquireGate.open
      yield* settle
      assert.deepStrictEqual(
        (yield* LeakDetector.look).map(inShort),
        ["returned orphaned gated in server/request", "raised late gated in server/request"]
      )
      yield* TestClock.adjust("11 minutes")
      assert.deepStrictEqual(yield* raised, [])
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("is told of when the fiber of its frame is gone", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Effect.gen(function*() {
        const frame = yield* TimeFrame.make({ name: "forgotten" })
        yield* TimeFrame.provide(ResourceManager.allocate(Thing), frame)
      }).pipe(Scope.provide(scope), start, Effect.flatMap(Fiber.join))
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* raised, ["abandoned thing in server/forgotten"])
      yield* Scope.close(scope, Exit.void)
      const [report] = yield* LeakDetector.look
      assert.strictEqual(report!.message, "thing #1 returned after all, after 20.0 s")
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("is told of when its release does not end", () =>
    Effect.gen(function*() {
      const { Gated, releaseGate } = makeGated({ release: true })
      yield* ResourceManager.use(Gated, () => Effect.void).pipe(TimeFrame.run({ name: "request" }), start)
      yield* TestClock.adjust("70 seconds")
      assert.deepStrictEqual(yield* raised, ["releasing gated in server/request"])
      yield* releaseGate.open
      yield* settle
      const [report] = yield* LeakDetector.look
      assert.strictEqual(report!.message, "The release of gated #1 ended after all, after 1 min 5 s")
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("is told of by its frame when something in that does not end which is no allocation", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      yield* Effect.addFinalizer(() => gate.await).pipe(
        TimeFrame.run({ name: "inner" }),
        TimeFrame.run({ name: "outer", gracePeriod: "1 hour" }),
        start
      )
      yield* TestClock.adjust("70 seconds")
      assert.deepStrictEqual(yield* raised, ["releasing inner in server/outer/inner"])
      yield* gate.open
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("is no matter of fibers that only acquire for the frame that they share", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { max: 3 })
      const held = [ResourceManager.allocate(Thing), ResourcePool.get(pool), ResourceManager.allocate(pool)]
      const kept = yield* Effect.all(held, { concurrency: "unbounded" })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* raised, [])
      assert.lengthOf(kept, 3)
    }).pipe(TimeFrame.run({ name: "server" }), watched({ level: "full" })))
})

describe("growth", () => {
  it.effect("is told of, by definition and frame, when none of them leaves while others come and go", () =>
    Effect.gen(function*() {
      const server = yield* TimeFrame.current
      const work = (turn: number) =>
        turn % 4 > 0
          ? ResourceManager.use(Sized, 8, () => Effect.sleep("10 seconds"))
          : TimeFrame.provide(ResourceManager.allocate(Sized, 1000), server)
      yield* load("request", work, { turns: 90, every: 10_000 })
      assert.deepStrictEqual(yield* raised, ["growing sized in server"])
      const [report] = yield* LeakDetector.current
      assert.deepInclude(report, { unit: "memory", count: report!.count, amount: 1000 * report!.count })
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("of frames is told of by their name, and what they hold is not told of besides", () =>
    Effect.gen(function*() {
      const work = (turn: number) =>
        ResourceManager.use(Thing, () => turn % 3 === 0 ? Effect.never : Effect.sleep("2 seconds"))
      yield* load("request", work, { turns: 90, every: 10_000 })
      assert.deepStrictEqual(yield* raised, ["growing request in server/request"])
    }).pipe(TimeFrame.run({ name: "server" }), watched({ hold: Duration.infinity })))

  it.effect("of frames that come and go faster than is looked at is found all the same", () =>
    Effect.gen(function*() {
      const work = (turn: number) => turn % 10 === 0 ? Effect.never : Effect.void
      yield* load("request", work, { turns: 600, every: 2000 })
      assert.deepStrictEqual(yield* raised, ["growing request in server/request"])
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("of what one costs is told of, though there are no more of them", () =>
    Effect.gen(function*() {
      const work = (turn: number) => ResourceManager.use(Sized, 1000 + 100 * turn, () => Effect.sleep("15 seconds"))
      yield* load("request", work, { turns: 70, every: 10_000 })
      assert.deepStrictEqual(yield* raised, ["growing sized in server/request"])
      const [report] = yield* LeakDetector.current
      assert.include(report!.message, "costs more and more")
      yield* load("request", () => ResourceManager.use(Sized, 10, () => Effect.sleep("15 seconds")), {
        turns: 30,
        every: 10_000
      })
      assert.deepStrictEqual(yield* raised, [])
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("ends when most of it has come home", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const frame = yield* TimeFrame.make({ name: "cache" }).pipe(Scope.provide(scope))
      const work = () => Effect.andThen(TimeFrame.provide(ResourceManager.allocate(Thing), frame), Effect.void)
      yield* load("request", work, { turns: 80, every: 10_000 })
      assert.deepStrictEqual(yield* raised, ["growing thing in server/cache"])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* raised, [])
    }).pipe(TimeFrame.run({ name: "server" }), watched()))
})

describe("a detector", () => {
  it.effect("that is off finds nothing", () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Thing)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* LeakDetector.look, [])
    }).pipe(TimeFrame.run({ name: "server" }), watched({ level: "off", hold: 0 })))

  it.effect("goes on when its hook dies, and logs what it tells", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const hooked: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      const onReport = (report: LeakReport.LeakReport) =>
        Effect.sync(() => {
          hooked.push(inShort(report))
          throw new Error("no")
        })
      yield* Effect.gen(function*() {
        const thing = yield* ResourceManager.allocate(Thing)
        yield* TestClock.adjust("1 minute")
        yield* thing.release
        yield* TestClock.adjust("1 minute")
      }).pipe(
        TimeFrame.run({ name: "server" }),
        watched({ hold: "10 seconds", log: true, onReport }),
        Effect.provide(Logger.layer([logger]))
      )
      assert.deepStrictEqual(hooked, ["raised overdue thing in server", "returned overdue thing in server"])
      assert.match(
        logged.find((line) => line.startsWith("thing"))!,
        /^thing #1 has been held for 15\.0 s in server: 10\.0 s is expected\. See what .*: "1 minute" }\.$/
      )
      assert.include(logged, "thing #1 returned after all, after 1 min 5 s.")
    }))

  it.effect("tells of no more than a few of the same at once", () =>
    Effect.gen(function*() {
      const things = yield* Effect.forEach(Array.from({ length: 25 }), () => ResourceManager.allocate(Thing))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(yield* raised, 10)
      assert.match((yield* LeakDetector.current).at(-1)!.message, /10 like this are raised/)
      yield* Effect.forEach(things.slice(0, 20), ({ release }) => release)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(yield* raised, 5)
    }).pipe(TimeFrame.run({ name: "server" }), watched({ hold: "10 seconds" })))

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function*() {
      for (const options of [{ every: 0 }, { growth: { minimum: 1.5 } }, { learned: { factor: 0 } }, { limit: -1 }]) {
        const exit = yield* Effect.exit(Effect.provide(Effect.void, Layer.fresh(LeakDetector.layer(options)))).pipe(
          Effect.provide(ResourceManager.layer())
        )
        assert.isTrue(Exit.hasDies(exit))
      }
    }))

  it.effect("tells nothing of what it is told to ignore", () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Thing)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* raised, [])
    }).pipe(TimeFrame.run({ name: "server" }), watched({ hold: 0, ignore: ["thing"] })))
})

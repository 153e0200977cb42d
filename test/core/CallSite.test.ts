import {
  CallSite,
  ResourceCatalog,
  ResourceDefinition,
  ResourceManager,
  ResourcePool,
  Snapshot,
  TimeFrame
} from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, pipe, Scope } from "effect"
import { readFileSync } from "node:fs"
import { defectsOf, failureOf, managed, start } from "./fixtures.ts"

const Thing = ResourceDefinition.temporal("thing", { acquire: () => Effect.succeed("thing") })
const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.succeed("settings") })

const lines = readFileSync(import.meta.filename, "utf8").split("\n")

/** The line of this file on which that is written, as a comment. */
const lineOf = (mark: string): number => lines.findIndex((line) => line.includes(`// ${mark}`)) + 1

const held = Effect.map(ResourceManager.snapshot, ({ allocations }) => allocations)

/** Where those are from that are held by frames, oldest first. */
const sites = Effect.map(held, (all) => all.filter(({ frameId }) => frameId > 0).map(({ callSite }) => callSite))

/** Asserts that it is a place on that line of this file. */
const isAt = (site: string | undefined, mark: string, name?: string): void => {
  const [, said, file, line] = /^(?:(.+) \()?([^(]+):(\d+):\d+\)?$/.exec(site ?? "") ?? []
  assert.deepStrictEqual({ said, file, line }, { said: name, file: import.meta.filename, line: String(lineOf(mark)) })
}

const framed = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect.pipe(TimeFrame.run({ name: "frame" }), managed())

describe("CallSite.sample", () => {
  it.effect("tells where each allocation was asked for, in generators, pipes, Effect.fn and functions", () =>
    Effect.gen(function*() {
      yield* CallSite.sample()
      yield* ResourceManager.allocate(Thing) // generator
      yield* pipe(Thing, ResourceManager.allocate) // pipe
      yield* Effect.void.pipe(Effect.flatMap(() => ResourceManager.allocate(Thing))) // arrow
      const handle = Effect.fn("handle")(function*() {
        yield* ResourceManager.allocate(Thing) // fn
      })
      yield* handle()
      const open = () => ResourceManager.allocate(Thing) // function
      yield* open()
      yield* ResourceManager.allocateAll([[Thing], [Settings]]) // all
      const catalog = ResourceCatalog.make(Thing, Settings)
      yield* catalog.allocate("thing") // catalog
      yield* catalog.allocateUnknown("settings") // unknown
      const [one, two, three, four, five, six, seven, eight, nine] = yield* sites
      isAt(one, "generator")
      isAt(two, "pipe")
      isAt(three, "arrow")
      isAt(four, "fn", "handle")
      isAt(five, "function", "open")
      isAt(six, "all")
      isAt(seven, "all")
      isAt(eight, "catalog")
      isAt(nine, "unknown")
      // What is shared is acquired for all of its users.
      const isShared = ({ resource, share }: Snapshot.AllocationState) => resource === "settings" && !share
      assert.isTrue((yield* held).every((one) => isShared(one) || one.sampled))
    }).pipe(framed))

  it.effect("tells where something is used, or borrowed from a pool", () =>
    Effect.gen(function*() {
      yield* CallSite.sample()
      const pool = yield* ResourcePool.make(Thing, { max: 10 })
      yield* start(ResourceManager.use(Thing, () => Effect.never)) // use
      yield* start(ResourceManager.use(pool, () => Effect.never)) // use of a pool
      yield* start(ResourcePool.use(pool, () => Effect.never)) // first
      yield* start(pool.pipe(ResourcePool.use(() => Effect.never))) // last
      yield* start(Effect.andThen(ResourcePool.get(pool), Effect.never)) // get
      yield* start(Effect.andThen(pool.pipe(ResourcePool.get), Effect.never)) // piped get
      yield* start(Effect.andThen(ResourceManager.allocate(pool), Effect.never)) // allocate
      const all = (yield* held).filter(({ resource, share }) => resource === "thing" && share)
      const found = new Set(all.map(({ callSite }) => callSite?.match(/:(\d+):\d+\)?$/)?.[1]))
      const marks = ["use of a pool", "first", "last", "get", "piped get", "allocate"]
      assert.deepStrictEqual([...found].toSorted(), marks.map((mark) => String(lineOf(mark))).toSorted())
    }).pipe(framed))

  it.effect("tells the holders in errors, too", () =>
    Effect.gen(function*() {
      yield* CallSite.sample()
      const Costly = ResourceDefinition.temporal("costly", { cost: () => ({ units: 1 }), acquire: () => Effect.void })
      yield* ResourceManager.allocate(Costly) // holder
      const error = failureOf(yield* Effect.exit(ResourceManager.allocate(Costly)))
      assert(error?._tag === "BudgetExceeded")
      isAt(error.holders[0]!.callSite, "holder")
    }).pipe(TimeFrame.run({ name: "frame", budget: { units: 1 } }), managed()))

  it.effect("knows only the place where an effect was made, however often it is run", () =>
    Effect.gen(function*() {
      const before = ResourceManager.allocate(Thing)
      yield* CallSite.sample()
      const once = ResourceManager.allocate(Thing) // once
      yield* before
      yield* once
      yield* once
      const [none, one, two] = yield* held
      assert.notProperty(none, "callSite")
      assert.notProperty(none, "sampled")
      isAt(one!.callSite, "once")
      isAt(two!.callSite, "once")
      assert.isTrue(one!.sampled)
    }).pipe(framed))

  it.effect("ends with its scope; as long as somebody wants all, all are looked at", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const look = Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(Thing)
        return (yield* held).find(({ id }) => id === one.id)!.sampled === true
      })
      assert.isFalse(yield* look)
      yield* CallSite.sample({ every: 1_000_000 }).pipe(Scope.provide(scope))
      assert.isFalse(yield* look)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* CallSite.sample()
        assert.isTrue(yield* look)
        yield* Effect.scoped(CallSite.sample())
        assert.isTrue(yield* look)
      }))
      assert.isFalse(yield* look)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(yield* look)
    }).pipe(framed))

  it.effect("looks at one in so many, whatever the rhythm of the program", () =>
    Effect.gen(function*() {
      yield* CallSite.sample({ every: 8 })
      const counts = [0, 0]
      for (let i = 0; i < 4_000; i++) {
        yield* ResourceManager.use(Thing, () =>
          Effect.map(held, ([one]) => {
            if (one!.sampled === true) counts[i % 2]!++
          }))
      }
      // At equal intervals, one of the two would never be seen.
      for (const count of counts) assert.isTrue(count > 170 && count < 330, String(count))
    }).pipe(framed))

  it.effect("leaves the limit of stack traces as it was, and does without when that is frozen", () =>
    Effect.gen(function*() {
      yield* CallSite.sample()
      const { stackTraceLimit } = Error
      yield* Effect.acquireUseRelease(
        Effect.sync(() => {
          Error.stackTraceLimit = 33
        }),
        () =>
          Effect.gen(function*() {
            yield* ResourceManager.allocate(Thing) // limit
            assert.strictEqual(Error.stackTraceLimit, 33)
            Object.defineProperty(Error, "stackTraceLimit", { value: 0, writable: false })
            yield* ResourceManager.allocate(Thing)
            const [one, two] = yield* held
            isAt(one!.callSite, "limit")
            assert.deepInclude({ ...two! }, { sampled: true })
            assert.notProperty(two, "callSite")
          }),
        () =>
          Effect.sync(() => {
            Object.defineProperty(Error, "stackTraceLimit", { value: stackTraceLimit, writable: true })
          })
      )
    }).pipe(framed))

  it.effect("knows no place when somebody else prints stacks, and reads those of other engines", () =>
    Effect.gen(function*() {
      yield* CallSite.sample()
      const { captureStackTrace, prepareStackTrace } = Error
      const named = Effect.fn("named")(function*() {
        yield* ResourceManager.allocate(Thing)
      })
      yield* named()
      Error.prepareStackTrace = () => ({ frames: [] })
      const [strange] = yield* sites
      Error.prepareStackTrace = prepareStackTrace
      assert.strictEqual(strange, "named")
      const stack = "siteOf@http://host/app/node_modules/effect/Pipeable.js:1:2\nopen@http://host/app.js:3:4"
      Object.defineProperty(Error, "captureStackTrace", {
        value: (target: object) => Object.assign(target, { stack }),
        configurable: true
      })
      yield* ResourceManager.allocate(Thing)
      Object.defineProperty(Error, "captureStackTrace", { value: captureStackTrace, writable: true })
      assert.strictEqual((yield* sites)[1], "open (http://host/app.js:3:4)")
    }).pipe(framed))

  it.effect("is drawn with what is held", () =>
    Effect.gen(function*() {
      yield* CallSite.sample()
      yield* ResourceManager.allocate(Thing) // drawn
      assert.include(
        Snapshot.render(yield* ResourceManager.snapshot),
        `thing #1  held 0 ms  at ${import.meta.filename}:${lineOf("drawn")}:`
      )
    }).pipe(framed))

  it.effect("refuses what is no number of things", () =>
    Effect.gen(function*() {
      for (const every of [0, -1, 1.5, NaN, Infinity]) {
        const [defect] = defectsOf(yield* Effect.exit(CallSite.sample({ every })))
        assert.instanceOf(defect, TypeError)
      }
      yield* ResourceManager.allocate(Thing)
      assert.notProperty((yield* held)[0], "sampled")
    }).pipe(framed))
})

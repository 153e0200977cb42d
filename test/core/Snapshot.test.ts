/* oxlint-disable vitest/no-standalone-expect -- the linter does not know it.effect */
import { ResourceDefinition, ResourceManager, Snapshot, TimeFrame } from "@chronovyan/core"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Costly, makeGated, makeLog, managed, start } from "./fixtures.ts"

const Settings = ResourceDefinition.persistent("settings", {
  cost: () => ({ memory: 4096 }),
  acquire: () => Effect.succeed("settings")
})

describe("ResourceManager.snapshot", () => {
  it.effect("shows the manager alone when nothing is held", () =>
    Effect.gen(function*() {
      const snapshot = yield* ResourceManager.snapshot
      assert.deepStrictEqual(
        JSON.parse(JSON.stringify(snapshot)),
        {
          allocations: [],
          pools: [],
          at: 0,
          frames: [{
            budgets: [{
              highWaterMark: 0,
              kind: "capacity",
              limit: 10,
              oldestWait: 0,
              reserved: 0,
              unit: "memory",
              used: 0,
              waiting: 0
            }],
            deadline: null,
            id: 0,
            name: "manager",
            openedAt: 0,
            parent: null,
            path: "",
            phase: "open"
          }],
          resources: [],
          values: [],
          waiters: []
        }
      )
      assert.deepStrictEqual(Snapshot.orphans(snapshot), [])
    }).pipe(managed({ budget: { memory: 10 } })))

  it.effect("survives JSON, with all that it says", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated, releaseGate } = makeGated({ acquire: true, release: true })
      yield* start(ResourceManager.allocate(Gated))
      yield* ResourceManager.allocate(Settings)
      yield* ResourceManager.allocate(Costly, { files: 2, memory: 7 }).pipe(Effect.withSpan("span"))
      yield* TestClock.adjust("3 seconds")
      const snapshot = yield* ResourceManager.snapshot
      assert.strictEqual(snapshot.allocations.length, 4)
      const text = JSON.stringify(yield* Schema.encodeEffect(Snapshot.Snapshot)(snapshot))
      const decoded = yield* Schema.decodeUnknownEffect(Snapshot.Snapshot)(JSON.parse(text))
      assert.deepStrictEqual(decoded, snapshot)
      assert.instanceOf(decoded.frames[0], Snapshot.FrameState)
      assert.strictEqual(Snapshot.render(decoded), Snapshot.render(snapshot))
      yield* Effect.andThen(acquireGate.open, releaseGate.open)
    }).pipe(TimeFrame.run({ name: "frame", timeout: "1 minute", budget: { files: 5 } }), managed()))

  it.effect("is a picture: it does not change when things do", () =>
    Effect.gen(function*() {
      const held = yield* ResourceManager.allocate(Costly, { memory: 7 })
      const snapshot = yield* ResourceManager.snapshot
      const before = JSON.stringify(snapshot)
      yield* held.release
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(JSON.stringify(snapshot), before)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("counts what happened to each definition", () =>
    Effect.gen(function*() {
      const Slow = ResourceDefinition.temporal("slow", { acquire: () => Effect.sleep("10 millis") })
      const one = (millis: number) =>
        ResourceManager.use(Slow, () => Effect.sleep(millis)).pipe(TimeFrame.run({ name: "frame" }), start)
      const fibers = [yield* one(20), yield* one(50)]
      yield* TestClock.adjust("10 millis")
      yield* TestClock.adjust("50 millis")
      yield* Fiber.joinAll(fibers)
      assert.deepInclude((yield* ResourceManager.snapshot).resources[0], {
        acquireMax: 10,
        acquireTotal: 20,
        acquired: 2,
        failed: 0,
        highWaterMark: 2,
        holdMax: 50,
        holdTotal: 70,
        kind: "temporal",
        late: 0,
        live: 0,
        released: 2,
        resource: "slow",
        shares: 0
      })
    }).pipe(managed()))

  it.effect("tells where an allocation was made, where Effect knows it", () =>
    Effect.gen(function*() {
      const named = Effect.fn("handleRequest")(function*() {
        yield* ResourceManager.allocate(Costly, {})
      })
      yield* named()
      assert.strictEqual((yield* ResourceManager.snapshot).allocations[0]?.callSite, "handleRequest")
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

describe("Snapshot.diff", () => {
  it.effect("tells what came, what went, and by how much use changed", () =>
    Effect.gen(function*() {
      const { Thing } = makeLog()
      const a = yield* TimeFrame.make({ name: "a" })
      const old = yield* ResourceManager.allocate(Costly, { files: 1, memory: 7 })
      yield* ResourceManager.allocate(Thing, "stays")
      const before = yield* ResourceManager.snapshot
      yield* TestClock.adjust("3 seconds")
      yield* TimeFrame.close(a)
      yield* old.release
      const b = yield* TimeFrame.make({ name: "b" })
      yield* ResourceManager.allocate(Costly, { memory: 9 }).pipe(TimeFrame.provide(b))
      yield* ResourceManager.allocate(Thing, "new")
      const diff = Snapshot.diff(before, yield* ResourceManager.snapshot)
      assert.strictEqual(diff.elapsed, 3000)
      assert.deepStrictEqual(diff.opened.map(({ path }) => path), ["frame/b"])
      assert.deepStrictEqual(diff.closed.map(({ path }) => path), ["frame/a"])
      assert.deepStrictEqual(diff.allocated.map(({ frame, resource }) => [frame, resource]).toSorted(), [
        ["frame", "thing"],
        ["frame/b", "costly"]
      ])
      assert.deepStrictEqual(diff.released.map(({ frame, resource }) => [frame, resource]), [["frame", "costly"]])
      assert.deepStrictEqual(diff.live, { thing: 1 })
      assert.deepStrictEqual(diff.used, { files: -1, memory: 2 })
      const encoded = yield* Schema.encodeEffect(Snapshot.Diff)(diff)
      assert.deepStrictEqual(
        yield* Schema.decodeUnknownEffect(Snapshot.Diff)(JSON.parse(JSON.stringify(encoded))),
        diff
      )
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("of a snapshot with itself is empty", () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Costly, { memory: 7 })
      const snapshot = yield* ResourceManager.snapshot
      assert.deepStrictEqual(JSON.parse(JSON.stringify(Snapshot.diff(snapshot, snapshot))), {
        allocated: [],
        closed: [],
        elapsed: 0,
        live: {},
        opened: [],
        pools: {},
        released: [],
        used: {},
        waiting: {}
      })
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

describe("Snapshot.render", () => {
  it.effect("draws a tree of frames, with their times and budgets, and what they hold", () =>
    Effect.gen(function*() {
      const { acquireGate, Gated, releaseGate } = makeGated({ acquire: true, release: true })
      const server = yield* TimeFrame.make({ name: "server", budget: { memory: 65_536 } })
      yield* ResourceManager.allocate(Settings).pipe(TimeFrame.provide(server))
      yield* TestClock.adjust("2 minutes")
      const fiber = yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Costly, { files: 2, memory: 1234 })
        yield* ResourceManager.allocate(Gated)
      }).pipe(TimeFrame.run({ name: "request", timeout: "10 seconds" }), TimeFrame.provide(server), Effect.exit, start)
      yield* TestClock.adjust("5200 millis")
      expect(Snapshot.render(yield* ResourceManager.snapshot)).toMatchInlineSnapshot(`
        "manager  memory 5,330 of 1,000,000, files 2, gates 1
        ├─ server  open 2 min 5 s  memory 1,234 of 65,536
        │  ├─ request  open 5.2 s, 4.8 s left
        │  │  ├─ costly #3  held 5.2 s  files 2, memory 1,234
        │  │  └─ gated #4  acquiring for 5.2 s  gates 1
        │  └─ settings #1  used 2 min 5 s
        └─ settings  open 2 min 5 s
           └─ settings #2  held 2 min 5 s  memory 4,096"
      `)
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      expect(Snapshot.render(yield* ResourceManager.snapshot)).toMatchInlineSnapshot(`
        "manager  memory 4,096 of 1,000,000, files 0, gates 1
        ├─ server  open 1 h 2 min  memory 0 of 65,536
        │  └─ settings #1  used 1 h 2 min
        ├─ settings  open 1 h 2 min
        │  └─ settings #2  held 1 h 2 min  memory 4,096
        └─ gated #4  acquiring for 1 h 0 min  gates 1  outlived server/request"
      `)
      yield* Effect.andThen(acquireGate.open, releaseGate.open)
    }).pipe(Effect.scoped, managed({ budget: { memory: 1_000_000 } })))

  it.effect("does not let control characters in names break the tree", () =>
    Effect.gen(function*() {
      const Evil = ResourceDefinition.temporal("evil\n└─ fake\u001b[31m\u0085\u009b", {
        cost: () => ({ "un\tit\r\n": 1 }),
        acquire: () => Effect.void
      })
      yield* ResourceManager.allocate(Evil)
      const rendered = Snapshot.render(yield* ResourceManager.snapshot)
      assert.strictEqual(rendered.split("\n").length, 3)
      // oxlint-disable-next-line no-control-regex
      assert.notMatch(rendered.replaceAll("\n", ""), /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
    }).pipe(TimeFrame.run({ name: "frame\u2028\u0000\nfake" }), managed()))

  it.effect("draws deep nesting and many allocations", () =>
    Effect.gen(function*() {
      let frame = yield* TimeFrame.current
      for (let depth = 0; depth < 500; depth++) {
        frame = yield* TimeFrame.make({ name: String(depth) }).pipe(TimeFrame.provide(frame))
      }
      for (let index = 0; index < 2000; index++) {
        yield* ResourceManager.allocate(Costly, {}).pipe(TimeFrame.provide(frame))
      }
      assert.strictEqual(Snapshot.render(yield* ResourceManager.snapshot).split("\n").length, 2502)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()), 20_000)

  it.effect("shows what outlived its frame with the manager, and lists it as an orphan", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const Slow = ResourceDefinition.temporal("slow", { acquire: () => Effect.void, release: () => gate.await })
      yield* ResourceManager.allocate(Slow).pipe(TimeFrame.run({ name: "frame", gracePeriod: 0 }))
      const snapshot = yield* ResourceManager.snapshot
      assert.deepStrictEqual(Snapshot.orphans(snapshot).map(({ resource }) => resource), ["slow"])
      expect(Snapshot.render(snapshot)).toMatchInlineSnapshot(`
        "manager
        └─ slow #1  releasing for 0 ms  outlived frame"
      `)
      yield* gate.open
    }).pipe(managed()))
})

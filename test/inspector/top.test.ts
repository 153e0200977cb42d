/**
 * What the command shows, of programs that are as they are told to be.
 */
import { ResourceDefinition, ResourceManager, ResourcePool, Snapshot, TimeFrame } from "@chronovyan/core"
import { ContentionReport, Protocol } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { table } from "../../packages/inspector/src/internal/text.ts"
import { draw, line } from "../../packages/inspector/src/internal/top.ts"
import { explain, toText } from "../../packages/inspector/src/internal/why.ts"
import { Connection } from "./support.ts"

const info = new Protocol.Info({
  name: "shop",
  pid: 1,
  protocol: 1,
  runtime: "v24.0.0",
  startedAt: 0,
  control: false,
  level: "off"
})

const managed = Effect.provide(Layer.mergeAll(ResourceManager.layer(), Logger.layer([])))

const nothing = new ContentionReport.ContentionReport({ from: 0, at: 0, subjects: [], waits: [] })

/** A pool of one that somebody has, somebody waits for, and that has been used ten times before, within 2 seconds. */
const busy = Effect.gen(function*() {
  const pool = yield* ResourcePool.make(Connection, { max: 1 })
  const before = yield* ResourceManager.snapshot
  yield* ResourcePool.use(pool, () => Effect.void).pipe(Effect.repeat({ times: 9 }))
  const borrow = ResourcePool.use(pool, () => Effect.never)
  yield* Effect.forkChild(TimeFrame.run(borrow, { name: "first" }), { startImmediately: true })
  yield* Effect.forkChild(TimeFrame.run(borrow, { name: "second" }), { startImmediately: true })
  yield* TestClock.adjust("2 seconds")
  return { pool, before, now: yield* ResourceManager.snapshot }
})

describe("The screen", () => {
  it.effect("shows pools, budgets, resources and who holds them, with what was acquired by the second", () =>
    Effect.gen(function*() {
      const { before, now } = yield* busy
      const lines = draw({ info, address: "http://127.0.0.1:1", before, now, leaks: [] }, 100, 40)
      assert.deepStrictEqual(lines, [
        "shop (1)  up 2.0 s  http://127.0.0.1:1  4 frames  2 held  1 waiting",
        "",
        "POOL        USED  MAX  IDLE  WAITING  OLDEST WAIT  BORROWS/S  STATE",
        "connection     1    1     0        1  2.0 s              5.5  open",
        "",
        "BUDGET  FRAME  USED  LIMIT  MOST  %",
        "memory  test      0  4,096     0  0",
        "",
        "RESOURCE    KIND      LIVE  USES  MOST  ACQUIRED/S  FAILED  LATE",
        "connection  temporal     1     0     1         0.5       0     0",
        "connection  pool         0     1     0         5.5       0     0",
        "",
        "HELD LONGEST   FRAME       FOR    FROM",
        "connection #3  test/first  2.0 s  -"
      ])
      const plain = line({ info, address: "http://127.0.0.1:1", before, now, leaks: [] })
      assert.include(plain, "1 waiting  |  connection 1/1 used 1 waiting 5.5/s")
    }).pipe(TimeFrame.run({ name: "test", budget: { memory: 4096 } }), managed))

  it.effect("is never larger than the terminal", () =>
    Effect.gen(function*() {
      for (let index = 0; index < 50; index++) yield* ResourcePool.make(Connection, { name: `pool ${index}` })
      const now = yield* ResourceManager.snapshot
      for (const [width, height] of [[80, 24], [20, 5], [1, 1], [300, 100]] as const) {
        const lines = draw({ info, address: "http://127.0.0.1:1", before: undefined, now, leaks: [] }, width, height)
        assert.isAtMost(lines.length, height)
        for (const line of lines) assert.isAtMost(line.length, width)
      }
    }).pipe(TimeFrame.run({ name: "test" }), managed))

  it.effect("shows what programs send, and lets no terminal obey it", () =>
    Effect.gen(function*() {
      const evil = "\u001b]0;owned\u0007\u202e\n"
      yield* ResourcePool.make(Connection, { name: evil })
      const now = yield* ResourceManager.snapshot
      const named = new Protocol.Info({ ...info, name: evil })
      const text = draw({ info: named, address: "", before: undefined, now, leaks: [] }, 200, 50).join("")
      assert.notMatch(text, /[\u001b\u0007\u202e\n]/)
      const explained = explain(evil, { snapshot: now, contention: nothing }).flatMap(toText).join("")
      assert.notMatch(explained, /[\u001b\u0007\u202e\n]/)
      assert.include(explained, "]0;owned")
    }).pipe(TimeFrame.run({ name: "test" }), managed))
})

describe("The reason", () => {
  it.effect("is the state of the pool, when that is what others wait for", () =>
    Effect.gen(function*() {
      const { now, pool } = yield* busy
      const standing = (snapshot: Snapshot.Snapshot) =>
        explain("connection", { snapshot, contention: nothing })[0]!.standing
      assert.deepStrictEqual(standing(now), [
        "A pool in test/connection: 1 in use, 0 idle; at most 1.",
        "1 borrower waiting, the first of them for 2.0 s.",
        "Everything is lent out: who waits is served when somebody gives one back."
      ])
      yield* ResourcePool.suspend(pool)
      assert.include(
        standing(yield* ResourceManager.snapshot),
        "It is suspended: it lends nothing until it is resumed."
      )
    }).pipe(TimeFrame.run({ name: "test" }), managed))

  it.effect("is who has the budget that somebody waits for", () =>
    Effect.gen(function*() {
      const Call = ResourceDefinition.temporal("call", { cost: () => ({ calls: 1 }), acquire: () => Effect.void })
      const call = ResourceManager.use(Call, () => Effect.never)
      yield* Effect.forkChild(TimeFrame.run(call, { name: "first" }), { startImmediately: true })
      yield* Effect.forkChild(TimeFrame.run(call, { name: "second" }), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      const snapshot = yield* ResourceManager.snapshot
      const [budget] = explain("calls", { snapshot, contention: nothing })
      assert.deepStrictEqual(budget?.waits, ["test/second  needs 1 for 2.0 s, next in line"])
      const [frame] = explain("second", { snapshot, contention: nothing })
      assert.deepStrictEqual(frame?.waits, [
        "it waits for 1 of the budget calls to acquire call for 2.0 s, next in line"
      ])
      assert.deepStrictEqual(frame?.inTheWay, ["test/first  has 1 with call #1 for 2.0 s"])
    }).pipe(TimeFrame.run({ name: "test", budget: { calls: 1 }, exhausted: "wait" }), managed))

  it.effect("has what was measured, where that is known", () =>
    Effect.gen(function*() {
      const { now: snapshot } = yield* busy
      const waits = [
        new ContentionReport.Edge({ waiter: "test/second", resource: "connection", holder: "test/first", waited: 2000 })
      ]
      const contention = new ContentionReport.ContentionReport({ ...nothing, waits })
      const pool = explain("connection", { snapshot, contention })[0]!
      assert.deepStrictEqual(pool.waits, ["test/second  for 2.0 s, behind test/first"])
      const frame = explain("second", { snapshot, contention })[0]!
      assert.deepStrictEqual(frame.waits, ["it waits for connection for 2.0 s, which test/first has"])
      const spread = (count: number, p50: number) =>
        new ContentionReport.Spread({
          count,
          total: count * p50,
          mean: p50,
          p50,
          p90: 2 * p50,
          p99: 3 * p50,
          max: 4 * p50
        })
      const subject = new ContentionReport.Subject({
        kind: "pool",
        name: "connection",
        limit: 1,
        used: 1,
        waiting: 1,
        contended: 0.4,
        waited: spread(30, 500),
        held: spread(40, 100),
        sites: [new ContentionReport.Site({ site: "test/first", share: 0.75, holding: 1, held: spread(40, 100) })],
        hint: "raise max"
      })
      const measured = new ContentionReport.ContentionReport({ from: 0, at: 60_000, subjects: [subject], waits: [] })
      assert.deepStrictEqual(toText(explain("connection", { snapshot, contention: measured })[0]!).slice(-5), [
        "  somebody waited for 40 % of the last 1 min 0 s",
        "  30 waited, half of them for less than 500 ms, 90 % 1.0 s, 99 % 1.5 s; at most 2.0 s",
        "  40 had it, half of them for less than 100 ms, 90 % 200 ms, 99 % 300 ms; at most 400 ms",
        "  test/first  had 75 % of the time that it was held, and has 1",
        "What it looks like: raise max"
      ])
    }).pipe(TimeFrame.run({ name: "test" }), managed))
})

describe("A table", () => {
  it("is as wide as it has to be, with numbers on the right", () => {
    assert.deepStrictEqual(table(["NAME", "N"], [["a", 1000], ["bcdefg", 1]]), [
      "NAME        N",
      "a       1,000",
      "bcdefg      1"
    ])
    assert.deepStrictEqual(table(["NAME"], []), ["NAME"])
  })
})

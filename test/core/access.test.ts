import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, TxRef } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, makeLog, managed, settle, start, tagOf } from "./fixtures.ts"

const makeTable = () => {
  const log = makeLog()
  const Table = ResourceDefinition.shared("table", {
    access: "readWrite",
    acquire: () => Effect.as(log.say("+"), { rows: 0 }),
    release: () => log.say("-")
  })
  /** A turn that says when it begins and ends, and lasts until its gate opens. */
  const hold = (name: string, gate: Latch.Latch) => () =>
    log.say(`${name} in`).pipe(Effect.andThen(gate.await), Effect.ensuring(log.say(`${name} out`)))
  return { ...log, Table, hold }
}

describe("A value with access by turns", () => {
  it.effect("has many readers at once, or one writer", () =>
    Effect.gen(function*() {
      const { hold, lines, Table } = makeTable()
      const gates = yield* Effect.all([Latch.make(), Latch.make(), Latch.make()])
      const table = yield* ResourceManager.allocate(Table)
      const fibers = [
        yield* start(table.read(hold("r1", gates[0]))),
        yield* start(table.read(hold("r2", gates[0]))),
        yield* start(table.write(hold("w1", gates[1]))),
        yield* start(table.write(hold("w2", gates[2])))
      ]
      assert.deepStrictEqual(yield* TxRef.get(table.access), { readers: 2, waiting: 2, writing: false })
      yield* gates[0].open
      yield* settle
      assert.deepStrictEqual(yield* TxRef.get(table.access), { readers: 0, waiting: 1, writing: true })
      yield* gates[1].open
      yield* gates[2].open
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(lines.slice(1), [
        "r1 in",
        "r2 in",
        "r1 out",
        "r2 out",
        "w1 in",
        "w1 out",
        "w2 in",
        "w2 out"
      ])
      assert.deepStrictEqual(yield* TxRef.get(table.access), { readers: 0, waiting: 0, writing: false })
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("is given in the order of coming: a reader does not overtake a writer that waits", () =>
    Effect.gen(function*() {
      const { lines, say, Table } = makeTable()
      const gate = yield* Latch.make()
      const table = yield* ResourceManager.allocate(Table)
      const first = yield* start(table.read(() => gate.await))
      const others = [
        yield* start(table.write(() => say("w1"))),
        yield* start(table.read(() => say("r1"))),
        yield* start(table.read(() => say("r2"))),
        yield* start(table.write(() => say("w2"))),
        yield* start(table.read(() => say("r3")))
      ]
      yield* gate.open
      yield* Fiber.joinAll([first, ...others])
      assert.deepStrictEqual(lines, ["+", "w1", "r1", "r2", "w2", "r3"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("lets readers in behind a writer that gives up", () =>
    Effect.gen(function*() {
      const { lines, say, Table } = makeTable()
      const gate = yield* Latch.make()
      const table = yield* ResourceManager.allocate(Table)
      const first = yield* start(table.read(() => gate.await))
      const writer = yield* start(table.write(() => say("writer")))
      const reader = yield* start(table.read(() => say("reader")))
      assert.isUndefined(reader.pollUnsafe())
      yield* Fiber.interrupt(writer)
      yield* Fiber.join(reader)
      assert.deepStrictEqual(lines, ["+", "reader"])
      yield* gate.open
      yield* Fiber.join(first)
      assert.deepStrictEqual(yield* TxRef.get(table.access), { readers: 0, waiting: 0, writing: false })
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("gives its turn back when its body fails, dies, throws or is interrupted", () =>
    Effect.gen(function*() {
      const { Table } = makeTable()
      const table = yield* ResourceManager.allocate(Table)
      for (const kind of ["read", "write"] as const) {
        const turn = <A, E>(f: () => Effect.Effect<A, E>) => table[kind](f)
        yield* Effect.exit(turn(() => Effect.fail("no")))
        yield* Effect.exit(turn(() => Effect.die("bug")))
        yield* Effect.exit(turn((): Effect.Effect<void> => {
          throw "thrown"
        }))
        const fiber = yield* start(turn(() => Effect.never))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* TxRef.get(table.access), { readers: 0, waiting: 0, writing: false })
      }
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("serves 10,000 that wait, readers and writers, without running out of stack", () =>
    Effect.gen(function*() {
      const { Table } = makeTable()
      const gate = yield* Latch.make()
      const table = yield* ResourceManager.allocate(Table)
      const first = yield* start(table.write(() => gate.await))
      const fibers = yield* Effect.forEach(
        Array.from({ length: 10_000 }, (_, index) => index),
        (index) =>
          start(
            index % 3 === 0
              ? table.write((value) => Effect.sync(() => value.rows++))
              : table.read((value) =>
                index % 5 === 0 ? Effect.andThen(Effect.yieldNow, Effect.succeed(value.rows)) : Effect.void
              )
          )
      )
      for (const fiber of fibers.slice(0, 50)) yield* Fiber.interrupt(fiber)
      yield* gate.open
      yield* Fiber.join(first)
      yield* Effect.forEach(fibers, Fiber.await)
      assert.strictEqual(yield* table.read(({ rows }) => Effect.succeed(rows)), 3334 - 17)
      assert.deepStrictEqual(yield* TxRef.get(table.access), { readers: 0, waiting: 0, writing: false })
    }).pipe(TimeFrame.run({ name: "frame" }), managed()), 20_000)

  it.effect("stays until its last turn has ended, though the handle is released meanwhile", () =>
    Effect.gen(function*() {
      const { hold, lines, Table } = makeTable()
      const gate = yield* Latch.make()
      const table = yield* ResourceManager.allocate(Table)
      const reading = yield* start(table.read(hold("r", gate)))
      yield* table.release
      assert.deepStrictEqual(lines, ["+", "r in"])
      for (const kind of ["read", "write"] as const) {
        const exit = yield* Effect.exit(table[kind](() => Effect.void))
        assert.deepInclude(failureOf(exit), { _tag: "AllocationReleased", resource: "table" })
      }
      yield* gate.open
      yield* Fiber.join(reading)
      assert.deepStrictEqual(lines, ["+", "r in", "r out", "-"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("is one for all users of the value, in all frames", () =>
    Effect.gen(function*() {
      const { lines, say, Table } = makeTable()
      const gate = yield* Latch.make()
      const writing = yield* ResourceManager.allocate(Table).pipe(
        Effect.flatMap((table) => table.write(() => gate.await)),
        TimeFrame.run({ name: "writer" }),
        start
      )
      const reading = yield* ResourceManager.allocate(Table).pipe(
        Effect.flatMap((table) => table.read(() => say("read"))),
        TimeFrame.run({ name: "reader", timeout: "1 second" }),
        Effect.exit,
        start
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(tagOf(yield* Fiber.join(reading)), "DeadlineExceeded")
      yield* gate.open
      yield* Fiber.join(writing)
      assert.deepStrictEqual(lines, ["+", "-"])
    }).pipe(managed()))

  it.effect("gives functions that can be taken off the handle", () =>
    Effect.gen(function*() {
      const { Table } = makeTable()
      const { read, write } = yield* ResourceManager.allocate(Table)
      yield* write((value) => Effect.sync(() => value.rows = 3))
      assert.strictEqual(yield* read(({ rows }) => Effect.succeed(rows)), 3)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("is used under its turn only: `use` gives no way around it", () =>
    Effect.gen(function*() {
      const { Table } = makeTable()
      const use = ResourceManager.use as unknown as (
        definition: typeof Table,
        use: (value: unknown) => Effect.Effect<unknown>
      ) => Effect.Effect<unknown, unknown, TimeFrame.TimeFrame>
      const seen = yield* Effect.exit(use(Table, Effect.succeed))
      assert.isFalse(seen._tag === "Success" && typeof seen.value === "object" && "rows" in (seen.value as object))
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("can be watched and waited for in a transaction", () =>
    Effect.gen(function*() {
      const { Table } = makeTable()
      const gate = yield* Latch.make()
      const table = yield* ResourceManager.allocate(Table)
      const writing = yield* start(table.write(() => gate.await))
      const idle = yield* start(
        Effect.tx(
          Effect.flatMap(TxRef.get(table.access), ({ readers, writing }) =>
            writing || readers > 0 ? Effect.txRetry : Effect.succeed("idle"))
        )
      )
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* gate.open
      yield* Fiber.join(writing)
      assert.strictEqual(yield* Fiber.join(idle), "idle")
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that is persistent is shared in the same way", () =>
    Effect.gen(function*() {
      const Counter = ResourceDefinition.persistent("counter", {
        access: "readWrite",
        acquire: () => Effect.succeed({ count: 0 })
      })
      const add = ResourceManager.allocate(Counter).pipe(
        Effect.flatMap((counter) =>
          counter.write((value) =>
            Effect.gen(function*() {
              const { count } = value
              yield* Effect.yieldNow
              value.count = count + 1
            })
          )
        ),
        TimeFrame.run({ name: "add" })
      )
      yield* Effect.all(Array.from({ length: 100 }, () => add), { concurrency: "unbounded" })
      const counter = yield* ResourceManager.allocate(Counter)
      assert.strictEqual(yield* counter.read(({ count }) => Effect.succeed(count)), 100)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

describe("One who has waited for a turn", () => {
  it.effect("finds its own turn in the state of the access, from its first step on", () =>
    Effect.gen(function*() {
      const { Table } = makeTable()
      const gate = Latch.makeUnsafe(false)
      const handle = yield* ResourceManager.allocate(Table)
      const reader = yield* start(handle.read(() => gate.await))
      const seen = yield* start(handle.write(() => Effect.sync(() => handle.access.value)))
      yield* settle
      yield* gate.open
      yield* Fiber.join(reader)
      assert.deepStrictEqual(yield* Fiber.join(seen), { readers: 0, writing: true, waiting: 0 })
    }).pipe(TimeFrame.run({ name: "test" }), managed()))
})

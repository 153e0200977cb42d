import { Cost, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, TxRef } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, managed, settle, start, tagOf } from "./fixtures.ts"
import { makeStock } from "./poolFixtures.ts"

const ok = () => Effect.void

const valueOf = (name: string) =>
  ResourceManager.allocate(ResourceDefinition.shared(name, { access: "readWrite", acquire: () => Effect.succeed({}) }))

const poolOf = (name: string, max: number) => ResourcePool.make(makeStock().Thing, { name, max })

const deadlockOf = (exit: Exit.Exit<unknown, unknown> | undefined): ResourceError.WouldDeadlock => {
  assert.isDefined(exit, "it hangs")
  const failure = failureOf(exit) as ResourceError.WouldDeadlock
  assert.strictEqual(failure?._tag, "WouldDeadlock", String(exit))
  return failure
}

const quiet = { readers: 0, waiting: 0, writing: false }

const inFrame = (name: string) => TimeFrame.run({ name })

describe("A turn inside a turn on the same value", () => {
  for (const [outer, inner] of [["read", "write"], ["write", "read"], ["write", "write"]] as const) {
    it.effect(`is refused at once: to ${inner} inside its own ${outer}`, () =>
      Effect.gen(function*() {
        const table = yield* valueOf("table")
        yield* TestClock.adjust(100)
        const asking = Effect.fn("asking")(() => table[outer](() => Effect.andThen(Effect.sleep(10), table[inner](ok))))
        const fiber = yield* start(Effect.exit(asking()).pipe(inFrame("request")))
        yield* TestClock.adjust(10)
        yield* settle
        const error = deadlockOf(Exit.isExit(fiber.pollUnsafe()) ? yield* Fiber.join(fiber) : undefined)
        assert.deepInclude(error, { pool: "table", turn: inner, requestedBy: "server/request" })
        assert.deepStrictEqual(error.cycle, [{
          frame: "server/request",
          holds: ["table"],
          ...(outer === "read" ? { reads: ["table"] } : { writes: ["table"] }),
          waitsFor: "table",
          turn: inner
        }])
        assert.strictEqual(error.holders.length, 1)
        assert.deepInclude(error.holders[0], { resource: "table", frame: "server/request", state: "live", since: 100 })
        assert.deepInclude(error.holders[0], { age: 10, callSite: "asking" })
        assert.include(error.message, `server/request can not wait for its turn to ${inner} "table"`)
        assert.include(error.message, `server/request ${outer}s "table" and waits to ${inner} "table"`)
        assert.include(error.message, `- "table" by server/request for 10 ms (asking)`)
        assert.deepStrictEqual(yield* TxRef.get(table.access), quiet)
      }).pipe(inFrame("server"), managed()))
  }

  it.effect("to read inside its own read is refused only behind a writer that waits, and names that", () =>
    Effect.gen(function*() {
      const table = yield* valueOf("table")
      yield* table.read(() => table.read(ok))
      const gate = yield* Latch.make()
      const reader = yield* start(table.read(() => Effect.andThen(gate.await, table.read(ok))).pipe(inFrame("reader")))
      const writer = yield* start(table.write(ok).pipe(inFrame("writer")))
      yield* settle
      yield* gate.open
      yield* settle
      const error = deadlockOf(reader.pollUnsafe())
      assert.deepStrictEqual(error.cycle, [
        { frame: "server/writer", holds: [], waitsFor: "table", turn: "write" },
        { frame: "server/reader", holds: ["table"], reads: ["table"], waitsFor: "table", turn: "read" }
      ])
      assert.include(error.message, `server/writer holds nothing and waits to write "table"`)
      assert.isTrue(Exit.isSuccess(writer.pollUnsafe()!))
      assert.deepStrictEqual(yield* TxRef.get(table.access), quiet)
    }).pipe(inFrame("server"), managed()))

  it.effect("is found through a frame with a timeout, whose body runs on another fiber", () =>
    Effect.gen(function*() {
      const table = yield* valueOf("table")
      const fiber = yield* start(
        table.write(() => TimeFrame.run(table.write(ok), { name: "inner", timeout: "1 minute" })).pipe(inFrame("outer"))
      )
      yield* settle
      assert.strictEqual(deadlockOf(fiber.pollUnsafe()).requestedBy, "server/outer/inner")
    }).pipe(inFrame("server"), managed()))

  it.effect("is found in fibers without a frame, and names those", () =>
    Effect.gen(function*() {
      const table = yield* valueOf("table")
      const fiber = Effect.runFork(table.write(() => table.write(ok)))
      yield* settle
      assert.match(deadlockOf(fiber.pollUnsafe()).requestedBy, /^fiber #\d+$/)
    }).pipe(inFrame("server"), managed()))

  it.effect("of another value of the same definition is none", () =>
    Effect.gen(function*() {
      const Table = ResourceDefinition.shared("table", { access: "readWrite", acquire: () => Effect.succeed({}) })
      const Other = ResourceDefinition.shared("table", { access: "readWrite", acquire: () => Effect.succeed({}) })
      const [one, other] = [yield* ResourceManager.allocate(Table), yield* ResourceManager.allocate(Other)]
      yield* one.write(() => other.write(ok))
    }).pipe(inFrame("server"), managed()))
})

describe("Who waits to write waits for all readers:", () => {
  it.effect("one of them who waits for what the writer has is enough", () =>
    Effect.gen(function*() {
      const table = yield* valueOf("table")
      const pool = yield* poolOf("db", 1)
      const [turn, hold] = [yield* Latch.make(), yield* Latch.make()]
      const reader = yield* start(
        table.read(() => Effect.andThen(turn.await, ResourcePool.use(pool, ok))).pipe(inFrame("reader"))
      )
      const other = yield* start(table.read(() => hold.await))
      const writer = yield* start(ResourcePool.use(pool, () => table.write(ok)).pipe(inFrame("writer")))
      yield* settle
      yield* turn.open
      yield* settle
      const error = deadlockOf(reader.pollUnsafe())
      assert.deepStrictEqual(error.cycle, [
        { frame: "server/writer", holds: ["db"], waitsFor: "table", turn: "write" },
        { frame: "server/reader", holds: ["table"], reads: ["table"], waitsFor: "db" }
      ])
      assert.include(error.message, `server/reader can not borrow from the pool "db"`)
      assert.include(error.message, `server/writer holds "db" and waits to write "table"`)
      assert.include(error.message, `server/reader reads "table" and waits for "db"`)
      yield* hold.open
      yield* Fiber.joinAll([other, writer])
    }).pipe(inFrame("server"), managed()))

  it.effect("there is no deadlock as long as each can go on", () =>
    Effect.gen(function*() {
      const table = yield* valueOf("table")
      const pool = yield* poolOf("db", 2)
      const hold = yield* Latch.make()
      const other = yield* start(ResourcePool.use(pool, () => hold.await))
      const writing = yield* Latch.make()
      const reader = yield* start(table.read(() => Effect.andThen(writing.await, ResourcePool.use(pool, ok))))
      const writer = yield* start(ResourcePool.use(pool, () => table.write(ok)))
      yield* settle
      yield* writing.open
      yield* settle
      assert.isUndefined(reader.pollUnsafe())
      yield* hold.open
      yield* Fiber.joinAll([other, reader, writer])
    }).pipe(inFrame("server"), managed()))
})

describe("A wait for a turn", () => {
  it.effect("is forgotten when it is interrupted", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* valueOf("a"), yield* valueOf("b")]
      const gate = yield* Latch.make()
      const one = yield* start(a.write(() => b.write(ok)).pipe(Effect.delay(1)))
      const two = yield* start(b.write(() => Effect.andThen(gate.await, a.write(ok))))
      yield* TestClock.adjust(1)
      yield* settle
      yield* Fiber.interrupt(one)
      yield* gate.open
      yield* settle
      assert.isTrue(Exit.isSuccess(two.pollUnsafe()!))
    }).pipe(inFrame("server"), managed()))

  it.effect("is forgotten when its time is over, and who asked for it goes on with what it has", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* valueOf("a"), yield* valueOf("b")]
      const [keep, go] = [yield* Latch.make(), yield* Latch.make()]
      const impatient = TimeFrame.run(b.write(ok), { name: "impatient", timeout: 5 })
      const two = yield* start(b.write(() => Effect.andThen(go.await, a.write(ok))))
      const one = yield* start(a.write(() => Effect.andThen(Effect.exit(impatient), keep.await)))
      yield* settle
      yield* TestClock.adjust(5)
      yield* settle
      yield* go.open
      yield* settle
      assert.isUndefined(two.pollUnsafe())
      yield* keep.open
      yield* Fiber.joinAll([one, two])
    }).pipe(inFrame("server"), managed()))

  it.effect("that was served is none any more", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* valueOf("a"), yield* valueOf("b")]
      const [first, second, third] = [yield* Latch.make(), yield* Latch.make(), yield* Latch.make()]
      const holder = yield* start(b.write(() => first.await))
      const one = yield* start(a.write(() => b.write(() => second.await)))
      const two = yield* start(
        Effect.andThen(third.await, valueOf("c").pipe(Effect.flatMap((c) => c.write(() => a.write(ok)))))
      )
      yield* settle
      yield* first.open
      yield* settle
      yield* third.open
      yield* settle
      assert.isUndefined(two.pollUnsafe())
      yield* second.open
      yield* Fiber.joinAll([holder, one, two])
    }).pipe(inFrame("server"), managed()))

  it.effect("that is refused loses nothing of a value that ends with its last user", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const Table = ResourceDefinition.shared("table", {
        access: "readWrite",
        acquire: () => Effect.succeed({}),
        release: () => Effect.sync(() => void lines.push("released"))
      })
      const exit = yield* ResourceManager.use(Table, (table) =>
        table.write(() => Effect.andThen(table.release, table.write(ok)))).pipe(inFrame("one"), Effect.exit)
      assert.strictEqual(tagOf(exit), "AllocationReleased")
      assert.deepStrictEqual(lines, ["released"])
      const refused = yield* ResourceManager.use(Table, (table) =>
        table.write(() => table.read(ok))).pipe(
          inFrame("two"),
          Effect.exit
        )
      deadlockOf(refused)
      assert.deepStrictEqual(lines, ["released", "released"])
      assert.strictEqual((yield* ResourceManager.snapshot).allocations.length, 0)
    }).pipe(managed()))
})

describe("What is held by a set", () => {
  it.effect("counts as held by the fiber that allocated it, if the frame is its own", () =>
    Effect.gen(function*() {
      const One = ResourceDefinition.temporal("one", {
        cost: (): Cost.Cost => ({ a: 1 }),
        acquire: () => Effect.succeed("one")
      })
      const table = yield* valueOf("table")
      const gate = yield* Latch.make()
      const set = yield* start(
        ResourceManager.allocateAll([[One], [One]]).pipe(
          Effect.andThen(gate.await),
          Effect.andThen(table.write(ok)),
          inFrame("set")
        )
      )
      const writer = yield* start(table.write(() => ResourceManager.use(One, ok)).pipe(inFrame("writer")))
      yield* settle
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(deadlockOf(set.pollUnsafe()).cycle, [
        { frame: "server/writer", holds: ["table"], writes: ["table"], waitsFor: "a" },
        { frame: "server/set", holds: ["one"], waitsFor: "table", turn: "write" }
      ])
      yield* settle
      assert.isTrue(Exit.isSuccess(writer.pollUnsafe()!))
    }).pipe(TimeFrame.run({ name: "server", budget: { a: 2 }, exhausted: "wait" }), managed()))
})

describe("As many transactions as there are connections, each of which needs one more (sequelize#10976),", () => {
  it.effect("are not stuck: the last one to ask is refused at once, the frames are named, and the others go on", () =>
    Effect.gen(function*() {
      const count = 10
      const pool = yield* poolOf("connections", count)
      const begun = yield* Latch.make()
      const transaction = (index: number) =>
        ResourcePool.use(pool, () => Effect.andThen(begun.await, ResourcePool.use(pool, ok))).pipe(
          inFrame(`transaction ${index}`)
        )
      const fibers = yield* Effect.forEach(Array.from({ length: count }).keys(), (index) => start(transaction(index)))
      yield* settle
      yield* begun.open
      yield* settle
      const exits = fibers.map((fiber) => fiber.pollUnsafe())
      for (const exit of exits) assert.isDefined(exit, "one hangs")
      assert.strictEqual(exits.filter((exit) => Exit.isSuccess(exit!)).length, count - 1)
      const error = deadlockOf(exits.at(-1))
      const frames = fibers.map((_, index) => `server/transaction ${index}`)
      assert.deepStrictEqual(error.cycle.map(({ frame }) => frame), frames)
      assert.sameMembers(error.holders.map(({ frame }) => frame), frames)
      for (const frame of frames) {
        assert.include(error.message, `${frame} holds "connections" and waits for "connections"`)
      }
      assert.deepInclude(yield* ResourcePool.stats(pool), { used: 0, waiting: 0 })
    }).pipe(inFrame("server"), managed()))
})

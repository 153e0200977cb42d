/* oxlint-disable vitest/no-standalone-expect -- the linter does not know it.effect */
import { Budget, ResourceDefinition, ResourceManager, ResourcePool, Snapshot, TimeFrame } from "@chronovyan/core"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Struct } from "effect"
import { TestClock } from "effect/testing"
import { Costly, managed, settle, start } from "./fixtures.ts"

const { snapshot } = ResourceManager

const encoded = (self: Snapshot.Snapshot) => JSON.parse(JSON.stringify(Schema.encodeSync(Snapshot.Snapshot)(self)))

const makePool = (options: { readonly size?: number; readonly acquireTimeout?: number } = {}) => {
  const { acquireTimeout = 60_000, size = 1 } = options
  return ResourcePool.make({ acquire: Effect.succeed("item"), size, acquireTimeout, name: "db" }).pipe(
    Effect.tap(() => settle)
  )
}

const hold = Effect.never

describe("Those who wait for a pool are shown", () => {
  it.effect("with what they wait for, since when, until when, and who is before them", () =>
    Effect.gen(function*() {
      const pool = yield* makePool()
      const holder = yield* start(TimeFrame.run(ResourcePool.use(pool, () => hold), { name: "holder" }))
      yield* TestClock.adjust(100)
      const use = Effect.fn("useIt")(function*() {
        return yield* ResourcePool.use(pool, () => hold)
      })
      const first = yield* start(TimeFrame.run(use(), { name: "first", timeout: "1 second" }))
      yield* TestClock.adjust(50)
      const second = yield* start(TimeFrame.run(ResourceManager.allocate(pool), { name: "second" }))
      const third = yield* start(
        TimeFrame.run(ResourcePool.use(pool, () => hold), { name: "third" }).pipe(
          Effect.provideService(ResourcePool.Priority, 1)
        )
      )
      yield* TestClock.adjust(50)
      const seen = yield* snapshot
      const { frames, pools, waiters } = seen
      const idOf = (name: string) => frames.find((frame) => frame.name === name)!.id
      assert.deepStrictEqual(
        waiters.map((waiter) => Struct.omit(waiter, ["allocation", "fiber"])),
        [
          {
            amount: 1,
            callSite: "useIt",
            deadline: 1100,
            frame: "server/first",
            frameId: idOf("first"),
            kind: "pool",
            name: "db",
            position: 1,
            resource: "db",
            since: 100,
            sourceId: idOf("db")
          },
          {
            amount: 1,
            deadline: 60_150,
            frame: "server/third",
            frameId: idOf("third"),
            kind: "pool",
            name: "db",
            position: 0,
            resource: "db",
            since: 150,
            sourceId: idOf("db")
          },
          {
            amount: 1,
            deadline: 60_150,
            frame: "server/second",
            frameId: idOf("second"),
            kind: "pool",
            name: "db",
            position: 2,
            resource: "db",
            since: 150,
            sourceId: idOf("db")
          }
        ]
      )
      assert.deepInclude(pools[0], { oldestWait: 100, waiting: 3 })
      assert.deepStrictEqual(
        waiters.map(({ allocation }) => seen.allocations.find(({ id }) => id === allocation)?.state),
        ["acquiring", "acquiring", "acquiring"]
      )
      const [blocking, ...others] = Snapshot.holdersFor(seen, waiters[0]!)
      assert.deepStrictEqual(others, [])
      assert.isDefined(blocking?.fiber)
      assert.deepInclude(blocking, { frame: "server/holder", poolId: idOf("db"), state: "live" })
      expect(Snapshot.render(seen)).toMatchInlineSnapshot(`
        "manager
        └─ server  open 200 ms
           ├─ db  pool  1 of at most 1 in use, 0 idle, 3 waiting for up to 100 ms  open 200 ms
           │  └─ db #1  held 200 ms
           ├─ holder  open 200 ms
           │  └─ db #5  used 200 ms
           ├─ first  open 100 ms, 900 ms left
           │  └─ db #4  waiting for 100 ms, 1 before it  at useIt
           ├─ second  open 50 ms
           │  └─ db #2  waiting for 50 ms, 2 before it
           └─ third  open 50 ms
              └─ db #3  waiting for 50 ms, next in line"
      `)
      assert.deepStrictEqual(Schema.decodeUnknownSync(Snapshot.Snapshot)(encoded(seen)), seen)
      yield* Fiber.interruptAll([first, second, third])
      const after = yield* snapshot
      assert.deepStrictEqual(after.waiters, [])
      const { pools: counted, waiting } = Snapshot.diff(seen, after)
      assert.deepStrictEqual(waiting, { db: -3 })
      assert.deepStrictEqual(counted, { db: { cancelled: 3 } })
      yield* Fiber.interrupt(holder)
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("also outside of frames", () =>
    Effect.gen(function*() {
      const pool = yield* makePool()
      const fibers = [1, 2].map(() => Effect.runFork(ResourcePool.use(pool, () => hold)))
      yield* TestClock.adjust(20)
      const seen = yield* snapshot
      const [waiter] = seen.waiters
      assert.deepInclude(waiter, { fiber: fibers[1]!.id, frame: `fiber #${fibers[1]!.id}`, frameId: null, position: 0 })
      assert.strictEqual(waiter?.allocation, seen.allocations.find(({ state }) => state === "acquiring")?.id)
      assert.match(
        Snapshot.render(seen),
        /\n {6}├─ db #\d+ {2}used 20 ms {2}by fiber #\d+\n {6}├─ db #\d+ {2}waiting for 20 ms, next in line {2}by fiber #\d+\n/
      )
      yield* Fiber.interruptAll(fibers)
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("while an item is checked for them", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make({
        acquire: Effect.succeed("item"),
        size: 1,
        name: "db",
        validate: () => Effect.delay(Effect.succeed(true), 30),
        validateAfter: 0
      })
      yield* settle
      const fiber = yield* start(ResourcePool.use(pool, () => Effect.void))
      yield* settle
      yield* TestClock.adjust(20)
      const seen = yield* snapshot
      assert.strictEqual(seen.pools[0]?.busy, 1)
      assert.deepInclude(seen.waiters[0], { deadline: null, frame: "server", kind: "pool", position: 0, since: 0 })
      yield* TestClock.adjust(10)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual((yield* snapshot).waiters, [])
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("the thousand who wait for longest, and how many there are besides", () =>
    Effect.gen(function*() {
      const pool = yield* makePool()
      const count = 1200
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let index = 0; index < count; index++) {
        fibers.push(yield* start(ResourcePool.use(pool, () => hold)))
        fibers.push(yield* start(ResourceManager.allocate(Costly, { seats: 1 }).pipe(Budget.wait())))
        if (index === 0) yield* TestClock.adjust(1)
      }
      const seen = yield* snapshot
      assert.strictEqual(seen.waiters.length, 1000)
      assert.strictEqual(seen.waitersOmitted, 2 * count - 2 - 1000)
      assert.strictEqual(seen.pools[0]?.waiting, count - 1)
      assert.include(Snapshot.render(seen), "└─ and 1,398 more who wait")
      assert.strictEqual(
        JSON.stringify(Schema.decodeUnknownSync(Snapshot.Snapshot)(encoded(seen))),
        JSON.stringify(seen)
      )
      yield* Fiber.interruptAll(fibers)
    }).pipe(TimeFrame.run({ name: "server", budget: { seats: 1 } }), managed()))
})

describe("Those who wait for a budget are shown", () => {
  it.effect("with how much they need, of whose limit, and who has it", () =>
    Effect.gen(function*() {
      const office = yield* TimeFrame.TimeFrame
      const held = yield* ResourceManager.allocate(Costly, { desks: 3 })
      yield* TestClock.adjust(500)
      const ask = (desks: number, options: Omit<TimeFrame.Options, "name"> = {}) =>
        start(ResourceManager.allocate(Costly, { desks }).pipe(TimeFrame.run({ name: "visit", ...options })))
      const patient = yield* ask(2, { exhausted: { wait: "10 seconds" }, timeout: "20 seconds" })
      yield* TestClock.adjust(100)
      const hurried = yield* ask(1, { timeout: "1 second" })
      yield* TestClock.adjust(100)
      const seen = yield* snapshot
      const officeId = seen.frames.find(({ path }) => path === office.path)!.id
      assert.deepStrictEqual(
        seen.waiters.map(({ amount, deadline, frame, name, position, resource, since, sourceId }) => ({
          amount,
          deadline,
          frame,
          name,
          position,
          resource,
          since,
          sourceId
        })),
        [
          {
            amount: 2,
            deadline: 10_500,
            frame: "office/visit",
            name: "desks",
            position: 0,
            resource: "costly",
            since: 500,
            sourceId: officeId
          },
          {
            amount: 1,
            deadline: 1600,
            frame: "office/visit",
            name: "desks",
            position: 1,
            resource: "costly",
            since: 600,
            sourceId: officeId
          }
        ]
      )
      const budget = seen.frames.find(({ id }) => id === officeId)?.budgets[0]
      assert.deepInclude(budget, { kind: "capacity", limit: 3, oldestWait: 200, used: 3, waiting: 2 })
      assert.deepStrictEqual(Snapshot.holdersFor(seen, seen.waiters[0]!).map(({ frame }) => frame), ["office"])
      expect(Snapshot.render(seen)).toMatchInlineSnapshot(`
        "manager  desks 3
        └─ office  open 700 ms  desks 3 of 3 (2 waiting for up to 200 ms)
           ├─ visit  open 200 ms, 19.8 s left
           │  └─ costly  waiting for 2 desks of office for 200 ms, next in line
           ├─ visit  open 100 ms, 900 ms left
           │  └─ costly  waiting for 1 desks of office for 100 ms, 1 before it
           └─ costly #1  held 700 ms  desks 3"
      `)
      assert.deepStrictEqual(Schema.decodeUnknownSync(Snapshot.Snapshot)(encoded(seen)), seen)
      yield* Fiber.interruptAll([patient, hurried])
      assert.deepStrictEqual(Snapshot.diff(seen, yield* snapshot).waiting, { desks: -2 })
      yield* held.release
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 3 }, exhausted: "wait" }), managed()))

  it.effect("in the order in which tenants are served", () =>
    Effect.gen(function*() {
      const served: Array<string> = []
      const visit = (tenant: string, weight: number) =>
        start(
          ResourceManager.use(Costly, { desks: 1 }, () => Effect.delay(Effect.sync(() => served.push(tenant)), 10))
            .pipe(
              TimeFrame.run({ name: tenant, tenant, weight })
            )
        )
      for (let index = 0; index < 6; index++) yield* visit("large", 1)
      for (let index = 0; index < 3; index++) yield* visit("small", 2)
      const { waiters } = yield* snapshot
      const expected = waiters.toSorted((a, b) => a.position - b.position).map(({ tenant }) => tenant)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(["large", ...expected], served)
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))

  it.effect("so that it can be seen who waits for whom, all the way", () =>
    Effect.gen(function*() {
      const pool = yield* makePool()
      // One has the desk; another one has the item, and waits for the desk; a third one waits for the item.
      const desk = ResourceManager.use(Costly, { desks: 1 }, () => hold)
      const fibers = [
        yield* start(TimeFrame.run(desk, { name: "a" })),
        yield* start(TimeFrame.run(ResourcePool.use(pool, () => desk), { name: "b" })),
        yield* start(TimeFrame.run(ResourcePool.use(pool, () => hold), { name: "c" }))
      ]
      const seen = yield* snapshot
      const edges = seen.waiters.map((waiter) => [
        waiter.frame,
        Snapshot.holdersFor(seen, waiter).map(({ fiber, frame }) => ({
          frame,
          waits: seen.waiters.some((other) => other.fiber === fiber)
        }))
      ])
      assert.deepStrictEqual(edges, [
        ["office/b", [{ frame: "office/a", waits: false }]],
        ["office/c", [{ frame: "office/b", waits: true }]]
      ])
      yield* Fiber.interruptAll(fibers)
    }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 }, exhausted: "wait" }), managed()))
})

describe("A snapshot shows", () => {
  it.effect("what a rate is, what is reserved, and that sums agree", () =>
    Effect.gen(function*() {
      const inner = Effect.gen(function*() {
        yield* ResourceManager.allocate(Costly, { memory: 100, tokens: 4 })
        yield* start(ResourceManager.allocate(Costly, { tokens: 10 }))
        yield* TestClock.adjust(100)
        const seen = yield* snapshot
        const budgetOf = (path: string, unit: string) =>
          seen.frames.find((frame) => frame.path === path)?.budgets.find((budget) => budget.unit === unit)
        assert.deepInclude(budgetOf("server", "tokens"), {
          amount: 10,
          kind: "rate",
          limit: 10,
          oldestWait: 100,
          per: 1000,
          used: 3,
          waiting: 1
        })
        assert.deepInclude(budgetOf("server/sure", "memory"), {
          kind: "capacity",
          limit: null,
          reserved: 600,
          used: 100
        })
        // What is used outside is what is allocated, and what is reserved beyond it.
        assert.deepInclude(budgetOf("server", "memory"), { used: 600 + 50, waiting: 0 })
        expect(Snapshot.render(seen)).toMatchInlineSnapshot(`
          "manager  memory 650, tokens 4
          └─ server  open 100 ms  memory 650 of 1,000, tokens 3 of 10 (10 in 1.0 s, 1 waiting for up to 100 ms)
             ├─ sure  open 100 ms  memory 100 (600 reserved)
             │  ├─ costly #2  held 100 ms  memory 100, tokens 4
             │  └─ costly  waiting for 10 tokens of server for 100 ms, next in line
             └─ costly #1  held 100 ms  memory 50"
        `)
        assert.deepStrictEqual(Schema.decodeUnknownSync(Snapshot.Snapshot)(encoded(seen)), seen)
      }).pipe(TimeFrame.run({ name: "sure", reserve: { memory: 600 } }))
      yield* ResourceManager.allocate(Costly, { memory: 50 })
      yield* inner
    }).pipe(
      TimeFrame.run({
        name: "server",
        budget: { memory: 1000, tokens: Budget.rate(10, "1 second") },
        exhausted: "wait"
      }),
      managed()
    ))

  it.effect("what happened in each pool", () =>
    Effect.gen(function*() {
      const pool = yield* makePool({ acquireTimeout: 30 })
      const before = yield* snapshot
      const use = ResourcePool.use(pool, () => Effect.sleep(20))
      const fibers = yield* Effect.forEach([use, use, use], (one) => start(Effect.exit(one)))
      yield* TestClock.adjust(20)
      yield* TestClock.adjust(20)
      yield* Fiber.joinAll(fibers)
      const after = yield* snapshot
      const { counts } = yield* ResourcePool.stats(pool)
      assert.deepStrictEqual({ ...after.pools[0]!.counts! }, { ...counts })
      assert.deepInclude(counts, { borrowed: 2, timeouts: 1, waitMax: 20, waited: 1 })
      assert.deepStrictEqual(Snapshot.diff(before, after).pools, {
        db: { borrowed: 2, returned: 2, timeouts: 1, useTotal: 40, waitTotal: 20, waited: 1 }
      })
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("who uses a shared value, and who has a turn", () =>
    Effect.gen(function*() {
      const Board = ResourceDefinition.shared("board", {
        access: "readWrite",
        acquire: () => Effect.delay(Effect.succeed([] as Array<string>), 10)
      })
      const fiber = yield* start(ResourceManager.allocate(Board))
      assert.deepInclude((yield* snapshot).values[0], {
        kind: "shared",
        resource: "board",
        state: "acquiring",
        users: 1
      })
      yield* TestClock.adjust(10)
      const board = yield* Fiber.join(fiber)
      yield* start(board.read(() => hold))
      yield* start(board.read(() => hold))
      yield* start(board.write(() => hold))
      yield* ResourceManager.retire(Board)
      const seen = yield* snapshot
      assert.deepInclude(seen.values[0], { state: "retired", turns: { readers: 2, waiting: 1, writing: false } })
      assert.match(Snapshot.render(seen), /└─ board {2}retired, 2 reading, 1 waiting for a turn {2}open 10 ms\n/)
      assert.deepStrictEqual(Schema.decodeUnknownSync(Snapshot.Snapshot)(encoded(seen)), seen)
    }).pipe(TimeFrame.run({ name: "server" }), managed()))

  it.effect("nothing of this where it was not known yet", () =>
    Effect.gen(function*() {
      yield* makePool()
      yield* ResourceManager.allocate(Costly, { memory: 1 })
      const old = encoded(yield* snapshot)
      delete old.values
      delete old.waiters
      delete old.pools[0].counts
      for (const { budgets } of old.frames) {
        for (const budget of budgets) {
          for (const key of ["kind", "reserved", "waiting", "oldestWait"]) delete budget[key]
        }
      }
      for (const resource of old.resources) delete resource.refused
      const read = Schema.decodeUnknownSync(Snapshot.Snapshot)(old)
      assert.deepStrictEqual([read.values, read.waiters], [[], []])
      assert.deepInclude(read.frames[0]?.budgets[0], { kind: "capacity", reserved: 0, used: 1, waiting: 0 })
      assert.deepStrictEqual(Snapshot.diff(read, read).pools, {})
      assert.include(Snapshot.render(read), "costly #2")
    }).pipe(TimeFrame.run({ name: "server" }), managed()))
})

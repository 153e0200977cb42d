import { Allocation, Budget, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceEvent } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import { kinds, names, party } from "./deadlockWorld.ts"
import type { Thing } from "./deadlockWorld.ts"
import { settle, start } from "./fixtures.ts"

type OppositeOrders = Extract<ResourceEvent.ResourceEvent, { readonly _tag: "OppositeOrders" }>

const ok = () => Effect.void

/** A manager that says what it has to warn of, and a frame with one of each unit, for which those inside wait. */
const watched = (
  test: (logged: ReadonlyArray<string>) => Effect.Effect<void, any, any>,
  options?: ResourceManager.Options,
  frame: Omit<TimeFrame.Options, "name"> = {
    budget: Object.fromEntries(names.map((name) => [name, 1])),
    exhausted: "wait"
  }
) => {
  const logged: Array<string> = []
  const capture = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") logged.push(String(message))
  })
  const manager = Layer.provide(ResourceManager.layer(options), Logger.layer([capture]))
  return test(logged).pipe(TimeFrame.run({ name: "server", ...frame }), Effect.provide(manager)) as Effect.Effect<void>
}

const listening = Effect.gen(function*() {
  const told: Array<OppositeOrders> = []
  const fiber = yield* ResourceManager.events.pipe(
    Stream.runForEach((event) => Effect.sync(() => event._tag === "OppositeOrders" && told.push(event))),
    start
  )
  return { told, stop: Fiber.interrupt(fiber) }
})
const listen = Effect.map(listening, ({ told }) => told)

const within = (name: string) => TimeFrame.run({ name })

/** Holds one while it asks for the other. */
const order = (one: Thing, other: Thing, frame = "request") => Effect.exit(one.hold(other.ask).pipe(within(frame)))

const { budget, pool, "write after write": write } = kinds
const exclusive = ["pool", "budget", "write after write"] as const

const value = (name: string) =>
  ResourceManager.allocate(
    ResourceDefinition.shared(name, { access: "readWrite", acquire: () => Effect.succeed(name) })
  )

/** A pool that lends so many items. */
const poolOf = (name: string, max: number) =>
  ResourcePool.make(ResourceDefinition.temporal(name, { acquire: () => Effect.succeed(name) }), { max })

describe("Opposite orders", () => {
  it.effect("are told of any two of pools, budgets and turns, though nobody waited, once for each pair", () =>
    Effect.forEach(
      exclusive,
      (one) =>
        Effect.forEach(exclusive, (other) =>
          watched((logged) =>
            Effect.gen(function*() {
              const told = yield* listen
              const [a, b] = [yield* kinds[one]("a"), yield* kinds[other]("b")]
              yield* order(a, b)
              yield* order(a, b)
              yield* settle
              assert.strictEqual(told.length, 0)
              for (let times = 0; times < 3; times++) yield* order(b, a)
              yield* order(a, b)
              yield* settle
              assert.strictEqual(told.length, 1, `${one}, ${other}`)
              const { asks, holds, opposite } = told[0]!
              const [kindOfA, kindOfB] = [told[0]!.opposite.holds.kind, told[0]!.holds.kind]
              assert.deepStrictEqual([kindOfA, kindOfB], [one, other].map((kind) => kind.split(" ")[0]))
              assert.deepInclude(holds, { resource: "b", kind: kindOfB })
              assert.deepInclude(asks, { resource: "a", kind: kindOfA })
              assert.deepInclude(opposite.holds, { resource: "a", kind: kindOfA })
              assert.deepInclude(opposite.asks, { resource: "b", kind: kindOfB })
              assert.strictEqual(logged.length, 1)
            })
          ), { discard: true }),
      { discard: true }
    ))

  it.effect("are told with the frames and the functions of both, and in words", () =>
    watched((logged) =>
      Effect.gen(function*() {
        const told = yield* listen
        const db = yield* poolOf("db", 5)
        const table = yield* value("table")
        const report = Effect.fn("report")(function*() {
          yield* ResourcePool.use(db, () => Effect.flatMap(Effect.void, Effect.fn("lock")(() => table.write(ok))))
        })
        const save = Effect.fn("save")(() => table.write(() => ResourcePool.use(db, ok).pipe(within("query"))))
        yield* TestClock.adjust(100)
        yield* report().pipe(within("nightly"))
        yield* TestClock.adjust(10)
        yield* save().pipe(within("request"))
        yield* settle
        const opposite = {
          at: 100,
          frame: "server/nightly",
          frameId: 5,
          holds: { resource: "db", kind: "pool", frame: "server/nightly", callSite: "report" },
          asks: { resource: "table", kind: "write", callSite: "lock" }
        } as const
        assert.deepStrictEqual(told, [{
          _tag: "OppositeOrders",
          at: 110,
          frame: "server/request/query",
          frameId: 8,
          holds: { resource: "table", kind: "write", frame: "server/request", callSite: "save" },
          asks: { resource: "db", kind: "pool", callSite: "save" },
          opposite
        }])
        assert.deepStrictEqual(logged, [
          `"table" and "db" are asked for in opposite orders, which may end in a deadlock:\n` +
          `  - server/request/query asked for "db" (save) while it had a turn to write "table" (save)\n` +
          `  - server/nightly asked to write "table" (lock) while it held "db" (report)`
        ])
      })
    ))

  it.effect("are told when the second one is asked for, also where it is not had", () =>
    watched(() =>
      Effect.gen(function*() {
        const told = yield* listen
        const [a, b] = [yield* pool("a"), yield* write("b")]
        yield* order(a, b)
        const other = yield* start(a.hold(Effect.sleep(10)))
        const fiber = yield* start(order(b, a))
        yield* settle
        assert.isUndefined(fiber.pollUnsafe())
        assert.strictEqual(told.length, 1)
        yield* TestClock.adjust(10)
        yield* Fiber.joinAll([fiber, other])
      })
    ))

  it.effect("are told beside the deadlock that they are", () =>
    watched(() =>
      Effect.gen(function*() {
        const told = yield* listen
        const [a, b] = [yield* pool("a"), yield* budget("b")]
        const [one, two] = [yield* party("one", a, b.ask), yield* party("two", b, a.ask)]
        yield* one.goOn
        yield* two.goOn
        const ends = yield* Effect.forEach([one, two], ({ fiber }) => Fiber.await(fiber))
        assert.deepStrictEqual(ends.map(({ _tag }) => _tag), ["Success", "Failure"])
        assert.strictEqual(told.length, 1)
      })
    ))

  it.effect("are seen through a frame with a timeout, whose body runs on another fiber", () =>
    watched(() =>
      Effect.gen(function*() {
        const told = yield* listen
        const [a, b] = [yield* pool("a"), yield* write("b")]
        yield* a.hold(TimeFrame.run(b.ask, { name: "short", timeout: 100 }))
        yield* b.hold(TimeFrame.run(a.ask, { name: "short", timeout: 100 }))
        yield* settle
        assert.strictEqual(told.length, 1)
      })
    ))

  it.effect("are seen where handles are held, until they are given back or moved", () =>
    watched(() =>
      Effect.gen(function*() {
        const told = yield* listen
        const db = yield* poolOf("db", 2)
        const b = yield* write("b")
        yield* b.hold(ResourcePool.use(db, ok))
        const server = yield* TimeFrame.current
        yield* Effect.gen(function*() {
          const handle = yield* ResourceManager.allocate(db)
          yield* handle.release
          yield* b.ask
        }).pipe(within("released"))
        yield* Effect.gen(function*() {
          const handle = yield* ResourceManager.allocate(db)
          const elsewhere = yield* TimeFrame.make({ name: "elsewhere" })
          yield* Allocation.transfer(handle, elsewhere)
          yield* handle.release
          yield* b.ask
        }).pipe(within("moved"), Effect.scoped)
        yield* settle
        assert.strictEqual(told.length, 0)
        yield* Effect.gen(function*() {
          const handle = yield* ResourceManager.allocate(db)
          yield* Allocation.transfer(handle, server)
        }).pipe(within("mover"))
        yield* b.ask
        yield* settle
        assert.strictEqual(told.length, 1)
      })
    ))
})

describe("There is nothing to tell of", () => {
  const quietly = (
    test: (told: ReadonlyArray<OppositeOrders>) => Effect.Effect<unknown, any, any>,
    frame?: Omit<TimeFrame.Options, "name">
  ) =>
    watched(
      (logged) =>
        Effect.gen(function*() {
          const told = yield* listen
          yield* test(told)
          yield* settle
          assert.deepStrictEqual(told, [])
          assert.deepStrictEqual(logged, [])
        }),
      undefined,
      frame
    )

  it.effect("one order alone, or one after the other", () =>
    quietly(() =>
      Effect.gen(function*() {
        const [a, b, c] = [yield* pool("a"), yield* write("b"), yield* budget("c")]
        yield* a.hold(b.hold(c.ask))
        yield* order(a, c)
        yield* c.hold(Effect.void)
        yield* b.hold(Effect.void)
        yield* a.ask
      })
    ))

  it.effect("two of one name", () =>
    quietly(() =>
      Effect.gen(function*() {
        const [one, other] = [yield* write("a"), yield* write("a")]
        yield* order(one, other)
        yield* order(other, one)
        const db = yield* poolOf("db", 2)
        yield* ResourcePool.use(db, () => ResourcePool.use(db, ok))
      })
    ))

  for (const gate of exclusive) {
    it.effect(`orders behind a common gate: ${gate}`, () =>
      quietly(() =>
        Effect.gen(function*() {
          const [a, b, c] = [yield* pool("a"), yield* write("b"), yield* kinds[gate]("c")]
          yield* c.hold(order(a, b))
          yield* c.hold(order(b, a))
        })
      ))
  }

  it.effect("a gate that one reads and the other writes", () =>
    quietly(() =>
      Effect.gen(function*() {
        const [a, b, gate] = [yield* pool("a"), yield* write("b"), yield* value("gate")]
        yield* gate.read(() => order(a, b))
        yield* gate.write(() => order(b, a))
      })
    ))

  it.effect("what is refused rather than waited for, what comes back with time, and what has no limit", () =>
    quietly(() =>
      Effect.gen(function*() {
        const a = yield* pool("a")
        const unit = (name: string) =>
          ResourceDefinition.temporal(name, { cost: () => ({ [name]: 1 }), acquire: () => Effect.void })
        for (const name of ["few", "rate", "endless"]) {
          const One = unit(name)
          yield* ResourceManager.use(One, () => a.ask)
          const use = ResourceManager.use(One, ok)
          yield* a.hold(name === "few" ? Budget.failFast(use) : use)
        }
      }), { budget: { few: 1, rate: Budget.rate(10, "1 second") }, exhausted: "wait" }))

  it.effect("a scope that anyone may close", () =>
    quietly(() =>
      Effect.gen(function*() {
        const [db, b] = [yield* poolOf("db", 2), yield* write("b")]
        yield* b.hold(ResourcePool.use(db, ok))
        yield* Effect.scoped(Effect.andThen(ResourcePool.get(db), b.ask)).pipe(Effect.asVoid)
      })
    ))
})

describe("A gate that lets both through is none:", () => {
  const gates: Readonly<Record<string, Effect.Effect<(body: Effect.Effect<any, any, any>) => any, any, any>>> = {
    "a pool of two": Effect.map(poolOf("gate", 2), (pool) => (body) => ResourcePool.use(pool, () => body)),
    "two turns to read": Effect.map(value("gate"), (gate) => (body) => gate.read(() => body)),
    "one that only one of them holds": Effect.sync(() => {
      let times = 0
      const gate = write("c")
      return (body) => times++ === 0 ? body : Effect.flatMap(gate, ({ hold }) => hold(body))
    })
  }
  for (const [name, gate] of Object.entries(gates)) {
    it.effect(name, () =>
      watched(() =>
        Effect.gen(function*() {
          const told = yield* listen
          const [a, b, through] = [yield* pool("a"), yield* write("b"), yield* gate]
          yield* through(order(a, b))
          yield* through(order(b, a))
          yield* settle
          assert.strictEqual(told.length, 1)
        })
      ))
  }

  it.effect("the same pair once behind a gate and once not is told", () =>
    watched(() =>
      Effect.gen(function*() {
        const told = yield* listen
        const [a, b, gate] = [yield* pool("a"), yield* write("b"), yield* write("c")]
        yield* gate.hold(order(a, b))
        yield* gate.hold(order(b, a))
        yield* settle
        assert.strictEqual(told.length, 0)
        yield* order(a, b)
        yield* settle
        assert.strictEqual(told.length, 1)
      })
    ))
})

describe("Part of a budget", () => {
  it.effect("is a gate for those who can not have theirs at once", () =>
    watched(
      () =>
        Effect.gen(function*() {
          const told = yield* listen
          const [a, b] = [yield* pool("a"), yield* write("b")]
          const through = (amount: number) => {
            const Some = ResourceDefinition.temporal("some", {
              cost: () => ({ units: amount }),
              acquire: () => Effect.void
            })
            return (body: Effect.Effect<unknown, unknown, any>) => ResourceManager.use(Some, () => body)
          }
          yield* through(2)(order(a, b))
          yield* through(2)(order(b, a))
          yield* settle
          assert.strictEqual(told.length, 0)
          yield* through(1)(order(a, b))
          yield* settle
          assert.strictEqual(told.length, 1)
        }),
      undefined,
      { budget: { units: 3 }, exhausted: "wait" }
    ))
})

describe("Turns to read", () => {
  it.effect("are told of only when somebody writes: that is who readers wait for", () =>
    watched(() =>
      Effect.gen(function*() {
        const told = yield* listen
        const [a, table] = [yield* pool("a"), yield* value("table")]
        const there = table.read(() => a.ask).pipe(within("there"))
        const back = a.hold(table.read(ok)).pipe(within("back"))
        yield* there
        yield* back
        yield* back
        yield* settle
        assert.strictEqual(told.length, 0)
        yield* table.write(ok)
        yield* there
        yield* settle
        assert.strictEqual(told.length, 1)
        assert.deepStrictEqual([told[0]!.frame, told[0]!.opposite.frame], ["server/there", "server/back"])
      })
    ))
})

describe("Orders are watched", () => {
  it.effect("only while somebody listens", () =>
    watched((logged) =>
      Effect.gen(function*() {
        const [a, b] = [yield* pool("a"), yield* write("b")]
        yield* order(a, b)
        const { stop, told } = yield* listening
        yield* order(b, a)
        yield* stop
        // Nobody sees that it is given back.
        let watching: ReadonlyArray<OppositeOrders> = []
        yield* b.hold(Effect.tap(listen, (told) => Effect.sync(() => watching = told)))
        yield* a.hold(Effect.void)
        yield* settle
        assert.strictEqual(told.length + watching.length, 0)
        yield* order(a, b)
        yield* settle
        assert.strictEqual(watching.length, 1)
        assert.strictEqual(logged.length, 1)
      })
    ))

  it.effect("and what was held before a pause is forgotten", () =>
    watched((logged) =>
      Effect.gen(function*() {
        const [a, b] = [yield* pool("a"), yield* write("b")]
        const first = yield* listening
        yield* order(b, a)
        yield* a.hold(first.stop)
        const told = yield* listen
        yield* b.ask
        yield* settle
        assert.strictEqual(told.length + logged.length, 0)
      })
    ))

  it.effect("all the time where the manager is told to, and logged", () =>
    watched((logged) =>
      Effect.gen(function*() {
        const [a, b] = [yield* pool("a"), yield* write("b")]
        yield* order(a, b)
        yield* order(b, a)
        assert.strictEqual(logged.length, 1)
        assert.match(logged[0]!, /"b" and "a" are asked for in opposite orders/)
      }), { watchOrders: true }))

  it.effect(
    "of any number of names, and no more are kept than there is room for",
    () =>
      watched((logged) =>
        Effect.gen(function*() {
          const a = yield* pool("a")
          const turn = (index: number) =>
            Effect.scoped(
              Effect.flatMap(write(`value ${index}`), (value) => Effect.andThen(order(a, value), order(value, a)))
            )
          yield* Effect.forEach(Array.from({ length: 5000 }).keys(), (index) => turn(index).pipe(within("turn")), {
            discard: true
          })
          assert.strictEqual(logged.length, 4096)
        }), { watchOrders: true }),
    20_000
  )
})

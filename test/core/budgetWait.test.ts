import { Allocation, Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schema } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, managed, settle, start } from "./fixtures.ts"

/** Takes so much of the memory as it is told. */
const Block = ResourceDefinition.temporal("block", {
  params: Schema.Int,
  cost: (memory): Cost.Cost => ({ memory }),
  acquire: (size) => Effect.succeed(size)
})

/** Takes so many tokens, and one of the calls. */
const Call = ResourceDefinition.temporal("call", {
  params: Schema.Int,
  cost: (tokens): Cost.Cost => ({ tokens, calls: 1 }),
  acquire: (tokens) => Effect.succeed(tokens)
})

/** Holds a block until the latch opens, and says when it has it. */
const hold = (size: number, latch: Latch.Latch, said: Array<unknown> = [], word: unknown = size) =>
  ResourceManager.use(Block, size, () => Effect.andThen(Effect.sync(() => said.push(word)), latch.await))

/** Is known by the frame that it was acquired in. */
const Session = ResourceDefinition.temporal("session", { acquire: () => TimeFrame.current })

const roomOf = (name: string, budget: Budget.Budget) => TimeFrame.make({ name, budget })

const standingOf = (frame: TimeFrame.TimeFrame) =>
  Effect.map(Budget.standing("memory", frame), ({ used, waiting }) => ({ used, waiting }))

const inFrame = (options: Omit<TimeFrame.Options, "name">) => TimeFrame.run({ name: "frame", ...options })

describe("A rate", () => {
  it.effect("refills with time, evenly, and not by releases", () =>
    Effect.gen(function*() {
      yield* ResourceManager.use(Call, 100, () => Effect.void)
      const error = failureOf(yield* Effect.exit(ResourceManager.use(Call, 1, () => Effect.void)))
      assert.deepInclude(error, { _tag: "BudgetExceeded", unit: "tokens", limit: 100, used: 100, readyIn: 10 })
      yield* TestClock.adjust("100 millis")
      yield* ResourceManager.use(Call, 10, () => Effect.void)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ResourceManager.use(Call, 1, () => Effect.void))))
      yield* TestClock.adjust("1 minute")
      // No more than the burst has come back.
      yield* ResourceManager.use(Call, 100, () => Effect.void)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ResourceManager.use(Call, 1, () => Effect.void))))
    }).pipe(inFrame({ budget: { tokens: Budget.rate(100, "1 second") } }), managed()))

  it.effect("has a burst of its own, and what is larger can never fit", () =>
    Effect.gen(function*() {
      const error = failureOf(yield* Effect.exit(ResourceManager.use(Call, 6, () => Effect.void)))
      assert.isTrue((error as ResourceError.BudgetExceeded).neverFits)
      yield* ResourceManager.use(Call, 5, () => Effect.void)
    }).pipe(inFrame({ budget: { tokens: Budget.rate(1000, "1 second", 5) } }), managed()))

  it.effect("is not taken when another unit refuses", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      yield* start(ResourceManager.use(Call, 1, () => latch.await))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ResourceManager.use(Call, 9, () => Effect.void))))
      yield* latch.open
      yield* settle
      yield* ResourceManager.use(Call, 9, () => Effect.void)
    }).pipe(inFrame({ budget: { tokens: Budget.rate(10, "1 hour"), calls: 1 } }), managed()))

  it("is refused when it makes no sense", () => {
    assert.throws(() => Budget.rate(0, "1 second"), /whole numbers above 0/)
    assert.throws(() => Budget.rate(1.5, "1 second"), /whole numbers above 0/)
    assert.throws(() => Budget.rate(1, 0), /longer than 0/)
    assert.throws(() =>
      TimeFrame.run(Effect.void, { name: "x", budget: { tokens: { ...Budget.rate(1, 1), per: NaN } } })
    )
  })
})

describe("A reserve", () => {
  it.effect("is sure, whatever others take, and goes back when the frame has closed", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      const inside = yield* start(
        Effect.andThen(latch.await, ResourceManager.use(Block, 60, () => Effect.void)).pipe(
          TimeFrame.run({ name: "sure", reserve: { memory: 60 } })
        )
      )
      yield* settle
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ResourceManager.use(Block, 50, () => Effect.void))))
      yield* ResourceManager.use(Block, 40, () => Effect.andThen(latch.open, settle))
      assert.isTrue(Exit.isSuccess(inside.pollUnsafe()!))
      yield* ResourceManager.use(Block, 100, () => Effect.void)
    }).pipe(inFrame({ budget: { memory: 100 } }), managed()))

  it.effect("can be gone beyond, as far as there is something left outside", () =>
    Effect.gen(function*() {
      yield* ResourceManager.use(Block, 100, () => Effect.void)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ResourceManager.use(Block, 101, () => Effect.void))))
    }).pipe(TimeFrame.run({ name: "sure", reserve: { memory: 60 } }), inFrame({ budget: { memory: 100 } }), managed()))

  it.effect("that is not to be had is refused, and nothing is charged", () =>
    Effect.gen(function*() {
      const sure = TimeFrame.run(Effect.void, { name: "sure", reserve: { memory: 101 } })
      const error = yield* Effect.flip(sure)
      assert.deepInclude(error, { _tag: "BudgetExceeded", requested: 101, resource: "sure" })
      yield* ResourceManager.use(Block, 100, () => Effect.void)
    }).pipe(inFrame({ budget: { memory: 100 } }), managed()))
})

describe("One who waits for what goes beyond a reserve", () => {
  /** A frame that has its reserve in use; someone else waits outside, and then one more inside. */
  const behind = (inside: (held: Latch.Latch) => Effect.Effect<void, any, any>) =>
    Effect.gen(function*() {
      const rest = yield* Latch.make()
      const held = yield* Latch.make()
      const outer = yield* TimeFrame.current
      const rested = yield* start(hold(10, rest))
      yield* Effect.gen(function*() {
        yield* start(hold(20, held))
        const other = yield* start(TimeFrame.provide(hold(5, rest), outer).pipe(Budget.wait()))
        yield* settle
        yield* inside(held)
        assert.isUndefined(other.pollUnsafe(), "has room outside")
        yield* rest.open
        yield* Fiber.join(other)
      }).pipe(TimeFrame.run({ name: "sure", reserve: { memory: 20 }, exhausted: "wait" }))
      yield* Fiber.join(rested)
    }).pipe(inFrame({ budget: { memory: 30 } }), managed())

  it.effect("goes on when the reserve has room again, whoever is ahead outside", () =>
    behind((held) =>
      Effect.gen(function*() {
        const one = yield* start(hold(20, held))
        yield* settle
        assert.isUndefined(one.pollUnsafe())
        yield* held.open
        yield* settle
        assert.isTrue(Exit.isSuccess(one.pollUnsafe()!))
      })
    ))

  it.effect("goes on in the order of coming, as far as the reserve goes", () =>
    behind((held) =>
      Effect.gen(function*() {
        const turns = [yield* Latch.make(), yield* Latch.make()] as const
        const said: Array<unknown> = []
        const first = yield* start(hold(15, turns[0], said, "first"))
        const second = yield* start(hold(15, turns[1], said, "second"))
        const small = yield* start(hold(5, turns[1], said, "small"))
        yield* settle
        yield* held.open
        yield* settle
        assert.deepStrictEqual(said, ["first", "small"])
        yield* Latch.open(turns[0])
        yield* settle
        assert.deepStrictEqual(said, ["first", "small", "second"])
        yield* Latch.open(turns[1])
        for (const fiber of [first, second, small]) yield* Fiber.join(fiber)
      })
    ))

  it.effect("waits for the other unit that it needs, when that is what is missing then", () =>
    behind((held) =>
      Effect.gen(function*() {
        const turn = yield* Latch.make()
        const Both = ResourceDefinition.temporal("both", {
          cost: (): Cost.Cost => ({ memory: 20, desks: 1 }),
          acquire: () => Effect.succeed("both")
        })
        const Desk = ResourceDefinition.temporal("desk", {
          cost: (): Cost.Cost => ({ desks: 1 }),
          acquire: () => Effect.succeed("desk")
        })
        yield* Effect.gen(function*() {
          const desk = yield* start(ResourceManager.use(Desk, () => turn.await))
          const both = yield* start(ResourceManager.use(Both, () => Effect.void))
          yield* settle
          yield* held.open
          yield* settle
          assert.isUndefined(both.pollUnsafe())
          yield* turn.open
          yield* Fiber.join(desk)
          yield* settle
          assert.isTrue(Exit.isSuccess(both.pollUnsafe()!))
        }).pipe(TimeFrame.run({ name: "office", budget: { desks: 1 } }))
      })
    ))
})

describe("A frame that is extended", () => {
  it.effect("has more time, but not more than the one outside", () =>
    Effect.gen(function*() {
      const fiber = yield* start(
        Effect.gen(function*() {
          const frame = yield* TimeFrame.current
          yield* Effect.sleep("80 millis")
          yield* TimeFrame.extend(frame, { timeout: "100 millis" })
          yield* Effect.sleep("90 millis")
          yield* TimeFrame.extend(frame, { timeout: "1 hour" })
          yield* Effect.sleep("1 hour")
        }).pipe(
          TimeFrame.run({ name: "inner", timeout: "100 millis" }),
          Effect.exit,
          TimeFrame.run({ name: "outer", timeout: "1 second" })
        )
      )
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
    }).pipe(managed()))

  it.effect("leaves those inside their own timeouts, on whatever fiber they run", () =>
    Effect.gen(function*() {
      for (const elsewhere of [false, true]) {
        const ends: Array<unknown> = []
        const fiber = yield* start(
          Effect.gen(function*() {
            const outer = yield* TimeFrame.current
            yield* Effect.forkChild(Effect.delay(TimeFrame.extend(outer, { timeout: "1 second" }), "50 millis"))
            const inner = Effect.sleep("1 hour").pipe(
              TimeFrame.run({ name: "inner", timeout: "300 millis" }),
              Effect.catchTag("DeadlineExceeded", (error) => Effect.sync(() => ends.push(error.frame, error.timeout)))
            )
            yield* elsewhere ? Effect.flatMap(Effect.forkChild(inner), Fiber.join) : inner
          }).pipe(TimeFrame.run({ name: "outer", timeout: "100 millis" }))
        )
        yield* TestClock.adjust("299 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* settle
        assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
        assert.deepStrictEqual(ends, ["outer/inner", 300])
      }
    }).pipe(managed()))

  it.effect("has more of a budget, which those who wait get", () =>
    Effect.gen(function*() {
      const frame = yield* TimeFrame.current
      const latch = yield* Latch.make()
      const said: Array<unknown> = []
      yield* start(hold(10, latch, said).pipe(Budget.wait()))
      yield* start(hold(10, latch, said).pipe(Budget.wait()))
      yield* settle
      assert.strictEqual(said.length, 1)
      yield* TimeFrame.extend(frame, { budget: { memory: 10, other: 5 } })
      yield* settle
      assert.strictEqual(said.length, 2)
      yield* latch.open
      yield* settle
    }).pipe(inFrame({ budget: { memory: 10 } }), managed()))

  it.effect("must be open", () =>
    Effect.gen(function*() {
      const frame = yield* TimeFrame.make({ name: "frame" })
      yield* TimeFrame.close(frame)
      const error = yield* Effect.flip(TimeFrame.extend(frame, { timeout: "1 second" }))
      assert.strictEqual(error._tag, "FrameClosed")
    }).pipe(Effect.scoped, managed()))
})

describe("Waiting for a budget", () => {
  it.effect("is first come, first served, and small ones do not go ahead of a large one", () =>
    Effect.gen(function*() {
      const first = yield* Latch.make()
      const rest = yield* Latch.make()
      const said: Array<unknown> = []
      yield* start(hold(6, first, said))
      yield* settle
      yield* start(hold(8, rest, said))
      yield* settle
      yield* start(hold(1, rest, said))
      yield* settle
      assert.deepStrictEqual(said, [6])
      yield* first.open
      yield* settle
      assert.deepStrictEqual(said, [6, 8, 1])
      yield* rest.open
      yield* settle
    }).pipe(inFrame({ budget: { memory: 10 }, exhausted: "wait" }), managed()))

  it.effect("fails at once for what can never fit", () =>
    Effect.gen(function*() {
      const error = failureOf(yield* Effect.exit(ResourceManager.use(Block, 11, () => Effect.void)))
      assert.isTrue((error as ResourceError.BudgetExceeded).neverFits)
    }).pipe(inFrame({ budget: { memory: 10 }, exhausted: "wait" }), managed()))

  it.effect("ends after its timeout, and says who has it, who is ahead, and how long it has waited", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      yield* start(hold(10, latch))
      yield* start(Effect.exit(hold(1, latch).pipe(Budget.wait())))
      const fiber = yield* start(hold(2, latch))
      yield* TestClock.adjust("250 millis")
      const error = failureOf(fiber.pollUnsafe()!) as ResourceError.BudgetExceeded
      assert.deepInclude(error, { unit: "memory", waited: 250, used: 10, requested: 2, waiting: 1 })
      assert.deepStrictEqual(error.holders.map(({ amount }) => amount), [10])
      assert.match(
        error.message,
        /needs 2 of "memory", .* and 1 waits for it, after waiting 250 ms\. Held by:\n  - 10 of "memory" in/
      )
      yield* latch.open
      yield* settle
    }).pipe(inFrame({ budget: { memory: 10 }, exhausted: { wait: "250 millis" } }), managed()))

  it.effect("of one call is as the call says, whatever the frame says", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      yield* start(hold(10, latch))
      const exit = yield* Effect.exit(Budget.failFast(hold(1, latch)))
      assert.strictEqual((failureOf(exit) as { readonly _tag: string })._tag, "BudgetExceeded")
      yield* latch.open
    }).pipe(inFrame({ budget: { memory: 10 }, exhausted: "wait" }), managed()))

  it.effect("is for all of a set, and nothing is taken meanwhile", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      yield* start(hold(6, latch))
      const fiber = yield* start(ResourceManager.allocateAll([[Block, 3], [Block, 4]]))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* latch.open
      yield* settle
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
    }).pipe(inFrame({ budget: { memory: 10 }, exhausted: "wait" }), managed()))

  it.effect("for a rate ends when enough has come back", () =>
    Effect.gen(function*() {
      yield* ResourceManager.use(Call, 100, () => Effect.void)
      const fiber = yield* start(ResourceManager.use(Call, 50, () => Effect.void))
      yield* TestClock.adjust("499 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
    }).pipe(inFrame({ budget: { tokens: Budget.rate(100, "1 second") }, exhausted: "wait" }), managed()))

  it.effect("that is interrupted lets those behind go on", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      const said: Array<unknown> = []
      yield* start(hold(5, latch, said))
      const large = yield* start(hold(8, latch, said))
      yield* settle
      yield* start(hold(5, latch, said))
      yield* settle
      assert.deepStrictEqual(said, [5])
      yield* Fiber.interrupt(large)
      yield* settle
      assert.deepStrictEqual(said, [5, 5])
      yield* latch.open
      yield* settle
    }).pipe(inFrame({ budget: { memory: 10 }, exhausted: "wait" }), managed()))

  it.effect("ends when its frame does", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      yield* start(hold(10, latch))
      const frame = yield* TimeFrame.make({ name: "short", exhausted: "wait" })
      const fiber = yield* start(TimeFrame.provide(hold(1, latch), frame))
      yield* settle
      yield* TimeFrame.close(frame)
      yield* settle
      assert.strictEqual((failureOf(fiber.pollUnsafe()!) as { readonly _tag: string })._tag, "FrameClosed")
      yield* latch.open
      yield* settle
    }).pipe(inFrame({ budget: { memory: 10 } }), managed()))

  it.effect("goes on where the frame goes that asks: what is short there counts", () =>
    Effect.gen(function*() {
      const [from, to] = [yield* roomOf("from", { memory: 10 }), yield* roomOf("to", { memory: 8 })]
      const latch = yield* Latch.make()
      const said: Array<unknown> = []
      const session = yield* ResourceManager.allocate(Session).pipe(TimeFrame.provide(from))
      const ask = (size: number) => hold(size, latch, said).pipe(Budget.wait(), TimeFrame.provide(session.value))
      yield* start(hold(9, latch).pipe(TimeFrame.provide(from)))
      const never = yield* start(ask(9))
      yield* start(ask(5))
      const second = yield* start(ask(4))
      const stays = yield* start(hold(1, latch, said, "stays").pipe(Budget.wait(), TimeFrame.provide(from)))
      yield* Allocation.transfer(session, to)
      yield* settle
      assert.deepInclude(failureOf(never.pollUnsafe()!), { _tag: "BudgetExceeded", frame: "to", limit: 8 })
      assert.deepStrictEqual(said, [5, "stays"])
      assert.deepStrictEqual(yield* standingOf(from), { used: 10, waiting: 0 })
      assert.deepStrictEqual(yield* standingOf(to), { used: 5, waiting: 1 })
      yield* latch.open
      yield* Fiber.join(second)
      yield* Fiber.join(stays)
      assert.deepStrictEqual([yield* standingOf(from), yield* standingOf(to)], [
        { used: 0, waiting: 0 },
        { used: 0, waiting: 0 }
      ])
    }).pipe(Effect.scoped, managed()))

  for (const end of ["has it all the same", "is interrupted"]) {
    it.effect(`of one that is served in the step in which its frame moves is charged once: it ${end}`, () =>
      Effect.gen(function*() {
        const [from, to] = [yield* roomOf("from", { memory: 10 }), yield* roomOf("to", { memory: 10 })]
        const latch = yield* Latch.make()
        const free = yield* Latch.make()
        const session = yield* ResourceManager.allocate(Session).pipe(TimeFrame.provide(from))
        yield* start(hold(10, free).pipe(TimeFrame.provide(from)))
        const mover = Effect.suspend(() => {
          const interrupt = Effect.sync(() => end === "is interrupted" && asker.interruptUnsafe())
          return Effect.andThen(Allocation.transfer(session, to), interrupt)
        })
        yield* start(
          ResourceManager.use(Block, 1, () => Effect.andThen(mover, latch.await)).pipe(
            Budget.wait(),
            TimeFrame.provide(from)
          )
        )
        const asker: Fiber.Fiber<unknown, unknown> = yield* start(
          hold(4, latch).pipe(Budget.wait(), TimeFrame.provide(session.value))
        )
        yield* free.open
        yield* settle
        assert.deepStrictEqual(yield* standingOf(from), { used: 1, waiting: 0 })
        assert.deepStrictEqual(yield* standingOf(to), { used: end === "is interrupted" ? 0 : 4, waiting: 0 })
        yield* latch.open
        yield* settle
        assert.deepStrictEqual([yield* standingOf(from), yield* standingOf(to)], [
          { used: 0, waiting: 0 },
          { used: 0, waiting: 0 }
        ])
      }).pipe(Effect.scoped, managed()))
  }

  it.effect("shows what was granted from that step on, before the waiter has gone on", () =>
    Effect.gen(function*() {
      const [free, latch] = [yield* Latch.make(), yield* Latch.make()]
      const listed = Effect.map(ResourceManager.snapshot, (snapshot) => {
        return snapshot.allocations.map(({ cost, state }) => [state, cost["memory"]])
      })
      let seen: unknown
      yield* start(hold(10, free))
      yield* start(ResourceManager.use(Block, 4, () => Effect.map(listed, (all) => seen = all)).pipe(Budget.wait()))
      const second = yield* start(hold(6, latch).pipe(Budget.wait()))
      yield* free.open
      yield* settle
      assert.deepStrictEqual(seen, [["charged", 6], ["live", 4]])
      assert.deepStrictEqual(yield* listed, [["live", 6]])
      yield* latch.open
      yield* Fiber.join(second)
    }).pipe(inFrame({ budget: { memory: 10 } }), managed()))

  it.effect("for two units in turn is by the place that it had when it came", () =>
    Effect.gen(function*() {
      const calls = yield* Latch.make()
      const said: Array<unknown> = []
      const call = (tokens: number, word: string) =>
        start(ResourceManager.use(Call, tokens, () => Effect.andThen(Effect.sync(() => said.push(word)), calls.await)))
      yield* call(10, "first")
      yield* settle
      yield* call(5, "waits for tokens")
      yield* settle
      yield* call(1, "comes later")
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(said, ["first"])
      yield* TestClock.adjust("200 millis")
      yield* settle
      assert.deepStrictEqual(said, ["first", "waits for tokens"])
      yield* calls.open
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.deepStrictEqual(said, ["first", "waits for tokens", "comes later"])
    }).pipe(inFrame({ budget: { tokens: Budget.rate(10, "1 second"), calls: 2 }, exhausted: "wait" }), managed()))
})

describe("Those who are served in one step", () => {
  it.effect("go on in their order, and before those who are served because of them", () =>
    Effect.gen(function*() {
      const frame = yield* TimeFrame.current
      const latch = yield* Latch.make()
      const said: Array<unknown> = []
      yield* start(hold(10, latch))
      for (const size of [7, 3, 1]) {
        yield* start(ResourceManager.use(Block, size, () => Effect.sync(() => said.push(size))))
      }
      yield* settle
      yield* TimeFrame.extend(frame, { budget: { memory: 10 } })
      assert.deepStrictEqual(said, [7, 3, 1])
      yield* latch.open
    }).pipe(inFrame({ budget: { memory: 10 }, exhausted: "wait" }), managed()))
})

describe("Requests that come at the same moment", () => {
  it.effect("and need two units, one of them a rate, do not keep each other from their turn", () =>
    Effect.gen(function*() {
      const Both = ResourceDefinition.temporal("both", {
        cost: (): Cost.Cost => ({ tokens: 1, calls: 1 }),
        acquire: () => Effect.succeed(1)
      })
      const call = ResourceManager.use(Both, () => Effect.sleep("300 millis"))
      const fiber = yield* start(Effect.all([call, call, call, call], { concurrency: "unbounded" }))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
    }).pipe(inFrame({ budget: { tokens: Budget.rate(10, "1 second", 2), calls: 2 }, exhausted: "wait" }), managed()))
})

describe("Tenants", () => {
  /** Each has so many requests that wait all the time; answers how many were served of each. */
  const serve = (demand: Readonly<Record<string, number>>, weights: Readonly<Record<string, number>> = {}) =>
    Effect.gen(function*() {
      const served: Record<string, number> = {}
      const request = (tenant: string) =>
        ResourceManager.use(Block, 1, () => {
          served[tenant] = (served[tenant] ?? 0) + 1
          return Effect.sleep("10 millis")
        }).pipe(Effect.forever)
      for (const [tenant, count] of Object.entries(demand)) {
        for (let i = 0; i < count; i++) {
          yield* start(TimeFrame.run(request(tenant), { name: tenant, tenant, weight: weights[tenant] ?? 1 }))
        }
      }
      yield* TestClock.adjust("10 seconds")
      return served
    }).pipe(inFrame({ budget: { memory: 4 }, exhausted: "wait" }), managed())

  it.effect("of equal weight get the same, however many of them ask", () =>
    Effect.gen(function*() {
      const shares = Object.values(yield* serve({ small: 10, large: 100, other: 10 }))
      const sum = shares.reduce((a, b) => a + b, 0)
      const jain = sum ** 2 / (shares.length * shares.reduce((a, b) => a + b * b, 0))
      assert.isAtLeast(sum, 3900)
      assert.isAtLeast(jain, 0.99)
    }))

  it.effect("get by weight", () =>
    Effect.gen(function*() {
      const { one, two } = yield* serve({ one: 20, two: 20 }, { two: 2 })
      assert.closeTo(two! / one!, 2, 0.05)
    }))
})

import { Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schema, TxRef } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, makeGated, managed, settle, start, tagOf } from "./fixtures.ts"

/** Takes what it is told. */
const Thing = ResourceDefinition.temporal("thing", {
  params: Schema.Record(Schema.String, Schema.Number),
  cost: (cost): Cost.Cost => cost,
  acquire: (cost) => Effect.succeed(cost)
})

const use = (cost: Cost.Cost) => ResourceManager.use(Thing, cost, () => Effect.void)

const budgetOf = (name: string, budget: Budget.Budget) => TimeFrame.make({ name, budget })

/** Three frames with ten units each. */
const frames = Effect.all({
  a: budgetOf("a", { u: 10 }),
  b: budgetOf("b", { u: 10 }),
  c: budgetOf("c", { u: 10 })
})

const limits = (...all: ReadonlyArray<TimeFrame.TimeFrame>) =>
  Effect.forEach(all, (frame) => Effect.map(Budget.standing("u", frame), ({ limit }) => limit))

const moveOf = (from: TimeFrame.TimeFrame, to: TimeFrame.TimeFrame, amount: number) =>
  Budget.move({ unit: "u", amount, from, to })

/** Takes it in the frame until the latch opens. */
const hold = (frame: TimeFrame.TimeFrame, cost: Cost.Cost, latch: Latch.Latch) =>
  ResourceManager.use(Thing, cost, () => latch.await).pipe(TimeFrame.provide(frame))

describe("The standing of a budget", () => {
  it.effect("is that of the nearest limit", () =>
    Effect.gen(function*() {
      const inner = Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, { u: 3, v: 2, w: 1 })
        assert.deepStrictEqual(yield* Budget.standing("u"), {
          unit: "u",
          frame: "outer/inner",
          limit: 5,
          used: 3,
          available: 2,
          waiting: 0
        })
        const outer = { unit: "v", frame: "outer", limit: 20, used: 2, available: 18, waiting: 0 }
        assert.deepStrictEqual(yield* Budget.standing("v"), outer)
        assert.deepStrictEqual(yield* Effect.tx(Budget.standing("v")), outer)
      }).pipe(TimeFrame.run({ name: "inner", budget: { u: 5 } }))
      yield* inner.pipe(TimeFrame.run({ name: "outer", budget: { u: 10, v: 20 } }))
    }).pipe(managed()))

  it.effect("is without end for a unit that nobody limits, and so for one that nobody has heard of", () =>
    Effect.gen(function*() {
      const nothing = { frame: "", limit: Infinity, used: 0, available: Infinity, waiting: 0 }
      assert.deepStrictEqual(yield* Budget.standing("x"), { unit: "x", ...nothing })
      assert.deepStrictEqual(yield* Effect.tx(Budget.standing("y")), { unit: "y", ...nothing })
      yield* ResourceManager.allocate(Thing, { x: 2 })
      assert.deepStrictEqual(yield* Budget.standing("x"), { unit: "x", ...nothing, used: 2 })
      const { frames: shown } = yield* ResourceManager.snapshot
      // To look at it leaves no trace, outside of transactions.
      assert.deepStrictEqual(shown[0]!.budgets.map(({ unit }) => unit).sort(), ["x", "y"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("tells what was put aside, who waits, and what a rate has", () =>
    Effect.gen(function*() {
      const frame = yield* TimeFrame.current
      yield* Effect.gen(function*() {
        assert.deepInclude(yield* Budget.standing("u"), { frame: "outer/sure", limit: 8, reserved: 6, used: 0 })
        // Without a limit of its own it is the limit outside that counts.
        yield* Effect.gen(function*() {
          assert.deepInclude(yield* Budget.standing("u"), { frame: "outer/sure", limit: 8, used: 1 })
        }).pipe(TimeFrame.run({ name: "surer", reserve: { u: 1 } }))
      }).pipe(TimeFrame.run({ name: "sure", budget: { u: 8 }, reserve: { u: 6 } }))
      const latch = yield* Latch.make()
      yield* start(hold(frame, { u: 10, r: 4 }, latch))
      const waits = yield* start(Budget.wait(use({ u: 1 })))
      assert.deepInclude(yield* Budget.standing("u"), { available: 0, waiting: 1 })
      assert.deepInclude(yield* Budget.standing("r"), { limit: 10, used: 4, available: 6 })
      yield* TestClock.adjust("250 millis")
      assert.deepInclude(yield* Budget.standing("r"), { used: 2 })
      yield* latch.open
      yield* Fiber.join(waits)
    }).pipe(
      TimeFrame.run({ name: "outer", budget: { u: 10, r: Budget.rate(10, "1 second") } }),
      managed()
    ))

  it.effect("of a frame that has closed is an error, but for those who are in it", () =>
    Effect.gen(function*() {
      const a = yield* TimeFrame.make({ name: "a", budget: { u: 1 } })
      const still = yield* start(
        Effect.andThen(Effect.sleep("1 second"), Budget.standing("u")).pipe(
          Effect.provideService(TimeFrame.TimeFrame, a)
        )
      )
      yield* TimeFrame.close(a)
      assert.strictEqual(tagOf(yield* Effect.exit(Budget.standing("u", a))), "FrameClosed")
      assert.strictEqual(tagOf(yield* Effect.exit(Effect.tx(Budget.standing("u", a)))), "FrameClosed")
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Fiber.join(still), { limit: 1, used: 0 })
    }).pipe(managed()))
})

describe("In a transaction, the standing of a budget", () => {
  it.effect("lets it run again when something was taken before the commit", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const latch = yield* Latch.make()
      const seen: Array<number> = []
      const sum = yield* TxRef.make(0)
      const fiber = yield* start(Effect.tx(Effect.gen(function*() {
        const one = yield* Budget.standing("u", a)
        if (seen.length === 0) yield* latch.await
        const other = yield* Budget.standing("u", b)
        seen.push(one.available)
        yield* TxRef.set(sum, one.available + other.available)
      })))
      const done = yield* Latch.make()
      yield* start(hold(a, { u: 4 }, done))
      yield* latch.open
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, [10, 6])
      assert.strictEqual(yield* TxRef.get(sum), 16)
      yield* done.open
    }).pipe(managed()))

  it.effect("is read once, whatever happens meanwhile", () =>
    Effect.gen(function*() {
      const { a } = yield* frames
      const latch = yield* Latch.make()
      const seen: Array<string> = []
      const fiber = yield* start(Effect.tx(Effect.gen(function*() {
        const before = yield* Budget.standing("u", a)
        if (seen.length === 0) yield* latch.await
        const after = yield* Budget.standing("u", a)
        seen.push(`${before.available} ${after.available}`)
      })))
      yield* Effect.andThen(ResourceManager.allocate(Thing, { u: 4 }), latch.open).pipe(TimeFrame.provide(a))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, ["10 10", "6 6"])
    }).pipe(managed()))

  it.effect("does not run again for what was given back by then", () =>
    Effect.gen(function*() {
      const { a } = yield* frames
      const latch = yield* Latch.make()
      let runs = 0
      const fiber = yield* start(Effect.tx(Effect.gen(function*() {
        runs++
        yield* Budget.standing("u", a)
        yield* latch.await
      })))
      yield* use({ u: 10 }).pipe(TimeFrame.provide(a))
      yield* latch.open
      yield* Fiber.join(fiber)
      assert.strictEqual(runs, 1)
    }).pipe(managed()))

  it.effect("wakes those who retry as soon as it is another one", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const latch = yield* Latch.make()
      yield* start(hold(a, { u: 8 }, latch))
      let runs = 0
      const fiber = yield* start(Effect.tx(Effect.gen(function*() {
        runs++
        if ((yield* Budget.standing("u", a)).available < 5) return yield* Effect.txRetry
      })))
      // Nothing of that is a change.
      yield* use({ u: 1 }).pipe(TimeFrame.provide(b))
      yield* use({ u: 0 }).pipe(TimeFrame.provide(a))
      yield* Effect.exit(use({ u: 5 }).pipe(TimeFrame.provide(a)))
      yield* use({ u: 2 }).pipe(TimeFrame.provide(a))
      yield* settle
      assert.strictEqual(runs, 1)
      const waits = yield* start(Budget.wait(use({ u: 3 })).pipe(TimeFrame.provide(a)))
      yield* settle
      assert.strictEqual(runs, 2)
      yield* Fiber.interrupt(waits)
      yield* settle
      assert.strictEqual(runs, 3)
      yield* latch.open
      yield* Fiber.join(fiber)
      assert.strictEqual(runs, 4)
    }).pipe(managed()))

  it.effect("wakes by an extension, by a reserve that ends, and by a move", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const until = (available: number) =>
        start(Effect.tx(Effect.flatMap(
          Budget.standing("u", a),
          (standing) => standing.available < available ? Effect.txRetry : Effect.succeed(standing.available)
        )))
      const extended = yield* until(12)
      yield* TimeFrame.extend(a, { budget: { u: 2 } })
      assert.strictEqual(yield* Fiber.join(extended), 12)
      const moved = yield* until(13)
      yield* moveOf(b, a, 1)
      assert.strictEqual(yield* Fiber.join(moved), 13)
      const latch = yield* Latch.make()
      yield* start(latch.await.pipe(TimeFrame.run({ name: "sure", reserve: { u: 3 } }), TimeFrame.provide(a)))
      const reserve = yield* until(13)
      yield* settle
      assert.isUndefined(reserve.pollUnsafe())
      yield* latch.open
      assert.strictEqual(yield* Fiber.join(reserve), 13)
    }).pipe(managed()))

  it.effect("of a rate changes when somebody takes of it; what comes back with time only wakes those who retry", () =>
    Effect.gen(function*() {
      const a = yield* budgetOf("a", { r: Budget.rate(10, "1 second") })
      yield* use({ r: 9 }).pipe(TimeFrame.provide(a))
      let runs = 0
      const slow = yield* start(Effect.tx(Effect.gen(function*() {
        runs++
        yield* Budget.standing("r", a)
        yield* Effect.sleep("200 millis")
      })))
      const until = (amount: number) =>
        start(Effect.tx(Effect.flatMap(
          Budget.standing("r", a),
          ({ available }) => available < amount ? Effect.txRetry : Effect.void
        )))
      const three = yield* until(3)
      const full = yield* until(10)
      yield* TestClock.adjust("199 millis")
      assert.isUndefined(three.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.isDefined(three.pollUnsafe())
      assert.isDefined(slow.pollUnsafe())
      assert.strictEqual(runs, 1)
      yield* use({ r: 3 }).pipe(TimeFrame.provide(a))
      yield* TestClock.adjust("999 millis")
      yield* settle
      assert.isUndefined(full.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.isDefined(full.pollUnsafe())
    }).pipe(managed()))

  it.effect("of a rate wakes also for what came back between the reading and the retry", () =>
    Effect.gen(function*() {
      const a = yield* budgetOf("a", { r: Budget.rate(10, "1 second") })
      yield* use({ r: 1 }).pipe(TimeFrame.provide(a))
      const fiber = yield* start(Effect.tx(Effect.gen(function*() {
        const { available } = yield* Budget.standing("r", a)
        yield* Effect.sleep("150 millis")
        if (available < 10) return yield* Effect.txRetry
      })))
      // All of it is back by then, so nothing else comes back later.
      yield* TestClock.adjust("150 millis")
      yield* settle
      yield* TestClock.adjust("1 millis")
      yield* settle
      yield* TestClock.adjust("150 millis")
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
    }).pipe(managed()))

  it.effect("wakes those who retry when the frame closes, with an error", () =>
    Effect.gen(function*() {
      const { a } = yield* frames
      const fiber = yield* start(Effect.tx(Effect.flatMap(
        Budget.standing("u", a),
        ({ limit }) => limit < 11 ? Effect.txRetry : Effect.void
      )))
      yield* TimeFrame.close(a)
      assert.strictEqual(tagOf(yield* Fiber.await(fiber)), "FrameClosed")
    }).pipe(managed()))

  it.effect("costs those who charge nothing any more when nobody waits for a change", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const isRead = () => [a, b].map((frame) => (frame as any).ledgers.get("u").readers !== undefined)
      const until = Effect.tx(Effect.gen(function*() {
        const sum = (yield* Budget.standing("u", a)).used + (yield* Budget.standing("u", b)).used
        assert.deepStrictEqual(isRead(), [false, false])
        if (sum < 2) return yield* Effect.txRetry
      }))
      const first = yield* start(until)
      assert.deepStrictEqual(isRead(), [true, true])
      yield* ResourceManager.allocate(Thing, { u: 2 }).pipe(
        Effect.andThen(Fiber.join(first)),
        TimeFrame.run({ name: "inner" }),
        TimeFrame.provide(a)
      )
      assert.deepStrictEqual(isRead(), [false, false])
      const second = yield* start(until)
      assert.deepStrictEqual(isRead(), [true, true])
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual(isRead(), [false, false])
    }).pipe(managed()))

  it.effect("read by a fiber that has outlived the transaction is that of now", () =>
    Effect.gen(function*() {
      const { a } = yield* frames
      const latch = yield* Latch.make()
      const child = yield* Effect.tx(Effect.gen(function*() {
        yield* Budget.standing("u", a)
        return yield* Effect.forkDetach(Effect.andThen(latch.await, Budget.standing("u", a)))
      }))
      yield* ResourceManager.allocate(Thing, { u: 4 }).pipe(TimeFrame.provide(a))
      yield* latch.open
      assert.deepInclude(yield* Fiber.join(child), { used: 4 })
    }).pipe(managed()))
})

describe("A move", () => {
  it.effect("of 10 from A to B takes place when C has 5", () =>
    Effect.gen(function*() {
      const { a, b, c } = yield* frames
      const latch = yield* Latch.make()
      yield* start(hold(c, { u: 6 }, latch))
      const fiber = yield* start(Effect.tx(Effect.gen(function*() {
        const { available } = yield* Budget.standing("u", c)
        if (available < 5) return yield* Effect.txRetry
        yield* moveOf(a, b, 10)
      })))
      yield* settle
      assert.deepStrictEqual(yield* limits(a, b, c), [10, 10, 10])
      yield* latch.open
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* limits(a, b, c), [0, 20, 10])
      yield* use({ u: 20 }).pipe(TimeFrame.provide(b))
      assert.strictEqual(tagOf(yield* Effect.exit(use({ u: 1 }).pipe(TimeFrame.provide(a)))), "BudgetExceeded")
    }).pipe(managed()))

  it.effect("is seen by what comes after it in the transaction, and by nobody else before the commit", () =>
    Effect.gen(function*() {
      const { a, b, c } = yield* frames
      const seen: Array<ReadonlyArray<number>> = []
      yield* Effect.tx(Effect.gen(function*() {
        yield* moveOf(a, b, 10)
        seen.push(yield* limits(a, b, c))
        // What has come goes on.
        yield* moveOf(b, c, 20)
        seen.push(yield* limits(a, b, c))
        const outside = yield* Effect.promise(() => Effect.runPromise(limits(a, b, c)))
        seen.push(outside)
      }))
      seen.push(yield* limits(a, b, c))
      assert.deepStrictEqual(seen, [[0, 20, 10], [0, 0, 30], [10, 10, 10], [0, 0, 30]])
    }).pipe(managed()))

  it.effect("is undone with its transaction, with all other moves and writes", () =>
    Effect.gen(function*() {
      const { a, b, c } = yield* frames
      const moves = yield* TxRef.make(0)
      const transaction = (amount: number) =>
        Effect.tx(Effect.gen(function*() {
          yield* moveOf(a, b, 4)
          yield* TxRef.update(moves, (count) => count + 1)
          yield* moveOf(c, b, amount)
          yield* TxRef.update(moves, (count) => count + 1)
        }))
      assert.strictEqual(tagOf(yield* Effect.exit(transaction(11))), "BudgetExceeded")
      assert.deepStrictEqual(yield* limits(a, b, c), [10, 10, 10])
      assert.strictEqual(yield* TxRef.get(moves), 0)
      yield* transaction(10)
      assert.deepStrictEqual(yield* limits(a, b, c), [6, 24, 0])
      assert.strictEqual(yield* TxRef.get(moves), 2)
      const dies = Effect.tx(Effect.andThen(moveOf(b, a, 1), Effect.die("no")))
      assert.deepStrictEqual(defectsOf(yield* Effect.exit(dies)), ["no"])
      assert.deepStrictEqual(yield* limits(a, b, c), [6, 24, 0])
    }).pipe(managed()))

  it.effect("that fails can be left out", () =>
    Effect.gen(function*() {
      const { a, b, c } = yield* frames
      yield* Effect.tx(Effect.gen(function*() {
        yield* moveOf(a, b, 1)
        yield* Effect.ignore(moveOf(c, b, 11))
      }))
      assert.deepStrictEqual(yield* limits(a, b, c), [9, 11, 10])
    }).pipe(managed()))

  it.effect("takes only what is not in use, and says who has the rest", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      yield* ResourceManager.allocate(Thing, { u: 7 }).pipe(TimeFrame.run({ name: "inner" }), TimeFrame.provide(a))
      yield* ResourceManager.allocate(Thing, { u: 7 }).pipe(TimeFrame.provide(a))
      const error = yield* Effect.flip(moveOf(a, b, 4))
      assert.deepInclude(error, {
        _tag: "BudgetExceeded",
        frame: "a",
        limit: 10,
        used: 7,
        requested: 4,
        requestedBy: "b"
      })
      assert.strictEqual(
        error.message,
        `"a move of its limit" in b needs 4 of "u", but a has 3 of 10 left. Held by:\n` +
          `  - 7 of "u" in "thing" by a for 0 ms\nRelease one of them earlier, or raise the limit`
      )
      assert.deepStrictEqual(yield* limits(a, b), [10, 10])
      yield* moveOf(a, b, 3)
      assert.deepStrictEqual(yield* limits(a, b), [7, 13])
    }).pipe(managed()))

  it.effect("leaves what is put aside", () =>
    Effect.gen(function*() {
      const a = yield* TimeFrame.current
      yield* Effect.gen(function*() {
        const sure = yield* TimeFrame.current
        yield* ResourceManager.allocate(Thing, { u: 2 })
        const error = yield* Effect.flip(moveOf(sure, a, 3))
        assert.deepInclude(error, { limit: 8, used: 6, requested: 3 })
        assert.deepStrictEqual("holders" in error && error.holders.map(({ amount, resource }) => [resource, amount]), [
          ["its reserve", 4],
          ["thing", 2]
        ])
        yield* moveOf(sure, a, 2)
        // Six are in use there, as before.
        yield* moveOf(a, sure, 6)
        assert.strictEqual(tagOf(yield* Effect.exit(moveOf(a, sure, 1))), "BudgetExceeded")
      }).pipe(TimeFrame.run({ name: "sure", budget: { u: 8 }, reserve: { u: 6 } }))
      assert.deepInclude(yield* Budget.standing("u"), { limit: 6, used: 0 })
    }).pipe(TimeFrame.run({ name: "a", budget: { u: 10 } }), managed()))

  it.effect("leaves what somebody waits for", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const latch = yield* Latch.make()
      yield* start(hold(a, { u: 6 }, latch))
      const waits = yield* start(Budget.wait(use({ u: 8 })).pipe(TimeFrame.provide(a)))
      const error = yield* Effect.flip(moveOf(a, b, 4))
      assert.deepInclude(error, { _tag: "BudgetExceeded", limit: 10, used: 6, requested: 4, waiting: 1 })
      // It could never be served afterwards.
      yield* latch.open
      yield* Fiber.join(waits)
      yield* moveOf(a, b, 4)
    }).pipe(managed()))

  it.effect("runs again when somebody begins to wait before the commit", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const latch = yield* Latch.make()
      const done = yield* Latch.make()
      yield* start(hold(a, { u: 6 }, done))
      const moving = yield* start(Effect.tx(Effect.andThen(moveOf(a, b, 4), latch.await)))
      const waits = yield* start(Budget.wait(use({ u: 8 })).pipe(TimeFrame.provide(a)))
      yield* latch.open
      assert.deepInclude(failureOf(yield* Fiber.await(moving)), { _tag: "BudgetExceeded", waiting: 1 })
      yield* done.open
      yield* Fiber.join(waits)
    }).pipe(managed()))

  it.effect("serves those who wait at its destination after the commit, in their order", () =>
    Effect.gen(function*() {
      const { a, b, c } = yield* frames
      const done = yield* Latch.make()
      const moves = yield* TxRef.make(0)
      const served: Array<string> = []
      yield* start(hold(b, { u: 10 }, done))
      const waits = (name: string, amount: number) => {
        const say = Effect.flatMap(
          TxRef.get(moves),
          (count) => Effect.sync(() => served.push(`${name} after ${count}`))
        )
        const body = Effect.andThen(say, done.await)
        return start(ResourceManager.use(Thing, { u: amount }, () => body).pipe(Budget.wait(), TimeFrame.provide(b)))
      }
      yield* waits("first", 7)
      yield* waits("second", 3)
      yield* waits("third", 1)
      yield* Effect.tx(Effect.gen(function*() {
        yield* moveOf(a, b, 5)
        yield* moveOf(c, b, 5)
        yield* TxRef.set(moves, 2)
        yield* settle
        assert.deepStrictEqual(served, [])
      }))
      // Nobody new goes ahead of them.
      assert.strictEqual(tagOf(yield* Effect.exit(use({ u: 1 }).pipe(TimeFrame.provide(b)))), "BudgetExceeded")
      yield* settle
      assert.deepStrictEqual(served, ["first after 2", "second after 2"])
      yield* done.open
      yield* settle
      assert.deepStrictEqual(served, ["first after 2", "second after 2", "third after 2"])
    }).pipe(managed()))

  it.effect("tells those who wait elsewhere and can never fit any more", () =>
    Effect.gen(function*() {
      const b = yield* TimeFrame.current
      const a = yield* budgetOf("a", { u: 10 })
      const done = yield* Latch.make()
      yield* start(hold(b, { w: 1 }, done))
      const waits = yield* start(Budget.wait(use({ w: 1, u: 8 })).pipe(TimeFrame.provide(a)))
      const behind = yield* start(Budget.wait(use({ w: 1 })))
      const fits = yield* start(Budget.wait(use({ w: 1, u: 5 })).pipe(TimeFrame.provide(a)))
      yield* moveOf(a, b, 5)
      const error = failureOf(yield* Fiber.await(waits))
      assert.deepInclude(error, { _tag: "BudgetExceeded", frame: "b/a", limit: 5, requested: 8, waited: 0 })
      assert.isUndefined(behind.pollUnsafe())
      yield* done.open
      yield* Fiber.join(fits)
      yield* Fiber.join(behind)
    }).pipe(TimeFrame.run({ name: "b", budget: { u: 20, w: 1 } }), managed()))

  it.effect("into or out of a frame that has closed is an error, also when it closes before the commit", () =>
    Effect.gen(function*() {
      const { a, b, c } = yield* frames
      const latch = yield* Latch.make()
      const moving = yield* start(Effect.tx(Effect.gen(function*() {
        yield* moveOf(a, b, 4)
        yield* moveOf(c, a, 1)
        yield* latch.await
      })))
      const waiting = yield* start(Effect.tx(Effect.andThen(moveOf(a, b, 4), Effect.txRetry)))
      yield* TimeFrame.close(b)
      yield* latch.open
      assert.strictEqual(tagOf(yield* Fiber.await(moving)), "FrameClosed")
      assert.strictEqual(tagOf(yield* Fiber.await(waiting)), "FrameClosed")
      assert.strictEqual(tagOf(yield* Effect.exit(moveOf(b, a, 1))), "FrameClosed")
      assert.deepStrictEqual(yield* limits(a, c), [10, 10])
    }).pipe(managed()))

  it.effect("into a frame that begins to end before the commit is an error", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const { Gated, releaseGate } = makeGated({ release: true })
      yield* ResourceManager.allocate(Gated).pipe(TimeFrame.provide(b))
      const latch = yield* Latch.make()
      const moving = yield* start(Effect.tx(Effect.andThen(moveOf(a, b, 4), latch.await)))
      const closing = yield* start(TimeFrame.close(b))
      yield* latch.open
      assert.strictEqual(tagOf(yield* Fiber.await(moving)), "FrameClosed")
      // It can still be looked at.
      assert.deepStrictEqual(yield* limits(a, b), [10, 10])
      yield* releaseGate.open
      yield* Fiber.join(closing)
    }).pipe(managed()))

  it.effect("that makes no sense is refused, and nothing changes", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const dies = (effect: Effect.Effect<unknown, unknown>, message: RegExp) =>
        Effect.map(Effect.exit(effect), (exit) => assert.match(String(defectsOf(exit)[0]), message))
      for (const amount of [-1, 0.5, NaN, Infinity, 2 ** 53, "1" as unknown as number]) {
        yield* dies(moveOf(a, b, amount), /A move of .* in "u": it must be a whole number/)
        yield* dies(Effect.tx(Effect.andThen(moveOf(a, b, 1), moveOf(a, b, amount))), /must be a whole number/)
      }
      yield* dies(Budget.move({ unit: "v", amount: 1, from: a, to: b }), /"a" has no budget of its own in "v"/)
      const inner = yield* TimeFrame.make({ name: "inner" }).pipe(
        TimeFrame.provide(a),
        Effect.scoped,
        Effect.ignore,
        Effect.as(a)
      )
      yield* moveOf(inner, inner, 10)
      const rated = yield* budgetOf("rated", { u: Budget.rate(1, 1) })
      yield* dies(moveOf(a, rated, 1), /"u" of the frame "rated" can not be moved: that is a rate/)
      const vast = yield* budgetOf("vast", { u: Number.MAX_SAFE_INTEGER - 1 })
      yield* dies(moveOf(a, vast, 1), /larger than can be counted exactly/)
      const stranger = yield* Effect.provide(
        Effect.flatMap(budgetOf("stranger", { u: 1 }), (other) => Effect.exit(moveOf(a, other, 1))),
        ResourceManager.layer(),
        { local: true }
      )
      assert.match(String(defectsOf(stranger)[0]), /another manager/)
      yield* moveOf(a, b, 0)
      assert.deepStrictEqual(yield* limits(a, b, vast), [10, 10, Number.MAX_SAFE_INTEGER - 1])
    }).pipe(managed()))

  it.effect("of what has been charged meanwhile is refused", () =>
    Effect.gen(function*() {
      const { a, b } = yield* frames
      const latch = yield* Latch.make()
      const moving = yield* start(Effect.tx(Effect.andThen(moveOf(a, b, 4), latch.await)))
      yield* ResourceManager.allocate(Thing, { u: 7 }).pipe(TimeFrame.provide(a))
      yield* latch.open
      assert.deepInclude(failureOf(yield* Fiber.await(moving)), { _tag: "BudgetExceeded", used: 7 })
      assert.deepStrictEqual(yield* limits(a, b), [10, 10])
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(moveOf(a, b, 3))))
    }).pipe(managed()))
})

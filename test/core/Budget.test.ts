import { Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Costly, defectsOf, define, failureOf, heldNow, managed, settle, start, usedBy } from "./fixtures.ts"

const within = (name: string, budget: Budget.Budget) => TimeFrame.run({ name, budget })

const refusal = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    const error = failureOf(exit)
    assert.strictEqual(error?._tag, "BudgetExceeded")
    return error as Extract<E, { readonly _tag: "BudgetExceeded" }>
  })

describe("A budget", () => {
  it.effect("is charged by an allocation and given back by its release", () =>
    Effect.gen(function*() {
      const a = yield* ResourceManager.allocate(Costly, { connections: 1, memory: 60 })
      assert.deepStrictEqual([yield* usedBy("frame", "memory"), yield* usedBy("frame", "connections")], [60, 1])
      const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 41 }))
      assert.deepInclude(error, { limit: 100, requested: 41, unit: "memory", used: 60 })
      yield* ResourceManager.use(Costly, { memory: 40 }, () => usedBy("frame", "memory"))
      yield* a.release
      yield* ResourceManager.allocate(Costly, { memory: 100 })
      assert.strictEqual(yield* usedBy("frame", "connections"), 0)
    }).pipe(within("frame", { connections: 2, memory: 100 }), managed()))

  it.effect("is charged through to every frame around it that limits the unit, and given back when a frame ends", () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Costly, { memory: 10 })
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Costly, { memory: 5 })
        yield* Effect.gen(function*() {
          yield* ResourceManager.allocate(Costly, { files: 1, memory: 30 })
          assert.deepStrictEqual(
            yield* Effect.all(["a", "a/b/c"].map((path) => usedBy(path, "memory"))),
            [45, 30]
          )
          assert.strictEqual(yield* usedBy("", "files"), 1)
          const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 56 }))
          assert.deepInclude(error, { frame: "a", limit: 100, requested: 56, requestedBy: "a/b/c", used: 45 })
          const own = yield* refusal(ResourceManager.allocate(Costly, { memory: 66 }))
          assert.deepInclude(own, { frame: "a/b/c", limit: 95, used: 30 })
        }).pipe(within("c", { memory: 95 }))
      }).pipe(TimeFrame.run({ name: "b" }))
      assert.strictEqual(yield* usedBy("a", "memory"), 10)
      assert.strictEqual(yield* usedBy("", "files"), 0)
    }).pipe(within("a", { memory: 100 }), managed()))

  it.effect("takes all units of a cost or none, in all frames", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        for (const cost of [{ files: 1, memory: 11 }, { memory: 1, files: 3 }, { memory: 1, files: 1, zones: 2 }]) {
          yield* refusal(ResourceManager.allocate(Costly, cost))
        }
        for (const [path, unit] of [["o", "memory"], ["o", "zones"], ["o/i", "memory"], ["o/i", "files"]] as const) {
          assert.strictEqual(yield* usedBy(path, unit), 0, `${path} ${unit}`)
        }
        for (const frame of (yield* ResourceManager.snapshot).frames) {
          for (const budget of frame.budgets) assert.strictEqual(budget.highWaterMark, 0, budget.unit)
        }
      }).pipe(within("i", { files: 2, memory: 100 }))
    }).pipe(within("o", { memory: 10, zones: 1 }), managed()))

  it.effect("keeps its high-water mark when what was used is given back", () =>
    Effect.gen(function*() {
      yield* ResourceManager.use(Costly, { memory: 70 }, () => Effect.void)
      yield* ResourceManager.allocate(Costly, { memory: 20 })
      const [budget] = (yield* ResourceManager.snapshot).frames[1]!.budgets
      assert.deepInclude(budget, { highWaterMark: 70, limit: 100, unit: "memory", used: 20 })
    }).pipe(within("frame", { memory: 100 }), managed()))

  it.effect("of 0 admits nothing but what is free", () =>
    Effect.gen(function*() {
      const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 1 }))
      assert.deepInclude(error, { limit: 0, neverFits: true, used: 0 })
      assert.deepStrictEqual(error.holders, [])
      yield* ResourceManager.allocate(Costly, { memory: 0 })
      yield* ResourceManager.allocate(Costly, {})
    }).pipe(within("frame", { memory: 0 }), managed()))

  it.effect("of the manager holds for everything together, what is shared and persistent included", () =>
    Effect.gen(function*() {
      for (const kind of ["shared", "persistent"] as const) {
        const Big = define(kind)("big", {
          params: Schema.Int,
          cost: (bytes) => ({ memory: bytes }),
          acquire: () => Effect.void
        })
        yield* Effect.gen(function*() {
          yield* ResourceManager.allocate(Big, 80)
          yield* ResourceManager.allocate(Big, 80)
          assert.strictEqual(yield* usedBy("", "memory"), 80)
          const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 21 }))
          assert.deepInclude(error, { frame: "", limit: 100, requested: 21, used: 80 })
          assert.deepStrictEqual(error.holders.map(({ amount, resource }) => [amount, resource]), [[80, "big"]])
          yield* refusal(ResourceManager.allocate(Big, 21))
          yield* ResourceManager.allocate(Costly, { memory: 5 })
        }).pipe(within("frame", { memory: 50 }))
        yield* ResourceManager.retire(Big)
        assert.strictEqual(yield* usedBy("", "memory"), 0)
      }
    }).pipe(managed({ budget: { memory: 100 } })))

  it.effect("that only frames inside have, is counted by the manager all the same", () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Costly, { memory: 3 }).pipe(
        Effect.andThen(
          ResourceManager.allocate(Costly, { memory: 4 }).pipe(
            Effect.andThen(Effect.map(usedBy("", "memory"), (used) => assert.strictEqual(used, 7))),
            within("limited", { memory: 10 })
          )
        ),
        TimeFrame.run({ name: "unlimited" })
      )
      assert.strictEqual(yield* usedBy("", "memory"), 0)
    }).pipe(managed()))

  it.effect("is not confused by units that have names of methods of objects", () =>
    Effect.gen(function*() {
      for (const unit of ["constructor", "toString", "hasOwnProperty"]) {
        const held = yield* ResourceManager.allocate(Costly, { [unit]: 3 })
        assert.strictEqual(yield* usedBy("", unit), 3)
        yield* held.release
        assert.strictEqual(yield* usedBy("", unit), 0)
      }
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

describe("BudgetExceeded", () => {
  it.effect("names the true holders, the largest first, wherever they stand", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const Acquiring = ResourceDefinition.temporal("acquiring", {
        cost: () => ({ memory: 20 }),
        acquire: () => gate.await
      })
      const Releasing = ResourceDefinition.temporal("releasing", {
        cost: () => ({ memory: 15 }),
        acquire: () => Effect.void,
        release: () => gate.await
      })
      yield* ResourceManager.allocate(Costly, { memory: 10 })
      yield* ResourceManager.allocate(Costly, { files: 99 })
      yield* TestClock.adjust("5 millis")
      const inner = yield* TimeFrame.make({ name: "inner", budget: { memory: 50 } })
      yield* ResourceManager.allocate(Costly, { memory: 40 }).pipe(TimeFrame.provide(inner))
      yield* start(ResourceManager.allocate(Acquiring))
      yield* ResourceManager.allocate(Releasing).pipe(TimeFrame.run({ name: "gone", gracePeriod: 0 }))
      yield* TestClock.adjust("7 millis")
      const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 16 }))
      assert.deepInclude(error, { limit: 100, neverFits: false, requested: 16, used: 85 })
      assert.deepStrictEqual(
        error.holders.map(({ age, amount, frame, resource, state }) => [amount, resource, frame, state, age]),
        [
          [40, "costly", "frame/inner", "live", 7],
          [20, "acquiring", "frame", "acquiring", 7],
          [15, "releasing", "frame/gone", "releasing", 7],
          [10, "costly", "frame", "live", 12]
        ]
      )
      assert.include(error.message, "frame has 15 of 100 left")
      yield* gate.open
      yield* settle
    }).pipe(within("frame", { memory: 100 }), managed()))

  it.effect("names only those who are within the limit that refused", () =>
    Effect.gen(function*() {
      const a = yield* TimeFrame.make({ name: "a", budget: { memory: 10 } })
      const b = yield* TimeFrame.make({ name: "b", budget: { memory: 10 } })
      yield* ResourceManager.allocate(Costly, { memory: 9 }).pipe(TimeFrame.provide(a))
      yield* ResourceManager.allocate(Costly, { memory: 8 }).pipe(TimeFrame.provide(b))
      const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 3 }).pipe(TimeFrame.provide(b)))
      assert.deepStrictEqual(error.holders.map(({ amount, frame }) => [amount, frame]), [[8, "outer/b"]])
    }).pipe(within("outer", { memory: 100 }), managed()))

  it.effect("says so when it can never fit", () =>
    Effect.gen(function*() {
      const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 11 }))
      assert.isTrue(error.neverFits)
      assert.include(error.message, "can never fit")
    }).pipe(within("frame", { memory: 10 }), managed()))

  it.effect("says so when it can never fit in a frame outside, though a nearer one is only full now", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Costly, { memory: 5 })
        const error = yield* refusal(ResourceManager.allocate(Costly, { memory: 16 }))
        assert.isTrue(error.neverFits)
      }).pipe(within("inner", { memory: 20 }))
    }).pipe(within("outer", { memory: 15 }), managed()))
})

describe("A wrong cost", () => {
  for (const amount of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "1", undefined]) {
    it.effect(`of ${String(amount)} dies and charges nothing`, () =>
      Effect.gen(function*() {
        let acquired = false
        const Wrong = ResourceDefinition.temporal("wrong", {
          cost: () => ({ files: 1, memory: amount as number, zones: 1 }),
          acquire: () => Effect.sync(() => acquired = true)
        })
        for (const allocation of [ResourceManager.allocate(Wrong), ResourceManager.allocateAll([[Wrong]])]) {
          const exit = yield* Effect.exit(allocation as Effect.Effect<unknown, unknown, TimeFrame.TimeFrame>)
          assert.match(String(defectsOf(exit)[0]), /memory/)
          assert.match(String(defectsOf(exit)[0]), /wrong/)
        }
        assert.isFalse(acquired)
        assert.deepStrictEqual(yield* heldNow, [])
        for (const unit of ["files", "memory", "zones"]) assert.strictEqual(yield* usedBy("frame", unit), 0)
      }).pipe(within("frame", { files: 10, memory: 10, zones: 10 }), managed()))
  }

  it.effect("that throws dies and charges nothing", () =>
    Effect.gen(function*() {
      for (const kind of ["temporal", "shared", "persistent"] as const) {
        const Throwing = define(kind)("throwing", {
          cost: (): Cost.Cost => {
            throw "thrown"
          },
          acquire: () => Effect.void
        })
        for (
          const allocation of [
            ResourceManager.allocate(Throwing),
            ResourceManager.use(Throwing, () => Effect.void),
            ResourceManager.allocateAll([[Costly, { memory: 1 }], [Throwing]])
          ]
        ) {
          const exit = yield* Effect.exit(allocation as Effect.Effect<unknown, unknown, TimeFrame.TimeFrame>)
          assert.deepStrictEqual(defectsOf(exit), ["thrown"], kind)
        }
      }
      assert.deepStrictEqual(yield* heldNow, [])
      assert.strictEqual(yield* usedBy("frame", "memory"), 0)
    }).pipe(within("frame", { memory: 10 }), managed()))
})

it.effect("The largest amounts are counted exactly, or refused", () =>
  Effect.gen(function*() {
    const max = Number.MAX_SAFE_INTEGER
    yield* Effect.gen(function*() {
      for (const memory of [max, max - 7, max - 7, 3, max]) {
        yield* Effect.exit(ResourceManager.allocate(Costly, { memory }))
      }
      yield* Effect.exit(ResourceManager.allocateAll([[Costly, { memory: max }], [Costly, { memory: max }]]))
    }).pipe(TimeFrame.run({ name: "frame" }))
    assert.strictEqual(yield* usedBy("", "memory"), 0)
  }).pipe(managed()))

describe("Cost.sum", () => {
  it("adds unit by unit", () => {
    assert.deepStrictEqual(Cost.sum([{ memory: 10 }, { files: 1, memory: 5 }, Cost.zero]), { files: 1, memory: 15 })
    assert.deepStrictEqual(Cost.sum([]), {})
  })

  it("knows what an amount is", () => {
    const amounts = [0, 1, Number.MAX_SAFE_INTEGER]
    const none = [-1, 0.5, Number.NaN, Infinity, 2 ** 53, "1", null, undefined]
    assert.isTrue(amounts.every(Cost.isAmount))
    assert.isFalse(none.some(Cost.isAmount))
    assert.isTrue(amounts.every((memory) => Schema.is(Budget.Budget)({ memory }) && Schema.is(Cost.Cost)({ memory })))
    assert.isFalse(none.some((memory) => Schema.is(Budget.Budget)({ memory }) || Schema.is(Cost.Cost)({ memory })))
  })
})

it.effect("Many fibers in many frames never get more than the limit, and give everything back", () =>
  Effect.gen(function*() {
    let most = 0
    const gate = yield* Latch.make()
    const fibers = yield* Effect.forEach(Array.from({ length: 200 }, (_, index) => index), (index) =>
      start(
        Effect.gen(function*() {
          for (let round = 0; round < 5; round++) {
            const held = yield* Effect.option(ResourceManager.allocate(Costly, { memory: 1 + (index + round) % 7 }))
            most = Math.max(most, (yield* usedBy("all", "memory"))!)
            yield* round === 2 ? gate.await : Effect.yieldNow
            if (held._tag === "Some" && index % 2 === 0) yield* held.value.release
          }
        }).pipe(TimeFrame.run({ name: String(index), budget: { memory: 12 } }))
      ))
    yield* settle
    for (const fiber of fibers.filter((_, index) => index % 3 === 0)) yield* Fiber.interrupt(fiber)
    yield* gate.open
    yield* Effect.forEach(fibers, Fiber.await)
    assert.isAtMost(most, 50)
    assert.isAtLeast(most, 44)
    assert.strictEqual(yield* usedBy("all", "memory"), 0)
  }).pipe(within("all", { memory: 50 }), managed()))

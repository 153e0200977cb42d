import { Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { Effect, TxRef } from "effect"
import { describe, expectTypeOf, test } from "vitest"

const Block = ResourceDefinition.temporal("block", {
  cost: (): Cost.Cost => ({ memory: 1 }),
  acquire: () => Effect.succeed("block" as const)
})

const use = ResourceManager.use(Block, (block) => Effect.succeed(block))

declare const frame: TimeFrame.TimeFrame

type ErrorOf<E> = E extends Effect.Effect<any, infer Error, any> ? Error : never

describe("A budget", () => {
  test("is made of numbers and rates", () => {
    expectTypeOf<{ memory: number; tokens: Budget.Rate }>().toExtend<Budget.Budget>()
    expectTypeOf(Budget.rate(1, "1 second")).toEqualTypeOf<Budget.Rate>()
  })

  test("that somebody waits for can refuse to let him wait for ever, and only then", () => {
    expectTypeOf<ErrorOf<typeof use>>().not.toExtend<ResourceError.WouldDeadlock>()
    const waited = Budget.wait(use, { timeout: "1 second" })
    expectTypeOf<Extract<ErrorOf<typeof waited>, ResourceError.WouldDeadlock>>().not.toBeNever()
    const piped = use.pipe(Budget.wait())
    expectTypeOf(piped).toEqualTypeOf(waited)
    expectTypeOf(Budget.failFast(use)).toEqualTypeOf(use)
  })
})

describe("In a transaction, a budget", () => {
  const ten = Budget.move({ unit: "u", amount: 10, from: frame, to: frame })

  test("is read in the frame that it is asked in, or in one that may have closed", () => {
    expectTypeOf(Budget.standing("u")).toEqualTypeOf<Effect.Effect<Budget.Standing, never, TimeFrame.TimeFrame>>()
    expectTypeOf(Budget.standing("u", frame)).toEqualTypeOf<
      Effect.Effect<Budget.Standing, ResourceError.FrameClosed>
    >()
    expectTypeOf<Budget.Standing["available"]>().toEqualTypeOf<number>()
    expectTypeOf<Budget.Standing["reserved"]>().toEqualTypeOf<number | undefined>()
  })

  test("gives a part to another one, or says who has it", () => {
    expectTypeOf(ten).toEqualTypeOf<Effect.Effect<void, ResourceError.BudgetExceeded | ResourceError.FrameClosed>>()
    // Frames, and not their names.
    expectTypeOf<{ unit: string; amount: number; from: string; to: TimeFrame.TimeFrame }>().not.toExtend<Budget.Move>()
  })

  test("needs nothing else than what it needs outside", () => {
    const transaction = Effect.tx(Effect.gen(function*() {
      const ref = yield* TxRef.make("")
      const { available } = yield* Budget.standing("u")
      if (available < 5) return yield* Effect.txRetry
      yield* ten
      yield* TxRef.set(ref, "moved")
      return available
    }))
    expectTypeOf(transaction).toEqualTypeOf<
      Effect.Effect<number, ResourceError.BudgetExceeded | ResourceError.FrameClosed, TimeFrame.TimeFrame>
    >()
  })
})

describe("A frame", () => {
  const none = TimeFrame.run(Effect.void, { name: "a" })
  const failing = TimeFrame.run(Effect.void, { name: "a", exhausted: "fail" })
  const waiting = TimeFrame.run(Effect.void, { name: "a", exhausted: "wait" })
  const patient = TimeFrame.run(Effect.void, { name: "a", exhausted: { wait: "1 second" } })
  const sure = TimeFrame.run(Effect.void, { name: "a", reserve: { memory: 1 } })

  test("fails only with what its options can lead to", () => {
    expectTypeOf<ErrorOf<typeof none>>().toBeNever()
    expectTypeOf<ErrorOf<typeof failing>>().toBeNever()
    expectTypeOf<ErrorOf<typeof waiting>>().toEqualTypeOf<ResourceError.WouldDeadlock>()
    expectTypeOf<ErrorOf<typeof patient>>().toEqualTypeOf<ResourceError.WouldDeadlock>()
    expectTypeOf<ErrorOf<typeof sure>>().toEqualTypeOf<ResourceError.BudgetExceeded>()
  })

  test("can be extended while it is open", () => {
    const extended = Effect.flatMap(TimeFrame.current, TimeFrame.extend({ timeout: "1 second" }))
    expectTypeOf<ErrorOf<typeof extended>>().toEqualTypeOf<ResourceError.FrameClosed>()
  })
})

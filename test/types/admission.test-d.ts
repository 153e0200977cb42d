/* oxlint-disable vitest/expect-expect -- a @ts-expect-error asserts as well */
// @effect-diagnostics floatingEffect:off
import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { Effect } from "effect"
import { describe, expectTypeOf, test } from "vitest"

type ErrorOf<E> = E extends Effect.Effect<any, infer Error, any> ? Error : never
type DeadlineExceeded = ResourceError.DeadlineExceeded

const Block = ResourceDefinition.temporal("block", { acquire: () => Effect.succeed("block" as const) })
const use = ResourceManager.use(Block, (block) => Effect.succeed(block))

describe("A frame with admission", () => {
  test("can refuse, also without a timeout of its own, and only then", () => {
    const refusing = TimeFrame.run(Effect.void, { name: "a", admission: true })
    expectTypeOf<ErrorOf<typeof refusing>>().toEqualTypeOf<DeadlineExceeded>()
    const tuned = TimeFrame.run(Effect.void, { name: "a", admission: { deviations: 1, probeEvery: "5 seconds" } })
    expectTypeOf<ErrorOf<typeof tuned>>().toEqualTypeOf<DeadlineExceeded>()
    const off = TimeFrame.run(Effect.void, { name: "a", admission: false })
    expectTypeOf<ErrorOf<typeof off>>().toBeNever()
    const unknown = TimeFrame.run(Effect.void, { name: "a", admission: Math.random() > 0.5 })
    expectTypeOf<ErrorOf<typeof unknown>>().toEqualTypeOf<DeadlineExceeded>()
  })

  test("does not take options that it does not know", () => {
    // @ts-expect-error: misspelled
    TimeFrame.run(Effect.void, { name: "a", admision: true })
    // @ts-expect-error: not a policy
    TimeFrame.run(Effect.void, { name: "a", admission: "yes" })
  })
})

describe("TimeFrame.withAdmission", () => {
  test("adds what it may refuse with, and nothing else", () => {
    const piped = use.pipe(TimeFrame.withAdmission())
    expectTypeOf<ErrorOf<typeof piped>>().toEqualTypeOf<ErrorOf<typeof use> | DeadlineExceeded>()
    expectTypeOf(TimeFrame.withAdmission(use)).toEqualTypeOf(piped)
    expectTypeOf(TimeFrame.withAdmission(use, true)).toEqualTypeOf(piped)
    expectTypeOf(TimeFrame.withAdmission(use, { minimumSamples: 10 })).toEqualTypeOf(piped)
    expectTypeOf(use.pipe(TimeFrame.withAdmission({ minimumSamples: 10 }))).toEqualTypeOf(piped)
    expectTypeOf(TimeFrame.withAdmission(use, false)).toEqualTypeOf(use)
    expectTypeOf(use.pipe(TimeFrame.withAdmission(false))).toEqualTypeOf(use)
  })

  test("can be caught where it is asked for", () => {
    const caught = use.pipe(
      TimeFrame.withAdmission(),
      Effect.catchTag("DeadlineExceeded", () => Effect.succeed("no" as const))
    )
    expectTypeOf(caught).toEqualTypeOf<Effect.Effect<"block" | "no", ErrorOf<typeof use>, TimeFrame.TimeFrame>>()
  })

  test("does not take options that it does not know", () => {
    // @ts-expect-error: misspelled
    use.pipe(TimeFrame.withAdmission({ samples: 10 }))
    // @ts-expect-error: misspelled
    TimeFrame.withAdmission(use, { samples: 10 })
  })
})

describe("DeadlineExceeded", () => {
  test("says in which phase, and what was refused", () => {
    expectTypeOf<DeadlineExceeded["phase"]>().toEqualTypeOf<"body" | "admission">()
    expectTypeOf<NonNullable<DeadlineExceeded["refused"]>["expected"]>().toEqualTypeOf<number>()
  })
})

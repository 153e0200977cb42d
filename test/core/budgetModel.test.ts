import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import type { Command } from "./budgetModelDriver.ts"
import { commands, makeDriver } from "./budgetModelDriver.ts"
import { Mismatch } from "./modelDriver.ts"

const runs = 1800

/** The same programs each time, so that a change is judged by itself; others with MODEL_SEED in the environment. */
const seed = process.env["MODEL_SEED"] ?? "budgets"

describe("Random programs that wait for budgets", () => {
  it.effect("keep every limit, lose no charge, and leave nobody waiting", () =>
    Effect.gen(function*() {
      const counts = { steps: 0, requests: 0, waited: 0, exceeded: 0, deadlocks: 0, moved: 0 }
      const property = (run: ReadonlyArray<Command>) =>
        Effect.gen(function*() {
          const driver = yield* makeDriver
          for (const command of run) {
            counts.steps++
            const wrong = yield* driver.run(command)
            if (wrong.length > 0) {
              return yield* new Mismatch({ message: `${JSON.stringify(command)}: ${wrong.join("; ")}` })
            }
          }
          const wrong = yield* driver.finish(run[0]!.a % 4 === 0)
          const { asked } = driver
          counts.requests += asked.requests
          counts.waited += asked.waited
          counts.exceeded += asked.exceeded
          counts.deadlocks += asked.deadlocks
          counts.moved += asked.moved
          if (wrong.length > 0) return yield* new Mismatch({ message: `in the end: ${wrong.join("; ")}` })
          return true
        })
      const result = yield* Arbitrary.checkEffect(commands, property, { runs, size: 400, concurrency: 1, seed })
      // Without the steps: they follow in a line of their own.
      const failure = Arbitrary.formatCheckFailure(result)?.replace(/Shrunk input:[^]*\nFailure/, "Failure")
      console.log(
        JSON.stringify(counts),
        JSON.stringify(
          result._tag === "Falsified" ? result.shrunkInput.filter((one) => one.do !== "nothing") : result._tag
        )
      )
      assert.isUndefined(failure, failure)
    }), 120_000)
})

import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { Mismatch } from "./modelDriver.ts"
import type { Command } from "./modelSlowDriver.ts"
import { commands, makeSlowDriver } from "./modelSlowDriver.ts"

const runs = 3000

/** The same programs each time, so that a change is judged by itself; others with MODEL_SEED in the environment. */
const seed = process.env["MODEL_SEED"] ?? "programs"

describe("Random programs on many fibers", () => {
  it.effect("keep the books at every moment, and leave nothing in the end", () =>
    Effect.gen(function*() {
      const counts = { steps: 0, values: 0, fibers: 0 }
      const property = (run: ReadonlyArray<Command>) =>
        Effect.gen(function*() {
          const driver = yield* makeSlowDriver
          for (const command of run) {
            counts.steps++
            const wrong = yield* driver.run(command)
            if (wrong.length > 0) {
              return yield* new Mismatch({ message: `${JSON.stringify(command)}: ${wrong.join("; ")}` })
            }
          }
          const wrong = yield* driver.finish(run[0]!.a % 4 === 0)
          counts.values += driver.world.values.length
          counts.fibers += driver.fibers.length
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

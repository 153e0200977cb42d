import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import type { Command } from "./modelCommands.ts"
import { commands } from "./modelCommands.ts"
import { makeDriver, Mismatch } from "./modelDriver.ts"

const runs = 2000

describe("A random tree of frames", () => {
  it.effect("holds what the model holds, and nothing in the end", () =>
    Effect.gen(function*() {
      let steps = 0
      const property = (run: ReadonlyArray<Command>) =>
        Effect.gen(function*() {
          const driver = yield* makeDriver
          for (const command of run) {
            steps++
            yield* driver.run(command)
          }
          const left = yield* driver.finish
          if (left.length > 0) return yield* new Mismatch({ message: `in the end: ${left.join("; ")}` })
          return true
        })
      const result = yield* Arbitrary.checkEffect(commands, property, { runs, size: 400, concurrency: 1 })
      const failure = Arbitrary.formatCheckFailure(result)
      console.log(
        `${steps} steps`,
        JSON.stringify(
          result._tag === "Falsified"
            ? result.shrunkInput.filter((one) => one.do !== "nothing")
            : result._tag
        )
      )
      assert.isUndefined(failure, failure)
    }), 60_000)
})

import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll } from "vitest"
import { operations } from "./sweepOperations.ts"
import { cellsOf, scenarioOf } from "./sweepScenarios.ts"

// Each cell has a pace of its own, so that all of them together cover many.
const paceOf = (index: number) => [[3], [7], [4], [5]][index % 4]!

/** In each cell it is interrupted at every operation; the other modes take turns, unless with SWEEP=full. */
const modesOf = (index: number): ReadonlyArray<(typeof Sweep.modes)[number]> =>
  process.env["SWEEP"] === "full"
    ? Sweep.modes
    : ["interrupt", ...([["interruptLater", "yield"], ["turn"], ["interruptLater", "offset"]] as const)[index % 3]!]

let scenarios = 0
let points = 0

describe.each(operations.map((operation, turn) => ({ name: operation.name, operation, turn })))(
  "$name",
  ({ operation, turn }) => {
    for (const shape of ["plain", "scoped", "scoped, uninterruptible"] as const) {
      it.effect(`leaves nothing behind when its resource is ${shape}`, () =>
        Effect.gen(function*() {
          const wrong: Array<string> = []
          for (const [index, cell] of cellsOf(shape).entries()) {
            if (operation.applies?.(cell) === false) continue
            const report = yield* Sweep.run(scenarioOf(operation, cell), {
              modes: modesOf(index + turn),
              paces: paceOf(index),
              maxFailures: 5
            })
            scenarios++
            points += report.runs
            if (report.failures.length > 0) wrong.push(new Sweep.SweepFailure({ report }).message)
          }
          assert.strictEqual(wrong.join("\n"), "")
        }), 60_000)
    }
  }
)

afterAll(() => console.log(`swept ${scenarios} scenarios, ${points} interruption points`))

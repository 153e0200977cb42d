import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { commands, Driver } from "./poolRandomDriver.ts"
import { randomOf } from "./poolRandomWorld.ts"
import type { Tally } from "./poolRandomWorld.ts"

const parts = 14
const programs = 120
const steps = 60

/** The same programs each time, so that a change is judged by itself; others with MODEL_SEED in the environment. */
const given = Array.from(process.env["MODEL_SEED"] ?? "").reduce(
  (sum, letter) => Math.imul(sum ^ letter.charCodeAt(0), 16_777_619) >>> 0,
  0
)

const tally: Tally = {}

/** Pools draw lots by themselves: the same ones each time. */
const withLots = <A, E, R>(seed: number, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const { random } = Math
  const lots = randomOf(seed + 1)
  const replace = Effect.sync(() => {
    Math.random = () => lots(1_000_000) / 1_000_000
  })
  const restore = Effect.sync(() => {
    Math.random = random
  })
  return Effect.acquireUseRelease(replace, () => self, () => restore)
}

/** What was wrong, if anything was. */
const run = (seed: number) =>
  Effect.gen(function*() {
    const driver = new Driver(randomOf(seed), tally)
    yield* driver.begin()
    while (driver.steps < steps && driver.wrong.length === 0) yield* driver.step()
    const when = driver.wrong.length > 0 ? `step ${driver.steps}` : "in the end"
    if (driver.wrong.length === 0) yield* driver.finish()
    return driver.wrong.map((line) => `seed ${seed}, ${when}: ${line}`)
  })

describe("Whatever is done to a pool at random (puddle),", () => {
  for (let part = 0; part < parts; part++) {
    const first = given + part * programs
    it.effect(
      `nobody is lost, nothing is left, and all its room is there: seeds ${first} to ${first + programs - 1}`,
      () =>
        Effect.gen(function*() {
          const troubles: Array<string> = []
          for (let seed = first; seed < first + programs; seed++) {
            troubles.push(...(yield* withLots(seed, run(seed))))
          }
          assert.deepStrictEqual(troubles, [])
        }),
      30_000
    )
  }

  it("each thing is done, and goes wrong, often enough", () => {
    const operations = parts * programs * steps
    // Of a part of them nothing can be said.
    if (tally["operations"] !== operations) return
    const rare = (names: ReadonlyArray<string>, least: number) => names.filter((name) => (tally[name] ?? 0) < least)
    const often = ["failing creation", "hanging creation", "late creation", "dying reset", "interrupt", "invalidate"]
    assert.deepStrictEqual(rare(often, operations / 100), [])
    const hooks = ["validation", "reset", "release"]
    const other = hooks.flatMap((hook) => [`failing ${hook}`, `dying ${hook}`, `hanging ${hook}`])
    assert.deepStrictEqual(rare([...commands, ...other, "forced end"], operations / 1000), [])
    const refusals = [
      "PoolTimeout",
      "PoolOverloaded",
      "PoolClosed",
      "WouldDeadlock",
      "BudgetExceeded",
      "DeadlineExceeded"
    ]
    assert.deepStrictEqual(rare(refusals, 1), [])
  })
})

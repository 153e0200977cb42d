import * as Core from "@chronovyan/core"
import { Explore } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { afterAll } from "vitest"
import { budgetCases } from "./exploreBudgetScenarios.ts"
import { turns } from "./exploreFaults.ts"
import { poolOperationCases } from "./explorePoolOperations.ts"
import { poolCases } from "./explorePoolScenarios.ts"
import { frameCases } from "./exploreScenarios.ts"
import type { Case } from "./exploreWorld.ts"
import { met, refusals, scenarioOf } from "./exploreWorld.ts"

const cases: ReadonlyArray<Case> = [...frameCases, ...budgetCases, ...poolCases, ...poolOperationCases]

/** The same schedules each time, so that a change is judged by itself; others with EXPLORE_SEED in the environment. */
const seed = Number(process.env["EXPLORE_SEED"] ?? 1)

/** How many in all: many more with `npm run explore`, any number with EXPLORE_SCHEDULES. */
const schedules = Number(process.env["EXPLORE_SCHEDULES"] ?? (process.env["MODE"] === "explore" ? 1_000_000 : 50_000))

const weightOf = ({ isSlow }: Case) => isSlow === true ? 1 / 3 : 1
const whole = Math.ceil(schedules / cases.reduce((sum, one) => sum + weightOf(one), 0))
const ofCase = (one: Case) => Math.ceil(whole * weightOf(one))
const ofTurn = (one: Case) => Math.ceil(ofCase(one) / turns)

interface Explored {
  readonly name: string
  readonly schedules: number
  readonly seconds: number
}

const explored: Array<Explored> = []
const counted = { schedules: 0, marks: 0 }

/** With so many, memory is to stay flat. */
const isLong = schedules >= 200_000
const every = 100_000

const collect: () => void = isLong ? (setFlagsFromString("--expose-gc"), runInNewContext("gc")) : () => {}

const count = (ran: number) => {
  counted.schedules += ran
  if (!isLong || counted.schedules < (counted.marks + 1) * every) return
  counted.marks = Math.floor(counted.schedules / every)
  collect()
  const { heapUsed, rss } = process.memoryUsage()
  console.log(
    `${counted.schedules} schedules: ${(heapUsed / 1e6).toFixed(1)} MB of heap, ${(rss / 1e6).toFixed(0)} MB in all`
  )
}

/** One turn systematically, the fewest decisions first, the others at random. */
const strategiesOf = (turn: number, number: number, first: number): ReadonlyArray<Explore.Strategy> =>
  turn === seed % turns
    ? [Explore.exhaustive({ preemptions: 1, interrupts: 1, schedules: number })]
    : [Explore.random({ schedules: number, seed: first, preemptions: 3, interrupts: 2 })]

const explore = (one: Case) =>
  Effect.gen(function*() {
    const since = performance.now()
    let ran = 0
    const each = ofTurn(one)
    for (let turn = 0; turn < turns; turn++) {
      const scenario = scenarioOf(one, turn)
      // The run that nobody interferes with is one of them.
      let left = each
      const report = yield* Explore.assert(scenario, {
        strategies: strategiesOf(turn, left - 1, seed * 100_000 + turn * each)
      })
      left -= report.schedules
      if (left > 0) {
        const more = yield* Explore.assert(scenario, { strategies: [Explore.random({ schedules: left, seed })] })
        left -= more.schedules
      }
      ran += each - left
      count(each - left)
    }
    explored.push({ name: one.name, schedules: ran, seconds: (performance.now() - since) / 1000 })
    assert.isAtLeast(ran, ofCase(one))
  })

describe("Whatever order its fibers run in, whoever is interrupted, and whatever goes wrong, nothing is left of", () => {
  for (const one of cases) it.effect(one.name, () => explore(one), 30_000 + ofCase(one) * 20)
})

describe("All of these", () => {
  it("are as many schedules as they are said to be", () => {
    // Of a part of them less is to be expected.
    assert.isAtLeast(
      counted.schedules,
      explored.length === cases.length ? schedules : explored.reduce((sum, { schedules }) => sum + schedules, 0)
    )
  })

  it("do every public operation", () => {
    const {
      Allocation,
      Budget,
      CallSite,
      ResourceCatalog,
      ResourceDefinition,
      ResourceManager,
      ResourcePool,
      Snapshot,
      TimeFrame
    } = Core
    const modules = {
      Allocation,
      Budget,
      CallSite,
      ResourceCatalog,
      ResourceDefinition,
      ResourceManager,
      ResourcePool,
      Snapshot,
      TimeFrame
    }
    // Those of the modules among themselves are left out.
    const inner = ["ResourceManager.allocateUnknown"]
    const covered = new Set([...inner, ...cases.flatMap(({ covers }) => covers)])
    const operations = Object.entries(modules).flatMap(([name, module]) =>
      Object.keys(module).filter((key) => /^(?!is)[a-z]/.test(key)).map((key) => `${name}.${key}`)
    )
    assert.deepStrictEqual(operations.filter((operation) => !covered.has(operation)), [])
  })

  it("are refused in every way there is", () => {
    const missing = Array.from(refusals).filter((tag) => !met.has(tag))
    if (explored.length === cases.length) assert.deepStrictEqual(missing, [])
    else assert.isAtMost(missing.length, refusals.size)
  })

  it("have a name of their own", () => {
    assert.strictEqual(new Set(cases.map(({ name }) => name)).size, cases.length)
  })
})

afterAll(() => {
  const rateOf = ({ schedules, seconds }: Explored) => Math.round(schedules / seconds)
  if (isLong) {
    for (const one of explored) console.log(`${one.name}: ${one.schedules} schedules, ${rateOf(one)} a second`)
  }
  console.log(`explored ${explored.length} scenarios, ${counted.schedules} schedules`)
})

import { Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { managed, start } from "./fixtures.ts"

/** Takes what its params say, in the order in which they say it. */
const Costly = ResourceDefinition.temporal("costly", {
  params: Schema.Any,
  cost: (cost: Cost.Cost) => cost,
  acquire: () => Effect.void
})

interface Demand {
  readonly workers: number
  readonly weight?: number
  /** What its requests take, in turn. */
  readonly costs: ReadonlyArray<Cost.Cost>
}

interface Limits {
  readonly manager?: Budget.Budget
  readonly server: Budget.Budget
}

/**
 * Each tenant has workers who ask again and again and keep what they get for 5 to 14 milliseconds; answers how much of
 * each unit the tenants were given in two seconds.
 */
const play = ({ manager, server }: Limits, demands: Readonly<Record<string, Demand>>) =>
  Effect.gen(function*() {
    const given: Record<string, Record<string, number>> = {}
    let asked = 0
    for (const [tenant, { costs, weight = 1, workers }] of Object.entries(demands)) {
      const units: Record<string, number> = given[tenant] = { calls: 0, tokens: 0 }
      const request = Effect.suspend(() => {
        const at = asked++
        const cost = costs[at % costs.length]!
        return ResourceManager.use(Costly, cost, () => {
          for (const unit of Object.keys(cost)) units[unit]! += cost[unit]!
          return Effect.sleep(5 + (at * 7) % 10)
        })
      })
      for (let i = 0; i < workers; i++) {
        yield* start(TimeFrame.run(Effect.forever(request), { name: tenant, tenant, weight }))
      }
    }
    for (let i = 0; i < 2000; i++) yield* TestClock.adjust("1 millis")
    return given
  }).pipe(
    TimeFrame.run({ name: "server", budget: server, exhausted: "wait" }),
    managed(manager === undefined ? {} : { budget: manager })
  )

/** Jain's index: 1 when all get the same, 1 over their number when one gets everything. */
const jain = (shares: ReadonlyArray<number>): number =>
  shares.reduce((a, b) => a + b, 0) ** 2 / (shares.length * shares.reduce((a, b) => a + b * b, 0))

const tokensAndCalls: Cost.Cost = { tokens: 1, calls: 1 }
const callsAndTokens: Cost.Cost = { calls: 1, tokens: 1 }
const rate = Budget.rate(1, "2 millis", 3)

const limits: Readonly<Record<string, Limits>> = {
  "two capacities": { server: { tokens: 4, calls: 4 } },
  "a rate and a capacity": { server: { tokens: rate, calls: 5 } },
  "a rate of the manager and a capacity of the frame": { manager: { tokens: rate }, server: { calls: 5 } }
}

/** In which order the requests of two tenants name the units. */
const orders: Readonly<Record<string, readonly [ReadonlyArray<Cost.Cost>, ReadonlyArray<Cost.Cost>]>> = {
  "in the same order": [[tokensAndCalls], [tokensAndCalls]],
  "in another order each": [[tokensAndCalls], [callsAndTokens]],
  "in whatever order": [[tokensAndCalls, callsAndTokens], [callsAndTokens, tokensAndCalls]]
}

describe("Tenants whose requests need two units that are short at once, asked for", () => {
  for (const [what, budget] of Object.entries(limits)) {
    for (const [how, [one, two]] of Object.entries(orders)) {
      it.effect(`${how}, get the same of ${what}, though one asks for ten times as much, and by weight`, () =>
        Effect.gen(function*() {
          const equal = yield* play(budget, {
            small: { workers: 8, costs: one },
            large: { workers: 80, costs: two }
          })
          const weighted = yield* play(budget, {
            one: { workers: 80, costs: one },
            three: { workers: 12, costs: two, weight: 3 }
          })
          for (const unit of ["tokens", "calls"]) {
            assert.isAtLeast(jain([equal["small"]![unit]!, equal["large"]![unit]!]), 0.99)
            assert.closeTo(weighted["three"]![unit]! / weighted["one"]![unit]!, 3, 0.3)
          }
        }))
    }
  }
})

describe("Tenants of whom only one needs both of two units that are short", () => {
  for (const [other, units] of Object.entries({ calls: { calls: 1 }, tokens: { tokens: 1 } })) {
    it.effect(`share the ${other} that both of them need`, () =>
      Effect.gen(function*() {
        const given = yield* play({ server: { tokens: 8, calls: 8 } }, {
          single: { workers: 8, costs: [units] },
          both: { workers: 80, costs: [tokensAndCalls] }
        })
        assert.isAtLeast(jain([given["single"]![other]!, given["both"]![other]!]), 0.99)
      }))
  }
})

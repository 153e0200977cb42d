/**
 * What it costs to serve those who wait for a budget: in one line, or as tenants who take turns. Run by `budgets.ts` in
 * processes of its own; prints what it measured as JSON.
 */
import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Effect } from "effect"
import { measure, untilLetGo, untilServed } from "./drain.ts"
import { inFrames, layer } from "./kernel.ts"

const Part = ResourceDefinition.temporal("part", {
  cost: () => ({ parts: 1 }),
  acquire: () => Effect.void,
  release: () => Effect.void
})

const holders = 10
const tenants = process.argv[2] === "tenants" ? 100 : 0

const holder = ResourceManager.use(Part, () => untilLetGo)
const use = ResourceManager.use(Part, () => untilServed)

const program = Effect.gen(function*() {
  const waiters: Array<Effect.Effect<void, unknown, ResourceManager.ResourceManager | TimeFrame.TimeFrame>> = [use]
  for (let i = 0; i < tenants; i++) {
    const frame = yield* TimeFrame.make({ name: "tenant", tenant: `tenant ${i}` })
    waiters[i] = Effect.provideService(use, TimeFrame.TimeFrame, frame)
  }
  const borrows = { holder: () => holder, waiter: (at: number) => waiters[at % waiters.length]! }
  return yield* measure(borrows, { holders, few: 1_000, many: 100_000, drains: 100, rounds: 5 })
}).pipe(
  TimeFrame.run({ name: "budget", budget: { parts: holders }, exhausted: "wait" }),
  inFrames,
  Effect.orDie,
  Effect.provide(layer)
)

console.log(JSON.stringify(await Effect.runPromise(program)))
process.exit(0)

/**
 * What a charge adds to an allocation, and whether it matters that those inside would wait. Run by `budgets.ts` in
 * processes of its own; prints what it measured as JSON.
 */
import type { Allocation } from "@chronovyan/core"
import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Effect, Schema } from "effect"
import { contest } from "./harness.ts"
import type { Contest, Measured, Side } from "./harness.ts"
import { budget, layer } from "./kernel.ts"

const params = Schema.Int.check(Schema.isGreaterThan(0))
const acquire = (bytes: number) => Effect.succeed(bytes)
const release = () => Effect.void

const Free = ResourceDefinition.temporal("free", { params, acquire, release })

const Costly = ResourceDefinition.temporal("costly", {
  params,
  cost: (bytes) => ({ memory: bytes, connections: 1 }),
  acquire,
  release
})

type One<E> = Effect.Effect<Allocation.Allocation<number>, E, ResourceManager.ResourceManager | TimeFrame.TimeFrame>

/** Allocates and releases, in two frames and the manager's own. */
const side = <E>(name: string, allocate: () => One<E>, exhausted: "fail" | "wait"): Side => ({
  name,
  program: (operations) =>
    Effect.gen(function*() {
      for (let i = 0; i < operations; i++) {
        const one = yield* allocate()
        yield* one.release
      }
    }).pipe(
      TimeFrame.run({ name: "request", budget, exhausted }),
      TimeFrame.run({ name: "server", budget }),
      Effect.orDie,
      Effect.provide(layer)
    )
})

const free = () => ResourceManager.allocate(Free, 64)
const costly = () => ResourceManager.allocate(Costly, 64)

const contests: ReadonlyArray<Contest> = [
  {
    title: "allocate + release, 2 units at 3 levels",
    ours: side("with a cost", costly, "fail"),
    theirs: [{ ...side("without", free, "fail"), bar: undefined }],
    operations: 3_000,
    rounds: 101
  },
  {
    title: "the same where those who do not fit would wait",
    ours: side("waiting", costly, "wait"),
    theirs: [{ ...side("failing", costly, "fail"), bar: 1.05 }],
    operations: 3_000,
    rounds: 101
  }
]

const rows: Array<Measured> = []
for (const one of contests) rows.push(...await contest(Effect.runPromise, one))
console.log(JSON.stringify(rows))

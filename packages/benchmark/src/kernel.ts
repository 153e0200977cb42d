/**
 * What the kernel costs, against bare Effect doing the same work in the same context: inside three frames, with the
 * manager, the frame and its Scope as the services.
 */
import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Effect, Schema } from "effect"
import type { Comparison } from "./harness.ts"

let live = 0

const acquire = Effect.sync(() => {
  live++
  return { live }
})

const release = () =>
  Effect.sync(() => {
    live--
  })

/** Params with a schema, and a cost in two units. */
const Full = ResourceDefinition.temporal("full", {
  params: Schema.Int.check(Schema.isGreaterThan(0)),
  cost: (bytes) => ({ memory: bytes, connections: 1 }),
  acquire: () => acquire,
  release
})

const Plain = ResourceDefinition.temporal("plain", { acquire: () => acquire, release })

const times = <E, R>(operations: number, one: () => Effect.Effect<unknown, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    for (let i = 0; i < operations; i++) yield* one()
  })

export const budget = { memory: 1 << 30, connections: 1 << 20 }

/** The frames that every program runs in: budgets in two units at three levels, with the manager's. */
export const layer = ResourceManager.layer({ budget })

export const inFrames = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(TimeFrame.run({ name: "request", budget }), TimeFrame.run({ name: "server", budget }))

const side = <E>(
  name: string,
  one: () => Effect.Effect<unknown, E, TimeFrame.TimeFrame | ResourceManager.ResourceManager>
) => ({
  name,
  program: (operations: number) =>
    times(operations, one).pipe(Effect.orDie, inFrames, Effect.provide(layer)) as Effect.Effect<unknown>
})

const use = (value: { readonly live: number }) => Effect.sync(() => value.live)

const suspending = Effect.yieldNow

export const comparisons: ReadonlyArray<Comparison> = [
  {
    title: "allocate + release: schema params, registry, statistics, 3 levels x 2 units",
    ours: side("allocate", () => Effect.flatMap(ResourceManager.allocate(Full, 64), (one) => one.release)),
    theirs: side("scoped(acquireRelease)", () => Effect.scoped(Effect.acquireRelease(acquire, release))),
    bar: 1,
    operations: 3_000
  },
  {
    title: "use: schema params, registry, statistics, 3 levels x 2 units",
    ours: side("use", () => ResourceManager.use(Full, 64, use)),
    theirs: side("acquireUseRelease", () => Effect.acquireUseRelease(acquire, use, release)),
    bar: 2,
    operations: 3_000
  },
  {
    title: "use: without params and cost",
    ours: side("use", () => ResourceManager.use(Plain, use)),
    theirs: side("acquireUseRelease", () => Effect.acquireUseRelease(acquire, use, release)),
    bar: 1.6,
    operations: 3_000
  },
  {
    title: "a frame with a deadline around a body that suspends",
    ours: side("frame", () => TimeFrame.run(suspending, { name: "query", timeout: 60_000 })),
    theirs: side("scoped(timeout)", () => Effect.scoped(Effect.timeout(suspending, 60_000))),
    bar: 0.7,
    operations: 3_000
  }
]

import { ResourceDefinition, ResourceManager } from "@chronovyan/core"
import { Effect, Exit, Latch, Schema } from "effect"

/** Provides a manager that takes the clock of the test. */
export const managed = (options?: ResourceManager.Options) => Effect.provide(ResourceManager.layer(options))

/** Starts a child right away, so that what comes next finds it where it waits first. */
export const start = Effect.forkChild({ startImmediately: true })

/** Gives every other fiber its turn, more than once. */
export const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

/** What a failure or a defect was, without the cause around it. */
export const failureOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const reason = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  return reason?.error
}

export const defectsOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> =>
  Exit.isSuccess(exit) ? [] : exit.cause.reasons.flatMap((reason) => reason._tag === "Die" ? [reason.defect] : [])

export const tagOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>): string | undefined => failureOf(exit)?._tag

/** A log, and a resource that writes its acquisitions and releases into it. */
export const makeLog = () => {
  const lines: Array<string> = []
  const say = (line: string) =>
    Effect.sync(() => {
      lines.push(line)
    })
  const Thing = ResourceDefinition.temporal("thing", {
    params: Schema.String,
    acquire: (name) => Effect.as(say(`+${name}`), name),
    release: (name) => say(`-${name}`)
  })
  return { lines, say, Thing }
}

/** Defines something of a kind that a loop runs over; to the compiler it is temporal. */
export const define = (kind: "temporal" | "shared" | "persistent"): typeof ResourceDefinition.temporal => {
  const { persistent, shared, temporal } = ResourceDefinition
  return { persistent, shared, temporal }[kind] as typeof temporal
}

/** A resource that costs what its params say. */
export const Costly = ResourceDefinition.temporal("costly", {
  params: Schema.Record(Schema.String, Schema.Number),
  cost: (cost) => cost,
  acquire: (cost) => Effect.succeed(cost)
})

/** A resource whose acquisition and release wait for gates, and ignore interruption while they do. */
export const makeGated = (options: { readonly acquire?: boolean; readonly release?: boolean } = {}) => {
  const acquireGate = Latch.makeUnsafe(options.acquire !== true)
  const releaseGate = Latch.makeUnsafe(options.release !== true)
  const state = { acquiring: 0, live: 0, released: 0 }
  const Gated = ResourceDefinition.temporal("gated", {
    cost: () => ({ gates: 1 }),
    acquire: () =>
      Effect.sync(() => state.acquiring++).pipe(
        Effect.andThen(acquireGate.await),
        Effect.andThen(Effect.sync(() => ++state.live))
      ),
    release: () =>
      Effect.andThen(
        releaseGate.await,
        Effect.sync(() => {
          state.live--
          state.released++
        })
      )
  })
  return { acquireGate, releaseGate, state, Gated }
}

/** How much of a unit the frame of that path has in use. */
export const usedBy = (path: string, unit: string) =>
  Effect.map(ResourceManager.snapshot, (snapshot) => {
    const frame = snapshot.frames.find((frame) => frame.path === path)
    return frame?.budgets.find((budget) => budget.unit === unit)?.used
  })

/** The names and states of what is held, oldest first. */
export const heldNow = Effect.map(
  ResourceManager.snapshot,
  (snapshot) =>
    snapshot.allocations.map(({ orphaned, resource, state }) => `${resource} ${state}${orphaned ? " orphaned" : ""}`)
)

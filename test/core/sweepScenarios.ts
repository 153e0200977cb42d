import { ResourceManager } from "@chronovyan/core"
import { Sweep } from "@chronovyan/testing"
import { Clock, Effect } from "effect"
import type { Operation } from "./sweepOperations.ts"
import type { Acquire, Cell, Release, Shape } from "./sweepWorld.ts"
import { makeWorld, nameOf, troublesOf } from "./sweepWorld.ts"

const acquires: ReadonlyArray<Acquire> = ["ok", "fails", "dies", "never", "late"]

/** The cells of one shape; where nothing was opened it makes no difference how the release goes. */
export const cellsOf = (shape: Shape): ReadonlyArray<Cell> =>
  acquires.flatMap((acquire) => releasesOf(acquire, shape).map((release) => ({ acquire, release, shape })))

const releasesOf = (acquire: Acquire, shape: Shape): ReadonlyArray<Release> => {
  if (acquire === "ok") return ["ok", "dies", "slow", "yields", "overdue"]
  if (acquire === "never" || acquire === "late") return shape === "scoped" ? ["ok"] : ["ok", "dies", "yields"]
  return shape === "plain" ? ["ok"] : ["ok", "dies", "yields", "slow"]
}

export const scenarioOf = (operation: Operation, cell: Cell) =>
  Sweep.make({
    name: `${operation.name}; ${nameOf(cell)}`,
    setup: Effect.gen(function*() {
      const world = yield* makeWorld(cell)
      yield* Effect.addFinalizer(() => world.closeManager)
      for (const rival of operation.rivals?.(world) ?? []) yield* Effect.forkScoped(world.observe(rival))
      return world
    }),
    body: (world) =>
      Effect.onExit(world.observe(operation.body(world)), () =>
        Clock.clockWith((clock) =>
          Effect.sync(() => {
            world.endedAt = clock.currentTimeMillisUnsafe()
          })
        )),
    check: (world) =>
      Effect.gen(function*() {
        const { within } = operation
        const { endedAt } = world
        yield* world.settle
        if (within !== undefined && endedAt !== undefined && endedAt > within) {
          world.troubles.push(`the body was held until ${endedAt} ms, past ${within}`)
        }
        const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, world.context)
        return [...world.troubles, ...troublesOf(snapshot, new Set(operation.idle))]
      }),
    afterClose: (world) =>
      Effect.gen(function*() {
        const before = world.troubles.length
        if (world.sleeping > 0) world.troubles.push(`${world.sleeping} timers of the manager still run`)
        yield* world.settle
        for (const value of world.values) {
          if (value.closed === 0) world.troubles.push(`value ${value.id} was never closed`)
        }
        return world.troubles.slice(before)
      }),
    settle: "2 minutes"
  })

/**
 * Programs for the leak detector to look at.
 */
import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { LeakDetector, type LeakReport } from "@chronovyan/inspector"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"

/** Provides a detector that says nothing in the log, and its manager. */
export const watched = (options: LeakDetector.Options = {}) =>
  Effect.provide(LeakDetector.layer({ log: false, ...options }).pipe(Layer.provideMerge(ResourceManager.layer())))

export const Thing = ResourceDefinition.temporal("thing", { acquire: () => Effect.succeed({}) })

export const Sized = ResourceDefinition.temporal("sized", {
  params: Schema.Int,
  cost: (bytes) => ({ memory: bytes }),
  acquire: (bytes) => Effect.succeed(bytes)
})

/** What is raised now, in short. */
export const raised = Effect.map(
  LeakDetector.current,
  (reports) => reports.map(({ frame, reason, resource }) => `${reason} ${resource} in ${frame}`)
)

export const inShort = ({ frame, reason, resource, state }: LeakReport.LeakReport) =>
  `${state} ${reason} ${resource} in ${frame}`

/** Runs the work again and again, in a frame of its own each time, `times` for each `every`. */
export const load = (
  name: string,
  work: (turn: number) => Effect.Effect<unknown, unknown, TimeFrame.TimeFrame>,
  options: {
    readonly turns: number
    readonly every: number
  }
) =>
  Effect.gen(function*() {
    for (let turn = 0; turn < options.turns; turn++) {
      yield* work(turn).pipe(TimeFrame.run({ name }), Effect.orDie, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust(options.every)
    }
  })

import { ResourceManager } from "@chronovyan/core"
import { LeakDetector, type LeakReport } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { traffic } from "./traffic.ts"

const told = (told: Array<string>, options: LeakDetector.Options = {}) =>
  LeakDetector.layer({
    log: false,
    onReport: ({ message }: LeakReport.LeakReport) => Effect.sync(() => told.push(message)),
    ...options
  }).pipe(Layer.provideMerge(ResourceManager.layer()))

describe("a program that leaks nothing", () => {
  for (const seed of [1, 2]) {
    it.effect(`raises no alarm in an hour (seed ${seed})`, () =>
      Effect.gen(function*() {
        const reports: Array<string> = []
        const program = yield* traffic({ lasts: "1 hour" }).pipe(
          Random.withSeed(seed),
          Effect.provide(told(reports)),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("62 minutes")
        yield* Fiber.join(program)
        assert.deepStrictEqual(reports, [])
      }), 30_000)
  }

  // Set it to a number of minutes.
  const { CHRONOVYAN_SOAK } = process.env
  const minutes = Number(CHRONOVYAN_SOAK)
  it.live.skipIf(CHRONOVYAN_SOAK === undefined)(
    "raises no alarm while it really runs",
    () =>
      Effect.gen(function*() {
        const reports: Array<string> = []
        yield* traffic({ lasts: Duration.minutes(minutes), scale: 3 }).pipe(
          Effect.provide(told(reports, { level: "full", growth: { window: "20 seconds" }, interval: "1 second" }))
        )
        assert.deepStrictEqual(reports, [])
      }),
    (minutes + 1) * 60_000
  )
})

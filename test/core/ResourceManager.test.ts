import { Deadline, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Latch } from "effect"
import { TestClock } from "effect/testing"
import { managed, settle, start } from "./fixtures.ts"

/** Counts the sleeps that go on, on top of the clock of the test. */
const countingClock = Effect.map(Effect.service(Clock.Clock), (clock) => {
  let sleeping = 0
  const counting: Clock.Clock = Object.create(clock, {
    sleep: {
      value: (duration: Duration.Duration) =>
        Effect.suspend(() => {
          sleeping++
          return Effect.onExit(clock.sleep(duration), () => Effect.sync(() => void sleeping--))
        })
    }
  })
  return { clock: counting, sleeping: () => sleeping }
})

describe("A manager that has closed", () => {
  it.effect("leaves no timer behind, whatever was armed", () =>
    Effect.gen(function*() {
      const { clock, sleeping } = yield* countingClock
      const Idle = ResourceDefinition.shared("idle", { acquire: () => Effect.void, idleTimeToLive: "10 minutes" })
      const gate = yield* Latch.make()
      const Slow = ResourceDefinition.temporal("slow", { acquire: () => Effect.void, release: () => gate.await })
      const fiber = yield* Effect.gen(function*() {
        yield* ResourceManager.use(Idle, () => Effect.void).pipe(TimeFrame.run({ name: "a", timeout: "1 hour" }))
        yield* start(ResourceManager.allocate(Slow).pipe(TimeFrame.run({ name: "b", gracePeriod: "1 hour" })))
        assert.isAbove(sleeping(), 0)
      }).pipe(managed(), Effect.provideService(Clock.Clock, clock), start)
      yield* gate.open
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual(sleeping(), 0)
    }))
})

describe("A manager", () => {
  it.effect("has one sleeping timer for many frames of one timeout, and none soon after they have ended", () =>
    Effect.gen(function*() {
      const { clock, sleeping } = yield* countingClock
      yield* Effect.gen(function*() {
        const gate = yield* Latch.make()
        for (let index = 0; index < 100; index++) {
          yield* start(gate.await.pipe(TimeFrame.run({ name: "frame", timeout: "1 minute" })))
        }
        assert.strictEqual(sleeping(), 1)
        yield* gate.open
        yield* settle
        // What looks after timers that nobody needs sleeps as well.
        assert.isAtMost(sleeping(), 2)
        yield* TestClock.adjust("200 millis")
        assert.strictEqual(sleeping(), 0)
      }).pipe(managed(), Effect.provideService(Clock.Clock, clock))
    }))

  for (const amount of [-1, 0.5, Number.NaN]) {
    it(`can not have a limit of ${amount}`, () => {
      assert.throws(() => ResourceManager.layer({ budget: { memory: amount } }), /memory/)
    })
  }
})

describe("A deadline", () => {
  it("is a moment: the earlier one counts, and nothing is left after it", () => {
    assert.strictEqual(Deadline.after(100, 50), 150)
    assert.strictEqual(Deadline.earlier(150, 120), 120)
    assert.strictEqual(Deadline.earlier(Deadline.none, 120), 120)
    assert.deepStrictEqual(Deadline.remaining(150, 120), Duration.millis(30))
    assert.deepStrictEqual(Deadline.remaining(150, 200), Duration.millis(0))
    assert.deepStrictEqual(Deadline.remaining(Deadline.none, 200), Duration.infinity)
  })
})

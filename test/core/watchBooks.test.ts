import { ResourceManager, TimeFrame } from "@chronovyan/core"
import type { ResourceEvent, Snapshot } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { start } from "./fixtures.ts"
import { randomOf } from "./poolRandomWorld.ts"
import { booksOf } from "./sweepWorld.ts"
import { contradictionsIn, History } from "./watchHistory.ts"
import { World } from "./watchWorld.ts"

const programs = Number(process.env["MODEL_RUNS"] ?? 50)
const steps = 40

/** The same programs each time; others with MODEL_SEED in the environment. */
const given = Number(process.env["MODEL_SEED"] ?? 0)

const watched = (seed: number) =>
  Effect.gen(function*() {
    const random = randomOf(seed)
    const wrong: Array<string> = []
    const context = yield* Effect.context<ResourceManager.ResourceManager>()
    const check = (snapshot: Snapshot.Snapshot) => {
      wrong.push(...contradictionsIn(snapshot), ...booksOf(snapshot))
    }
    const world = new World(random, seed % 3 === 0, () => check(Effect.runSyncWith(context)(ResourceManager.snapshot)))
    world.run = Effect.runForkWith(context) as typeof world.run
    const history = new History()
    const told: Array<ResourceEvent.ResourceEvent> = []
    yield* ResourceManager.events.pipe(
      Stream.runForEach((event) => Effect.sync(() => told.push(event))),
      start
    )
    for (let step = 0; step < steps && wrong.length === 0; step++) {
      yield* world.step
      if (random(3) === 0) yield* Effect.yieldNow
      if (random(3) === 0) yield* TestClock.adjust(1 + random(10))
      const snapshot = yield* ResourceManager.snapshot
      // What has happened by now was told before this frame was opened.
      const frame = `look ${step}`
      yield* TimeFrame.run(Effect.void, { name: frame })
      const find = () => told.findIndex((event) => event._tag === "FrameOpened" && event.frame === frame)
      while (find() < 0) yield* Effect.yieldNow
      for (const event of told.splice(0, find())) history.add(event)
      check(snapshot)
      wrong.push(...history.differences(snapshot))
    }
    yield* start(world.end)
    yield* TestClock.adjust("1 minute")
    return wrong.map((line) => `seed ${seed}, ${line}`)
  })

const run = (seed: number) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(ResourceManager.layer({ eventCapacity: 100_000 }), scope)
    const wrong = yield* Effect.provideContext(watched(seed), context)
    const closing = yield* start(Scope.close(scope, Exit.void))
    yield* TestClock.adjust("1 minute")
    yield* Effect.exit(Fiber.join(closing))
    return wrong
  })

describe("Whatever a program does at random,", () => {
  it.effect(
    "counters are what events say, and each snapshot adds up, whoever looks and when",
    () =>
      Effect.gen(function*() {
        const wrong: Array<string> = []
        for (let seed = given; seed < given + programs && wrong.length < 10; seed++) wrong.push(...(yield* run(seed)))
        assert.deepStrictEqual(wrong, [])
      }),
    30_000
  )
})

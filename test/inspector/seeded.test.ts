/**
 * Leaks of ten kinds, three of each, in programs where much else goes on: each is found, and nothing else is.
 */
import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { LeakDetector, type LeakReport } from "@chronovyan/inspector"
import { FileHandle, TempFile, Worker } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Latch, Layer, Random, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { findGc } from "../core/collecting.ts"
import { settle, start } from "../core/fixtures.ts"

const gc = findGc()

interface World {
  /** The frame around all work. */
  readonly server: TimeFrame.TimeFrame
  /** Closes when the test ends, and what nobody else releases with it. */
  readonly end: Scope.Scope
}

type Turn = (turn: number) => Effect.Effect<unknown, unknown, TimeFrame.TimeFrame | ResourceManager.ResourceManager>

interface Seed {
  readonly kind: string
  /** The definition and the frame that have to be named. */
  readonly names: string
  readonly reason: LeakReport.Reason
  /** What may be told besides. */
  readonly also?: string
  readonly options?: LeakDetector.Options
  /** One in so many turns leaks, beginning with one that is a matter of chance. */
  readonly every: number
  readonly turns: number
  /** Is made once; `bad` is what a turn does that leaks, `good` is what the others do. In a frame for each turn. */
  readonly work: (world: World) => Effect.Effect<
    { readonly good: Turn; readonly bad: Turn },
    unknown,
    TimeFrame.TimeFrame | ResourceManager.ResourceManager | Scope.Scope
  >
}

const thing = (name: string, release: Effect.Effect<void> = Effect.void) =>
  ResourceDefinition.temporal(name, { acquire: () => Effect.succeed({ name }), release: () => release })

const about = (millis: number) => Effect.flatMap(Random.next, (x) => Effect.sleep(millis * (0.5 + x)))

/** Holds it for a while, and lets go. */
const well = <D extends typeof Bytes | ReturnType<typeof thing>>(definition: D): Turn => () =>
  ResourceManager.use(definition as ReturnType<typeof thing>, () => about(4000))

const Bytes = ResourceDefinition.temporal("bytes", {
  params: Schema.Int,
  cost: (memory) => ({ memory }),
  acquire: (memory) => Effect.succeed(memory)
})

// The ten kinds, each in three ways.

const clients: ReadonlyArray<Seed> = [
  // Somebody forgets to give back what it has borrowed.
  {
    kind: "client",
    names: "client in server/request",
    reason: "overdue",
    every: 45,
    turns: 60,
    work: clientWork("request")
  },
  // In the frame of the server, where they stay.
  { kind: "client", names: "client in server", reason: "growing", every: 9, turns: 140, work: clientWork("server") },
  // With a limit that is known.
  {
    kind: "client",
    names: "client in server",
    reason: "overdue",
    options: { holds: { client: "20 seconds" } },
    every: 5,
    turns: 12,
    work: clientWork("server")
  }
]

function clientWork(where: "request" | "server"): Seed["work"] {
  return ({ server }) =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(thing("client"), { max: 20 })
      return {
        good: () => ResourcePool.use(pool, () => about(1000)),
        bad: () =>
          where === "server"
            ? TimeFrame.provide(ResourceManager.allocate(pool), server)
            : Effect.andThen(ResourceManager.allocate(pool), Effect.never)
      }
    })
}

/** A page belongs to a browser: it is made of several parts. */
const Page = ResourceDefinition.temporal("page", {
  acquire: () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Bytes, 4096)
      return yield* Effect.acquireRelease(Effect.succeed({ close: Effect.void }), ({ close }) => close)
    })
})

const pages: ReadonlyArray<Seed> = [5, 8, 11].map((every, index): Seed => ({
  kind: "page",
  names: "page in server/browser",
  reason: index === 2 ? "overdue" : "growing",
  options: index === 2 ? { holds: { page: "2 minutes" } } : {},
  every,
  turns: index === 2 ? 30 : 160,
  work: ({ end }) =>
    Effect.gen(function*() {
      const browser = yield* TimeFrame.make({ name: "browser" }).pipe(Scope.provide(end))
      const page = ResourceManager.allocate(Page)
      return {
        good: () =>
          TimeFrame.provide(page, browser).pipe(
            Effect.flatMap((handle) => Effect.andThen(about(2000), handle.release))
          ),
        bad: () => TimeFrame.provide(page, browser)
      }
    })
}))

const script = new URL("../node/fixtures/worker.ts", import.meta.url)

/** Real ones; what they do takes no time of the clock of the test. */
const real = (
  kind: string,
  name: string,
  allocate: Effect.Effect<unknown, unknown, TimeFrame.TimeFrame>,
  ways: ReadonlyArray<{ readonly every: number; readonly turns: number; readonly options: LeakDetector.Options }>
): ReadonlyArray<Seed> =>
  ways.map(({ every, options, turns }, index): Seed => ({
    kind,
    names: `${name} in ${index === 0 ? "server/request" : "server"}`,
    reason: options.holds === undefined ? "growing" : "overdue",
    options,
    every,
    turns,
    work: ({ server }) =>
      Effect.succeed({
        good: () => Effect.void,
        bad: () => index === 0 ? Effect.andThen(allocate, Effect.never) : TimeFrame.provide(allocate, server)
      })
  }))

const workers = real("worker", "worker", ResourceManager.allocate(Worker, { url: script }), [
  { every: 10, turns: 20, options: { holds: { worker: "1 minute" } } },
  { every: 10, turns: 30, options: { holds: { worker: "30 seconds" } } },
  { every: 12, turns: 90, options: { growth: { windows: 5, minimum: 4 } } }
])

const files = real("temp file", "temp_file", ResourceManager.allocate(TempFile, { prefix: "chronovyan-" }), [
  { every: 7, turns: 20, options: { holds: { temp_file: "1 minute" } } },
  { every: 10, turns: 30, options: { holds: { temp_file: "40 seconds" } } },
  { every: 6, turns: 160, options: {} }
])

const descriptors = real(
  "descriptor",
  "file_handle",
  ResourceManager.allocate(FileHandle, { path: process.execPath }),
  [
    { every: 7, turns: 20, options: { holds: { file_handle: "1 minute" } } },
    { every: 10, turns: 30, options: { holds: { file_handle: "40 seconds" } } },
    { every: 6, turns: 160, options: {} }
  ]
)

const frames: ReadonlyArray<Seed> = [
  // Some of them never end.
  { every: 5, turns: 160, name: "request", bad: () => Effect.never },
  // None of them ends, and others come and go.
  {
    every: 4,
    turns: 540,
    name: "watch",
    bad: ({ end, server }: World) =>
      TimeFrame.provide(TimeFrame.make({ name: "watch" }), server).pipe(Scope.provide(end))
  },
  // With what they hold.
  {
    every: 6,
    turns: 160,
    name: "request",
    bad: () => Effect.andThen(ResourceManager.allocate(thing("thing")), Effect.never)
  }
].map(({ bad, every, name, turns }): Seed => ({
  kind: "growing frames",
  names: name === "watch" ? "watch in server/watch" : "request in server/request",
  reason: "growing",
  every,
  turns,
  also: "thing in server/request",
  work: (world) => Effect.succeed({ good: well(thing("thing")), bad: () => bad(world) })
}))

const handles: ReadonlyArray<Seed> = [3, 5, 9].map((every): Seed => ({
  kind: "dropped handle",
  names: "handle in server",
  reason: "collected",
  options: every === 9 ? { level: "full", collected: "all", ignore: ["steady"] } : { level: "sampled", every: 1 },
  every,
  turns: 30,
  work: ({ server }) => {
    const allocate = ResourceManager.allocate(thing("handle"))
    return Effect.succeed({
      good: () =>
        Effect.flatMap(TimeFrame.provide(allocate, server), ({ release }) => Effect.andThen(about(3000), release)),
      bad: () => Effect.asVoid(TimeFrame.provide(allocate, server))
    })
  }
}))

const releases: ReadonlyArray<Seed> = [4, 12, 25].map((every, index): Seed => ({
  kind: "hung release",
  names: "stuck in server/request",
  reason: "releasing",
  options: index === 1 ? { releaseAfter: "20 seconds" } : {},
  every,
  turns: 60,
  work: ({ end }) =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      yield* Scope.addFinalizer(end, gate.open)
      return { good: well(thing("stuck")), bad: well(thing("stuck", gate.await)) }
    })
}))

const forsaken: ReadonlyArray<Seed> = [
  // A frame that nobody closes, made by a fiber that has ended.
  (end: Scope.Scope) =>
    Effect.flatMap(
      TimeFrame.make({ name: "lost" }),
      (frame) => TimeFrame.provide(ResourceManager.allocate(thing("orphan")), frame)
    ).pipe(Scope.provide(end)),
  // The same, with the use of something shared.
  (end: Scope.Scope) =>
    Effect.flatMap(
      TimeFrame.make({ name: "lost" }),
      (frame) =>
        TimeFrame.provide(
          ResourceManager.allocate(
            ResourceDefinition.shared("orphan", { acquire: () => Effect.succeed({ name: "orphan" }) })
          ),
          frame
        )
    ).pipe(Scope.provide(end)),
  // The same, in a frame inside.
  (end: Scope.Scope) =>
    Effect.flatMap(
      TimeFrame.make({ name: "lost" }),
      (frame) =>
        TimeFrame.provide(
          Effect.flatMap(
            TimeFrame.make({ name: "deeper" }),
            (inner) => TimeFrame.provide(ResourceManager.allocate(thing("orphan")), inner)
          ),
          frame
        )
    ).pipe(Scope.provide(end))
].map((lose, index): Seed => ({
  kind: "fiber gone",
  names: `orphan in server/request/lost${index === 2 ? "/deeper" : ""}`,
  reason: "abandoned",
  every: 10 + index,
  turns: 30,
  work: ({ end }) =>
    Effect.succeed({
      good: well(thing("orphan")),
      // The fiber ends; the frame that it was in waits for nobody.
      bad: () => Effect.andThen(Effect.flatMap(start(Effect.asVoid(lose(end))), () => settle), Effect.never)
    })
}))

const costs: ReadonlyArray<Seed> = [
  { by: (turn: number) => 1000 + 40 * turn, hold: 3000 },
  { by: (turn: number) => 1000 * 1.02 ** turn, hold: 15_000 },
  { by: (turn: number) => 5_000_000 + 1_000_000 * Math.floor(turn / 6), hold: 8000 }
].map(({ by, hold }): Seed => ({
  kind: "growing cost",
  names: "bytes in server/request",
  reason: "growing",
  every: 1,
  turns: 160,
  work: () => {
    const turn: Turn = (turn) => ResourceManager.use(Bytes, Math.floor(by(turn)), () => about(hold))
    return Effect.succeed({ good: turn, bad: turn })
  }
}))

const seeds = [
  ...clients,
  ...pages,
  ...workers,
  ...files,
  ...descriptors,
  ...frames,
  ...handles,
  ...releases,
  ...forsaken,
  ...costs
]

/** What goes on besides, and is in order. */
const others = Effect.gen(function*() {
  const Steady = thing("steady")
  yield* ResourceManager.allocate(Steady)
  while (true) {
    yield* ResourceManager.use(Steady, () => about(1500)).pipe(TimeFrame.run({ name: "other" }), start)
    yield* about(2500)
  }
})

/** Real time, for what really happens. */
const moment = Effect.promise(() => new Promise((done) => setTimeout(done, 5)))

const run = ({ every, options, turns, work }: Seed, seed: number, reports: Array<LeakReport.LeakReport>) =>
  Effect.gen(function*() {
    const end = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const server = yield* TimeFrame.current
    yield* start(others)
    const { bad, good } = yield* work({ server, end })
    const first = yield* Random.nextIntBetween(1, every + 1)
    // Learning needs some that are in order.
    const from = options?.holds === undefined && every > 30 ? 40 : first
    for (let turn = 0; turn < turns; turn++) {
      const work = turn >= from && (turn - from) % every === 0 ? bad : good
      yield* work(turn).pipe(TimeFrame.run({ name: "request" }), Effect.orDie, start)
      while ((yield* ResourceManager.snapshot).allocations.some(({ state }) => state === "acquiring")) yield* moment
      yield* TestClock.adjust(yield* Random.nextIntBetween(4000, 6000))
    }
    if (options?.level !== undefined) gc?.()
    yield* moment
    yield* TestClock.adjust("90 seconds")
  }).pipe(
    TimeFrame.run({ name: "server", gracePeriod: 0 }),
    Random.withSeed(seed),
    Effect.provide(
      LeakDetector.layer({
        log: false,
        onReport: (report) => Effect.sync(() => report.state === "raised" && reports.push(report)),
        ...options
      }).pipe(Layer.provideMerge(ResourceManager.layer()))
    )
  )

describe("a leak that was put in on purpose is found, with its definition and its frame, and nothing else is:", () => {
  for (const [seed, leak] of seeds.entries()) {
    it.effect.skipIf(leak.kind === "dropped handle" && gc === undefined)(
      `${leak.kind}, ${leak.reason} (${seed + 1} of ${seeds.length})`,
      () =>
        Effect.gen(function*() {
          const reports: Array<LeakReport.LeakReport> = []
          yield* Effect.scoped(run(leak, seed, reports))
          const names = new Set(reports.map(({ frame, resource }) => `${resource} in ${frame}`))
          if (leak.also !== undefined) names.delete(leak.also)
          assert.deepStrictEqual([...names], [leak.names])
          assert.include(reports.map(({ reason }) => reason), leak.reason)
        })
    )
  }
})

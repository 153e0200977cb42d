import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Explore, Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Scope } from "effect"
import type { Context } from "effect"

interface World {
  readonly context: Context.Context<ResourceManager.ResourceManager>
  readonly frame: TimeFrame.TimeFrame
  readonly rivals: Array<Fiber.Fiber<unknown, unknown>>
  readonly books: { open: number; refused: number }
  readonly Slow: ResourceDefinition.ResourceDefinition<void, void, any>
  readonly pool: ResourcePool.ResourcePool<void, any>
}

type Program = Effect.Effect<unknown, unknown, any>

const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** In a frame of its own that refuses what comes too late, and lets one through every 20 ms. */
const within = (timeout: number) =>
  TimeFrame.run({ name: "request", timeout, admission: { minimumSamples: 2, probeEvery: 20 } })

const beside = (...programs: ReadonlyArray<Program>): Program =>
  Effect.all(programs, { concurrency: programs.length, discard: true })

const useSlow = ({ Slow }: World): Program => ResourceManager.use(Slow, () => steps)
const usePool = ({ pool }: World): Program => ResourcePool.use(pool, () => Effect.sleep(10))
const holdPool = ({ pool }: World): Program => Effect.andThen(ResourceManager.allocate(pool), Effect.sleep(10))

const operations: ReadonlyArray<readonly [name: string, body: (world: World) => Program]> = [
  ["an acquisition that is refused", (world) => Effect.ignore(within(5)(useSlow(world)))],
  ["a refusal, and a probe", (world) =>
    Effect.ignore(within(5)(useSlow(world))).pipe(
      Effect.andThen(Effect.sleep(20)),
      Effect.andThen(Effect.ignore(within(5)(useSlow(world))))
    )],
  ["a set that is refused, and one that is not", (world) => {
    const both = ResourceManager.allocateAll([[world.Slow], [world.Slow]]) as Program
    return Effect.andThen(Effect.ignore(within(15)(both)), within(25)(both))
  }],
  [
    "waits for a budget that are refused or not",
    (world) => beside(...[1000, 1000, 5, 15, 25].map((timeout) => Effect.ignore(within(timeout)(useSlow(world)))))
  ],
  [
    "borrows that are refused or not",
    (world) => beside(...[1000, 1000, 5, 15, 25].map((timeout) => Effect.ignore(within(timeout)(usePool(world)))))
  ],
  [
    "borrows that are charged, and refused or not",
    (world) => beside(...[1000, 1000, 5, 15, 25].map((timeout) => Effect.ignore(within(timeout)(holdPool(world)))))
  ],
  ["an extension between a refusal and the next try", (world) =>
    Effect.ignore(useSlow(world)).pipe(
      Effect.andThen(TimeFrame.current),
      Effect.flatMap(TimeFrame.extend({ timeout: 100 })),
      Effect.andThen(useSlow(world)),
      within(5)
    )]
]

/** Runs it in the frame of the world. */
const inFrame = ({ context, frame }: World, program: Program): Effect.Effect<unknown, unknown> =>
  TimeFrame.provide(program, frame).pipe(Effect.provideContext(context as Context.Context<any>)) as Effect.Effect<
    unknown,
    unknown
  >

const setup = Effect.gen(function*() {
  const books = { open: 0, refused: 0 }
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
  const context = yield* Layer.buildWithScope(ResourceManager.layer(), scope)
  const frame = yield* TimeFrame.make({ name: "f", budget: { u: 2, borrows: 3 }, exhausted: "wait" }).pipe(
    Effect.provideContext(context),
    Scope.provide(scope)
  )
  const Slow = ResourceDefinition.temporal("slow", {
    cost: () => ({ u: 1 }),
    acquire: () =>
      Effect.map(Effect.sleep(10), () => {
        books.open++
      }),
    release: () =>
      Effect.sync(() => {
        books.open--
      }),
    interruptible: true
  })
  const make = ResourcePool.make({ acquire: Effect.void, size: 1, name: "pool", borrowCost: { borrows: 1 } })
  const pool = yield* make.pipe(TimeFrame.provide(frame), Scope.provide(scope))
  const world: World = { context, frame, rivals: [], books, Slow, pool }
  const learn = beside(...[1, 2, 3].flatMap(() => [useSlow(world), usePool(world)]).map(within(10_000)))
  yield* Effect.orDie(inFrame(world, Effect.andThen(learn, learn)))
  for (const rival of [useSlow(world), usePool(world)]) {
    world.rivals.push(yield* Effect.forkScoped(Effect.exit(inFrame(world, within(1000)(rival)))))
  }
  return world
})

/** Nothing is charged or held, and all of it can be had. */
const troublesOf = (world: World) =>
  Effect.gen(function*() {
    yield* Effect.sleep("1 minute")
    const found: Array<string> = []
    for (const [at, rival] of world.rivals.entries()) {
      if (rival.pollUnsafe() === undefined) found.push(`rival ${at} waits`)
    }
    const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, world.context)
    for (const { budgets, path } of snapshot.frames) {
      for (const { unit, used } of budgets) if (used !== 0) found.push(`${used} of ${unit} of "${path}" are lost`)
    }
    if (snapshot.frames.some(({ name }) => name === "request")) found.push("a request is open")
    for (const { idle, total, waiting } of snapshot.pools) {
      if (idle !== total || waiting !== 0) found.push(`${waiting} wait, and ${idle} of ${total} are idle`)
    }
    world.books.refused = snapshot.resources.reduce((refused, one) => refused + one.refused, 0)
    if (world.books.open !== 0) found.push(`${world.books.open} are open`)
    const exit = yield* Effect.exit(
      inFrame(world, within(1000)(beside(useSlow(world), useSlow(world), usePool(world))))
    )
    if (exit._tag === "Failure") found.push("not all of it can be had")
    return found
  })

/** Interrupted by turn in all of them; the other modes take turns, unless with SWEEP=full. */
const modesOf = (index: number): ReadonlyArray<(typeof Sweep.modes)[number]> =>
  process.env["SWEEP"] === "full"
    ? Sweep.modes
    : ["turn", ...([["interrupt", "yield"], ["interruptLater", "offset"], ["interrupt"]] as const)[index % 3]!]

describe("Interrupted at any operation, at any turn, what is or is not refused early loses nothing:", () => {
  for (const [index, [name, body]] of operations.entries()) {
    it.effect(name, () =>
      Effect.gen(function*() {
        let refused = 0
        const scenario = Sweep.make({
          name,
          setup,
          body: (world: World) => inFrame(world, body(world)),
          check: (world) => Effect.tap(troublesOf(world), () => Effect.sync(() => refused += world.books.refused)),
          settle: "5 minutes"
        })
        const report = yield* Sweep.run(scenario, { modes: modesOf(index), paces: [5], maxFailures: 5 })
        assert.strictEqual(report.failures.length === 0 ? "" : new Sweep.SweepFailure({ report }).message, "")
        assert.isAbove(report.runs, 20)
        assert.isAbove(refused, 10)
      }), 60_000)
  }
})

describe("In whatever order they go on, and whoever is interrupted, nothing is lost:", () => {
  for (const [name, body] of operations.slice(3)) {
    it.effect(`${name}, beside another one`, () =>
      Effect.gen(function*() {
        const scenario = Explore.make<World>({
          name,
          setup,
          fibers: (world) => ({
            one: Effect.exit(inFrame(world, body(world))),
            other: Effect.exit(inFrame(world, within(15)(beside(useSlow(world), usePool(world)))))
          }),
          check: (world) => troublesOf(world),
          settle: "5 minutes"
        })
        const report = yield* Explore.run(scenario, {
          strategies: [Explore.exhaustive({ preemptions: 1, schedules: 10 }), Explore.random({ schedules: 10 })]
        })
        const { failure } = report
        assert.strictEqual(failure === undefined ? "" : new Explore.ExploreFailure({ report }).message, "")
      }), 60_000)
  }
})

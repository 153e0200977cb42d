import { Allocation, Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { Explore, Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Schema, Scope } from "effect"
import type { Context } from "effect"
import { failureOf } from "./fixtures.ts"

const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** What one that waits may be told instead. */
const refusals = new Set(["BudgetExceeded", "FrameClosed", "WouldDeadlock"])

/** A resource that costs what it is told, and is counted as long as it is open. */
const makeThing = (books: { open: number }) =>
  ResourceDefinition.temporal("thing", {
    params: Schema.Record(Schema.String, Schema.Number),
    cost: (cost): Cost.Cost => cost,
    acquire: (cost) =>
      Effect.sync((): Cost.Cost => {
        books.open++
        return cost
      }),
    release: () =>
      Effect.sync(() => {
        books.open--
      })
  })

interface World {
  readonly context: Context.Context<ResourceManager.ResourceManager>
  /** Three units of `u`, `v` without a limit, and ten of `r` a second; those inside wait. */
  readonly frame: TimeFrame.TimeFrame
  /** Opened when the body begins: whoever has the units gives them back soon. */
  readonly go: Latch.Latch
  readonly rivals: Array<Fiber.Fiber<Exit.Exit<unknown, { readonly _tag: string }>>>
  readonly books: { open: number; readonly wrong: Array<string> }
  readonly Thing: ReturnType<typeof makeThing>
}

type Program = Effect.Effect<unknown, unknown, any>

interface Operation {
  readonly name: string
  /** Does the frame end in it? */
  readonly ends?: boolean
  readonly body: (world: World) => Program
}

const use = ({ Thing }: World, cost: Cost.Cost, body: Program = steps): Program =>
  ResourceManager.use(Thing, cost, () => body)

const inside = (name: string, options: Omit<TimeFrame.Options, "name"> = {}) => (program: Program): Program =>
  TimeFrame.run(program, { name, ...options })

/** Allocates in a frame of its own and gives it back early. */
const borrow = ({ Thing }: World, cost: Cost.Cost): Program =>
  Effect.flatMap(ResourceManager.allocate(Thing, cost), (handle) => Effect.andThen(steps, handle.release)).pipe(
    Effect.andThen(steps),
    inside("borrower")
  )

const beside = (...programs: ReadonlyArray<Program>): Program =>
  Effect.all(programs, { concurrency: programs.length, discard: true })

const operations: ReadonlyArray<Operation> = [
  { name: "a use that waits", body: (world) => use(world, { u: 2 }) },
  { name: "a use of all there is", body: (world) => use(world, { u: 3 }) },
  { name: "an allocation that waits and is given back early", body: (world) => borrow(world, { u: 2 }) },
  {
    name: "an allocation that waits and ends with its frame",
    body: (world) =>
      ResourceManager.allocate(world.Thing, { u: 2 }).pipe(Effect.andThen(steps), inside("inner", { budget: { u: 2 } }))
  },
  {
    name: "a set that waits",
    body: (world) =>
      ResourceManager.allocateAll([[world.Thing, { u: 1 }], [world.Thing, { u: 1 }], [world.Thing, { v: 1 }]]).pipe(
        Effect.andThen(steps),
        inside("inner")
      )
  },
  {
    name: "two uses that wait for a rate",
    body: (world) => Effect.andThen(use(world, { r: 10 }), beside(use(world, { r: 2 }), use(world, { r: 1 })))
  },
  {
    name: "a frame with a reserve",
    body: (world) =>
      beside(use(world, { u: 2 }), use(world, { u: 1 })).pipe(
        inside("sure", { reserve: { u: 1 } }),
        Effect.ignore,
        Effect.andThen(steps),
        Effect.andThen(use(world, { u: 1 }).pipe(inside("later", { reserve: { u: 2 } }), Effect.ignore))
      )
  },
  {
    name: "a frame with a reserve and a deadline",
    body: (world) =>
      Effect.andThen(Effect.sleep(5), Effect.andThen(use(world, { u: 1 }), Effect.sleep(20))).pipe(
        inside("sure", { reserve: { u: 2 }, timeout: 10 }),
        Effect.ignore
      )
  },
  {
    name: "a frame with a reserve in one that ends",
    body: (world) =>
      Effect.flatMap(TimeFrame.make({ name: "middle" }), (middle) =>
        beside(
          use(world, { u: 2 }).pipe(inside("sure", { reserve: { u: 1 } }), TimeFrame.provide(middle), Effect.ignore),
          Effect.andThen(steps, TimeFrame.close(middle)),
          use(world, { u: 1 }).pipe(inside("sure", { reserve: { u: 1 } }), TimeFrame.provide(middle), Effect.ignore)
        )).pipe(Effect.scoped)
  },
  {
    name: "an extension beside those who wait",
    body: (world) => beside(use(world, { u: 2 }), TimeFrame.extend(world.frame, { budget: { u: 2 } }))
  },
  {
    name: "waits that time out",
    body: (world) => {
      const hold = use(world, { u: 3 }, Effect.sleep(10))
      const impatient = Budget.wait(use(world, { u: 1 }), { timeout: 3 })
      return beside(hold, Effect.ignore(impatient), Effect.ignore(impatient))
    }
  },
  {
    name: "tenants who take turns",
    body: (world) =>
      beside(
        use(world, { u: 2 }).pipe(inside("a", { tenant: "a", weight: 2 })),
        use(world, { u: 1 }).pipe(inside("b", { tenant: "b" })),
        use(world, { u: 3 }).pipe(inside("c", { tenant: "a", weight: 2 }))
      )
  },
  {
    name: "a move outward beside those who wait",
    body: (world) =>
      Effect.flatMap(TimeFrame.TimeFrame, (middle) =>
        Effect.flatMap(
          ResourceManager.allocate(world.Thing, { u: 1 }),
          (handle) => beside(use(world, { u: 1 }), Effect.andThen(Allocation.transfer(handle, middle), steps))
        ).pipe(inside("inner", { budget: { u: 1 } }))).pipe(inside("middle"))
  },
  {
    name: "waits for two units",
    body: (world) => beside(use(world, { u: 2, r: 6 }), use(world, { r: 6, u: 1 }))
  },
  {
    name: "a nested use that would wait for itself",
    body: (world) => Effect.ignore(use(world, { u: 2 }, use(world, { u: 2 })))
  },
  {
    name: "the end of the frame beside those who wait",
    ends: true,
    body: (world) => beside(Effect.ignore(use(world, { u: 2 })), TimeFrame.close(world.frame))
  }
]

const setup = Effect.gen(function*() {
  const books = { open: 0, wrong: [] as Array<string> }
  const Thing = makeThing(books)
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
  const context = yield* Layer.buildWithScope(ResourceManager.layer(), scope)
  const frame = yield* TimeFrame.make({
    name: "f",
    budget: { u: 3, r: Budget.rate(10, "1 second") },
    exhausted: "wait"
  }).pipe(Effect.provideContext(context), Scope.provide(scope))
  const world: World = { context, frame, go: Latch.makeUnsafe(false), rivals: [], books, Thing }
  // One has it all, and lets go when the body begins; two more wait then, on fibers of their own.
  const rivals = [
    use(world, { u: 3 }, Effect.andThen(world.go.await, steps)),
    Effect.andThen(world.go.await, use(world, { u: 2 })),
    Effect.andThen(world.go.await, Effect.andThen(steps, use(world, { u: 1 })))
  ]
  for (const rival of rivals) {
    world.rivals.push(
      yield* Effect.forkScoped(Effect.exit(inFrame(world, rival))) as Effect.Effect<any, never, Scope.Scope>
    )
  }
  return world
})

/** Runs it in the frame of the world. */
const inFrame = ({ context, frame }: World, program: Program): Effect.Effect<unknown, unknown> =>
  TimeFrame.provide(program, frame).pipe(Effect.provideContext(context as Context.Context<any>)) as Effect.Effect<
    unknown,
    unknown
  >

/** Nothing is charged, all of it can be had, and those who waited have been answered. */
const troublesOf = (world: World, { ends = false }: Operation) =>
  Effect.gen(function*() {
    yield* world.go.open
    yield* Effect.sleep("10 seconds")
    const found = [...world.books.wrong]
    for (const [at, rival] of world.rivals.entries()) {
      const exit = rival.pollUnsafe()
      if (exit === undefined) found.push(`rival ${at} waits`)
      else if (Exit.isSuccess(exit) && Exit.isFailure(exit.value)) {
        const tag = failureOf(exit.value)?._tag
        if (!refusals.has(tag!) || !ends) found.push(`rival ${at} fails: ${tag}`)
      }
    }
    const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, world.context)
    for (const { budgets, path } of snapshot.frames) {
      for (const { unit, used } of budgets) if (used !== 0) found.push(`${used} of ${unit} of "${path}" are lost`)
    }
    for (const one of snapshot.allocations) found.push(`${one.resource} is held`)
    if (world.books.open !== 0) found.push(`${world.books.open} are open`)
    if (ends) return found
    const frame = snapshot.frames.find(({ path }) => path === "f")
    const limit = frame?.budgets.find(({ unit }) => unit === "u")?.limit ?? 0
    const all = Budget.failFast(ResourceManager.use(world.Thing, { u: limit, r: 10 }, () => Effect.void))
    const exit = yield* Effect.exit(inFrame(world, all))
    if (Exit.isFailure(exit)) {
      found.push(`not all of it can be had: ${(failureOf(exit) as ResourceError.BudgetExceeded)}`)
    }
    return found
  })

describe("Interrupted at any operation, at any turn, a wait for a budget loses no charge and leaves nobody waiting:", () => {
  for (const operation of operations) {
    it.effect(operation.name, () =>
      Effect.gen(function*() {
        const scenario = Sweep.make({
          name: operation.name,
          setup,
          body: (world) => Effect.andThen(world.go.open, inFrame(world, operation.body(world))),
          check: (world) => troublesOf(world, operation),
          settle: "2 minutes"
        })
        const report = yield* Sweep.run(scenario, { paces: [3, 7], maxFailures: 5 })
        assert.strictEqual(report.failures.length === 0 ? "" : new Sweep.SweepFailure({ report }).message, "")
        assert.isAbove(report.runs, 20)
      }), 60_000)
  }
})

describe("In whatever order they go on, and whoever is interrupted, all who wait are answered:", () => {
  for (const operation of operations) {
    it.effect(`${operation.name}, beside another one`, () =>
      Effect.gen(function*() {
        const scenario = Explore.make<World>({
          name: operation.name,
          setup,
          fibers: (world) => ({
            one: Effect.exit(Effect.andThen(world.go.open, inFrame(world, operation.body(world)))),
            other: Effect.exit(Effect.andThen(world.go.open, inFrame(world, use(world, { u: 1 }))))
          }),
          check: (world) => troublesOf(world, operation),
          settle: "2 minutes"
        })
        const report = yield* Explore.run(scenario, {
          strategies: [Explore.exhaustive({ preemptions: 1, schedules: 100 }), Explore.random({ schedules: 60 })]
        })
        const { failure } = report
        assert.strictEqual(failure === undefined ? "" : new Explore.ExploreFailure({ report }).message, "")
      }), 60_000)
  }
})

import { Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Explore, Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Schema, Scope, TxRef } from "effect"
import type { Context } from "effect"
import { failureOf } from "./fixtures.ts"

const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

const Thing = ResourceDefinition.temporal("thing", {
  params: Schema.Int,
  cost: (u): Cost.Cost => ({ u }),
  acquire: (u) => Effect.succeed(u)
})

interface World {
  readonly context: Context.Context<ResourceManager.ResourceManager>
  /** Three units each, and those inside wait. */
  readonly a: TimeFrame.TimeFrame
  readonly b: TimeFrame.TimeFrame
  /** By how much `a` has fallen, as the transactions say. */
  readonly moved: TxRef.TxRef<number>
  /** Opened when the body begins: whoever has something gives it back soon. */
  readonly go: Latch.Latch
  readonly rivals: Array<Fiber.Fiber<Exit.Exit<unknown, { readonly _tag: string }>>>
}

type Program = Effect.Effect<unknown, unknown, any>

const use = (amount: number, body: Program = steps): Program => ResourceManager.use(Thing, amount, () => body)

/** Moves so much to `b`, or back. */
const move = ({ a, b, moved }: World, amount: number): Program =>
  Effect.andThen(
    TxRef.update(moved, (before) => before + amount),
    Budget.move({ unit: "u", amount: Math.abs(amount), from: amount < 0 ? b : a, to: amount < 0 ? a : b })
  )

const back = (world: World): Program => Effect.andThen(move(world, -1), Effect.yieldNow)

/** When that much is left there, and nobody waits for it. */
const when = (frame: TimeFrame.TimeFrame, amount: number): Program =>
  Effect.flatMap(
    Budget.standing("u", frame),
    ({ available, waiting }) => available >= amount && waiting === 0 ? Effect.void : Effect.txRetry
  )

const beside = (...programs: ReadonlyArray<Program>): Program =>
  Effect.all(programs, { concurrency: programs.length, discard: true })

interface Operation {
  readonly name: string
  readonly body: (world: World) => Program
}

const operations: ReadonlyArray<Operation> = [
  {
    name: "a move when there is enough",
    body: (world) => Effect.tx(Effect.andThen(when(world.a, 2), move(world, 2)))
  },
  {
    name: "a move that takes its time",
    body: (world) => Effect.tx(Effect.andThen(when(world.a, 1), Effect.andThen(move(world, 1), steps)))
  },
  {
    name: "a move that fails, and its transaction with it",
    body: (world) => Effect.exit(Effect.tx(Effect.andThen(move(world, 1), move(world, 9))))
  },
  {
    name: "moves to and fro at once",
    body: (world) =>
      beside(
        Effect.tx(Effect.andThen(when(world.a, 1), Effect.andThen(move(world, 1), steps))),
        Effect.tx(Effect.andThen(when(world.b, 2), Effect.andThen(steps, move(world, -2)))),
        Effect.tx(Effect.andThen(when(world.a, 1), move(world, 1)))
      )
  },
  {
    name: "a move that serves those who wait",
    body: (world) =>
      beside(
        use(4).pipe(TimeFrame.provide(world.b)).pipe(Effect.exit),
        Effect.tx(Effect.andThen(when(world.a, 1), move(world, 1))),
        use(3).pipe(TimeFrame.provide(world.b), Effect.exit)
      )
  },
  {
    name: "a move from those who begin to wait",
    body: (world) =>
      beside(
        use(3).pipe(TimeFrame.provide(world.a), Effect.exit),
        Effect.exit(Effect.tx(Effect.andThen(move(world, 1), steps))),
        use(2).pipe(TimeFrame.provide(world.a), Effect.exit)
      )
  },
  {
    name: "a reading that waits for what never comes, for a while",
    body: (world) =>
      Effect.tx(when(world.b, 9)).pipe(Effect.timeout(5), Effect.ignore, Effect.andThen(Effect.tx(when(world.b, 1))))
  }
]

const setup = Effect.gen(function*() {
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
  const context = yield* Layer.buildWithScope(ResourceManager.layer(), scope)
  const frame = (name: string) =>
    TimeFrame.make({ name, budget: { u: 3 }, exhausted: "wait" }).pipe(
      Effect.provideContext(context),
      Scope.provide(scope)
    )
  const [a, b] = [yield* frame("a"), yield* frame("b")]
  const world: World = { context, a, b, moved: yield* TxRef.make(0), go: Latch.makeUnsafe(false), rivals: [] }
  // One has most of it, and lets go when the body begins; others want some of it then.
  const rivals = [
    use(2, Effect.andThen(world.go.await, steps)).pipe(TimeFrame.provide(a)),
    Effect.andThen(world.go.await, use(2)).pipe(TimeFrame.provide(a)),
    Effect.andThen(world.go.await, Effect.andThen(steps, use(3))).pipe(TimeFrame.provide(b))
  ]
  for (const rival of rivals) {
    world.rivals.push(
      yield* Effect.forkScoped(Effect.exit(managed(world, rival))) as Effect.Effect<any, never, Scope.Scope>
    )
  }
  return world
})

const managed = ({ context }: World, program: Program): Effect.Effect<unknown, unknown> =>
  Effect.provideContext(program, context as Context.Context<any>) as Effect.Effect<unknown, unknown>

/** All of it is where the transactions say, can be had there, and nobody waits. */
const troublesOf = (world: World) =>
  Effect.gen(function*() {
    const { a, b, context, go, moved, rivals } = world
    yield* go.open
    yield* Effect.sleep("10 seconds")
    const found: Array<string> = []
    const fallen = yield* TxRef.get(moved)
    for (const [frame, limit] of [[a, 3 - fallen], [b, 3 + fallen]] as const) {
      const standing = yield* Budget.standing("u", frame)
      const is = JSON.stringify({ ...standing })
      if (standing.limit !== limit) found.push(`${is}: the limit should be ${limit}`)
      if (standing.used !== 0 || standing.waiting !== 0) found.push(`${is}: nobody should have it`)
      const all = Budget.failFast(use(limit, Effect.void)).pipe(TimeFrame.provide(frame))
      if (Exit.isFailure(yield* Effect.exit(managed(world, all)))) found.push(`${is}: not all of it can be had`)
    }
    for (const [at, rival] of rivals.entries()) {
      const exit = rival.pollUnsafe()
      if (exit === undefined) found.push(`rival ${at} waits`)
      else if (Exit.isSuccess(exit) && Exit.isFailure(exit.value)) {
        // What has gone to the other frame can not be had any more.
        const failure = failureOf(exit.value)
        if (failure?._tag !== "BudgetExceeded") found.push(`rival ${at} fails: ${failure?._tag}`)
      }
    }
    const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, context)
    for (const one of snapshot.allocations) found.push(`${one.resource} is held`)
    return found
  }).pipe(Effect.orDie)

describe("Interrupted at any operation, at any turn, a transaction moves all of it or nothing:", () => {
  for (const operation of operations) {
    it.effect(operation.name, () =>
      Effect.gen(function*() {
        const scenario = Sweep.make({
          name: operation.name,
          setup,
          body: (world) => Effect.andThen(world.go.open, managed(world, operation.body(world))),
          check: troublesOf,
          settle: "2 minutes"
        })
        const report = yield* Sweep.run(scenario, { paces: [3], maxFailures: 5 })
        assert.strictEqual(report.failures.length === 0 ? "" : new Sweep.SweepFailure({ report }).message, "")
        assert.isAbove(report.runs, 20)
      }), 60_000)
  }
})

describe("In whatever order transactions and allocations go on, the books are right:", () => {
  for (const operation of operations) {
    it.effect(`${operation.name}, beside another one`, () =>
      Effect.gen(function*() {
        const scenario = Explore.make<World>({
          name: operation.name,
          setup,
          fibers: (world) => ({
            one: Effect.exit(Effect.andThen(world.go.open, managed(world, operation.body(world)))),
            other: Effect.exit(Effect.andThen(world.go.open, managed(world, Effect.tx(back(world)))))
          }),
          check: troublesOf,
          settle: "2 minutes"
        })
        const report = yield* Explore.run(scenario, {
          strategies: [Explore.exhaustive({ preemptions: 1, schedules: 60 }), Explore.random({ schedules: 40 })]
        })
        const { failure } = report
        assert.strictEqual(failure === undefined ? "" : new Explore.ExploreFailure({ report }).message, "")
      }), 60_000)
  }
})

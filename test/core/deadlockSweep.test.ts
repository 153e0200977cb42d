import { Allocation, Budget, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Explore, Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Logger, Scope } from "effect"
import type { Context } from "effect"
import { tagOf } from "./fixtures.ts"

const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

type Program = Effect.Effect<unknown, any, any>
type Value = Allocation.ReadWrite<object>

const One = ResourceDefinition.temporal("one", { cost: () => ({ u: 1 }), acquire: () => Effect.succeed("one") })
const Item = ResourceDefinition.temporal("item", { acquire: () => Effect.succeed("item") })

interface World {
  readonly context: Context.Context<ResourceManager.ResourceManager>
  /** One unit of `u`; those inside wait. */
  readonly frame: TimeFrame.TimeFrame
  readonly a: Value
  readonly b: Value
  /** Of one item. */
  readonly pool: ResourcePool.ResourcePool<string, ResourcePool.Refused>
  /** Opened when the body begins. */
  readonly go: Latch.Latch
  readonly rivals: Array<Fiber.Fiber<Exit.Exit<unknown, { readonly _tag: string }>>>
  /** Who is in which value. */
  readonly inside: Map<Value, Array<"read" | "write">>
  readonly wrong: Array<string>
}

/** A turn that watches who else has one. */
const turn = (world: World, kind: "read" | "write", value: Value, body: Program = steps): Program =>
  value[kind](() =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const inside = world.inside.get(value)!
        inside.push(kind)
        if (inside.length > 1 && inside.includes("write")) world.wrong.push(`together: ${inside.join(", ")}`)
      }),
      () => body,
      () => Effect.sync(() => void world.inside.get(value)!.splice(world.inside.get(value)!.indexOf(kind), 1))
    )
  )

const charged = (body: Program = steps): Program => ResourceManager.use(One, () => body)
const borrowed = ({ pool }: World, body: Program = steps): Program => ResourcePool.use(pool, () => body)

interface Operation {
  readonly name: string
  /** Can it be refused, or have somebody refused? */
  readonly isSafe?: boolean
  readonly body: (world: World) => Program
  readonly rival: (world: World) => Program
}

const operations: ReadonlyArray<Operation> = [
  {
    name: "turns in the same order",
    isSafe: true,
    body: (world) => turn(world, "write", world.a, turn(world, "write", world.b)),
    rival: (world) => turn(world, "read", world.a, turn(world, "read", world.b))
  },
  {
    name: "a turn inside a turn, beside one the other way round",
    body: (world) => turn(world, "write", world.a, Effect.andThen(steps, turn(world, "write", world.b))),
    rival: (world) => turn(world, "read", world.b, Effect.andThen(steps, turn(world, "read", world.a)))
  },
  {
    name: "a turn to write inside one to read",
    body: (world) => turn(world, "read", world.a, turn(world, "write", world.a)),
    rival: (world) => turn(world, "read", world.a)
  },
  {
    name: "a turn to read inside one to read, beside a writer",
    body: (world) => turn(world, "read", world.a, Effect.andThen(steps, turn(world, "read", world.a))),
    rival: (world) => turn(world, "write", world.a)
  },
  {
    name: "a borrow inside a turn, beside a turn inside a borrow",
    body: (world) => turn(world, "read", world.a, Effect.andThen(steps, borrowed(world))),
    rival: (world) => borrowed(world, Effect.andThen(steps, turn(world, "write", world.a)))
  },
  {
    name: "a charge inside a turn, beside a turn inside a charge",
    body: (world) => turn(world, "write", world.a, Effect.andThen(steps, charged())),
    rival: (world) => charged(Effect.andThen(steps, turn(world, "read", world.a)))
  },
  {
    name: "a turn, a borrow and a charge all the way round",
    body: (world) => turn(world, "write", world.a, Effect.andThen(steps, borrowed(world, charged()))),
    rival: (world) => charged(Effect.andThen(steps, turn(world, "write", world.a)))
  },
  {
    name: "a turn in a frame with a deadline",
    body: (world) =>
      TimeFrame.run(turn(world, "write", world.b, Effect.andThen(Effect.sleep(2), turn(world, "write", world.a))), {
        name: "short",
        timeout: 5
      }),
    rival: (world) => turn(world, "write", world.a, Effect.andThen(Effect.sleep(1), turn(world, "read", world.b)))
  }
]

const inFrame = ({ context, frame }: World, program: Program): Effect.Effect<unknown, any> =>
  TimeFrame.provide(program, frame).pipe(Effect.provideContext(context as Context.Context<any>)) as Effect.Effect<
    unknown,
    unknown
  >

/** Watches the orders as well, and keeps what it sees to itself. */
const quietManager = Layer.provide(ResourceManager.layer({ watchOrders: true }), Logger.layer([]))

const setupFor = (operation: Operation, manager = ResourceManager.layer()) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
    const context = yield* Layer.buildWithScope(manager, scope)
    const made = Effect.gen(function*() {
      const frame = yield* TimeFrame.make({ name: "f", budget: { u: 1 }, exhausted: "wait" })
      const pool = yield* ResourcePool.make(Item, { max: 1 })
      const values = ["a", "b"].map((name) =>
        ResourceDefinition.shared(name, { access: "readWrite", acquire: () => Effect.succeed({}) })
      )
      const [a, b] = yield* Effect.forEach(values, (value) => TimeFrame.provide(ResourceManager.allocate(value), frame))
      return { a: a!, b: b!, frame, pool }
    })
    const parts = yield* made.pipe(Effect.provideContext(context), Scope.provide(scope), Effect.orDie)
    const inside = new Map([[parts.a, []], [parts.b, []]])
    const world: World = { ...parts, context, go: Latch.makeUnsafe(false), rivals: [], inside, wrong: [] }
    const rival = Effect.andThen(world.go.await, operation.rival(world))
    world.rivals.push(
      yield* Effect.forkScoped(Effect.exit(inFrame(world, rival))) as Effect.Effect<any, never, Scope.Scope>
    )
    return world
  })

/** Everybody has been answered, and all of it can be had. */
const troublesOf = (world: World, { isSafe = false }: Operation) =>
  Effect.gen(function*() {
    yield* world.go.open
    yield* Effect.sleep("1 minute")
    const found = [...world.wrong]
    for (const rival of world.rivals) {
      const exit = rival.pollUnsafe()
      if (exit === undefined) found.push("the rival waits")
      else if (Exit.isSuccess(exit) && Exit.isFailure(exit.value)) {
        const tag = tagOf(exit.value)
        if (isSafe || tag !== "WouldDeadlock") found.push(`the rival fails: ${tag}`)
      }
    }
    const all = [
      turn(world, "write", world.a),
      turn(world, "write", world.b),
      Budget.failFast(charged()),
      borrowed(world)
    ]
    for (const [at, program] of all.entries()) {
      const fiber = yield* Effect.forkChild(inFrame(world, program))
      yield* Effect.sleep(10)
      const exit = fiber.pollUnsafe()
      if (exit === undefined || Exit.isFailure(exit)) found.push(`${at} can not be had: ${String(exit)}`)
    }
    const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, world.context)
    for (const { resource } of snapshot.allocations) {
      if (!["a", "b", "item"].includes(resource)) found.push(`${resource} is held`)
    }
    return found
  })

describe("Interrupted at any operation, at any turn, who asks for a turn leaves nobody waiting:", () => {
  for (const operation of operations) {
    it.effect(operation.name, () =>
      Effect.gen(function*() {
        const scenario = Sweep.make({
          name: operation.name,
          setup: setupFor(operation),
          body: (world) => Effect.andThen(world.go.open, inFrame(world, operation.body(world))),
          check: (world) => troublesOf(world, operation),
          settle: "2 minutes"
        })
        const report = yield* Sweep.run(scenario, { paces: [3], maxFailures: 5 })
        assert.strictEqual(report.failures.length === 0 ? "" : new Sweep.SweepFailure({ report }).message, "")
        assert.isAbove(report.runs, 20)
      }), 60_000)
  }
})

describe("In whatever order they go on, and whoever is interrupted, nobody is stuck:", () => {
  for (const operation of operations) {
    it.effect(`${operation.name}, for three`, () =>
      Effect.gen(function*() {
        const refused: Array<string> = []
        const one = (world: World, program: Program) =>
          Effect.map(Effect.exit(Effect.andThen(world.go.open, inFrame(world, program))), (exit) => {
            const tag = tagOf(exit)
            if (tag === undefined || tag === "DeadlineExceeded") return
            refused.push(tag)
            if (operation.isSafe === true || tag !== "WouldDeadlock") world.wrong.push(`refused: ${tag}`)
          })
        const scenario = Explore.make<World>({
          name: operation.name,
          setup: setupFor(operation, quietManager),
          fibers: (world) => ({
            one: one(world, operation.body(world)),
            other: one(world, operation.body(world)),
            third: one(world, operation.rival(world))
          }),
          check: (world) => troublesOf(world, operation),
          settle: "2 minutes"
        })
        const report = yield* Explore.run(scenario, {
          strategies: [Explore.exhaustive({ preemptions: 1, schedules: 40 }), Explore.random({ schedules: 30 })]
        })
        const { failure } = report
        assert.strictEqual(failure === undefined ? "" : new Explore.ExploreFailure({ report }).message, "")
        assert.strictEqual(refused.length > 0, operation.isSafe !== true, "it is as safe as it says")
      }), 60_000)
  }
})

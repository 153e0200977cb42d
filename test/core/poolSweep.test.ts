import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scope } from "effect"
import { managed } from "./fixtures.ts"
import { makeStock, working } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

type Pool = ResourcePool.ResourcePool<Item, { readonly _tag: string }>

interface World {
  readonly pool: Pool
  readonly stock: ReturnType<typeof makeStock>
  readonly scope: Scope.Closeable
  /** Opened when the body begins. */
  readonly go: Latch.Latch
}

interface Operation {
  readonly name: string
  readonly options?: Omit<ResourcePool.Options<Item>, "max">
  readonly create?: () => Effect.Effect<unknown>
  readonly max?: number
  /** Is an item idle when it begins? Otherwise somebody has it. */
  readonly isIdle?: boolean
  /** Does the pool end in it? */
  readonly ends?: boolean
  readonly body: (world: World) => Effect.Effect<unknown, unknown, ResourceManager.ResourceManager>
}

const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
const use = ({ pool, stock }: World) => ResourcePool.use(pool, working(stock, () => steps))

const operations: ReadonlyArray<Operation> = [
  { name: "use", body: use },
  { name: "use of an item that is made for it", max: 2, create: () => steps, body: use },
  {
    name: "get",
    body: ({ pool, stock }) =>
      Effect.scoped(Effect.flatMap(ResourcePool.get(pool), (item) => working(stock, () => steps)(item)))
  },
  {
    name: "get in a frame",
    body: ({ pool, stock }) =>
      Effect.flatMap(ResourcePool.get(pool), (item) => working(stock, () => steps)(item)).pipe(
        TimeFrame.run({ name: "frame" })
      )
  },
  {
    name: "allocate and give back early",
    body: ({ pool }) =>
      Effect.gen(function*() {
        const handle = yield* ResourceManager.allocate(pool)
        yield* steps
        yield* handle.release
        yield* steps
      }).pipe(TimeFrame.run({ name: "frame" }))
  },
  { name: "a use with a timeout", options: { acquireTimeout: 3 }, body: use },
  { name: "a use after a validation", options: { validateAfter: 0, validate: () => steps }, body: use },
  {
    name: "a use after a validation that fails",
    options: { validateAfter: 0, validate: ({ id }) => Effect.andThen(steps, Effect.succeed(id % 2 === 0)) },
    body: use
  },
  {
    name: "a use of an idle item after a validation",
    isIdle: true,
    options: { min: 1, validateAfter: 0, validate: () => Effect.andThen(steps, steps) },
    body: use
  },
  { name: "a use before a reset", options: { reset: () => steps }, body: use },
  { name: "a use that wears items out", options: { maxUses: 1 }, body: use },
  {
    name: "invalidate",
    body: ({ pool, stock }) =>
      ResourcePool.use(pool, working(stock, (item) => Effect.andThen(ResourcePool.invalidate(pool, item), steps)))
  },
  {
    name: "retireAll beside a use",
    body: (world) => Effect.all([use(world), ResourcePool.retireAll(world.pool)], { concurrency: 2, discard: true })
  },
  {
    name: "suspend and resume beside a use",
    body: (world) =>
      Effect.onExit(
        Effect.all([use(world), Effect.andThen(ResourcePool.suspend(world.pool), steps)], {
          concurrency: 2,
          discard: true
        }).pipe(Effect.race(Effect.andThen(steps, steps))),
        () => ResourcePool.resume(world.pool)
      )
  },
  { name: "a nested use that is refused", body: (world) => ResourcePool.use(world.pool, () => use(world)) },
  {
    name: "close beside a use",
    ends: true,
    body: (world) => Effect.all([use(world), ResourcePool.close(world.pool)], { concurrency: 2, discard: true })
  },
  {
    name: "the end of its scope beside a use",
    ends: true,
    body: (world) =>
      Effect.all([Effect.exit(use(world)), Scope.close(world.scope, Exit.void)], {
        concurrency: 2,
        discard: true
      })
  }
]

const scenarioOf = ({ body, create, ends, isIdle, max, name, options }: Operation) =>
  Sweep.make({
    name,
    setup: Effect.gen(function*() {
      const stock = makeStock(create === undefined ? {} : { create })
      const scope = yield* Scope.make()
      const pool: Pool = yield* Effect.orDie(
        Scope.provide(ResourcePool.make(stock.Thing, { ...options, max: max ?? 1 }), scope)
      )
      yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
      const world = { pool, stock, scope, go: Latch.makeUnsafe(false) }
      // One has an item and lets go when the body begins; two more come then, on fibers of their own.
      const rival = ResourcePool.use(pool, working(stock, () => steps))
      const rivals = [
        ResourcePool.use(pool, working(stock, () => Effect.andThen(world.go.await, steps))),
        Effect.andThen(world.go.await, rival),
        Effect.andThen(world.go.await, Effect.andThen(steps, rival))
      ]
      for (const each of isIdle === true ? rivals.slice(1) : rivals) yield* Effect.forkScoped(Effect.exit(each))
      return world
    }),
    body: (world) => managed()(Effect.andThen(world.go.open, body(world))),
    check: ({ go, pool, stock }) =>
      Effect.gen(function*() {
        yield* go.open
        yield* Effect.sleep(100)
        const found = [...stock.wrong]
        // Whoever comes next is served.
        const next = yield* Effect.forkChild(Effect.exit(ResourcePool.use(pool, () => Effect.void)), {
          startImmediately: true
        })
        yield* Effect.sleep(100)
        if (next.pollUnsafe() === undefined) found.push("the next one hangs")
        yield* Fiber.interrupt(next)
        const { counts, creating, idle, used, waiting } = yield* ResourcePool.stats(pool)
        if (used + waiting + creating > 0) found.push(`${used} used, ${waiting} waiting, ${creating} being made`)
        if (counts.borrowed !== counts.returned) found.push(`${counts.borrowed} borrowed, ${counts.returned} returned`)
        if (idle < 0 || stock.state.mostOpen > (max ?? 1)) found.push(`idle ${idle}, open ${stock.state.mostOpen}`)
        if (stock.items.some(({ mostUsers }) => mostUsers > 1)) found.push("two had one item")
        if (ends !== true && name.startsWith("use") && idle === 0) found.push("the item is lost")
        return found
      }),
    afterClose: ({ stock }) =>
      Effect.sync(() => stock.open().length === 0 ? stock.wrong : [...stock.wrong, "an item was never closed"]),
    settle: "2 minutes"
  })

describe("Interrupted at any operation, at any turn, a pool loses nothing (keypool#708, bb8#59):", () => {
  for (const operation of operations) {
    it.effect(operation.name, () =>
      Effect.gen(function*() {
        const report = yield* Sweep.run(scenarioOf(operation), { paces: [3, 5, 11], maxFailures: 5 })
        assert.strictEqual(report.failures.length === 0 ? "" : new Sweep.SweepFailure({ report }).message, "")
        assert.isAbove(report.runs, 20)
      }), 60_000)
  }
})

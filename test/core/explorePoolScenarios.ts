import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { ScriptedResource } from "@chronovyan/testing"
import { Effect, Stream } from "effect"
import { define, moment, toil, tries, work } from "./exploreWorld.ts"
import type { Item, Pool, Program, World } from "./exploreWorld.ts"

export const use = (pool: Pool, held = work): Program => ResourcePool.use(pool, held)
export const run = (name: string) => TimeFrame.run({ name })
const urgently = (priority: number) => Effect.provideService(ResourcePool.Priority, priority)

/** Borrows for as long as a scope is open, and leaves the item to the end of it. */
export const get = (pool: Pool, held = work): Program => Effect.scoped(Effect.flatMap(ResourcePool.get(pool), held))

/** A pool of so many. */
export const ofSize = (max: number) => (world: World) => world.pool({ max })

const held = [
  define({
    name: "four borrowers of two items",
    covers: ["ResourcePool.make", "ResourcePool.use"],
    stage: ofSize(2),
    fibers: (_, pool) => ({
      first: use(pool),
      second: Effect.andThen(tries(use(pool)), use(pool)),
      third: use(pool, toil),
      fourth: use(pool, toil)
    })
  }),
  define({
    name: "items that are borrowed for as long as a scope is open",
    isSlow: true,
    covers: ["ResourcePool.get"],
    stage: ofSize(2),
    fibers: (_, pool) => ({
      first: get(pool, toil),
      second: get(pool),
      // It may take an item along into a scope that ends by itself.
      third: Effect.scoped(Effect.andThen(Effect.forkScoped(tries(get(pool))), use(pool))),
      fourth: Effect.andThen(moment, get(pool))
    })
  }),
  define({
    name: "a pool as a definition, in frames",
    isSlow: true,
    covers: ["ResourceManager.allocate", "ResourceManager.use", "ResourceManager.allocateAll", "ResourcePool.make"],
    stage: ofSize(2),
    fibers: (world, pool) => ({
      allocating: Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(pool)
        yield* toil(one.value)
        yield* tries(one.release)
        yield* ResourceManager.use(pool, work)
      }).pipe(run("allocating")),
      using: ResourceManager.use(pool, toil).pipe(run("using")),
      all: ResourceManager.allocateAll([[pool], [world.Shared]]).pipe(
        Effect.flatMap(([one]) => work(one.value)),
        run("all")
      ),
      plain: use(pool)
    })
  }),
  define({
    name: "borrowers whose time runs out, and whose budget is small",
    covers: ["TimeFrame.run", "BudgetExceeded", "DeadlineExceeded", "borrowCost"],
    stage: (world) =>
      Effect.all({
        pool: world.pool({ max: 1, borrowCost: { loans: 1 } }),
        frame: TimeFrame.make({ name: "stage", budget: { loans: 1 } })
      }),
    idle: ["stage"],
    fibers: (_, { frame, pool }) => ({
      hasty: use(pool, toil).pipe(TimeFrame.run({ name: "hasty", timeout: 8 })),
      waiting: Effect.andThen(ResourceManager.allocate(pool), Effect.never).pipe(
        TimeFrame.run({ name: "waiting", timeout: 12 })
      ),
      poor: Effect.flatMap(ResourceManager.allocate(pool), ({ value }) => toil(value)).pipe(
        run("poor"),
        TimeFrame.provide(frame)
      ),
      poorer: use(pool).pipe(TimeFrame.provide(frame))
    })
  }),
  define({
    name: "a pool of a frame with a budget",
    covers: ["ResourcePool.make", "Budget"],
    idle: ["stage"],
    stage: (world) =>
      Effect.gen(function*() {
        const frame = yield* TimeFrame.make({ name: "stage", budget: { units: 3 } })
        const pool = yield* TimeFrame.provide(world.pool({ max: 2 }), frame)
        world.things.most = 3
        return { frame, pool }
      }),
    fibers: (world, { frame, pool }) => ({
      first: use(pool, toil),
      second: ResourceManager.use(pool, work).pipe(run("second")),
      third: tries(use(pool)),
      // Both draw on the same budget.
      beside: ResourceManager.use(world.Deaf, () => Effect.yieldNow).pipe(run("beside"), TimeFrame.provide(frame))
    })
  }),
  define({
    name: "borrowers who give up, and who are one too many",
    covers: ["acquireTimeout", "maxWaiting", "PoolTimeout", "PoolOverloaded"],
    stage: (world) => world.pool({ max: 1, acquireTimeout: 8, maxWaiting: 2 }),
    fibers: (_, pool) => ({
      first: use(pool, toil),
      second: use(pool, toil),
      third: get(pool, toil),
      fourth: Effect.andThen(Effect.yieldNow, use(pool))
    })
  }),
  define({
    name: "borrowers of different priorities",
    covers: ["ResourcePool.Priority", "priorityAgeing"],
    stage: (world) => world.pool({ max: 1, priorityAgeing: 10 }),
    fibers: (_, pool) => ({
      low: use(pool, toil),
      urgent: urgently(1)(use(pool)),
      most: urgently(2)(Effect.andThen(Effect.yieldNow, use(pool))),
      last: urgently(-1)(use(pool, toil))
    })
  }),
  define({
    name: "borrows inside of borrows",
    covers: ["WouldDeadlock"],
    stage: ofSize(2),
    fibers: (_, pool) => {
      const nested = ResourcePool.use(pool, (item) => Effect.andThen(work(item), use(pool)))
      return {
        first: nested,
        second: nested.pipe(run("second")),
        third: Effect.flatMap(ResourceManager.allocate(pool), () => ResourceManager.use(pool, toil)).pipe(run("third")),
        fourth: use(pool, toil)
      }
    }
  }),
  define({
    name: "borrows from two pools in both orders",
    covers: ["WouldDeadlock"],
    stage: (world) => Effect.all([world.pool({ max: 1 }), world.pool({ max: 1, name: "other" })]),
    idle: ["other"],
    fibers: (_, [one, other]) => {
      const nested = (outer: Pool, inner: Pool) =>
        ResourcePool.use(outer, (item) => Effect.andThen(work(item), use(inner)))
      return { one: nested(one, other), other: nested(other, one), third: get(one), fourth: use(other, toil) }
    }
  })
]

const worn = [
  define({
    name: "items that wear out, and are checked and reset",
    covers: ["maxUses", "validate", "reset"],
    stage: (world) => world.pool({ max: 2, maxUses: 2 }),
    fibers: (_, pool) => {
      const twice = Effect.andThen(tries(use(pool)), use(pool))
      return { first: twice, second: twice, third: use(pool, toil), late: Effect.andThen(moment, twice) }
    }
  }),
  define({
    name: "items that are invalidated in use, idle, and when they are gone",
    covers: ["ResourcePool.invalidate"],
    stage: (world) => Effect.map(world.pool({ max: 2 }), (pool) => ({ pool, last: undefined as Item | undefined })),
    fibers: (_, stage) => {
      const { pool } = stage
      const spoil = ResourcePool.use(pool, (item) => {
        stage.last = item
        return Effect.andThen(work(item), ResourcePool.invalidate(pool, item))
      })
      const again = Effect.suspend(() =>
        stage.last === undefined ? Effect.void : ResourcePool.invalidate(pool, stage.last)
      )
      return {
        spoiling: Effect.andThen(tries(spoil), use(pool)),
        first: use(pool, toil),
        second: use(pool),
        again: Effect.andThen(Effect.yieldNow, again).pipe(Effect.repeat({ times: 2 }))
      }
    }
  }),
  define({
    name: "items that grow old while idle",
    covers: ["ResourcePool.makeWithTTL", "min"],
    stage: (world) =>
      Effect.map(
        ResourcePool.makeWithTTL({
          acquire: Effect.acquireRelease(world.things.make, ScriptedResource.release, { interruptible: true }),
          min: 1,
          max: 2,
          timeToLive: 12,
          name: "pool"
        }),
        (pool) => world.adopt(pool, 2)
      ),
    fibers: (_, pool) => ({
      first: use(pool, toil),
      second: use(pool),
      later: Effect.andThen(Effect.sleep(12), use(pool)),
      latest: Effect.andThen(Effect.sleep(20), get(pool))
    })
  }),
  define({
    name: "items that live for a while, and are kept alive",
    isSlow: true,
    covers: ["ResourcePool.make", "maxLifetime", "keepalive"],
    isRestless: true,
    stage: (world) => world.pool({ min: 1, max: 2, maxLifetime: 18, keepalive: 7, idleTimeToLive: 15 }),
    fibers: (_, pool) => ({
      first: use(pool, toil),
      later: Effect.andThen(Effect.sleep(7), use(pool, toil)),
      latest: Effect.andThen(Effect.sleep(18), use(pool)),
      last: Effect.andThen(Effect.sleep(30), use(pool))
    })
  }),
  define({
    name: "items of several users, in turn",
    covers: ["concurrency", "targetUtilization", "order"],
    stage: (world) => {
      world.isForMany = true
      return world.pool({ max: 2, concurrency: 2, targetUtilization: 0.5, order: "fifo", validateAfter: 500 })
    },
    fibers: (world, pool) => {
      // No more than two at once.
      const users = new Map<Item, number>()
      const join = (item: Item) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            users.set(item, 1 + (users.get(item) ?? 0))
            if (!item.isOpen) world.wrong(`${item} is lent after its release`)
            if (users.get(item)! > 2) world.wrong(`${item} has ${users.get(item)} users`)
          }),
          () => moment,
          () => Effect.sync(() => void users.set(item, users.get(item)! - 1))
        )
      const borrow = ResourcePool.use(pool, join)
      return { first: borrow, second: borrow, third: Effect.andThen(tries(borrow), borrow), fourth: borrow }
    }
  }),
  define({
    name: "load that is shed, and loans that are overdue",
    covers: ["codel", "overdueAfter", "ResourceManager.events"],
    idle: ["stage"],
    stage: (world) =>
      Effect.gen(function*() {
        const frame = yield* TimeFrame.make({ name: "stage" })
        const pool = world.pool({ max: 1, codel: { target: 2, interval: 4 }, overdueAfter: 3 })
        return yield* TimeFrame.provide(pool, frame)
      }),
    fibers: (_, pool) => ({
      first: use(pool, toil).pipe(run("first")),
      second: Effect.andThen(tries(use(pool, toil)), use(pool, toil)),
      third: ResourceManager.use(pool, toil).pipe(run("third")),
      listener: Stream.runDrain(ResourceManager.events.pipe(Stream.interruptWhen(Effect.sleep(60))))
    })
  })
]

export const poolCases = [...held, ...worn]

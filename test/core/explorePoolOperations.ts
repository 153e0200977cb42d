import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Effect, Exit, Scope } from "effect"
import { get, ofSize, run, use } from "./explorePoolScenarios.ts"
import { care, define, moment, noStage, toil, tries, work } from "./exploreWorld.ts"

const steered = [
  define({
    name: "a pool that changes its size",
    covers: ["ResourcePool.resize"],
    // In the end it has fewer or more places than in the beginning; there were never more than three.
    stage: (world) => Effect.tap(world.pool({ max: 2 }), () => Effect.sync(() => void (world.things.most = 3))),
    fibers: (_, pool) => ({
      first: use(pool, toil),
      second: use(pool),
      third: Effect.andThen(tries(use(pool)), use(pool)),
      resizing: Effect.gen(function*() {
        yield* ResourcePool.resize(pool, { max: 1 })
        yield* moment
        yield* ResourcePool.resize(pool, { min: 2, max: 3 })
        yield* Effect.yieldNow
        yield* ResourcePool.resize(pool, { min: 0, max: 1 })
      })
    })
  }),
  define({
    name: "a pool that lends nothing for a while",
    covers: ["ResourcePool.suspend", "ResourcePool.resume"],
    stage: (world) => world.pool({ min: 1, max: 2 }),
    fibers: (_, pool) => {
      const pause = ResourcePool.suspend(pool).pipe(Effect.andThen(moment), Effect.ensuring(ResourcePool.resume(pool)))
      return { first: use(pool, toil), second: use(pool), third: get(pool), pausing: Effect.andThen(pause, pause) }
    }
  }),
  define({
    name: "a pool all of whose items are retired",
    covers: ["ResourcePool.retireAll"],
    stage: (world) => world.pool({ min: 1, max: 2 }),
    fibers: (_, pool) => ({
      first: use(pool, toil),
      second: Effect.andThen(tries(use(pool)), use(pool)),
      third: get(pool),
      retiring: Effect.andThen(ResourcePool.retireAll(pool), Effect.yieldNow).pipe(Effect.repeat({ times: 2 }))
    })
  }),
  define({
    name: "a pool as others see it at any moment",
    covers: ["ResourcePool.stats", "ResourceManager.snapshot"],
    stage: ofSize(2),
    fibers: (world, pool) => ({
      first: use(pool, toil),
      second: Effect.andThen(tries(use(pool)), use(pool)),
      third: use(pool),
      watching: Effect.gen(function*() {
        const { busy, closing, counts, creating, idle, max, total, used } = yield* ResourcePool.stats(pool)
        if (total > max || idle + used + creating + busy + closing !== total) {
          world.wrong(`${total} of at most ${max}: ${[idle, used, creating, busy, closing].join()}`)
        }
        if (counts.returned > counts.borrowed) world.wrong("more is returned than was borrowed")
        yield* moment
      }).pipe(Effect.repeat({ times: 5 }))
    })
  }),
  define({
    name: "what a tool finds while pools and values come and go",
    isSlow: true,
    covers: ["ResourceManager.pools", "ResourceManager.definitions"],
    idle: ["stage", "persistent"],
    // Those outside of frames are not to be found.
    stage: (world) =>
      Effect.gen(function*() {
        const pool = yield* TimeFrame.provide(world.pool({ max: 2 }), yield* TimeFrame.make({ name: "stage" }))
        world.things.most = 3
        return pool
      }),
    fibers: (world, pool) => ({
      pools: Effect.gen(function*() {
        const own = yield* ResourcePool.make(world.Thing, { ...care, name: "own", max: 1 })
        yield* use(own)
        const found = yield* ResourceManager.pools
        if (found[0]?.pool !== pool) world.wrong("the oldest pool is not the first one")
        if (!found.some((one) => one.pool === own)) world.wrong("a pool that is open is not found")
      }).pipe(run("pools")),
      shared: ResourceManager.use(world.Shared, undefined, toil).pipe(run("shared")),
      persistent: ResourceManager.use(world.Persistent, undefined, work).pipe(run("persistent")),
      // What it has found may be gone by the time that it does something with it.
      finding: Effect.gen(function*() {
        const pools = yield* ResourceManager.pools
        const ids = pools.map(({ frameId }) => frameId)
        if (ids.some((id, at) => at > 0 && id <= ids[at - 1]!)) world.wrong(`pools in the order ${ids.join()}`)
        for (const one of pools) yield* ResourcePool.retireAll(one.pool)
        for (const definition of yield* ResourceManager.definitions) {
          if (![world.Shared, world.Persistent].some((one) => one === definition)) world.wrong("it has no values")
          yield* ResourceManager.retire(definition)
        }
        yield* moment
      }).pipe(Effect.repeat({ times: 2 })),
      user: use(pool, toil)
    })
  }),
  define({
    name: "pools that are made, used and left by fibers",
    covers: ["ResourcePool.make", "warmUp"],
    stage: noStage,
    fibers: (world) => {
      const own = (failFast: boolean) =>
        Effect.flatMap(
          ResourcePool.make(world.Thing, { ...care, min: 2, max: 2, warmUp: { failFast, parallelism: 1 } }),
          (pool) => Effect.andThen(tries(use(pool)), use(pool, toil))
        )
      return {
        scoped: Effect.scoped(own(true)),
        framed: own(true).pipe(TimeFrame.run({ name: "framed", budget: { units: 2 } })),
        hasty: own(false).pipe(TimeFrame.run({ name: "hasty", timeout: 12 }))
      }
    }
  })
]

const ended = [
  define({
    name: "a pool that is drained",
    covers: ["ResourcePool.drain", "PoolClosed"],
    endsPools: true,
    stage: ofSize(1),
    fibers: (_, pool) => ({
      first: use(pool, toil),
      second: use(pool),
      third: get(pool),
      draining: Effect.andThen(Effect.yieldNow, ResourcePool.drain(pool))
    })
  }),
  define({
    name: "a pool that is closed, from two fibers",
    covers: ["ResourcePool.close", "PoolClosed"],
    endsPools: true,
    stage: ofSize(2),
    fibers: (_, pool) => ({
      first: use(pool, toil),
      second: Effect.andThen(tries(use(pool)), use(pool)),
      closing: Effect.andThen(Effect.yieldNow, ResourcePool.close(pool, { timeout: "1 second" })),
      also: Effect.andThen(moment, ResourcePool.close(pool))
    })
  }),
  define({
    name: "a pool that does not wait for its borrowers",
    covers: ["ResourcePool.close", "ResourcePool.drain"],
    endsPools: true,
    stage: ofSize(2),
    fibers: (_, pool) => {
      // Its item may be closed under it, so it does not use it.
      const keep = ResourcePool.use(pool, () => Effect.sleep(10))
      return {
        first: keep,
        second: Effect.andThen(moment, keep),
        closing: Effect.andThen(moment, ResourcePool.close(pool, { timeout: 2 })),
        draining: Effect.andThen(moment, ResourcePool.drain(pool, { timeout: 3 }))
      }
    }
  }),
  define({
    name: "a pool whose scope closes under its borrowers",
    covers: ["ResourcePool.make", "PoolClosed"],
    endsPools: true,
    stage: (world) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
        return { scope, pool: yield* Scope.provide(world.pool({ max: 2 }), scope) }
      }),
    fibers: (_, { pool, scope }) => ({
      first: use(pool, toil),
      second: get(pool),
      third: ResourceManager.use(pool, toil).pipe(run("third")),
      closing: Effect.andThen(moment, Scope.close(scope, Exit.void))
    })
  })
]

const byKey = [
  define({
    name: "pools by key that share a limit",
    covers: ["ResourcePool.keyed", "ResourcePool.at", "ResourcePool.keys", "maxTotal"],
    stage: (world) => world.keyedPool({ max: 2, maxTotal: 2, idleTimeToLive: 20 }),
    fibers: (world, pools) => {
      const of = (key: string, held = work) => Effect.flatMap(ResourcePool.at(pools, key), (pool) => use(pool, held))
      return {
        blue: of("blue", toil),
        red: Effect.andThen(tries(of("red")), of("blue")),
        green: of("green"),
        watching: Effect.gen(function*() {
          const stats = yield* ResourcePool.keys(pools)
          const total = stats.reduce((sum, { total }) => sum + total, 0)
          if (total > 2) world.wrong(`${total} of at most 2 in all`)
          if (Exit.isSuccess(yield* Effect.exit(ResourcePool.at(pools, 7 as never)))) world.wrong("7 is a key")
          yield* moment
        }).pipe(Effect.repeat({ times: 2 }))
      }
    }
  }),
  define({
    name: "pools by key that are retired, invalidated, resized and closed",
    isSlow: true,
    covers: ["ResourcePool.at", "ResourcePool.retireAll", "ResourcePool.invalidate", "ResourcePool.stats"],
    stage: (world) => world.keyedPool({ max: 1, maxTotal: 2, idleTimeToLive: 10, acquireTimeout: 30 }),
    fibers: (_, pools) => {
      const at = (key: string) => ResourcePool.at(pools, key)
      return {
        blue: Effect.flatMap(at("blue"), (pool) => use(pool, toil)),
        red: Effect.flatMap(
          at("red"),
          (pool) => ResourcePool.use(pool, (item) => Effect.andThen(work(item), ResourcePool.invalidate(pool, item)))
        ),
        again: Effect.flatMap(
          at("blue"),
          (pool) => Effect.andThen(tries(ResourceManager.use(pool, work).pipe(run("again"))), get(pool))
        ),
        retiring: Effect.gen(function*() {
          const blue = yield* at("blue")
          yield* ResourcePool.retireAll(blue)
          yield* moment
          yield* ResourcePool.stats(blue)
          yield* ResourcePool.suspend(blue)
          yield* Effect.yieldNow
        }).pipe(Effect.ensuring(Effect.ignoreCause(Effect.flatMap(at("blue"), ResourcePool.resume))))
      }
    }
  })
]

export const poolOperationCases = [...steered, ...ended, ...byKey]

/**
 * What a tool can find in a manager without having been told of it.
 */
import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { managed } from "./fixtures.ts"

const Connection = ResourceDefinition.temporal("connection", { acquire: () => Effect.succeed({}) })

const names = Effect.map(ResourceManager.pools, (pools) => pools.map(({ name }) => name))

describe("The pools of a manager", () => {
  it.effect("are those that are not closed, wherever they were made, under the numbers and names of snapshots", () =>
    Effect.gen(function*() {
      const outer = yield* ResourcePool.make(Connection, { name: "outer" })
      yield* Effect.gen(function*() {
        yield* ResourcePool.make(Connection, { name: "inner" })
        const pools = yield* ResourceManager.pools
        const snapshot = yield* ResourceManager.snapshot
        assert.deepStrictEqual(
          pools.map(({ frameId, name }) => ({ frameId, name })),
          snapshot.pools.map(({ frameId, name }) => ({ frameId, name }))
        )
        assert.deepStrictEqual(pools.map(({ name }) => name), ["outer", "inner"])
        assert.strictEqual(pools[0]!.pool, outer)
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(yield* names, ["outer"])
      yield* ResourcePool.close(outer)
      assert.deepStrictEqual(yield* names, [])
    }).pipe(TimeFrame.run({ name: "test" }), managed()))

  it.effect("can be resized and drained by whoever finds them", () =>
    Effect.gen(function*() {
      const made = yield* ResourcePool.make(Connection, { max: 2 })
      const [{ pool } = { pool: made }] = yield* ResourceManager.pools
      yield* ResourcePool.resize(pool, { max: 5 })
      assert.strictEqual((yield* ResourcePool.stats(made)).max, 5)
      yield* ResourcePool.drain(pool)
      assert.strictEqual((yield* ResourcePool.stats(made)).state, "closed")
    }).pipe(TimeFrame.run({ name: "test" }), managed()))

  it.effect("are told from each other by their keys", () =>
    Effect.gen(function*() {
      const Tenant = ResourceDefinition.temporal("tenant", {
        params: Schema.String,
        acquire: (name) => Effect.succeed(name)
      })
      const tenants = yield* ResourcePool.keyed(Tenant, {})
      for (const key of ["blue", "green"]) {
        yield* ResourcePool.use(yield* ResourcePool.at(tenants, key), () => Effect.void)
      }
      assert.deepStrictEqual(yield* names, ["tenant(blue)", "tenant(green)"])
      const green = (yield* ResourceManager.pools)[1]!
      yield* ResourcePool.resize(green.pool, { max: 3 })
      const keys = yield* ResourcePool.keys(tenants)
      assert.deepStrictEqual(keys.map(({ key, max }) => [key, max]), [["blue", 10], ["green", 3]])
    }).pipe(TimeFrame.run({ name: "test" }), managed()))
})

describe("The definitions of a manager", () => {
  it.effect("are the shared and persistent ones that there are values of, until these retire", () =>
    Effect.gen(function*() {
      const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.succeed({}) })
      const Region = ResourceDefinition.shared("region", {
        params: Schema.String,
        acquire: (name) => Effect.succeed(name),
        idleTimeToLive: "1 minute"
      })
      assert.deepStrictEqual(yield* ResourceManager.definitions, [])
      yield* ResourceManager.allocate(Connection)
      yield* ResourceManager.use(Settings, () => Effect.void)
      yield* ResourceManager.use(Region, "north", () => Effect.void)
      yield* ResourceManager.use(Region, "south", () => Effect.void)
      const found = yield* ResourceManager.definitions
      assert.deepStrictEqual(found.map(({ name }) => name), ["settings", "region"])
      yield* ResourceManager.retire(found[1]!)
      assert.deepStrictEqual((yield* ResourceManager.definitions).map(({ name }) => name), ["settings"])
    }).pipe(TimeFrame.run({ name: "test" }), managed()))
})

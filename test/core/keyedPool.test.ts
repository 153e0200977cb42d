import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"

/** Tenants: what is open by key, and the most that was open at once. */
const makeTenants = (release: Effect.Effect<unknown> = Effect.void) => {
  const open = new Map<string, number>()
  const books = { most: 0, made: 0 }
  const total = () => Array.from(open.values()).reduce((sum, count) => sum + count, 0)
  const change = (key: string, by: number) => {
    open.set(key, (open.get(key) ?? 0) + by)
    books.most = Math.max(books.most, total())
  }
  const Tenant = ResourceDefinition.temporal("tenant", {
    params: Schema.String,
    cost: () => ({ connections: 1 }),
    acquire: (key) =>
      Effect.sync(() => {
        books.made++
        change(key, 1)
        return { key }
      }),
    release: ({ key }) => Effect.andThen(release, Effect.sync(() => change(key, -1)))
  })
  return { Tenant, books, open, total }
}

const settle = Effect.gen(function*() {
  for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
})

const keysOf = (pools: ResourcePool.KeyedPool<any, unknown, unknown>) =>
  Effect.map(ResourcePool.keys(pools), (keys) => keys.map(({ key }) => key).sort())

describe("A keyed pool", () => {
  it.effect("keeps the items of each key apart, and lends them again", () =>
    Effect.gen(function*() {
      const { Tenant, books } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, { max: 2 })
      const blue = yield* ResourcePool.at(tenants, "blue")
      const red = yield* ResourcePool.at(tenants, "red")
      const first = yield* ResourcePool.use(blue, Effect.succeed)
      assert.strictEqual(first.key, "blue")
      assert.strictEqual((yield* ResourcePool.use(red, Effect.succeed)).key, "red")
      assert.strictEqual(yield* ResourcePool.use(blue, Effect.succeed), first)
      assert.strictEqual(books.made, 2)
    }))

  it.effect("takes keys that are equal in structure for one", () =>
    Effect.gen(function*() {
      const Shard = ResourceDefinition.temporal("shard", {
        params: Schema.Struct({ host: Schema.String, port: Schema.Int }),
        acquire: (shard) => Effect.succeed({ shard })
      })
      const shards = yield* ResourcePool.keyed(Shard, {})
      const [one, same] = yield* Effect.all([
        ResourcePool.at(shards, { host: "a", port: 1 }),
        ResourcePool.at(shards, { host: "a", port: 1 })
      ])
      const item = yield* ResourcePool.use(one, Effect.succeed)
      assert.strictEqual(yield* ResourcePool.use(same, Effect.succeed), item)
    }))

  it.effect("lists the keys as they were given, and makes items of what they decode to", () =>
    Effect.gen(function*() {
      const Shard = ResourceDefinition.temporal("shard", {
        params: Schema.NumberFromString,
        acquire: (shard) => Effect.succeed({ shard })
      })
      const shards = yield* ResourcePool.keyed(Shard, {})
      const third = yield* ResourcePool.at(shards, "3")
      assert.strictEqual((yield* ResourcePool.use(third, Effect.succeed)).shard, 3)
      assert.deepStrictEqual(yield* keysOf(shards), ["3"])
    }))

  it.effect("refuses a key that does not fit the params, and makes nothing", () =>
    Effect.gen(function*() {
      const { Tenant } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, {})
      const error = yield* Effect.flip(ResourcePool.at(tenants, 7 as never))
      assert.strictEqual(error._tag, "InvalidParams")
      assert.deepStrictEqual(yield* keysOf(tenants), [])
    }))

  it.effect("forgets a key with its last item", () =>
    Effect.gen(function*() {
      const { Tenant, total } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, { idleTimeToLive: "10 seconds" })
      const blue = yield* ResourcePool.at(tenants, "blue")
      yield* ResourcePool.use(blue, () => Effect.void)
      assert.deepStrictEqual(yield* keysOf(tenants), ["blue"])
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(total(), 1)
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.strictEqual(total(), 0)
      assert.deepStrictEqual(yield* keysOf(tenants), [])
      assert.strictEqual((yield* ResourcePool.use(blue, Effect.succeed)).key, "blue")
    }))

  it.effect("does not make a pool for a key that is only looked at", () =>
    Effect.gen(function*() {
      const { Tenant } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, {})
      const blue = yield* ResourcePool.at(tenants, "blue")
      assert.strictEqual((yield* ResourcePool.stats(blue)).total, 0)
      yield* ResourcePool.retireAll(blue)
      assert.deepStrictEqual(yield* keysOf(tenants), [])
    }))

  it.effect("never has more than max items of a key, nor more than maxTotal of all", () =>
    Effect.gen(function*() {
      const { Tenant, books, total } = makeTenants(Effect.yieldNow)
      const tenants = yield* ResourcePool.keyed(Tenant, { max: 2, maxTotal: 5, acquireTimeout: "1 minute" })
      yield* Effect.forEach(
        Array.from({ length: 400 }, (_, index) => `tenant ${index % 17}`),
        (key) =>
          Effect.flatMap(ResourcePool.at(tenants, key), (pool) =>
            ResourcePool.use(pool, (tenant) =>
              Effect.gen(function*() {
                assert.strictEqual(tenant.key, key)
                yield* Effect.yieldNow
              }))),
        { concurrency: 60, discard: true }
      )
      assert.strictEqual(books.most, 5)
      assert.isAtMost(total(), 5)
      for (const { max, used } of yield* ResourcePool.keys(tenants)) {
        assert.strictEqual(max, 2)
        assert.strictEqual(used, 0)
      }
    }))

  it.effect("closes the item that was idle for longest for a key that has none", () =>
    Effect.gen(function*() {
      const { Tenant, open } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, { maxTotal: 2 })
      for (const key of ["a", "b", "a"]) {
        yield* Effect.flatMap(ResourcePool.at(tenants, key), ResourcePool.use(() => Effect.void))
        yield* TestClock.adjust("1 second")
      }
      yield* Effect.flatMap(ResourcePool.at(tenants, "c"), ResourcePool.use(() => Effect.void))
      assert.deepStrictEqual(Object.fromEntries(open), { a: 1, b: 0, c: 1 })
    }))

  it.effect("serves a key that waits for room as soon as another one gives an item back", () =>
    Effect.gen(function*() {
      const { Tenant } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, { maxTotal: 1 })
      const gate = yield* Deferred.make<void>()
      const [blue, red] = yield* Effect.all([ResourcePool.at(tenants, "blue"), ResourcePool.at(tenants, "red")])
      const holder = yield* Effect.forkChild(ResourcePool.use(blue, () => Deferred.await(gate)))
      yield* settle
      const waiter = yield* Effect.forkChild(ResourcePool.use(red, (tenant) => Effect.succeed(tenant.key)))
      yield* settle
      assert.isUndefined(waiter.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(holder)
      assert.strictEqual(yield* Fiber.join(waiter), "red")
    }))

  it.effect("passes the room on when the key that waited for it gives up", () =>
    Effect.gen(function*() {
      const { Tenant } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, { maxTotal: 1 })
      const gate = yield* Deferred.make<void>()
      const at = (key: string) => ResourcePool.at(tenants, key)
      const holder = yield* Effect.forkChild(
        Effect.flatMap(at("blue"), ResourcePool.use(() => Deferred.await(gate)))
      )
      yield* settle
      const red = yield* Effect.forkChild(Effect.flatMap(at("red"), ResourcePool.use(() => Effect.void)))
      const green = yield* Effect.forkChild(
        Effect.flatMap(at("green"), ResourcePool.use((tenant) => Effect.succeed(tenant.key)))
      )
      yield* settle
      yield* Fiber.interrupt(red)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(holder)
      assert.strictEqual(yield* Fiber.join(green), "green")
    }))

  it.effect("refuses what would wait for ever for the room that its own fiber holds", () =>
    Effect.gen(function*() {
      const { Tenant } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, { maxTotal: 1 })
      const [blue, red] = yield* Effect.all([ResourcePool.at(tenants, "blue"), ResourcePool.at(tenants, "red")])
      const error = yield* Effect.flip(ResourcePool.use(blue, () => ResourcePool.use(red, () => Effect.void)))
      assert.strictEqual(error._tag, "WouldDeadlock")
      assert.strictEqual((yield* ResourcePool.use(red, Effect.succeed)).key, "red")
    }))

  it.effect("is allocated like any pool, is paid for by its owner, and shows each key as a frame", () =>
    Effect.gen(function*() {
      const { Tenant } = makeTenants()
      const tenants = yield* ResourcePool.keyed(Tenant, {})
      const blue = yield* ResourcePool.at(tenants, "blue")
      const handle = yield* ResourceManager.allocate(blue)
      assert.strictEqual(handle.value.key, "blue")
      const { allocations, frames, pools } = yield* ResourceManager.snapshot
      assert.deepStrictEqual(
        allocations.map(({ cost, frame, resource }) => [resource, frame, cost]),
        [["tenant", "server/tenant/tenant(blue)", { connections: 1 }], ["tenant", "server", {}]]
      )
      assert.deepInclude(frames.find(({ name }) => name === "server")!.budgets[0], { used: 1, limit: 3 })
      assert.deepInclude(pools[0], { name: "tenant(blue)", used: 1, total: 1 })
      yield* handle.release
    }).pipe(TimeFrame.run({ name: "server", budget: { connections: 3 } }), Effect.provide(ResourceManager.layer())))

  it.effect("ends all its pools side by side with its scope, and lends nothing after that", () =>
    Effect.gen(function*() {
      const { Tenant, total } = makeTenants(Effect.sleep("1 second"))
      const scope = yield* Scope.make()
      const tenants = yield* Scope.provide(ResourcePool.keyed(Tenant, {}), scope)
      const pools = yield* Effect.forEach(["a", "b", "c", "d"], (key) => ResourcePool.at(tenants, key))
      yield* Effect.forEach(pools, ResourcePool.use(() => Effect.void), { concurrency: "unbounded" })
      assert.strictEqual(total(), 4)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual(total(), 0)
      const error = yield* Effect.flip(ResourcePool.use(pools[0]!, () => Effect.void))
      assert.strictEqual(error._tag, "PoolClosed")
      assert.deepStrictEqual(yield* keysOf(tenants), [])
    }))
})

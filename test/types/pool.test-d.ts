/* oxlint-disable vitest/expect-expect -- a @ts-expect-error asserts as well */
// @effect-diagnostics missingEffectContext:off missingEffectError:off floatingEffect:off
import {
  Allocation,
  ResourceDefinition,
  ResourceError,
  ResourceManager,
  ResourcePool,
  TimeFrame
} from "@chronovyan/core"
import { Context, Effect, Schema, Scope } from "effect"
import { describe, expectTypeOf, test } from "vitest"

type FrameClosed = ResourceError.FrameClosed
type InvalidParams = ResourceError.InvalidParams
type BudgetExceeded = ResourceError.BudgetExceeded
type PoolTimeout = ResourceError.PoolTimeout
type PoolOverloaded = ResourceError.PoolOverloaded
/** What every borrow can fail with. */
type Refused = ResourceError.PoolClosed | ResourceError.WouldDeadlock
type Frame = TimeFrame.TimeFrame

interface Connection {
  readonly send: (line: string) => number
}
class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}
class Dns extends Context.Service<Dns, { readonly resolve: (name: string) => string }>()("Dns") {}
class Log extends Context.Service<Log, { readonly say: (line: string) => Effect.Effect<void> }>()("Log") {}
class Probe extends Context.Service<Probe, { readonly send: Effect.Effect<boolean, Broken> }>()("Probe") {}
class Audit extends Context.Service<Audit, { readonly note: Effect.Effect<void> }>()("Audit") {}

declare const connect: Effect.Effect<Connection, Down, Dns>
declare const connectScoped: Effect.Effect<Connection, Down, Dns | Scope.Scope>

const Plain = ResourceDefinition.temporal("plain", { acquire: () => Effect.succeed(1) })
const Remote = ResourceDefinition.temporal("remote", {
  params: Schema.Struct({ url: Schema.String, port: Schema.NumberFromString }),
  acquire: ({ url }) => Effect.as(connect, { url }),
  release: ({ url }) => Effect.flatMap(Log, (log) => log.say(url))
})
const Costly = ResourceDefinition.temporal("costly", {
  cost: () => ({ connections: 1 }),
  acquire: () => connectScoped
})

const Shared = ResourceDefinition.shared("shared", { acquire: () => Effect.succeed(1) })
const Kept = ResourceDefinition.persistent("kept", { acquire: () => Effect.succeed(1) })
const Table = ResourceDefinition.shared("table", { access: "readWrite", acquire: () => Effect.succeed(1) })

const remote = { url: "db.example", port: "5432" }

declare const pool: ResourcePool.ResourcePool<Connection, Down | Refused>

describe("ResourcePool.make", () => {
  test("of a definition can not fail where nothing can, and needs a scope", () => {
    expectTypeOf(ResourcePool.make(Plain, {})).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<number, Refused>, never, Scope.Scope>
    >()
    expectTypeOf(ResourcePool.make(Plain, { min: 1, max: 4 })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<number, Refused>, never, Scope.Scope>
    >()
  })

  test("fails with params that do not fit, and lends with the errors of the creation", () => {
    expectTypeOf(ResourcePool.make(Remote, { params: remote, max: 4 })).toEqualTypeOf<
      Effect.Effect<
        ResourcePool.ResourcePool<{ url: string }, Down | Refused>,
        InvalidParams,
        Dns | Log | Scope.Scope
      >
    >()
  })

  test("lends with BudgetExceeded where the definition has a cost", () => {
    expectTypeOf(ResourcePool.make(Costly, { max: 4 })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<Connection, Down | BudgetExceeded | Refused>, never, Dns | Scope.Scope>
    >()
  })

  test("takes the options of Effect's Pool", () => {
    type Made = Effect.Effect<ResourcePool.ResourcePool<Connection, Down | Refused>, never, Dns | Scope.Scope>
    expectTypeOf(ResourcePool.make({ acquire: connect, size: 4 })).toEqualTypeOf<Made>()
    expectTypeOf(ResourcePool.make({ acquire: connectScoped, size: 4, concurrency: 2, targetUtilization: 0.5 }))
      .toEqualTypeOf<Made>()
    expectTypeOf(ResourcePool.make({ acquire: connectScoped, min: 1, max: 4 })).toEqualTypeOf<Made>()
    expectTypeOf(ResourcePool.makeWithTTL({
      acquire: connectScoped,
      min: 1,
      max: 4,
      timeToLive: "1 minute",
      timeToLiveStrategy: "creation"
    })).toEqualTypeOf<Made>()
  })

  test("takes the options of this library beside those of Effect's Pool", () => {
    expectTypeOf(ResourcePool.make({ acquire: connectScoped, size: 4, acquireTimeout: "1 second", maxWaiting: 9 }))
      .toEqualTypeOf<
        Effect.Effect<
          ResourcePool.ResourcePool<Connection, Down | Refused | PoolTimeout | PoolOverloaded>,
          never,
          Dns | Scope.Scope
        >
      >()
  })

  test("wants either a size or a max", () => {
    // @ts-expect-error: how many?
    ResourcePool.make({ acquire: connect })
    // @ts-expect-error: how many at most?
    ResourcePool.make({ acquire: connect, min: 1 })
    // @ts-expect-error: one of them is too much
    ResourcePool.make({ acquire: connect, size: 1, max: 2 })
    // @ts-expect-error: no such strategy
    ResourcePool.make({ acquire: connect, max: 1, timeToLive: "1 second", timeToLiveStrategy: "idle" })
  })

  test("wants the params of the definition, and none where there are none", () => {
    // @ts-expect-error: it needs params
    ResourcePool.make(Remote, { max: 1 })
    // @ts-expect-error: of another type
    ResourcePool.make(Remote, { max: 1, params: { url: "db.example", port: 5432 } })
    // @ts-expect-error: one of them is missing
    ResourcePool.make(Remote, { max: 1, params: { url: "db.example" } })
    // @ts-expect-error: there are none
    ResourcePool.make(Plain, { max: 1, params: 1 })
  })

  test("has a borrow time out where there is a timeout, and only there", () => {
    expectTypeOf(ResourcePool.make(Plain, { acquireTimeout: "1 second" })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<number, Refused | PoolTimeout>, never, Scope.Scope>
    >()
    expectTypeOf(ResourcePool.make(Plain, { acquireTimeout: 1000 })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<number, Refused | PoolTimeout>, never, Scope.Scope>
    >()
    expectTypeOf(ResourcePool.make(Plain, { createTimeout: "1 second", validateTimeout: "1 second" })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<number, Refused>, never, Scope.Scope>
    >()
  })

  test("has a borrow be refused where there is a limit, and only there", () => {
    type Made = Effect.Effect<ResourcePool.ResourcePool<number, Refused | PoolOverloaded>, never, Scope.Scope>
    expectTypeOf(ResourcePool.make(Plain, { maxWaiting: 100 })).toEqualTypeOf<Made>()
    expectTypeOf(ResourcePool.make(Plain, { codel: {} })).toEqualTypeOf<Made>()
    expectTypeOf(ResourcePool.make(Plain, { codel: { target: "5 millis" } })).toEqualTypeOf<Made>()
    expectTypeOf(ResourcePool.make(Plain, { maxWaiting: 100, codel: { interval: 100 } })).toEqualTypeOf<Made>()
    expectTypeOf(ResourcePool.make(Plain, { borrowCost: { connections: 1 } })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<number, Refused | BudgetExceeded>, never, Scope.Scope>
    >()
  })

  test("fails with the creation where it waits for the first items, and only there", () => {
    expectTypeOf(ResourcePool.make(Costly, { min: 1, warmUp: { failFast: true } })).toEqualTypeOf<
      Effect.Effect<
        ResourcePool.ResourcePool<Connection, Down | BudgetExceeded | Refused>,
        Down | BudgetExceeded,
        Dns | Scope.Scope
      >
    >()
    expectTypeOf(ResourcePool.make(Remote, { params: remote, min: 1, warmUp: { failFast: true, parallelism: 2 } }))
      .toEqualTypeOf<
        Effect.Effect<
          ResourcePool.ResourcePool<{ url: string }, Down | Refused>,
          InvalidParams | Down,
          Dns | Log | Scope.Scope
        >
      >()
    expectTypeOf(ResourcePool.make({ acquire: connectScoped, size: 1, warmUp: { failFast: true } })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<Connection, Down | Refused>, Down, Dns | Scope.Scope>
    >()
    expectTypeOf(ResourcePool.make(Costly, { min: 1, warmUp: { failFast: false } })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<Connection, Down | BudgetExceeded | Refused>, never, Dns | Scope.Scope>
    >()
    expectTypeOf(ResourcePool.make(Costly, { min: 1, warmUp: { parallelism: 2 } })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<Connection, Down | BudgetExceeded | Refused>, never, Dns | Scope.Scope>
    >()
  })

  test("gives hooks the item without annotations, and needs their services", () => {
    const made = ResourcePool.make(Remote, {
      params: remote,
      validate: (item) => {
        expectTypeOf(item).toEqualTypeOf<{ url: string }>()
        return Effect.flatMap(Probe, ({ send }) => send)
      },
      reset: (item) => {
        expectTypeOf(item).toEqualTypeOf<{ url: string }>()
        return Effect.flatMap(Audit, ({ note }) => note)
      }
    })
    // What a hook fails with ends the item, and is no error of the pool.
    expectTypeOf(made).toEqualTypeOf<
      Effect.Effect<
        ResourcePool.ResourcePool<{ url: string }, Down | Refused>,
        InvalidParams,
        Dns | Log | Probe | Audit | Scope.Scope
      >
    >()
    const ofEffect = ResourcePool.make({
      acquire: connectScoped,
      size: 1,
      validate: (item) => {
        expectTypeOf(item).toEqualTypeOf<Connection>()
        return Effect.flatMap(Probe, ({ send }) => send)
      },
      reset: (item) => {
        expectTypeOf(item).toEqualTypeOf<Connection>()
        return Effect.void
      }
    })
    expectTypeOf(ofEffect).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<Connection, Down | Refused>, never, Dns | Probe | Scope.Scope>
    >()
  })

  test("does not compile with a hook for another item", () => {
    // @ts-expect-error: the items are numbers
    ResourcePool.make(Plain, { validate: (item: string) => Effect.succeed(item.length) })
    // @ts-expect-error: the items are connections
    ResourcePool.make({ acquire: connect, size: 1, reset: (item: string) => Effect.succeed(item.length) })
    // @ts-expect-error: a hook is an effect
    ResourcePool.make(Plain, { validate: () => true })
  })

  test("does not compile with an option of the wrong type", () => {
    // @ts-expect-error: a number
    ResourcePool.make(Plain, { max: "4" })
    // @ts-expect-error: no such order
    ResourcePool.make(Plain, { order: "random" })
    // @ts-expect-error: no such unit of time
    ResourcePool.make(Plain, { acquireTimeout: "1 moment" })
    // @ts-expect-error: amounts are numbers
    ResourcePool.make(Plain, { borrowCost: { connections: "1" } })
  })

  test("does not compile with a misspelled option", () => {
    // @ts-expect-error: acquireTimeout
    ResourcePool.make(Plain, { aquireTimeout: "1 second" })
    // @ts-expect-error: acquireTimeout
    ResourcePool.make(Plain, { max: 4, aquireTimeout: "1 second" })
    // @ts-expect-error: acquireTimeout
    ResourcePool.make(Remote, { params: remote, max: 4, aquireTimeout: "1 second" })
    // @ts-expect-error: maxWaiting
    ResourcePool.make({ acquire: connect, size: 4, maxWaiters: 10 })
    // @ts-expect-error: failFast
    ResourcePool.make(Plain, { min: 1, warmUp: { failfast: true } })
  })

  test("does not compile for what is shared already", () => {
    // @ts-expect-error: only temporal definitions can be pooled
    ResourcePool.make(Shared, { max: 1 })
    // @ts-expect-error: only temporal definitions can be pooled
    ResourcePool.make(Kept, { max: 1 })
    // @ts-expect-error: only temporal definitions can be pooled
    ResourcePool.make(Table, { max: 1 })
    // @ts-expect-error: a pool is no recipe
    ResourcePool.make(pool, { max: 1 })
  })

  test("knows no less of options that come from elsewhere", () => {
    const configured = (options: ResourcePool.Options<Connection>) => ResourcePool.make(Costly, options)
    type Configured = ReturnType<typeof configured>
    expectTypeOf<Effect.Success<Configured>>().toEqualTypeOf<
      ResourcePool.ResourcePool<Connection, Down | BudgetExceeded | Refused | PoolTimeout | PoolOverloaded>
    >()
    expectTypeOf<Effect.Error<Configured>>().toEqualTypeOf<Down | BudgetExceeded>()
    const maybe = (failFast: boolean) => ResourcePool.make(Costly, { min: 1, warmUp: { failFast } })
    expectTypeOf<Effect.Error<ReturnType<typeof maybe>>>().toEqualTypeOf<Down | BudgetExceeded>()
    const timed = (acquireTimeout: number | undefined) => ResourcePool.make(Plain, { acquireTimeout })
    expectTypeOf<Effect.Success<ReturnType<typeof timed>>>().toEqualTypeOf<
      ResourcePool.ResourcePool<number, Refused | PoolTimeout>
    >()
    expectTypeOf(ResourcePool.make(Plain, { acquireTimeout: undefined, maxWaiting: undefined })).toEqualTypeOf<
      Effect.Effect<ResourcePool.ResourcePool<number, Refused>, never, Scope.Scope>
    >()
  })
})

describe("A pool", () => {
  test("lends the item to a function, and adds its errors and services", () => {
    const sent = ResourcePool.use(pool, (connection) => {
      expectTypeOf(connection).toEqualTypeOf<Connection>()
      return Effect.flatMap(Log, () => Effect.fail(new Broken()))
    })
    expectTypeOf(sent).toEqualTypeOf<Effect.Effect<never, Down | Refused | Broken, Log>>()
    expectTypeOf(pool.pipe(ResourcePool.use((connection: Connection) => Effect.succeed(connection.send("")))))
      .toEqualTypeOf<Effect.Effect<number, Down | Refused>>()
  })

  test("lends the item until a scope closes", () => {
    expectTypeOf(ResourcePool.get(pool)).toEqualTypeOf<Effect.Effect<Connection, Down | Refused, Scope.Scope>>()
    expectTypeOf(Effect.scoped(ResourcePool.get(pool))).toEqualTypeOf<Effect.Effect<Connection, Down | Refused>>()
  })

  test("is a definition: it is allocated and used in a frame", () => {
    expectTypeOf(pool).toExtend<ResourceDefinition.Any>()
    expectTypeOf<ResourceDefinition.Params<typeof pool>>().toEqualTypeOf<void>()
    expectTypeOf<ResourceDefinition.Value<typeof pool>>().toEqualTypeOf<Connection>()
    expectTypeOf(ResourceManager.allocate(pool)).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<Connection>, Down | Refused | FrameClosed, Frame>
    >()
    expectTypeOf(ResourceManager.use(pool, (connection) => {
      expectTypeOf(connection).toEqualTypeOf<Connection>()
      return Effect.flatMap(Log, (log) => log.say(String(connection.send(""))))
    })).toEqualTypeOf<Effect.Effect<void, Down | Refused | FrameClosed, Log | Frame>>()
    // @ts-expect-error: there are no params
    void ResourceManager.allocate(pool, 1)
  })

  test("is allocated beside others", () => {
    expectTypeOf(ResourceManager.allocateAll([[pool], [Plain]])).toExtend<
      Effect.Effect<
        readonly [Allocation.Allocation<Connection>, Allocation.Allocation<number>],
        Down | Refused | FrameClosed,
        Frame
      >
    >()
  })

  test("tells how it stands, and is looked after, without errors or services", () => {
    expectTypeOf(ResourcePool.stats(pool)).toEqualTypeOf<Effect.Effect<ResourcePool.Stats>>()
    expectTypeOf<ResourcePool.Stats["oldestWait"]>().toEqualTypeOf<number>()
    expectTypeOf<ResourcePool.Stats["creationError"]>().toEqualTypeOf<string | undefined>()
    for (
      const effect of [
        ResourcePool.resize(pool, { max: 4 }),
        pool.pipe(ResourcePool.resize({ min: 1, max: 4 })),
        ResourcePool.suspend(pool),
        ResourcePool.resume(pool),
        ResourcePool.retireAll(pool),
        ResourcePool.invalidate(pool, { send: () => 1 })
      ]
    ) {
      expectTypeOf(effect).toEqualTypeOf<Effect.Effect<void>>()
    }
    type Holders = Effect.Effect<ReadonlyArray<ResourceError.Holder>>
    expectTypeOf(ResourcePool.close(pool)).toEqualTypeOf<Holders>()
    expectTypeOf(ResourcePool.close(pool, { timeout: "1 second" })).toEqualTypeOf<Holders>()
    expectTypeOf(pool.pipe(ResourcePool.close())).toEqualTypeOf<Holders>()
    expectTypeOf(pool.pipe(ResourcePool.drain({ timeout: "1 second" }))).toEqualTypeOf<Holders>()
    // @ts-expect-error: timeout
    void ResourcePool.close(pool, { timout: "1 second" })
    // @ts-expect-error: the items are connections
    void ResourcePool.invalidate(pool, 1)
  })

  test("is a pool of less, with more errors", () => {
    expectTypeOf(pool).toExtend<ResourcePool.ResourcePool<unknown, Down | Refused | PoolTimeout>>()
    expectTypeOf(pool).toExtend<ResourcePool.Any>()
    expectTypeOf(pool).not.toExtend<ResourcePool.ResourcePool<Connection, Refused>>()
    expectTypeOf(pool).not.toExtend<ResourcePool.ResourcePool<string, Down | Refused>>()
    const unknown: unknown = pool
    if (ResourcePool.isResourcePool(unknown)) expectTypeOf(unknown).toEqualTypeOf<ResourcePool.Any>()
  })

  test("has errors that are told apart by their tag", () => {
    const timed = Effect.scoped(Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Plain, { acquireTimeout: "1 second" })
      return yield* ResourcePool.use(pool, Effect.succeed)
    }))
    expectTypeOf(timed).toEqualTypeOf<Effect.Effect<number, Refused | PoolTimeout>>()
    expectTypeOf(timed.pipe(Effect.catchTag("PoolTimeout", (error) => {
      expectTypeOf(error.phase).toEqualTypeOf<"wait" | "create" | "validate">()
      expectTypeOf(error.reason).toEqualTypeOf<ResourceError.PoolReason>()
      expectTypeOf(error.holders).toEqualTypeOf<ReadonlyArray<ResourceError.Holder>>()
      return Effect.succeed(0)
    }))).toEqualTypeOf<Effect.Effect<number, Refused>>()
  })

  test("has a priority that is a service with a default", () => {
    expectTypeOf(Effect.provideService(ResourcePool.use(pool, Effect.succeed), ResourcePool.Priority, 1)).toEqualTypeOf<
      Effect.Effect<Connection, Down | Refused>
    >()
    // @ts-expect-error: priorities are numbers
    Effect.provideService(Effect.void, ResourcePool.Priority, "high")
  })
})

describe("ResourcePool.keyed", () => {
  const made = ResourcePool.keyed(Remote, { max: 2, maxTotal: 20, acquireTimeout: "1 second" })
  type Keyed = ResourcePool.KeyedPool<
    { readonly url: string; readonly port: string },
    { url: string },
    Down | Refused | PoolTimeout
  >
  const keyed = made as unknown as Keyed

  test("has the params as its key, and what a borrow can fail with", () => {
    expectTypeOf(made).toEqualTypeOf<Effect.Effect<Keyed, never, Dns | Log | Scope.Scope>>()
  })

  test("gives the pool of a key, which has to fit the params", () => {
    type Found = Effect.Effect<ResourcePool.ResourcePool<{ url: string }, Down | Refused | PoolTimeout>, InvalidParams>
    expectTypeOf(ResourcePool.at(keyed, remote)).toEqualTypeOf<Found>()
    // @ts-expect-error: of another type
    void ResourcePool.at(keyed, { url: "db.example", port: 5432 })
  })

  test("lists the keys that have a pool", () => {
    type Key = { readonly url: string; readonly port: string }
    expectTypeOf(ResourcePool.keys(keyed)).toEqualTypeOf<
      Effect.Effect<ReadonlyArray<ResourcePool.Stats & { readonly key: Key }>>
    >()
  })

  test("gives hooks the item without annotations, and needs their services", () => {
    const hooked = ResourcePool.keyed(Remote, {
      validate: (item) => {
        expectTypeOf(item).toEqualTypeOf<{ url: string }>()
        return Effect.flatMap(Probe, ({ send }) => send)
      }
    })
    expectTypeOf<Effect.Services<typeof hooked>>().toEqualTypeOf<Dns | Log | Probe | Scope.Scope>()
  })

  test("does not compile with a misspelled option, a min, or what is shared already", () => {
    // @ts-expect-error: maxTotal
    ResourcePool.keyed(Remote, { max: 2, totalMax: 20 })
    // @ts-expect-error: a key that nobody uses goes away
    ResourcePool.keyed(Remote, { max: 2, min: 1 })
    // @ts-expect-error: only temporal definitions can be pooled
    ResourcePool.keyed(Shared, { max: 2 })
  })
})

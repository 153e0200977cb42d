/* oxlint-disable vitest/expect-expect -- a @ts-expect-error asserts as well */
// @effect-diagnostics missingEffectContext:off missingEffectError:off floatingEffect:off
import {
  Allocation,
  ResourceCatalog,
  ResourceDefinition,
  ResourceError,
  ResourceManager,
  TimeFrame
} from "@chronovyan/core"
import { Context, Effect, Schema, Scope, TxRef } from "effect"
import { describe, expectTypeOf, test } from "vitest"

type FrameClosed = ResourceError.FrameClosed
type InvalidParams = ResourceError.InvalidParams
type BudgetExceeded = ResourceError.BudgetExceeded
type DeadlineExceeded = ResourceError.DeadlineExceeded
type AllocationReleased = ResourceError.AllocationReleased
type WouldDeadlock = ResourceError.WouldDeadlock
type Frame = TimeFrame.TimeFrame
type Manager = ResourceManager.ResourceManager

interface Connection {
  readonly send: (line: string) => number
}
class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}
class Dns extends Context.Service<Dns, { readonly resolve: (name: string) => string }>()("Dns") {}
class Log extends Context.Service<Log, { readonly say: (line: string) => Effect.Effect<void> }>()("Log") {}

declare const connect: Effect.Effect<Connection, Refused, Dns>
declare const connectScoped: Effect.Effect<Connection, Refused, Dns | Scope.Scope>

const Plain = ResourceDefinition.temporal("plain", { acquire: () => Effect.succeed(1) })
const Buffer = ResourceDefinition.temporal("temporal_buffer", {
  params: Schema.Int.check(Schema.isGreaterThan(0)),
  cost: (bytes) => ({ memory: bytes }),
  acquire: (bytes) => Effect.sync(() => new Uint8Array(bytes)),
  release: (buffer, exit) => Effect.sync(() => [buffer.length, exit._tag])
})
const Decoded = ResourceDefinition.temporal("decoded", {
  params: Schema.NumberFromString,
  acquire: (port) => Effect.succeed(port)
})
const Full = ResourceDefinition.temporal("full", {
  params: Schema.Struct({ url: Schema.String }),
  cost: ({ url }) => ({ connections: url.length }),
  acquire: ({ url }) => Effect.as(connect, { url }),
  release: ({ url }) => Effect.flatMap(Log, (log) => log.say(url))
})
const Scoped = ResourceDefinition.temporal("scoped", { acquire: () => connectScoped })
const Region = ResourceDefinition.shared("region_client", {
  params: Schema.String,
  acquire: (region) => Effect.as(connectScoped, { region }),
  idleTimeToLive: "30 seconds"
})
const Settings = ResourceDefinition.persistent("settings", {
  cost: () => ({ memory: 1 }),
  acquire: () => Effect.succeed({ theme: "dark" })
})
const Table = ResourceDefinition.shared("table", {
  access: "readWrite",
  acquire: () => Effect.succeed(new Map<string, number>())
})
const Index = ResourceDefinition.persistent("index", {
  access: "readWrite",
  params: Schema.Int,
  acquire: (id) => Effect.as(connect, { id })
})

describe("A definition", () => {
  test("infers params, value, errors and services from its schema and its recipe", () => {
    expectTypeOf<ResourceDefinition.Params<typeof Plain>>().toEqualTypeOf<void>()
    expectTypeOf<ResourceDefinition.Value<typeof Plain>>().toEqualTypeOf<number>()
    expectTypeOf<ResourceDefinition.Error<typeof Plain>>().toEqualTypeOf<never>()
    expectTypeOf<ResourceDefinition.Services<typeof Plain>>().toEqualTypeOf<never>()

    expectTypeOf<ResourceDefinition.Params<typeof Buffer>>().toEqualTypeOf<number>()
    expectTypeOf<ResourceDefinition.Error<typeof Buffer>>().toEqualTypeOf<InvalidParams | BudgetExceeded>()
    expectTypeOf<ResourceDefinition.Services<typeof Buffer>>().toEqualTypeOf<never>()

    expectTypeOf<ResourceDefinition.Params<typeof Decoded>>().toEqualTypeOf<string>()
    expectTypeOf<ResourceDefinition.Value<typeof Decoded>>().toEqualTypeOf<number>()
    expectTypeOf<ResourceDefinition.Error<typeof Decoded>>().toEqualTypeOf<InvalidParams>()

    expectTypeOf<ResourceDefinition.Error<typeof Full>>().toEqualTypeOf<Refused | InvalidParams | BudgetExceeded>()
    expectTypeOf<ResourceDefinition.Services<typeof Full>>().toEqualTypeOf<Dns | Log>()

    expectTypeOf<ResourceDefinition.Services<typeof Scoped>>().toEqualTypeOf<Dns>()
    expectTypeOf<ResourceDefinition.Error<typeof Scoped>>().toEqualTypeOf<Refused>()
    expectTypeOf<ResourceDefinition.Services<typeof Region>>().toEqualTypeOf<Dns>()
    expectTypeOf<ResourceDefinition.Error<typeof Settings>>().toEqualTypeOf<BudgetExceeded>()
  })

  test("gives callbacks their types without annotations", () => {
    ResourceDefinition.temporal("inferred", {
      params: Schema.Struct({ size: Schema.NumberFromString }),
      cost: (params) => {
        expectTypeOf(params).toEqualTypeOf<{ readonly size: number }>()
        return { memory: params.size }
      },
      acquire: (params) => {
        expectTypeOf(params).toEqualTypeOf<{ readonly size: number }>()
        return Effect.succeed(params.size > 0 ? "yes" as const : "no" as const)
      },
      release: (value) => {
        expectTypeOf(value).toEqualTypeOf<"yes" | "no">()
        return Effect.void
      }
    })
    ResourceDefinition.temporal("params at the end", {
      acquire: (bytes) => Effect.succeed(String(bytes)),
      release: (value, exit) => {
        expectTypeOf(value).toEqualTypeOf<string>()
        expectTypeOf(exit._tag).toEqualTypeOf<"Success" | "Failure">()
        return Effect.void
      },
      cost: (bytes) => ({ memory: bytes }),
      params: Schema.Int
    })
  })

  test("with a release does not compile when its acquisition needs Scope", () => {
    const Wrong = ResourceDefinition.temporal("wrong", {
      acquire: () => connectScoped,
      release: () => Effect.void
    })
    // @ts-expect-error: the scope and the release would both undo it
    void ResourceManager.allocate(Wrong)
    const WrongShared = ResourceDefinition.shared("wrong", { acquire: () => connectScoped, release: () => Effect.void })
    // @ts-expect-error: the scope and the release would both undo it
    void ResourceManager.allocate(WrongShared)
  })

  test("does not compile with a release that can fail, a cost of the wrong type, or an unknown access", () => {
    // @ts-expect-error: a release can not fail
    ResourceDefinition.temporal("wrong", { acquire: () => Effect.void, release: () => Effect.fail("no") })
    // @ts-expect-error: amounts are numbers
    ResourceDefinition.temporal("wrong", { acquire: () => Effect.void, cost: () => ({ memory: "1" }) })
    // @ts-expect-error: a temporal value has one user
    ResourceDefinition.temporal("wrong", { acquire: () => Effect.void, access: "readWrite" })
    // @ts-expect-error: a temporal value is never idle
    ResourceDefinition.temporal("wrong", { acquire: () => Effect.void, idleTimeToLive: "1 second" })
    // @ts-expect-error: a persistent value is idle for as long as it takes
    ResourceDefinition.persistent("wrong", { acquire: () => Effect.void, idleTimeToLive: "1 second" })
  })

  test("can be piped", () => {
    const Renamed = Full.pipe(ResourceDefinition.rename("other"))
    expectTypeOf(Renamed.name).toEqualTypeOf<"other">()
    expectTypeOf<ResourceDefinition.Params<typeof Renamed>>().toEqualTypeOf<{ readonly url: string }>()
    expectTypeOf<ResourceDefinition.Error<typeof Renamed>>().toEqualTypeOf<Refused | InvalidParams | BudgetExceeded>()
    expectTypeOf<ResourceDefinition.Services<typeof Renamed>>().toEqualTypeOf<Dns | Log>()
    expectTypeOf<ResourceManager.Handle<typeof RenamedTable>>().toEqualTypeOf<
      Allocation.ReadWrite<Map<string, number>>
    >()

    const Mapped = Full.pipe(
      ResourceDefinition.mapAcquire(Effect.retry({ times: 3 })),
      ResourceDefinition.mapAcquire(Effect.provideService(Dns, { resolve: (name) => name }))
    )
    expectTypeOf<ResourceDefinition.Params<typeof Mapped>>().toEqualTypeOf<{ readonly url: string }>()
    expectTypeOf<ResourceDefinition.Value<typeof Mapped>>().toEqualTypeOf<{ url: string }>()
    expectTypeOf<ResourceDefinition.Error<typeof Mapped>>().toEqualTypeOf<Refused | InvalidParams | BudgetExceeded>()
    // Its release may need what its acquisition was given.
    expectTypeOf<ResourceDefinition.Services<typeof Mapped>>().toEqualTypeOf<Dns | Log>()

    const Harmless = Scoped.pipe(ResourceDefinition.mapAcquire(Effect.orDie))
    expectTypeOf<ResourceDefinition.Error<typeof Harmless>>().toEqualTypeOf<never>()
    expectTypeOf<ResourceDefinition.Services<typeof Harmless>>().toEqualTypeOf<Dns>()

    const MappedTable = Table.pipe(ResourceDefinition.mapAcquire(Effect.tap(Effect.void)))
    expectTypeOf<ResourceManager.Handle<typeof MappedTable>>().toEqualTypeOf<
      Allocation.ReadWrite<Map<string, number>>
    >()
  })
})

const RenamedTable = Table.pipe(ResourceDefinition.rename("renamed_table"))

describe("ResourceManager.allocate", () => {
  test("has exactly the errors and requirements of its definition, a closed frame, and a frame", () => {
    expectTypeOf(ResourceManager.allocate(Plain)).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<number>, FrameClosed, Frame>
    >()
    expectTypeOf(ResourceManager.allocate(Buffer, 1)).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<Uint8Array<ArrayBuffer>>, InvalidParams | BudgetExceeded | FrameClosed, Frame>
    >()
    expectTypeOf(ResourceManager.allocate(Full, { url: "" })).toEqualTypeOf<
      Effect.Effect<
        Allocation.Allocation<{ url: string }>,
        Refused | InvalidParams | BudgetExceeded | FrameClosed,
        Dns | Log | Frame
      >
    >()
    expectTypeOf(ResourceManager.allocate(Region, "eu")).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<{ region: string }>, Refused | InvalidParams | FrameClosed, Dns | Frame>
    >()
    expectTypeOf(ResourceManager.allocate(Settings)).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<{ theme: string }>, BudgetExceeded | FrameClosed, Frame>
    >()
  })

  test("wants the params of the definition, and none where there are none", () => {
    // @ts-expect-error: it needs params
    void ResourceManager.allocate(Buffer)
    // @ts-expect-error: of another type
    void ResourceManager.allocate(Buffer, "1")
    // @ts-expect-error: there are none
    void ResourceManager.allocate(Plain, 1)
    // @ts-expect-error: there is one
    void ResourceManager.allocate(Buffer, 1, 2)
    void ResourceManager.allocate(Decoded, "80")
  })

  test("does not run outside of a frame", () => {
    const managed = ResourceManager.allocate(Plain).pipe(Effect.provide(ResourceManager.layer()))
    expectTypeOf<Effect.Services<typeof managed>>().toEqualTypeOf<Frame>()
    // @ts-expect-error: no frame
    void Effect.runPromise(managed)
    // @ts-expect-error: no manager
    void Effect.runPromise(ResourceManager.allocate(Plain).pipe(TimeFrame.run({ name: "frame" })))
    const whole = ResourceManager.allocate(Plain).pipe(
      TimeFrame.run({ name: "frame" }),
      Effect.provide(ResourceManager.layer())
    )
    expectTypeOf<Effect.Services<typeof whole>>().toEqualTypeOf<never>()
  })

  test("gives turns instead of a value where the access is by turns", () => {
    expectTypeOf(ResourceManager.allocate(Table)).toEqualTypeOf<
      Effect.Effect<Allocation.ReadWrite<Map<string, number>>, FrameClosed, Frame>
    >()
    type Handle = ResourceManager.Handle<typeof Index>
    expectTypeOf<Handle>().toEqualTypeOf<Allocation.ReadWrite<{ id: number }>>()
    expectTypeOf<Handle>().not.toHaveProperty("value")
    expectTypeOf<Handle["access"]>().toEqualTypeOf<TxRef.TxRef<Allocation.AccessState>>()
    const read = (handle: Handle) => handle.read(({ id }) => Effect.as(id > 0 ? connect : Effect.interrupt, id))
    type Turn = Effect.Effect<number, Refused | AllocationReleased | WouldDeadlock, Dns>
    expectTypeOf(read).returns.toEqualTypeOf<Turn>()
    expectTypeOf((handle: Handle) => handle.write(({ id }) => Effect.as(connect, id))).returns.toEqualTypeOf<Turn>()
  })
})

describe("ResourceManager.use", () => {
  test("infers the value for its body, and adds what the body needs and fails with", () => {
    const used = ResourceManager.use(Full, { url: "" }, (value) => {
      expectTypeOf(value).toEqualTypeOf<{ url: string }>()
      return value.url === "" ? Effect.fail("empty" as const) : Effect.as(Log, 1)
    })
    expectTypeOf(used).toEqualTypeOf<
      Effect.Effect<number, "empty" | Refused | InvalidParams | BudgetExceeded | FrameClosed, Dns | Log | Frame>
    >()
    const plain = ResourceManager.use(Plain, (value) => Effect.succeed(value.toFixed()))
    expectTypeOf(plain).toEqualTypeOf<Effect.Effect<string, FrameClosed, Frame>>()
    const settings = ResourceManager.use(Settings, ({ theme }) => Effect.succeed(theme))
    expectTypeOf(settings).toEqualTypeOf<Effect.Effect<string, BudgetExceeded | FrameClosed, Frame>>()
  })

  test("does not compile without params that are needed", () => {
    // @ts-expect-error: it needs params
    void ResourceManager.use(Buffer, (buffer: Uint8Array) => Effect.succeed(buffer))
    // @ts-expect-error: of another type
    void ResourceManager.use(Buffer, "1", () => Effect.void)
  })

  test("gives no way around the turns of a value", () => {
    // @ts-expect-error: its value is used through read and write only
    void ResourceManager.use(Table, (table: Map<string, number>) => Effect.succeed(table.size))
  })
})

describe("ResourceManager.allocateAll", () => {
  test("gives a tuple of handles, with the errors and requirements of all of them", () => {
    const all = ResourceManager.allocateAll([[Buffer, 1], [Full, { url: "" }], [Plain], [Table]])
    expectTypeOf(all).toEqualTypeOf<
      Effect.Effect<
        readonly [
          Allocation.Allocation<Uint8Array<ArrayBuffer>>,
          Allocation.Allocation<{ url: string }>,
          Allocation.Allocation<number>,
          Allocation.ReadWrite<Map<string, number>>
        ],
        Refused | InvalidParams | BudgetExceeded | FrameClosed,
        Dns | Log | Frame
      >
    >()
    expectTypeOf(ResourceManager.allocateAll([])).toEqualTypeOf<Effect.Effect<readonly [], FrameClosed, Frame>>()
  })

  test("checks the params of each", () => {
    // @ts-expect-error: of another type
    void ResourceManager.allocateAll([[Buffer, "1"]])
    // @ts-expect-error: it needs params
    void ResourceManager.allocateAll([[Plain], [Buffer]])
    // @ts-expect-error: there are none
    void ResourceManager.allocateAll([[Plain, 1]])
  })
})

test("ResourceManager.retire can fail only when it is given params", () => {
  expectTypeOf(ResourceManager.retire(Settings)).toEqualTypeOf<Effect.Effect<void, never, Manager>>()
  expectTypeOf(ResourceManager.retire(Region, "eu")).toEqualTypeOf<Effect.Effect<void, InvalidParams, Manager>>()
  // @ts-expect-error: of another type
  void ResourceManager.retire(Region, 1)
})

describe("TimeFrame.run", () => {
  const body = ResourceManager.allocate(Full, { url: "" })
  type BodyError = Refused | InvalidParams | BudgetExceeded | FrameClosed

  test("takes away the frame and the scope, and asks for the manager", () => {
    const scoped = Effect.acquireRelease(Effect.succeed(1), () => Effect.void)
    expectTypeOf(scoped.pipe(TimeFrame.run({ name: "frame" }))).toEqualTypeOf<Effect.Effect<number, never, Manager>>()
    expectTypeOf(body.pipe(TimeFrame.run({ name: "frame" }))).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<{ url: string }>, BodyError, Dns | Log | Manager>
    >()
  })

  test("fails with DeadlineExceeded only with a timeout", () => {
    type E<T> = T extends Effect.Effect<unknown, infer E, unknown> ? E : never
    const plain = body.pipe(TimeFrame.run({ name: "frame", budget: { memory: 1 }, gracePeriod: "1 second" }))
    expectTypeOf<E<typeof plain>>().toEqualTypeOf<BodyError>()
    const bounded = body.pipe(TimeFrame.run({ name: "frame", timeout: "1 second" }))
    expectTypeOf<E<typeof bounded>>().toEqualTypeOf<BodyError | DeadlineExceeded>()
    const dataFirst = TimeFrame.run(body, { name: "frame", timeout: 250 })
    expectTypeOf<E<typeof dataFirst>>().toEqualTypeOf<BodyError | DeadlineExceeded>()
    const options: TimeFrame.Options = { name: "frame" }
    const unknown = body.pipe(TimeFrame.run(options))
    expectTypeOf<E<typeof unknown>>().toEqualTypeOf<BodyError | DeadlineExceeded>()
    const maybe = Math.random() > 0.5 ? { name: "frame" } : { name: "frame", timeout: 250 }
    const maybeBounded = body.pipe(TimeFrame.run(maybe))
    expectTypeOf<E<typeof maybeBounded>>().toEqualTypeOf<BodyError | DeadlineExceeded>()
  })

  test("does not take options that it does not know, or none", () => {
    // @ts-expect-error: no name
    body.pipe(TimeFrame.run({ timeout: "1 second" }))
    // @ts-expect-error: a typing error must not turn off a deadline
    body.pipe(TimeFrame.run({ name: "frame", timeuot: "1 second" }))
    // @ts-expect-error: not a duration
    body.pipe(TimeFrame.run({ name: "frame", timeout: "soon" }))
  })

  test("and its relatives have the requirements that they say", () => {
    expectTypeOf(TimeFrame.current).toEqualTypeOf<Effect.Effect<Frame, never, Frame>>()
    expectTypeOf(TimeFrame.path).toEqualTypeOf<Effect.Effect<string, never, Frame>>()
    expectTypeOf(TimeFrame.make({ name: "frame" })).toEqualTypeOf<Effect.Effect<Frame, never, Manager | Scope.Scope>>()
    const provided = (frame: Frame) => body.pipe(TimeFrame.provide(frame))
    expectTypeOf(provided).returns.toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<{ url: string }>, BodyError, Dns | Log>
    >()
    const transferred = (handle: Allocation.Handle, frame: Frame) => Allocation.transfer(handle, frame)
    expectTypeOf(transferred).returns.toEqualTypeOf<
      Effect.Effect<void, FrameClosed | BudgetExceeded | AllocationReleased>
    >()
    // @ts-expect-error: a frame that is opened here and closed there has no deadline of its own
    void TimeFrame.make({ name: "frame", timeout: "1 second" })
  })
})

describe("A catalog", () => {
  const catalog = ResourceCatalog.make(Buffer, Full, Region, Settings, Table)

  test("knows the types by name", () => {
    expectTypeOf(catalog.names).toEqualTypeOf<
      ReadonlyArray<"temporal_buffer" | "full" | "region_client" | "settings" | "table">
    >()
    expectTypeOf(catalog.allocate("temporal_buffer", 1024)).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<Uint8Array<ArrayBuffer>>, InvalidParams | BudgetExceeded | FrameClosed, Frame>
    >()
    expectTypeOf(catalog.allocate("region_client", "eu")).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<{ region: string }>, Refused | InvalidParams | FrameClosed, Dns | Frame>
    >()
    expectTypeOf(catalog.allocate("settings")).toEqualTypeOf<
      Effect.Effect<Allocation.Allocation<{ theme: string }>, BudgetExceeded | FrameClosed, Frame>
    >()
    expectTypeOf(catalog.allocate("table")).toEqualTypeOf<
      Effect.Effect<Allocation.ReadWrite<Map<string, number>>, FrameClosed, Frame>
    >()
  })

  test("does not take unknown names or wrong params", () => {
    // @ts-expect-error: not in the catalog
    void catalog.allocate("buffer", 1)
    // @ts-expect-error: of another type
    void catalog.allocate("temporal_buffer", "1")
    // @ts-expect-error: it needs params
    void catalog.allocate("temporal_buffer")
    // @ts-expect-error: the params of another one
    void catalog.allocate("full", "eu")
  })

  test("takes what nobody checked by name, and can fail in all ways", () => {
    const unknown = catalog.allocateUnknown("x" as string, {} as unknown)
    type E = typeof unknown extends Effect.Effect<unknown, infer E, unknown> ? E : never
    type R = typeof unknown extends Effect.Effect<unknown, unknown, infer R> ? R : never
    expectTypeOf<E>().toEqualTypeOf<
      ResourceError.UnknownResource | InvalidParams | BudgetExceeded | Refused | FrameClosed
    >()
    expectTypeOf<R>().toEqualTypeOf<Dns | Log | Frame>()
  })
})

/**
 * The one door: all that is allocated goes through here, whatever its kind. The manager owns the frame around all
 * frames, and in it what is persistent or shared.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Allocation from "./Allocation.ts"
import { decode } from "./internal/allocate.ts"
import { allocateEach } from "./internal/allocateAll.ts"
import { sampling, siteOf } from "./internal/callSite.ts"
import type { Site } from "./internal/callSite.ts"
import type { Definition } from "./internal/definition.ts"
import { handleOf, isTracked, track, tracking } from "./internal/handle.ts"
import * as Limits from "./internal/limits.ts"
import * as internal from "./internal/manager.ts"
import * as observe from "./internal/observe.ts"
import { Registry } from "./internal/registry.ts"
import { Root } from "./internal/root.ts"
import { closeFrame } from "./internal/run.ts"
import { retire as retireValues } from "./internal/share.ts"
import type { SharedValue } from "./internal/sharedValue.ts"
import { strategies } from "./internal/strategies.ts"
import type * as ResourceDefinition from "./ResourceDefinition.ts"
import type { FrameClosed, InvalidParams } from "./ResourceError.ts"
import type { ResourceEvent } from "./ResourceEvent.ts"
import type * as ResourcePool from "./ResourcePool.ts"
import type { Snapshot } from "./Snapshot.ts"
import type { TimeFrame } from "./TimeFrame.ts"

/**
 * The manager, as a requirement.
 */
export interface ResourceManager extends internal.Manager {}

/**
 * The manager as a service.
 */
export const ResourceManager: Context.Service<ResourceManager, ResourceManager> = internal.Manager

/**
 * What a manager can be given.
 */
export interface Options {
  /** Limits by unit for everything together. Default: none; use is counted all the same. */
  readonly budget?: Limits.Budget
  /** The grace period of frames that set none, and of the manager itself. Default: 30 seconds. */
  readonly gracePeriod?: Duration.Input
  /** How many events a listener may lag behind before the newest are dropped and counted. Default: 1024; floor: 1. */
  readonly eventCapacity?: number
  /**
   * Watches in which orders pools, budgets and turns are asked for, also while nobody listens to the events: opposite
   * orders are logged, and told as `OppositeOrders`. Default: `false`, only while somebody listens.
   */
  readonly watchOrders?: boolean
}

/** The handle that an allocation of `D` gives. */
export type Handle<D> = D extends ResourceDefinition.ReadWrite<infer _P, infer A, infer _E, infer _R>
  ? Allocation.ReadWrite<A>
  : Allocation.Allocation<ResourceDefinition.Value<D>>

/** The params of `D`, as the rest of an argument list: none when there is nothing to know. */
export type Args<D> = [void] extends [ResourceDefinition.Params<D>] ? [params?: ResourceDefinition.Params<D>]
  : [params: ResourceDefinition.Params<D>]

/** Rules out a definition that has to be given params. */
type WithoutParams<D> = [void] extends [ResourceDefinition.Params<D>] ? unknown : never

/** What `use` hands over: the value, or for one used by turns the handle on it. */
export type Used<D> = D extends ResourceDefinition.ReadWrite<infer _P, infer A, infer _E, infer _R>
  ? Allocation.ReadWrite<A>
  : ResourceDefinition.Value<D>

/**
 * Acquires a resource for the frame that the effect runs in.
 *
 * Fails with what the definition can fail with, and with `FrameClosed`. Once it has succeeded the allocation ends with
 * the frame at the latest; interrupted or failed, nothing is left of it.
 *
 * @example
 * ```ts
 * import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { Effect, Schema } from "effect"
 *
 * const Buffer = ResourceDefinition.temporal("buffer", {
 *   params: Schema.Int,
 *   cost: (bytes) => ({ memory: bytes }),
 *   acquire: (bytes) => Effect.sync(() => new Uint8Array(bytes))
 * })
 *
 * const program = Effect.gen(function*() {
 *   const buffer = yield* ResourceManager.allocate(Buffer, 1024)
 *   buffer.value.fill(1)
 *   yield* buffer.release
 * }).pipe(
 *   TimeFrame.run({ name: "example", budget: { memory: 4096 } }),
 *   Effect.provide(ResourceManager.layer())
 * )
 * ```
 */
export const allocate = <D extends ResourceDefinition.Any>(
  definition: D,
  ...args: Args<D>
): Effect.Effect<
  Handle<D>,
  ResourceDefinition.Error<D> | FrameClosed,
  ResourceDefinition.Services<D> | TimeFrame
> => allocateUnknown(definition, args[0], sampling.isOn ? siteOf(allocate) : undefined) as any

/**
 * For a catalog, which finds the types by name.
 *
 * @internal
 */
export const allocateUnknown = (
  definition: ResourceDefinition.Any,
  params: unknown,
  site: Site | undefined
): Effect.Effect<unknown, any, any> => {
  const recipe = definition as unknown as Definition
  const allocateOne = strategies[recipe.kind]
  return Effect.uninterruptibleMask((restore) => {
    const fiber = Fiber.getCurrent()!
    const allocation = allocateOne(recipe, params, fiber, restore, undefined, site)
    return tracking.isOn && isTracked(recipe, site, fiber)
      ? Effect.map(allocation, (record) => handleOf(record, fiber))
      : allocation
  })
}

/**
 * Acquires, hands the value to `use`, and gives it back when that ends, however it ends.
 */
export const use: {
  <D extends ResourceDefinition.Any, A, E, R>(
    definition: D & WithoutParams<D>,
    use: (value: Used<D>) => Effect.Effect<A, E, R>
  ): Effect.Effect<
    A,
    E | ResourceDefinition.Error<D> | FrameClosed,
    R | ResourceDefinition.Services<D> | TimeFrame
  >
  <D extends ResourceDefinition.Any, A, E, R>(
    definition: D,
    params: ResourceDefinition.Params<D>,
    use: (value: Used<D>) => Effect.Effect<A, E, R>
  ): Effect.Effect<
    A,
    E | ResourceDefinition.Error<D> | FrameClosed,
    R | ResourceDefinition.Services<D> | TimeFrame
  >
} = (
  definition: ResourceDefinition.Any,
  paramsOrBody: unknown,
  body?: (value: any) => Effect.Effect<any, any, any>
): any => {
  const recipe = definition as unknown as Definition
  const params = body === undefined ? undefined : paramsOrBody
  const f = body ?? paramsOrBody as (value: any) => Effect.Effect<any, any, any>
  const allocateOne = strategies[recipe.kind]
  const site = sampling.isOn ? siteOf(use) : undefined
  return Effect.uninterruptibleMask((restore) => allocateOne(recipe, params, Fiber.getCurrent()!, restore, f, site))
}

/** A definition with its params, as `allocateAll` takes them. */
export type Request<D extends ResourceDefinition.Any> = readonly [definition: D, ...params: Args<D>]

/**
 * Acquires several resources, all of them or none, one after another in the order of the list. Params are decoded and
 * the budgets charged for all of them before anything is acquired; if one fails, those before it are given back, the
 * last one first.
 */
export const allocateAll = <const Ds extends ReadonlyArray<ResourceDefinition.Any>>(
  requests: { readonly [I in keyof Ds]: Request<Ds[I]> }
): Effect.Effect<
  { readonly [I in keyof Ds]: Handle<Ds[I]> },
  ResourceDefinition.Error<Ds[number]> | FrameClosed,
  ResourceDefinition.Services<Ds[number]> | TimeFrame
> => {
  const parts = requests as unknown as ReadonlyArray<readonly [Definition, unknown?]>
  const site = sampling.isOn ? siteOf(allocateAll) : undefined
  return Effect.uninterruptibleMask((restore): Effect.Effect<any, any, any> => {
    const fiber = Fiber.getCurrent()!
    const allocations = allocateEach(parts, restore, fiber, site)
    return tracking.isOn
      ? Effect.map(
        allocations,
        (records) =>
          records.map((record) => isTracked(record.definition, site, fiber) ? handleOf(record, fiber) : record)
      )
      : allocations
  })
}

/**
 * Ends a persistent or shared value, or all of the definition when no params are given. New users get a new value from
 * now on; a value still in use ends with its last user, any other is released before this returns.
 */
export const retire: {
  <D extends ResourceDefinition.Any>(definition: D): Effect.Effect<void, never, ResourceManager>
  <D extends ResourceDefinition.Any>(
    definition: D,
    params: ResourceDefinition.Params<D>
  ): Effect.Effect<void, InvalidParams, ResourceManager>
} = (...args: [definition: ResourceDefinition.Any, params?: unknown]): any => {
  const definition = args[0] as unknown as Definition
  return Effect.uninterruptible(Effect.flatMap(ResourceManager, (manager) => {
    const root = internal.rootOf(manager) as Root<SharedValue>
    if (args.length === 1 || definition.decode === undefined) return retireValues(root, definition, undefined)
    const params = decode(definition, args[1])
    return Exit.isSuccess(params) ? retireValues(root, definition, { params: params.value }) : params
  }))
}

/**
 * Everything that the manager knows, at this moment.
 */
export const snapshot: Effect.Effect<Snapshot, never, ResourceManager> = Effect.map(
  ResourceManager,
  (manager) => observe.snapshot(internal.rootOf(manager))
)

/** A pool that there is, and what snapshots call it. */
export interface PoolEntry {
  /** The frame of the pool, as in `PoolState`. */
  readonly frameId: number
  /** The name of the pool, as in `PoolState`: one of a key has the key in it. */
  readonly name: string
  readonly pool: ResourcePool.Any
}

/**
 * The pools that are not closed, the oldest first: for tools that find a pool in a {@link snapshot} and want to resize,
 * retire or drain it. Names need not be unique.
 */
export const pools: Effect.Effect<ReadonlyArray<PoolEntry>, never, ResourceManager> = Effect.map(
  ResourceManager,
  (manager) => observe.poolsIn(internal.rootOf(manager)) as unknown as ReadonlyArray<PoolEntry>
)

/**
 * The shared and persistent definitions that new users get an existing value of: what a tool can {@link retire} without
 * having been told of it. Names need not be unique.
 */
export const definitions: Effect.Effect<ReadonlyArray<ResourceDefinition.Any>, never, ResourceManager> = Effect.map(
  ResourceManager,
  (manager) =>
    (internal.rootOf(manager) as Root<SharedValue>).definitions as unknown as ReadonlyArray<ResourceDefinition.Any>
)

/**
 * What happens from now on. A listener that lags more than `eventCapacity` events behind misses the newest ones and is
 * told how many by an `EventsDropped`. Nothing is recorded while nobody listens.
 */
export const events: Stream.Stream<ResourceEvent, never, ResourceManager> = Stream.unwrap(
  Effect.map(ResourceManager, (manager) => internal.rootOf(manager).registry.events.stream)
)

/**
 * What handles can be tracked.
 */
export interface TrackOptions {
  /** One in so many, on average and at irregular intervals; a whole number of at least 1. Default: 1, all of them. */
  readonly every?: number | undefined
}

/**
 * Tells of handles that are dropped, until the current `Scope` closes: when the garbage collector has taken the handle of
 * an allocation that nobody has given back, there is a `HandleCollected` among the events, and the allocation is
 * `collected` in snapshots. It is held until its frame ends all the same.
 *
 * Tracked are the handles that `allocate`, `allocateAll` and catalogs give from now on, of temporal definitions and of
 * pools: one in `every`, and besides those whose call site is looked at, see `CallSite.sample`. When several want that at
 * once, be it for different managers, the smallest `every` counts. Those of persistent and shared values are nobody's to lose. Who keeps the value may well drop the handle: so it is
 * a hint, and says most in frames that live for long. It comes when the garbage collector does, which may be late or
 * never.
 *
 * To track one costs about a microsecond, and some memory for as long as it is held. A wrong `every` is a defect.
 */
export const trackHandles = (
  options: TrackOptions = {}
): Effect.Effect<void, never, ResourceManager | Scope.Scope> =>
  Effect.flatMap(ResourceManager, (manager) => track(internal.rootOf(manager).registry, options.every ?? 1))

/**
 * Provides a manager. It closes with the layer: whatever is still open then is released, persistent values last.
 *
 * Time comes from the `Clock` that the layer is built with.
 */
export const layer = (options: Options = {}): Layer.Layer<ResourceManager> => {
  const budget = options.budget === undefined ? {} : Limits.validate(options.budget)
  const gracePeriod = Duration.toMillis(Duration.fromInputUnsafe(options.gracePeriod ?? "30 seconds"))
  const eventCapacity = Math.max(1, options.eventCapacity ?? 1024)
  return Layer.effect(
    ResourceManager,
    Effect.map(
      Effect.acquireRelease(
        Effect.clockWith((clock: Clock.Clock) =>
          Effect.context<never>().pipe(
            Effect.map((context) =>
              new Root(new Registry(clock, context, eventCapacity, options.watchOrders === true), {
                name: "manager",
                timeout: Infinity,
                budget,
                gracePeriod
              })
            )
          )
        ),
        (root, exit) => closeFrame(root, exit) ?? Effect.void
      ),
      (root): ResourceManager => new internal.ManagerImpl(root)
    )
  )
}

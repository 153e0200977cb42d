/**
 * Resources that are kept and lent: acquire once, use many times. A pool is a definition itself, so
 * `ResourceManager.allocate` and `use` borrow from it as well; and it is at home in programs that know no manager and no
 * frame: all it needs is a `Scope`.
 *
 * It is built on Effect's `Pool`, which owns the life of the items; the queue of borrowers in front of it is its own:
 * first come, first served, handed over directly, with nothing to pay while nobody waits.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import { hasProperty } from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { decode } from "./internal/allocate.ts"
import { Borrowing, GetLease } from "./internal/borrow.ts"
import { sampling, siteOf } from "./internal/callSite.ts"
import { Definition } from "./internal/definition.ts"
import { KeyedPool as Keyed, openKeyed, PoolOfKey } from "./internal/keyedPool.ts"
import type { StatsOfKey } from "./internal/keyedPool.ts"
import type { Lending } from "./internal/lease.ts"
import type { OwnedPool } from "./internal/ownedPool.ts"
import { TypeId } from "./internal/pool.ts"
import { openPool } from "./internal/poolFrame.ts"
import * as internal from "./internal/poolOptions.ts"
import type { Stats } from "./internal/poolStats.ts"
import type * as ResourceDefinition from "./ResourceDefinition.ts"
import type {
  BudgetExceeded,
  Holder,
  InvalidParams,
  PoolClosed,
  PoolOverloaded,
  PoolTimeout,
  WouldDeadlock
} from "./ResourceError.ts"

/**
 * A pool of `A`. `E` is all that a borrow can fail with.
 */
export interface ResourcePool<out A, out E = never> extends ResourceDefinition.ResourceDefinition<void, A, E> {
  readonly [TypeId]: typeof TypeId
  readonly kind: "pool"
}

/** Any pool. */
export type Any = ResourcePool<unknown, unknown>

export type {
  /** Pauses between attempts to make an item. */
  Backoff,
  /** Sheds load by time spent waiting. */
  CoDel,
  /** What a pool can be given, besides its size. */
  PoolOptions,
  /** How the first items are made. */
  WarmUp
} from "./internal/poolOptions.ts"

export type {
  /** How a pool stands, and what happened in it so far. */
  Stats
} from "./internal/poolStats.ts"

/** The options of a pool of `A`. */
export interface Options<in A> extends internal.PoolOptions<A> {
  /** How many items are kept, also when nobody needs them. Default: 0. */
  readonly min?: number | undefined
  /** How many items there may be, whatever their state: those being made or closed included. Default: 10. */
  readonly max?: number | undefined
}

/** The size, and the time to live, as Effect's own pools are given them. */
export type EffectOptions =
  | {
    readonly size: number
    readonly min?: never
    readonly max?: never
    readonly timeToLive?: never
    readonly timeToLiveStrategy?: never
  }
  | {
    readonly size?: never
    readonly min?: number | undefined
    readonly max: number
    /** How long an item may be idle, or with the `"creation"` strategy live, before it is closed. */
    readonly timeToLive?: Duration.Input | undefined
    readonly timeToLiveStrategy?: "creation" | "usage" | undefined
  }

/** What every borrow can fail with. */
export type Refused = PoolClosed | WouldDeadlock

/** Is the option given, or may it be? */
type Has<O, Key> = Key extends keyof O ? [O[Key]] extends [undefined] ? false : true : false

/** What a borrow can fail with because of the options. */
type RefusedFor<O> =
  | Refused
  | (Has<O, "acquireTimeout"> extends true ? PoolTimeout : never)
  | (Has<O, "maxWaiting"> extends true ? PoolOverloaded : never)
  | (Has<O, "codel"> extends true ? PoolOverloaded : never)
  | (Has<O, "borrowCost"> extends true ? BudgetExceeded : never)

/** The services that the hooks need. */
type HookServices<O> = ServicesOf<O, "validate"> | ServicesOf<O, "reset">

type ServicesOf<O, Key> = Key extends keyof O
  ? NonNullable<O[Key]> extends (item: any) => Effect.Effect<any, any, infer R> ? R : never
  : never

/** What making a pool can fail with: the first item, when it waits for that. */
type FailFast<O, E> = "warmUp" extends keyof O ?
  Has<NonNullable<O["warmUp"]>, "failFast"> extends true
    ? NonNullable<O["warmUp"]> extends { readonly failFast?: false | undefined } ? never : E
  : never
  : never

/** No other options than those there are: a misspelled one would be no option at all. */
type Known<O, Options> = { readonly [K in Exclude<keyof O, Options>]: never }

type EffectKey =
  | keyof internal.PoolOptions<any>
  | "acquire"
  | "size"
  | "min"
  | "max"
  | "timeToLive"
  | "timeToLiveStrategy"

/** What the creation of an item can fail with. */
type CreationError<D> = Exclude<ResourceDefinition.Error<D>, InvalidParams>

/** What can be pooled: what is shared already can not. */
type Poolable = ResourceDefinition.OfKind<"temporal", ResourceDefinition.Any>

/** The params, if there are any. */
type WithParams<D> = [void] extends [ResourceDefinition.Params<D>] ? { readonly params?: ResourceDefinition.Params<D> }
  : { readonly params: ResourceDefinition.Params<D> }

/**
 * The priority of what is borrowed inside: a higher one goes first, see `priorityAgeing`. Default: 0.
 *
 * @example
 * ```ts
 * import { ResourcePool } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const urgent = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, ResourcePool.Priority, 1)
 * ```
 */
export { Priority } from "./internal/queue.ts"

/**
 * Is this a pool?
 */
export const isResourcePool = (u: unknown): u is Any => hasProperty(u, TypeId)

/**
 * Makes a pool that ends with the current `Scope`: of the items of a definition, or, with Effect's own options, of what
 * `acquire` makes. Inside a frame it belongs to the frame, which pays for its items.
 *
 * @example
 * ```ts
 * import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const Connection = ResourceDefinition.temporal("connection", {
 *   acquire: () => Effect.succeed({ query: (sql: string) => Effect.succeed(sql.length) }),
 *   release: () => Effect.void
 * })
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const pool = yield* ResourcePool.make(Connection, { min: 1, max: 4, acquireTimeout: "1 second" })
 *   return yield* ResourcePool.use(pool, (connection) => connection.query("select 1"))
 * }))
 * ```
 */
export const make: {
  <A, E, R, const O extends internal.PoolOptions<A> & EffectOptions>(
    options: O & { readonly acquire: Effect.Effect<A, E, R> } & Known<O, EffectKey>
  ): Effect.Effect<ResourcePool<A, E | RefusedFor<O>>, FailFast<O, E>, R | HookServices<O> | Scope.Scope>
  <D extends Poolable, const O extends Options<ResourceDefinition.Value<D>>>(
    definition: D,
    options: O & WithParams<D> & Known<O, keyof Options<any> | "params">
  ): Effect.Effect<
    ResourcePool<ResourceDefinition.Value<D>, CreationError<D> | RefusedFor<O>>,
    Extract<ResourceDefinition.Error<D>, InvalidParams> | FailFast<O, CreationError<D>>,
    ResourceDefinition.Services<D> | HookServices<O> | Scope.Scope
  >
} = (...args: [any, any?]): any =>
  args.length === 1 ? makeOfEffect(args[0] as AnyEffectOptions) : makeOfDefinition(args[0], args[1])

/**
 * {@link make} under the name that Effect's `Pool` has for one with a time to live.
 */
export const makeWithTTL = make

type AnyEffectOptions = internal.PoolOptions<any> & EffectOptions & { readonly acquire: Effect.Effect<any, any, any> }

const makeOfEffect = (options: AnyEffectOptions): Effect.Effect<any, any, any> =>
  Effect.suspend(() => {
    const { acquire, timeToLive, timeToLiveStrategy, ...given } = options as any
    const ageing = timeToLiveStrategy === "creation"
      ? { maxLifetime: timeToLive, lifetimeJitter: 0 }
      : { idleTimeToLive: timeToLive }
    const config = internal.configOf(timeToLive === undefined ? given : { ...ageing, ...given }, "pool", false)
    const size = internal.sizeOf(options.size ?? options.min, options.size ?? options.max)
    const definition = new Definition({
      name: config.name,
      kind: "temporal",
      decode: undefined,
      cost: undefined,
      acquire: () => acquire,
      release: undefined,
      interruptible: true,
      idleTimeToLive: 0,
      access: "direct"
    })
    return openPool({ definition, params: undefined, config, size, quota: undefined })
  })

const makeOfDefinition = (
  definition: ResourceDefinition.Any,
  options: Options<any> & { readonly params?: unknown }
): Effect.Effect<any, any, any> =>
  Effect.suspend(() => {
    const recipe = poolable(definition)
    const config = internal.configOf(options, recipe.name, true)
    const size = internal.sizeOf(options.min, options.max)
    const params = decode(recipe, options.params)
    return Exit.isSuccess(params)
      ? openPool({ definition: recipe, params: params.value, config, size, quota: undefined })
      : params
  })

/** The same; the pool of a key is made if there is none. */
const madePoolOf = (self: Any): OwnedPool => (self as unknown as Lending).lender as OwnedPool

const poolable = (definition: ResourceDefinition.Any): Definition => {
  const recipe = definition as unknown as Definition
  if (recipe.kind === "temporal") return recipe
  throw new TypeError(`"${recipe.name}" is ${recipe.kind}: only temporal definitions can be pooled`)
}

/** The pool, or for one of a key the one that there is now. */
const poolOf = (self: Any): OwnedPool => (self as unknown as { readonly pool: OwnedPool }).pool

/**
 * Borrows an item, hands it to `use`, and returns it when that ends, however it ends. The fastest way.
 */
export const use: {
  <A, B, E2, R2>(
    f: (item: A) => Effect.Effect<B, E2, R2>
  ): <E>(self: ResourcePool<A, E>) => Effect.Effect<B, E | E2, R2>
  <A, E, B, E2, R2>(
    self: ResourcePool<A, E>,
    f: (item: A) => Effect.Effect<B, E2, R2>
  ): Effect.Effect<B, E | E2, R2>
} = (selfOrBody: any, body?: any): any => {
  // Not `dual`: what it puts on the stack would be in the way.
  const site = sampling.isOn ? siteOf(use) : undefined
  return body === undefined
    ? (self: any) => new Borrowing(self, selfOrBody, site)
    : new Borrowing(selfOrBody, body, site)
}

/**
 * Borrows an item until the current `Scope` closes.
 */
export const get = <A, E>(self: ResourcePool<A, E>): Effect.Effect<A, E, Scope.Scope> => {
  const site = sampling.isOn ? siteOf(get) : undefined
  return Effect.withFiber((fiber) => new GetLease(self as unknown as Lending, fiber, site).borrow)
}

/**
 * Closes an item as soon as nobody uses it, and lends it to nobody until then; another one takes its place when it is
 * needed. Returns when an idle one has been closed. The item is matched by identity; one that is not of this pool changes
 * nothing.
 */
export const invalidate: {
  <A>(item: A): <E>(self: ResourcePool<A, E>) => Effect.Effect<void>
  <A, E>(self: ResourcePool<A, E>, item: A): Effect.Effect<void>
} = dual(2, (self: Any, item: unknown) => Effect.suspend(() => poolOf(self).invalidate(item)))

/**
 * How the pool stands, and what happened in it so far.
 */
export const stats = (self: Any): Effect.Effect<Stats> => Effect.sync(() => poolOf(self).stats())

/**
 * Changes how many items the pool keeps, and how many it may have. Idle items beyond the new `max` are closed, others
 * when they come back.
 */
export const resize: {
  (size: { readonly min?: number; readonly max?: number }): (self: Any) => Effect.Effect<void>
  (self: Any, size: { readonly min?: number; readonly max?: number }): Effect.Effect<void>
} = dual(2, (self: Any, size: { readonly min?: number; readonly max?: number }) =>
  Effect.sync(() => {
    const pool = madePoolOf(self)
    pool.resize(internal.sizeOf(size.min ?? Math.min(pool.size.min, size.max ?? Infinity), size.max ?? pool.size.max))
  }))

/**
 * Lends nothing and makes nothing until {@link resume}: borrowers wait, as long as their timeout lets them. Those who
 * have an item keep it.
 */
export const suspend = (self: Any): Effect.Effect<void> => Effect.sync(() => madePoolOf(self).suspend())

/**
 * Lends again after {@link suspend}.
 */
export const resume = (self: Any): Effect.Effect<void> => Effect.sync(() => poolOf(self).resume())

/**
 * Retires all items that there are, as after a failover: idle ones are closed now, those in use when they come back, and
 * those being made as soon as they arrive. Returns when the idle ones are closed. The pool goes on with new ones.
 */
export const retireAll = (self: Any): Effect.Effect<void> => Effect.suspend(() => poolOf(self).retireAll())

/** How long an end may take. */
export interface EndOptions {
  /** How long to wait for the borrowers. Default: the `closeTimeout` of the pool. */
  readonly timeout?: Duration.Input
}

const limitOf = (options: EndOptions | undefined): number | undefined =>
  options?.timeout === undefined ? undefined : internal.millis("timeout of the end", options.timeout, Infinity)

/**
 * Ends the pool ahead of its scope: who waits, or comes later, gets `PoolClosed`. Waits for those who have an item, then
 * closes all items side by side. Answers who still held one when the time was over: their items have been closed under
 * them. Safe to run again.
 */
export const close: {
  (options?: EndOptions): (self: Any) => Effect.Effect<ReadonlyArray<Holder>>
  (self: Any, options?: EndOptions): Effect.Effect<ReadonlyArray<Holder>>
} = dual(
  (args) => isResourcePool(args[0]),
  (self: Any, options?: EndOptions) => Effect.suspend(() => poolOf(self).end(false, limitOf(options)))
)

/**
 * {@link close} that still serves those who wait already.
 */
export const drain: {
  (options?: EndOptions): (self: Any) => Effect.Effect<ReadonlyArray<Holder>>
  (self: Any, options?: EndOptions): Effect.Effect<ReadonlyArray<Holder>>
} = dual(
  (args) => isResourcePool(args[0]),
  (self: Any, options?: EndOptions) => Effect.suspend(() => poolOf(self).end(true, limitOf(options)))
)

const KeyedTypeId = "~chronovyan/core/ResourcePool/KeyedPool"

/**
 * A pool for each `Key`.
 */
export interface KeyedPool<in Key, out A, out E = never> {
  readonly [KeyedTypeId]: {
    readonly _Key: (key: Key) => void
    readonly _A: () => A
    readonly _E: () => E
  }
}

/** The options of the pools of a {@link KeyedPool}. */
export interface KeyedOptions<in A> extends Omit<internal.PoolOptions<A>, "warmUp"> {
  /** How many items there may be for one key. Default: 10. */
  readonly max?: number | undefined
  /** How many items there may be for all keys together. Default: any number. */
  readonly maxTotal?: number | undefined
}

/**
 * Makes a pool for each params of a definition, when they are first used: `at` borrows from it. All of them end with the
 * current `Scope`, side by side.
 *
 * A key is forgotten with its last item, so its items should not be idle for ever: `idleTimeToLive` is 1 minute here by
 * default. When `maxTotal` is reached, the item that has been idle for longest is closed for a key that needs one.
 *
 * @example
 * ```ts
 * import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
 * import { Effect, Schema } from "effect"
 *
 * const Tenant = ResourceDefinition.temporal("tenant", {
 *   params: Schema.String,
 *   acquire: (name) => Effect.succeed({ count: Effect.succeed(name.length) }),
 *   release: () => Effect.void
 * })
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const tenants = yield* ResourcePool.keyed(Tenant, { max: 2, maxTotal: 20 })
 *   const blue = yield* ResourcePool.at(tenants, "blue")
 *   return yield* ResourcePool.use(blue, (tenant) => tenant.count)
 * }))
 * ```
 */
export const keyed = <D extends Poolable, const O extends KeyedOptions<ResourceDefinition.Value<D>>>(
  definition: D,
  options: O & Known<O, keyof KeyedOptions<any>>
): Effect.Effect<
  KeyedPool<ResourceDefinition.Params<D>, ResourceDefinition.Value<D>, CreationError<D> | RefusedFor<O>>,
  never,
  ResourceDefinition.Services<D> | HookServices<O> | Scope.Scope
> =>
  Effect.suspend(() => {
    const recipe = poolable(definition)
    const config = internal.configOf({ idleTimeToLive: "1 minute", ...options }, recipe.name, true)
    const size = internal.sizeOf(0, options.max)
    return openKeyed({ definition: recipe, config, size }, internal.whole("maxTotal", options.maxTotal, 1, Infinity))
  }) as any

/**
 * The pool of a key, to borrow from like from any other: it is found, or made, each time that something is borrowed. Fails
 * when the key does not fit the params of the definition.
 */
export const at: {
  <Key>(key: Key): <A, E>(self: KeyedPool<Key, A, E>) => Effect.Effect<ResourcePool<A, E>, InvalidParams>
  <Key, A, E>(self: KeyedPool<Key, A, E>, key: Key): Effect.Effect<ResourcePool<A, E>, InvalidParams>
} = dual(2, (self: KeyedPool<any, any, any>, key: unknown) =>
  Effect.suspend(() => {
    const keyed = self as unknown as Keyed
    const params = decode(keyed.plan.definition, key)
    return Exit.isSuccess(params) ? Exit.succeed(new PoolOfKey(keyed, params.value, key)) : params
  }) as any)

/**
 * The keys that there are pools of, and how these stand.
 */
export const keys = <Key>(
  self: KeyedPool<Key, unknown, unknown>
): Effect.Effect<ReadonlyArray<Stats & { readonly key: Key }>> =>
  Effect.sync((): ReadonlyArray<StatsOfKey> => (self as unknown as Keyed).stats())

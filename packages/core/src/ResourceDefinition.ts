/**
 * The recipe for a resource: what it is called, what it needs to know, what it costs, how it is acquired and how it is
 * given back. A definition is pure: it holds no state and can live at module level.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as SchemaParser from "effect/SchemaParser"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import type { Cost } from "./Cost.ts"
import * as internal from "./internal/definition.ts"
import type { BudgetExceeded, InvalidParams } from "./ResourceError.ts"

/**
 * The recipe for a resource.
 *
 * - `Params`: what an allocation is given; `void` when there is nothing to know
 * - `A`: the value
 * - `E`: how an allocation can fail, beyond a closed frame: what `acquire` fails with, `InvalidParams` if there are
 *   params, `BudgetExceeded` if there is a cost
 * - `R`: the services that `acquire` and `release` need, without `Scope`, which the library provides
 */
export interface ResourceDefinition<in Params, out A, out E = never, out R = never> extends Pipeable {
  readonly [internal.TypeId]: {
    readonly _Params: Types.Contravariant<Params>
    readonly _A: Types.Covariant<A>
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  readonly name: string
  readonly kind: Kind
  /** How an allocation offers the value: itself, or through `read` and `write`. */
  readonly access: "direct" | "readWrite"
}

/**
 * A definition whose value is used through `read` and `write`: many readers or one writer.
 */
export interface ReadWrite<in Params, out A, out E = never, out R = never> extends ResourceDefinition<Params, A, E, R> {
  readonly access: "readWrite"
}

/**
 * A definition whose name the compiler knows, as a catalog needs it.
 */
export type Named<Name extends string, D> = D & { readonly name: Name }

/** How values are made and shared. */
export type Kind = internal.Kind

/** A definition whose kind the compiler knows, as a pool needs it. */
export type OfKind<K extends Kind, D> = D & { readonly kind: K }

/**
 * Any definition.
 */
export type Any = ResourceDefinition<never, unknown, unknown, unknown>

/**
 * What an allocation of `D` is given.
 */
export type Params<D> = D extends ResourceDefinition<infer P, infer _A, infer _E, infer _R> ? P : never

/**
 * The value of `D`.
 */
export type Value<D> = D extends ResourceDefinition<infer _P, infer A, infer _E, infer _R> ? A : never

/**
 * How an allocation of `D` can fail, beyond a closed frame.
 */
export type Error<D> = D extends ResourceDefinition<infer _P, infer _A, infer E, infer _R> ? E : never

/**
 * The services that `D` needs.
 */
export type Services<D> = D extends ResourceDefinition<infer _P, infer _A, infer _E, infer R> ? R : never

/** What `acquire` fails with, and what the library adds to it: `C` is `never` when there is no cost. */
type Failure<S, C, E> =
  | E
  | (S extends Schema.Void ? never : InvalidParams)
  | ([C] extends [never] ? never : BudgetExceeded)

/** Inferred for what `release` answers when there is no `release`. */
interface Absent {
  readonly _: unique symbol
}

/** A time frame, as far as a requirement shows it: this module stands below the one that makes them. */
interface AnyFrame {
  readonly "~chronovyan/core/TimeFrame": unknown
}

/** What the library provides to an acquisition that undoes itself: its Scope, and the frame for what it allocates. */
type Provided = Scope.Scope | AnyFrame

/** One way of undoing only: a release of its own, or what the acquisition registers and allocates. */
type Sound<Name extends string, R, X, D, Banned = Provided> = [X] extends [Absent] ? Named<Name, D>
  : Extract<R, Banned> extends never ? Named<Name, D>
  : "a definition whose acquire uses Scope, or allocates, can not have a release: add a finalizer in acquire instead"

/** What the library refuses with before `acquire` runs. */
type Refusal<E> = Extract<E, InvalidParams | BudgetExceeded>

/**
 * What all kinds of definitions are made of.
 */
export interface Options<S extends Schema.Constraint, C extends Cost, A, E, R, X, R2> {
  /** The schema of the params: they are decoded on every allocation. Default: there are none. */
  readonly params?: S
  /** What an allocation takes out of the budgets, from the decoded params. Default: nothing. */
  readonly cost?: (params: S["Type"]) => C
  /**
   * Makes the value. With a `release` it runs uninterruptibly, as in `Effect.acquireRelease`. Without one it can be
   * interrupted, and may use `Scope` and allocate: it runs in a frame of its own, which ends with the allocation.
   */
  readonly acquire: (params: S["Type"]) => Effect.Effect<A, E, R>
  /**
   * Gives the value back, with the services that there were when it was acquired. An `acquire` that uses `Scope` or
   * allocates needs none, and can have none: register what else there is to undo in that scope. Write it after `acquire`,
   * which tells TypeScript what the value is.
   */
  readonly release?: (value: NoInfer<A>, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<X, never, R2>
  /**
   * May `acquire` be interrupted? Default: only when there is no `release`. Set it where the acquisition itself leaves
   * nothing behind when it is interrupted.
   */
  readonly interruptible?: boolean
}

/**
 * What a definition of a shared value has besides.
 */
export interface SharedOptions {
  /** How long the value stays when its last user has left. Default: it ends at once. */
  readonly idleTimeToLive?: Duration.Input
}

/**
 * Is this a definition?
 */
export const isResourceDefinition = (u: unknown): u is Any => hasProperty(u, internal.TypeId)

/**
 * A fresh value for each allocation; it ends with its frame at the latest.
 *
 * @example
 * ```ts
 * import { ResourceDefinition } from "@chronovyan/core"
 * import { Effect, Schema } from "effect"
 *
 * export const TemporalBuffer = ResourceDefinition.temporal("temporal_buffer", {
 *   params: Schema.Int.check(Schema.isGreaterThan(0)),
 *   cost: (bytes) => ({ memory: bytes }),
 *   acquire: (bytes) => Effect.sync(() => new Uint8Array(bytes)),
 *   release: (buffer) => Effect.sync(() => buffer.fill(0))
 * })
 * ```
 */
export const temporal = <
  const Name extends string,
  A,
  E,
  R,
  S extends Schema.ConstraintDecoder<unknown> = Schema.Void,
  C extends Cost = never,
  X = Absent,
  R2 = never
>(
  name: Name,
  options: Options<S, C, A, E, R, X, R2>
): Sound<
  Name,
  R,
  X,
  OfKind<"temporal", ResourceDefinition<S["Encoded"], A, Failure<S, C, E>, Exclude<R, Provided> | R2>>
> => make({ ...recipe(name, options), kind: "temporal", idleTimeToLive: 0 })

/**
 * One value for each definition and params, made by its first user. It outlives every frame and ends on
 * `ResourceManager.retire`, or with the manager. Its cost is charged to the manager's own budget.
 */
export const persistent: {
  <
    const Name extends string,
    A,
    E,
    R,
    S extends Schema.ConstraintDecoder<unknown> = Schema.Void,
    C extends Cost = never,
    X = Absent,
    R2 = never
  >(
    name: Name,
    options: Options<S, C, A, E, R, X, R2> & { readonly access: "readWrite" }
  ): Sound<Name, R, X, ReadWrite<S["Encoded"], A, Failure<S, C, E>, Exclude<R, Provided> | R2>, Scope.Scope>
  <
    const Name extends string,
    A,
    E,
    R,
    S extends Schema.ConstraintDecoder<unknown> = Schema.Void,
    C extends Cost = never,
    X = Absent,
    R2 = never
  >(
    name: Name,
    options: Options<S, C, A, E, R, X, R2> & { readonly access?: "direct" }
  ): Sound<Name, R, X, ResourceDefinition<S["Encoded"], A, Failure<S, C, E>, Exclude<R, Provided> | R2>, Scope.Scope>
} = (name: string, options: AnyOptions): any =>
  make({ ...recipe(name, options), kind: "persistent", idleTimeToLive: Infinity })

/**
 * One value for each definition and params, counted: it ends when its last user has let go and it has been idle for
 * `idleTimeToLive`. With `access: "readWrite"` its users take turns: many readers or one writer.
 */
export const shared: {
  <
    const Name extends string,
    A,
    E,
    R,
    S extends Schema.ConstraintDecoder<unknown> = Schema.Void,
    C extends Cost = never,
    X = Absent,
    R2 = never
  >(
    name: Name,
    options: Options<S, C, A, E, R, X, R2> & SharedOptions & { readonly access: "readWrite" }
  ): Sound<Name, R, X, ReadWrite<S["Encoded"], A, Failure<S, C, E>, Exclude<R, Provided> | R2>, Scope.Scope>
  <
    const Name extends string,
    A,
    E,
    R,
    S extends Schema.ConstraintDecoder<unknown> = Schema.Void,
    C extends Cost = never,
    X = Absent,
    R2 = never
  >(
    name: Name,
    options: Options<S, C, A, E, R, X, R2> & SharedOptions & { readonly access?: "direct" }
  ): Sound<Name, R, X, ResourceDefinition<S["Encoded"], A, Failure<S, C, E>, Exclude<R, Provided> | R2>, Scope.Scope>
} = (name: string, options: AnyOptions & SharedOptions): any =>
  make({
    ...recipe(name, options),
    kind: "shared",
    idleTimeToLive: options.idleTimeToLive === undefined
      ? 0
      : Duration.toMillis(Duration.fromInputUnsafe(options.idleTimeToLive))
  })

/**
 * The same recipe under another name.
 */
export const rename: {
  <const Name extends string>(name: Name): <D extends Any>(self: D) => Renamed<D, Name>
  <D extends Any, const Name extends string>(self: D, name: Name): Renamed<D, Name>
} = dual(2, (self: Any, name: string) => make({ ...recipeOf(self), name }))

/** What the compiler knows of a definition besides its type parameters. */
interface Known<Name extends string, Access extends "direct" | "readWrite", K extends Kind> {
  readonly name: Name
  readonly access: Access
  readonly kind: K
}

/** The same definition under another name. */
type Renamed<D, Name extends string> = D extends ReadWrite<infer P, infer A, infer E, infer R>
  ? Named<Name, ReadWrite<P, A, E, R>>
  : D extends OfKind<"temporal", ResourceDefinition<infer P, infer A, infer E, infer R>>
    ? Named<Name, OfKind<"temporal", ResourceDefinition<P, A, E, R>>>
  : D extends ResourceDefinition<infer P, infer A, infer E, infer R> ? Named<Name, ResourceDefinition<P, A, E, R>>
  : never

/**
 * The same resource acquired in another way: retried, traced, with its errors mapped. Services that the acquisition is
 * given this way are still needed, since `release` may use them.
 *
 * @example
 * ```ts
 * import { ResourceDefinition } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const Connection = ResourceDefinition.temporal("connection", {
 *   acquire: () => Effect.succeed({ send: (line: string) => line.length })
 * }).pipe(ResourceDefinition.mapAcquire(Effect.retry({ times: 3 })))
 * ```
 */
export const mapAcquire: {
  <A, E, E2, R, R2>(
    f: (acquire: Effect.Effect<A, E, R>) => Effect.Effect<A, E2, R2>
  ): <Params, Name extends string, Access extends "direct" | "readWrite", K extends Kind>(
    self: ResourceDefinition<Params, A, E, R> & Known<Name, Access, K>
  ) => ResourceDefinition<Params, A, Refusal<E> | E2, R | R2> & Known<Name, Access, K>
  <Params, A, E, E2, R, R2, Name extends string, Access extends "direct" | "readWrite", K extends Kind>(
    self: ResourceDefinition<Params, A, E, R> & Known<Name, Access, K>,
    f: (acquire: Effect.Effect<A, E, R>) => Effect.Effect<A, E2, R2>
  ): ResourceDefinition<Params, A, Refusal<E> | E2, R | R2> & Known<Name, Access, K>
} = dual(2, (self: Any, f: (acquire: Effect.Effect<any, any, any>) => Effect.Effect<any, any, any>) => {
  const recipe = recipeOf(self)
  return make({ ...recipe, acquire: (params) => f(recipe.acquire(params)) })
})

interface AnyOptions extends Omit<Options<any, any, any, any, any, any, any>, "release"> {
  readonly release?: internal.Release
  readonly access?: "direct" | "readWrite"
}

const recipeOf = (self: Any): internal.Recipe => ({ ...(self as unknown as internal.Definition) })

const make = (recipe: internal.Recipe): any => new internal.Definition(recipe)

// A misspelled key in a configuration is a mistake to be told of, not a default to be used.
const strict = { onExcessProperty: "error" } as const

const recipe = (name: string, options: AnyOptions): Omit<internal.Recipe, "kind" | "idleTimeToLive"> => ({
  name,
  decode: options.params === undefined ? undefined : SchemaParser.decodeUnknownExit(options.params, strict),
  cost: options.cost,
  acquire: options.acquire,
  release: options.release,
  interruptible: options.interruptible ?? options.release === undefined,
  access: options.access ?? "direct"
})

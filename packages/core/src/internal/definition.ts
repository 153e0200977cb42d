/**
 * What a definition is made of. Owned by `ResourceDefinition`.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { pipeArguments } from "effect/Pipeable"
import type * as Pipeable from "effect/Pipeable"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { Cost } from "../Cost.ts"

export const TypeId = "~chronovyan/core/ResourceDefinition"

export type Kind = "temporal" | "persistent" | "shared" | "pool"

/** Turns what the caller passed into what the recipe gets. */
export type Decode = (input: unknown) => Exit.Exit<unknown, SchemaIssue.Issue>

export type Acquire = (params: any) => Effect.Effect<any, any, any>
export type Release = (value: any, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<unknown, never, any>

export interface Recipe {
  readonly name: string
  readonly kind: Kind
  /** Absent: there are no params. */
  readonly decode: Decode | undefined
  /** Absent: it is free. */
  readonly cost: ((params: any) => Cost) | undefined
  readonly acquire: Acquire
  /** Absent: what `acquire` registers in its Scope is all there is to undo. */
  readonly release: Release | undefined
  readonly interruptible: boolean
  /** Milliseconds a shared value outlives its last user; `Infinity` for persistent ones. */
  readonly idleTimeToLive: number
  readonly access: "direct" | "readWrite"
}

const variance = {
  _Params: (_: never) => _,
  _A: (_: never) => _,
  _E: (_: never) => _,
  _R: (_: never) => _
}

export class Definition implements Recipe, Pipeable.Pipeable {
  readonly [TypeId] = variance
  readonly name: string
  readonly kind: Kind
  readonly decode: Decode | undefined
  readonly cost: ((params: any) => Cost) | undefined
  readonly acquire: Acquire
  readonly release: Release | undefined
  readonly interruptible: boolean
  readonly idleTimeToLive: number
  readonly access: "direct" | "readWrite"

  constructor(recipe: Recipe) {
    if (typeof recipe.name !== "string" || recipe.name === "") {
      throw new TypeError("A resource definition needs a name that is not empty")
    }
    this.name = recipe.name
    this.kind = recipe.kind
    this.decode = recipe.decode
    this.cost = recipe.cost
    this.acquire = recipe.acquire
    this.release = recipe.release
    this.interruptible = recipe.interruptible
    this.idleTimeToLive = recipe.idleTimeToLive
    this.access = recipe.access
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  toJSON() {
    return { _id: "ResourceDefinition", name: this.name, kind: this.kind }
  }
}

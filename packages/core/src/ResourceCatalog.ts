/**
 * Definitions by name, for configuration and calls over the wire.
 */
import * as Effect from "effect/Effect"
import { sampling, siteOf } from "./internal/callSite.ts"
import type * as ResourceDefinition from "./ResourceDefinition.ts"
import { UnknownResource } from "./ResourceError.ts"
import type { BudgetExceeded, FrameClosed, InvalidParams } from "./ResourceError.ts"
import * as ResourceManager from "./ResourceManager.ts"
import type { TimeFrame } from "./TimeFrame.ts"

/** The definition of that name. */
export type Find<D extends ResourceDefinition.Any, Name extends string> = Extract<D, { readonly name: Name }>

/**
 * Definitions by name.
 */
export interface ResourceCatalog<D extends ResourceDefinition.Any> {
  /** The names, in the order in which they were given. */
  readonly names: ReadonlyArray<D["name"]>
  /** `ResourceManager.allocate` by name, with the types of the definition of that name. */
  readonly allocate: <const Name extends D["name"]>(
    name: Name,
    ...args: ResourceManager.Args<Find<D, Name>>
  ) => Effect.Effect<
    ResourceManager.Handle<Find<D, Name>>,
    ResourceDefinition.Error<Find<D, Name>> | FrameClosed,
    ResourceDefinition.Services<Find<D, Name>> | TimeFrame
  >
  /** By a name and params that nobody checked: from a file, a flag, a request. */
  readonly allocateUnknown: (
    name: string,
    params?: unknown
  ) => Effect.Effect<
    ResourceManager.Handle<D>,
    ResourceDefinition.Error<D> | UnknownResource | InvalidParams | BudgetExceeded | FrameClosed,
    ResourceDefinition.Services<D> | TimeFrame
  >
}

/**
 * Makes a catalog. Two definitions of one name are a mistake in the program and throw.
 *
 * @example
 * ```ts
 * import { ResourceCatalog, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { Effect, Schema } from "effect"
 *
 * const Buffer = ResourceDefinition.temporal("temporal_buffer", {
 *   params: Schema.Int,
 *   acquire: (bytes) => Effect.sync(() => new Uint8Array(bytes))
 * })
 * const catalog = ResourceCatalog.make(Buffer)
 *
 * const program = catalog.allocate("temporal_buffer", 1024).pipe(
 *   Effect.map((buffer) => buffer.value.length),
 *   TimeFrame.run({ name: "example" }),
 *   Effect.provide(ResourceManager.layer())
 * )
 * ```
 */
export const make = <const Ds extends ReadonlyArray<ResourceDefinition.Any>>(
  ...definitions: Ds
): ResourceCatalog<Ds[number]> => {
  const byName = new Map<string, ResourceDefinition.Any>()
  for (const definition of definitions) {
    if (byName.has(definition.name)) {
      throw new TypeError(`Two definitions of one catalog are called "${definition.name}"`)
    }
    byName.set(definition.name, definition)
  }
  const names = Array.from(byName.keys())
  const allocateUnknown = (name: string, params?: unknown): Effect.Effect<any, any, any> => {
    const definition = byName.get(name)
    const site = sampling.isOn ? siteOf(allocateUnknown) : undefined
    return definition === undefined
      ? Effect.suspend(() => Effect.fail(new UnknownResource({ resource: name, known: names })))
      : ResourceManager.allocateUnknown(definition, params, site)
  }
  return { names, allocate: allocateUnknown, allocateUnknown } as ResourceCatalog<Ds[number]>
}

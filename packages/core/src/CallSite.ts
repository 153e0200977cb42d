/**
 * Where in a program allocations and borrows are asked for, so that snapshots and errors can tell: the file, the line,
 * the column, and the function if it has a name.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { sampling } from "./internal/callSite.ts"

/**
 * How many call sites are looked at.
 */
export interface Options {
  /** One in so many, on average and at irregular intervals; a whole number of at least 1. Default: 1, all of them. */
  readonly every?: number | undefined
}

/**
 * Looks at call sites until the current `Scope` closes: of `ResourceManager.allocate`, `use` and `allocateAll`, of
 * `ResourcePool.use` and `get`, and of catalogs, for all managers of the process. When several want that at once, the
 * smallest `every` counts.
 *
 * The place is where the effect was made, since only then the program is on the stack. An effect that is made once and
 * run many times has one place, or none if it was made while nobody looked. What was picked is `sampled` in snapshots,
 * and its `callSite` reads like a line of a stack trace, `handle (/app/server.ts:12:5)`. That text is made when a
 * snapshot or an error asks for it first. With `--enable-source-maps` it tells the place in the source.
 *
 * To look at one costs some microseconds; while nobody looks that costs nothing. A wrong `every` is a defect.
 *
 * @example
 * ```ts
 * import { CallSite, ResourceDefinition, ResourceManager, Snapshot, TimeFrame } from "@chronovyan/core"
 * import { Console, Effect } from "effect"
 *
 * const Buffer = ResourceDefinition.temporal("buffer", { acquire: () => Effect.succeed(new Uint8Array(8)) })
 *
 * const program = Effect.gen(function*() {
 *   yield* CallSite.sample({ every: 128 })
 *   yield* ResourceManager.allocate(Buffer)
 *   yield* Console.log(Snapshot.render(yield* ResourceManager.snapshot))
 * }).pipe(TimeFrame.run({ name: "example" }), Effect.provide(ResourceManager.layer()))
 * ```
 */
export const sample = (options: Options = {}): Effect.Effect<void, never, Scope.Scope> =>
  sampling.want("CallSite.sample", options.every ?? 1)

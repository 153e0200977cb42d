/**
 * A fake resource whose every step does what a script says: succeed, fail, die, take time, or never end. It counts what
 * is done with it, and finds misuse: what is left open, released twice, used by too many at once or after its release.
 *
 * For tests of whatever acquires and releases: pools, caches, managers, services. It needs no clock but the one of the
 * test, leaves nothing to chance, and costs microseconds a step, so it fits into a `Sweep` or a model that runs a million
 * times.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Gated, Outcome, Slow, Validity } from "./internal/script.ts"
import type { Item, Options, ScriptedFailure, ScriptedResource } from "./internal/scriptedBook.ts"
import { Book, ScriptedItem } from "./internal/scriptedBook.ts"

export type {
  /** Waits for a latch, then does what comes next; made by `gated`. */
  Gated,
  /** What one call of a step does. */
  Outcome,
  /** What the calls of a step do: one outcome, an array of them, or a function of the number of the call. */
  Script,
  /** Takes time, then does what comes next; made by `slow`. */
  Slow,
  /** What a script can be written for. */
  Step,
  /** What one validation does: any `Outcome`, or `"invalid"`, which answers `false`. */
  Validity
} from "./internal/script.ts"

export type {
  /** What has been done so far, and what goes on now. */
  Counts,
  /** What a scripted resource hands out. As a string it is the name of the resource and its own number. */
  Item,
  /** What a scripted resource can be told. */
  Options,
  /** A fake resource; made by `make`. What it says of itself is as things stand when it is asked. */
  ScriptedResource
} from "./internal/scriptedBook.ts"

/** A step went wrong because its script says so: the error of `"fail"`, and the defect of `"die"`. */
export { ScriptedFailure } from "./internal/scriptedBook.ts"

/**
 * An outcome that takes time on the `Clock`, and then does what comes next (default `"ok"`). Throws when the duration is
 * none.
 *
 * @example
 * ```ts
 * import { ScriptedResource } from "@chronovyan/testing"
 *
 * const stale = ScriptedResource.make({ validate: ["ok", ScriptedResource.slow("1 second", "invalid")] })
 * ```
 */
export const slow: {
  (duration: Duration.Input, next?: Outcome): Slow
  (duration: Duration.Input, next: Validity): Slow<"invalid">
} = (duration: Duration.Input, next: Validity = "ok"): any => {
  const parsed = Duration.fromInput(duration)
  if (Option.isNone(parsed)) throw new TypeError(`ScriptedResource.slow: ${String(duration)} is not a duration`)
  return { _tag: "Slow", duration: parsed.value, next } satisfies Slow<"invalid">
}

/**
 * An outcome that waits until a latch is open, and then does what comes next (default `"ok"`). Without a latch it makes
 * one that is closed. Make it where the resource is made: one that is made outside of the setup of a scenario is opened
 * for all of its runs at once.
 *
 * @example
 * ```ts
 * import { ScriptedResource } from "@chronovyan/testing"
 * import { Effect, Fiber } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const gate = ScriptedResource.gated()
 *   const connection = yield* ScriptedResource.make({ acquire: gate })
 *   const fiber = yield* Effect.forkChild(ScriptedResource.acquire(connection))
 *   yield* gate.latch.open
 *   return yield* Fiber.join(fiber)
 * })
 *
 * console.log(String(await Effect.runPromise(program))) // resource #1
 * ```
 */
export const gated: {
  (latch?: Latch.Latch, next?: Outcome): Gated
  (latch: Latch.Latch | undefined, next: Validity): Gated<"invalid">
} = (latch: Latch.Latch = Latch.makeUnsafe(false), next: Validity = "ok"): any => ({ _tag: "Gated", latch, next })

/**
 * {@link make} outside of an Effect. A wrong option throws.
 */
export const makeUnsafe = (options: Options = {}): ScriptedResource => new Book(options)

/**
 * Makes a resource that has no items yet. A script or a `concurrency` that makes no sense dies, and the message names the
 * option; so does a call whose script is a function that answers something else than an outcome.
 *
 * @example
 * ```ts
 * import { ScriptedResource } from "@chronovyan/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   // The first acquisition fails, all others succeed.
 *   const connection = yield* ScriptedResource.make({ name: "connection", acquire: ["fail", "ok"] })
 *   yield* Effect.retry(ScriptedResource.acquire(connection), { times: 1 })
 *   console.log(connection.counts.acquireFailed, connection.counts.live) // 1 1
 *   return ScriptedResource.check(connection)
 * })
 *
 * console.log(await Effect.runPromise(program)) // [ "connection #1 is still open" ]
 * ```
 */
export const make = (options: Options = {}): Effect.Effect<ScriptedResource> => Effect.sync(() => makeUnsafe(options))

/**
 * Acquires an item, as the script says; an interrupt while it waits leaves no item behind. Where the caller can be
 * interrupted the acquisition can be, too, so `Effect.uninterruptible` makes a deaf one.
 */
export const acquire = (self: ScriptedResource): Effect.Effect<Item, ScriptedFailure> => (self as Book).acquire

/**
 * An item that is released when the current `Scope` closes: `Effect.acquireRelease` of `acquire` and `release`. The
 * acquisition can not be interrupted unless it is asked to be `interruptible`.
 *
 * @example
 * ```ts
 * import { ScriptedResource } from "@chronovyan/testing"
 * import { Effect, Pool } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const connection = yield* ScriptedResource.make({ name: "connection" })
 *   yield* Effect.scoped(Effect.gen(function*() {
 *     const pool = yield* Pool.make({ acquire: ScriptedResource.scoped(connection), size: 2 })
 *     const item = yield* Pool.get(pool)
 *     yield* ScriptedResource.use(item, Effect.yieldNow)
 *   }))
 *   return ScriptedResource.check(connection)
 * })
 *
 * console.log(await Effect.runPromise(program)) // []
 * ```
 */
export const scoped = (
  self: ScriptedResource,
  options?: { readonly interruptible?: boolean }
): Effect.Effect<Item, ScriptedFailure, Scope.Scope> => Effect.acquireRelease(acquire(self), release, options)

/**
 * Does something with an item, and counts as one of its users meanwhile. Finds a use after the release, during a reset,
 * and by more at once than the `concurrency` of the resource; it goes on all the same. A use inside of another is a second
 * one.
 */
export const use: {
  <A, E, R>(effect: Effect.Effect<A, E, R>): (self: Item) => Effect.Effect<A, E, R>
  <A, E, R>(self: Item, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Item, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => (self as ScriptedItem).use(effect)
)

/**
 * Asks whether an item is still good, as the script says. A validation takes the place of a user: one that is one too many
 * is found, and so is one after the release, which answers `false` and is not counted.
 */
export const validate = (self: Item): Effect.Effect<boolean, ScriptedFailure> => (self as ScriptedItem).validate()

/**
 * Makes an item as good as new, as the script says. Finds a reset after the release, which does nothing and is not counted,
 * and one while somebody uses the item.
 */
export const reset = (self: Item): Effect.Effect<void, ScriptedFailure> => (self as ScriptedItem).reset()

/**
 * Closes an item, as the script says. One that dies has closed it all the same; one that is interrupted has not, and can
 * be tried again. Finds a release while the item is in use, and a second one, which does nothing and is not counted.
 */
export const release = (self: Item): Effect.Effect<void> => (self as ScriptedItem).release()

/**
 * All that is wrong when the test is over, in words: the `findings`, each item that is still open, and acquisitions that
 * have not ended. It is what the `check` of a `Sweep` answers; use `findings` alone where something, such as a pool, still
 * owns items rightfully, and `check` in `afterClose`.
 */
export const check = (self: ScriptedResource): ReadonlyArray<string> => {
  const { live, name, noted } = self as Book
  const { acquiring } = self.counts
  const found = [...noted]
  for (const item of live) found.push(item.left)
  if (acquiring > 0) {
    found.push(
      `${name}: ${acquiring} ${acquiring === 1 ? "acquisition has" : "acquisitions have"} not ended`
    )
  }
  return found
}

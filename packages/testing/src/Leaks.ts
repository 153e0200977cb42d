/**
 * Finds what an effect leaves open: scopes with finalizers that nobody will run, fibers that nobody waits for, and the
 * frames and allocations of a resource manager. It works for any code that runs on Effect, also for code that has never
 * heard of this library.
 *
 * It looks at the context of each fiber as it runs. Nothing about it is global: effects that are tracked at the same time
 * know nothing of each other.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Scheduler from "effect/Scheduler"
import type * as TestClock from "effect/testing/TestClock"
import { find } from "./internal/findLeaks.ts"
import { describe } from "./internal/leak.ts"
import type { Leak } from "./internal/leak.ts"
import { Watch } from "./internal/watch.ts"

export { describe } from "./internal/leak.ts"
export type {
  /** Something of a resource manager that is still held. */
  AllocationLeak,
  /** A fiber that still runs, or sleeps. */
  FiberLeak,
  /** A time frame that is still open. */
  FrameLeak,
  /** Something that was left open. */
  Leak,
  /** A scope that is still open and has something to close. */
  ScopeLeak
} from "./internal/leak.ts"

/** How patient a look is, and what it overlooks. */
export interface Options {
  /**
   * How often the other fibers get a turn before something counts as left open; it ends as soon as nothing is. What was
   * interrupted needs some turns to finish. Default: 20.
   */
  readonly settle?: number | undefined
  /**
   * How much time may pass besides, by the `Clock`; a `TestClock` is moved on by so much. Looks again every 10
   * milliseconds, and ends as soon as nothing is left open. Default: none.
   */
  readonly wait?: Duration.Input | undefined
  /** `true` for what is left open on purpose. */
  readonly ignore?: ((leak: Leak) => boolean) | undefined
}

/** What came of an effect. */
export interface Tracked<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly leaks: ReadonlyArray<Leak>
}

const shown = 20

/** Something was left open; the message names the first 20. */
export class LeakFailure extends Data.TaggedError("LeakFailure")<{ readonly leaks: ReadonlyArray<Leak> }> {
  override get message(): string {
    const { leaks } = this
    const lines = leaks.slice(0, shown).map((leak) => `  ${describe(leak)}`)
    if (leaks.length > shown) lines.push(`  ... and ${leaks.length - shown} more`)
    return [leaks.length === 1 ? "something is left open:" : `${leaks.length} things are left open:`, ...lines]
      .join("\n")
  }
}

const pollEvery = 10

/** Looks until nothing is left open and nothing is about to start, or until it has looked for long enough. */
const search = Effect.fnUntraced(function*(
  watch: Watch,
  look: Effect.Effect<ReadonlyArray<Leak>>,
  options: Options
) {
  const turns = options.settle ?? 20
  const settle = Effect.fnUntraced(function*() {
    let leaks = yield* look
    for (let turn = 0; turn < turns && (leaks.length > 0 || watch.waiting > 0); turn++) {
      yield* Effect.yieldNow
      leaks = yield* look
    }
    return leaks
  })
  let leaks = yield* settle()
  let left = options.wait === undefined ? 0 : Duration.toMillis(options.wait)
  const clock: Clock.Clock & Partial<Pick<TestClock.TestClock, "adjust">> = yield* Clock.Clock
  while (left > 0 && leaks.length > 0) {
    const step = Math.min(left, pollEvery)
    yield* clock.adjust === undefined ? Effect.sleep(step) : clock.adjust(step)
    left -= step
    leaks = yield* clock.adjust === undefined ? look : settle()
  }
  return leaks
})

/**
 * Runs an effect on a fiber of its own and says what it has left open when it is over. Does not fail; interrupted, it
 * interrupts the effect and does not look.
 *
 * What was open before is not left open by the effect, and neither is what will be closed with that: finalizers and
 * fibers that it adds to a scope around it, and the scopes and fibers that the services around it hold. Children of its
 * fiber end with it, as they always do.
 *
 * @example
 * ```ts
 * import { Effect, Scope } from "effect"
 * import { Leaks } from "@chronovyan/testing"
 *
 * const open = Effect.fn("open")(function*() {
 *   const scope = yield* Scope.make()
 *   yield* Scope.provide(Effect.addFinalizer(() => Effect.log("closed")), scope)
 * })
 *
 * const { leaks } = await Effect.runPromise(Leaks.track(open()))
 * console.log(leaks.map(Leaks.describe)) // a scope is open that was first used in "open" ...
 * ```
 */
export const track: {
  (options?: Options): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<Tracked<A, E>, never, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: Options): Effect.Effect<Tracked<A, E>, never, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, options: Options = {}): Effect.Effect<Tracked<A, E>, never, R> =>
    Effect.contextWith((outer: Context.Context<R>) => {
      const watch = new Watch(outer)
      const watched = self.pipe(
        Effect.provideService(Scheduler.PreventSchedulerYield, false),
        Effect.provideService(Scheduler.Scheduler, watch)
      )
      // Interrupted in between, it is a child of the fiber that ends.
      const run = Effect.flatMap(
        Effect.forkChild(watched, { startImmediately: true, uninterruptible: "inherit" }),
        (fiber) => Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
      )
      return Effect.flatMap(run, (exit) => {
        const { ignore } = options
        const look = Effect.map(
          find(watch, outer),
          (leaks) => ignore === undefined ? leaks : leaks.filter((leak) => !ignore(leak))
        )
        return Effect.map(search(watch, look, options), (leaks): Tracked<A, E> => ({ exit, leaks }))
      }).pipe(Effect.ensuring(Effect.sync(() => watch.end())))
    })
)

/**
 * Runs an effect and fails with a `LeakFailure` when it leaves something open; see `track`. Its own failure comes first:
 * what it leaves open then stands beside that in the `Cause`, as a defect. When the effect was only interrupted, nothing
 * is added.
 */
export const check: {
  (options?: Options): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LeakFailure, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: Options): Effect.Effect<A, E | LeakFailure, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: Options): Effect.Effect<A, E | LeakFailure, R> =>
    Effect.flatMap(track(self, options), ({ exit, leaks }): Effect.Effect<A, E | LeakFailure> => {
      if (leaks.length === 0) return exit
      const failure = new LeakFailure({ leaks })
      if (Exit.isSuccess(exit)) return Effect.fail(failure)
      return Cause.hasInterruptsOnly(exit.cause)
        ? exit
        : Effect.failCause(Cause.combine(exit.cause, Cause.die(failure)))
    })
)

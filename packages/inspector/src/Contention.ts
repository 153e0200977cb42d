/**
 * Finds out where a program waits: for which pools, budgets and shared values, for how long, who holds them meanwhile, and
 * what would help.
 */
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ContentionReport } from "./ContentionReport.ts"
import { Observatory } from "./internal/observatory.ts"
import * as Source from "./Source.ts"

/**
 * How it is looked at.
 */
export interface Options {
  /** The time that is told of, up to now. Default: 1 minute. */
  readonly window?: Duration.Input | undefined
  /** How often is looked. Default: 1 second. */
  readonly interval?: Duration.Input | undefined
  /**
   * `"snapshots"`: nothing that borrows or returns takes part in it. How many waited and held, for how long on average, and who
   * holds is exact; percentiles are as good as the interval: what lasted for less is taken to have lasted as long as its
   * mean. `"events"`: percentiles of pools are right to 5 percent, and each borrow and return costs some microseconds more.
   * Default: `"snapshots"`.
   */
  readonly detail?: "snapshots" | "events" | undefined
}

/** What looks, as a service. */
export class Contention extends Context.Service<Contention, {
  /** What there was in the window. */
  readonly report: Effect.Effect<ContentionReport>
}>()("@chronovyan/inspector/Contention") {}

/** What there was in the window, and is now. */
export const report: Effect.Effect<ContentionReport, never, Contention> = Effect.flatMap(
  Contention,
  ({ report }) => report
)

/**
 * Looks until the layer closes. It sets `Source.Contention`, so an `Inspector` that is provided with it shows what it sees.
 *
 * @example
 * ```ts
 * import { ResourceManager } from "@chronovyan/core"
 * import { Contention } from "@chronovyan/inspector"
 * import { Layer } from "effect"
 *
 * const live = Contention.layer({ window: "5 minutes" }).pipe(Layer.provideMerge(ResourceManager.layer()))
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<Contention, never, ResourceManager.ResourceManager> =>
  Layer.effectContext(
    Effect.map(look(options), (report) =>
      Context.make(Contention, { report }).pipe(
        Context.add(Source.Contention, { report })
      ) as Context.Context<Contention>)
  )

/**
 * Looks for as long, by events, and tells what there was. Needs no layer: for a look at a program that otherwise is not
 * watched.
 */
export const collect = (
  duration: Duration.Input
): Effect.Effect<ContentionReport, never, ResourceManager.ResourceManager> =>
  Effect.scoped(Effect.flatMap(
    Effect.suspend(() => {
      const window = millis("duration", duration)
      return look({ window, interval: Math.max(1, Math.min(1000, window / 20)), detail: "events" })
    }),
    (report) => Effect.andThen(Effect.sleep(duration), report)
  ))

const look: (
  options: Options
) => Effect.Effect<Effect.Effect<ContentionReport>, never, ResourceManager.ResourceManager | Scope.Scope> = Effect
  .fnUntraced(function*({ detail = "snapshots", interval = "1 second", window = "1 minute" }) {
    const pause = millis("interval", interval)
    const observatory = new Observatory(millis("window", window), detail === "events")
    const context = yield* Effect.context<ResourceManager.ResourceManager>()
    observatory.look(yield* ResourceManager.snapshot)
    if (detail === "events") {
      yield* ResourceManager.events.pipe(
        Stream.runForEachArray((events) => Effect.sync(() => events.forEach((event) => observatory.event(event)))),
        Effect.forkScoped({ startImmediately: true })
      )
    }
    yield* Effect.sleep(pause).pipe(
      Effect.andThen(ResourceManager.snapshot),
      Effect.map((snapshot) => observatory.look(snapshot)),
      Effect.catchCause((cause) => Effect.logError("The look at contention failed, and goes on", cause)),
      Effect.forever,
      Effect.forkScoped
    )
    return Effect.provide(Effect.map(ResourceManager.snapshot, (snapshot) => observatory.report(snapshot)), context)
  })

const millis = (name: string, duration: Duration.Input): number => {
  const value = Duration.toMillis(Duration.fromInputUnsafe(duration))
  if (value >= 1) return value
  throw new TypeError(`The ${name} of a look at contention must be at least 1 millisecond: ${String(value)}`)
}

/**
 * Finds what is held for too long, has outlived its owner, or grows without end, and tells of each once: in a stream, in
 * the log, and to a hook. When it comes home after all, that is told, too.
 *
 * It looks at snapshots, one every few seconds: nothing that allocates or releases takes part in it.
 */
import * as CallSite from "@chronovyan/core/CallSite"
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { Detector } from "./internal/detector.ts"
import { configOf } from "./internal/leakConfig.ts"
import type { Config, Level, Options } from "./internal/leakConfig.ts"
import type { LeakReport } from "./LeakReport.ts"
import * as Source from "./Source.ts"

export type {
  /** How closely is looked. */
  Level,
  /** What a detector can be given. */
  Options
} from "./internal/leakConfig.ts"

/** The detector, as a service. */
export class LeakDetector extends Context.Service<LeakDetector, {
  readonly level: Level
  /** Those that are raised and not taken back. */
  readonly current: Effect.Effect<ReadonlyArray<LeakReport>>
  /** What is raised and taken back from now on. A listener that lags behind by more than 256 misses the oldest ones. */
  readonly reports: Stream.Stream<LeakReport>
  /** Looks now, besides every interval; answers what is told. */
  readonly look: Effect.Effect<ReadonlyArray<LeakReport>>
}>()("@chronovyan/inspector/LeakDetector") {}

/** Those that are raised and not taken back. */
export const current: Effect.Effect<ReadonlyArray<LeakReport>, never, LeakDetector> = Effect.flatMap(
  LeakDetector,
  ({ current }) => current
)

/** What is raised and taken back from now on. */
export const reports: Stream.Stream<LeakReport, never, LeakDetector> = Stream.unwrap(
  Effect.map(LeakDetector, ({ reports }) => reports)
)

/** Looks now, besides every interval; answers what is told. */
export const look: Effect.Effect<ReadonlyArray<LeakReport>, never, LeakDetector> = Effect.flatMap(
  LeakDetector,
  ({ look }) => look
)

/**
 * Looks for leaks until the layer closes. Time comes from the `Clock` that the layer is built with. A wrong option is a
 * defect.
 *
 * It sets `Source.Leaks`, so an `Inspector` that is provided with it shows what it finds.
 *
 * @example
 * ```ts
 * import { ResourceManager } from "@chronovyan/core"
 * import { LeakDetector } from "@chronovyan/inspector"
 * import { Layer } from "effect"
 *
 * const live = LeakDetector.layer({ holds: { connection: "30 seconds" } }).pipe(
 *   Layer.provideMerge(ResourceManager.layer())
 * )
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<LeakDetector, never, ResourceManager.ResourceManager> =>
  Layer.effectContext(Effect.suspend(() => {
    const config = configOf(options)
    return Effect.map(
      config.level === "off" ? Effect.succeed(off) : make(config, options),
      (detector) =>
        Context.make(LeakDetector, detector).pipe(
          Context.add(Source.Leaks, {
            level: detector.level,
            reports: detector.current,
            changes: detector.reports
          })
        ) as Context.Context<LeakDetector>
    )
  }))

const off = LeakDetector.of({
  level: "off",
  current: Effect.succeed([]),
  reports: Stream.never,
  look: Effect.succeed([])
})

const make = Effect.fnUntraced(function*(config: Config, { log = true, onReport }: Options) {
  const context = yield* Effect.context<ResourceManager.ResourceManager>()
  const detector = new Detector(config)
  const reports = yield* Effect.acquireRelease(PubSub.sliding<LeakReport>(256), PubSub.shutdown)
  if (config.level === "sampled" || config.level === "full") {
    yield* CallSite.sample({ every: config.every })
    yield* ResourceManager.trackHandles({ every: config.every })
  }
  if (onReport !== undefined) {
    const subscription = yield* PubSub.subscribe(reports)
    yield* Stream.fromSubscription(subscription).pipe(
      Stream.runForEach((report) =>
        Effect.catchCause(onReport(report), (cause) => Effect.logError("The hook of the leak detector failed", cause))
      ),
      Effect.forkScoped
    )
  }
  const scope = yield* Effect.scope
  let listening: Fiber.Fiber<void> | undefined = undefined
  const listen = Effect.suspend(() => {
    if (detector.wantsFrames === (listening !== undefined)) return Effect.void
    if (listening !== undefined) {
      const ended = Fiber.interrupt(listening)
      listening = undefined
      return ended
    }
    return ResourceManager.events.pipe(
      Stream.runForEachArray((events) =>
        Effect.sync(() => {
          for (const event of events) if (event._tag === "FrameEnded") detector.frameEnded(event.frame)
        })
      ),
      Effect.forkIn(scope, { startImmediately: true }),
      Effect.map((fiber) => void (listening = fiber))
    )
  })
  const turn = Semaphore.makeUnsafe(1)
  const look = Effect.gen(function*() {
    const told = detector.look(yield* ResourceManager.snapshot)
    for (const report of told) {
      PubSub.publishUnsafe(reports, report)
      if (log) yield* logOf(report)
    }
    yield* listen
    return told
  }).pipe(turn.withPermit, Effect.provide(context))
  yield* look
  yield* Effect.sleep(config.interval).pipe(
    Effect.andThen(Effect.catchCause(look, (cause) => Effect.logError("The leak detector failed, and goes on", cause))),
    Effect.forever,
    Effect.forkScoped
  )
  return LeakDetector.of({
    level: config.level,
    current: Effect.sync(() => detector.current),
    reports: Stream.fromPubSub(reports),
    look
  })
})

const logOf = ({ advice, frame, id, message, reason, resource, state }: LeakReport): Effect.Effect<void> =>
  (state === "raised" ? Effect.logWarning(`${message}. ${advice}.`) : Effect.logInfo(`${message}.`)).pipe(
    Effect.annotateLogs({ leak: id, reason, resource, frame })
  )

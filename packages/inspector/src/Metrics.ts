/**
 * Numbers of a program, as metrics of Effect: of pools as OpenTelemetry has them, of allocations, budgets, frames, shared
 * values and leaks. They are found out when somebody asks, from one snapshot: nothing that allocates, borrows or
 * releases takes part in it.
 */
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpMetrics from "effect/observability/OtlpMetrics"
import type { OtlpSerialization } from "effect/observability/OtlpSerialization"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Stream from "effect/Stream"
import { Collector } from "./internal/metricCollect.ts"
import { Names } from "./internal/metricNames.ts"
import { SeriesBook } from "./internal/metricSeries.ts"
import { asOtlp, asPrometheus } from "./internal/metricViews.ts"
import { Reason } from "./LeakReport.ts"
import type { LeakReport } from "./LeakReport.ts"
import * as Source from "./Source.ts"

/** What is told, and how. */
export interface Options {
  /**
   * The names of the pools whose items are connections to a database, or what tells them by their names: they are told
   * of as `db.client.connection.*`, as OpenTelemetry has it, all others as `chronovyan.pool.*`. Default: none.
   */
  readonly connections?: ReadonlyArray<string> | ((name: string) => boolean) | undefined
  /**
   * How many names of pools, of definitions, of frames and of units are told by themselves, each; those that come later
   * are told together, as `other`. A whole number of at least 1. Default: 100.
   */
  readonly maxNames?: number | undefined
  /** Attributes of all of them, for one where several managers share a registry. Default: none. */
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

/** The numbers, as a service. */
export class Metrics extends Context.Service<Metrics, {
  /** All metrics of the program, and with them these, in the text format of Prometheus. */
  readonly text: Effect.Effect<string>
  /**
   * The registry of the program as an exporter of OTLP has to see it: it looks before it is read, and tells units as units.
   */
  readonly registry: Metric.MetricRegistry
}>()("@chronovyan/inspector/Metrics") {}

/** All metrics of the program, and with them these, in the text format of Prometheus. */
export const text: Effect.Effect<string, never, Metrics> = Effect.flatMap(Metrics, ({ text }) => text)

/**
 * Puts the numbers into the program's `Metric.MetricRegistry`, where all exporters find them, until the layer closes. It sets
 * `Source.Metrics`, so an `Inspector` that is provided with it tells them at `/metrics`. Leaks come from `Source.Leaks`. A
 * wrong option is a defect.
 *
 * An exporter that is not told of this layer sees what is new, such as a pool, when it reads for the second time; the
 * text and {@link layerOtlp} see it at once.
 *
 * @example
 * ```ts
 * import { ResourceManager } from "@chronovyan/core"
 * import { Inspector, Metrics } from "@chronovyan/inspector"
 * import { Layer } from "effect"
 *
 * const live = Inspector.layer({ name: "shop" }).pipe(
 *   Layer.provideMerge(Metrics.layer({ connections: ["postgres"] })),
 *   Layer.provideMerge(ResourceManager.layer())
 * )
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<Metrics, never, ResourceManager.ResourceManager> =>
  Layer.effectContext(
    Effect.map(make(options), (metrics) =>
      Context.make(Metrics, metrics).pipe(
        Context.add(Source.Metrics, { text: metrics.text })
      ) as Context.Context<Metrics>)
  )

/** What Effect's exporter can be given: the address, the interval, attributes of the program, and more. */
export type OtlpOptions = Parameters<typeof OtlpMetrics.layer>[0]

/**
 * Sends all metrics of the program, and with them these, to a collector: Effect's `OtlpMetrics`, which sees them as they are
 * when it sends. Use it instead of that, not besides: both send everything.
 *
 * @example
 * ```ts
 * import { ResourceManager } from "@chronovyan/core"
 * import { Metrics } from "@chronovyan/inspector"
 * import { Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 * import { OtlpSerialization } from "effect/observability"
 *
 * const live = Metrics.layerOtlp({ url: "http://localhost:4318/v1/metrics", resource: { serviceName: "shop" } }).pipe(
 *   Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson]),
 *   Layer.provideMerge(Metrics.layer()),
 *   Layer.provideMerge(ResourceManager.layer())
 * )
 * ```
 */
export const layerOtlp = (
  options: OtlpOptions
): Layer.Layer<OtlpExporter.Flusher, never, Metrics | HttpClient.HttpClient | OtlpSerialization> =>
  Layer.unwrap(
    Effect.map(Metrics, ({ registry }) =>
      OtlpMetrics.layer(options).pipe(Layer.provide(Layer.succeed(Metric.MetricRegistry, registry))))
  )

const make = Effect.fnUntraced(function*({ attributes = {}, connections = [], maxNames = 100 }: Options) {
  if (!Number.isSafeInteger(maxNames) || maxNames < 1) {
    throw new TypeError(`The maxNames of metrics has to be a whole number from 1 on: ${String(maxNames)}`)
  }
  const context = yield* Effect.context<ResourceManager.ResourceManager>()
  const leaks = yield* Source.Leaks
  const raised = new Map<string, number>(leaks.level === "off" ? [] : Reason.literals.map((reason) => [reason, 0]))
  const run = Effect.runSyncExitWith(context)
  let current: ReadonlyArray<LeakReport> = []
  const look = () => {
    const snapshot = run(ResourceManager.snapshot)
    if (Exit.isSuccess(snapshot)) collector.look(snapshot.value)
    const reports = leaks.level === "off" ? undefined : run(leaks.reports)
    if (reports !== undefined && Exit.isSuccess(reports)) current = reports.value
    collector.leaks(raised, current)
  }
  const book = new SeriesBook(context, attributes, look)
  const collector = new Collector({
    book,
    names: new Names(maxNames),
    isConnection: typeof connections === "function" ? connections : (name) => connections.includes(name)
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => book.close()))
  if (leaks.level !== "off") {
    // Those that were raised before count, too.
    for (const { reason } of yield* leaks.reports) raised.set(reason, (raised.get(reason) ?? 0) + 1)
    yield* leaks.changes.pipe(
      Stream.runForEach(({ reason, state }) =>
        Effect.sync(() => {
          if (state === "raised") raised.set(reason, (raised.get(reason) ?? 0) + 1)
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
  }
  book.open()
  const prometheus = Context.add(context, Metric.MetricRegistry, book.view(asPrometheus))
  return Metrics.of({
    text: Effect.sync(() => PrometheusMetrics.formatUnsafe(prometheus)),
    registry: book.view(asOtlp)
  })
})

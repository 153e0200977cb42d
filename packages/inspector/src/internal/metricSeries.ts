/**
 * The series that there are, in the registry of the program's metrics. They are set when they are read. Owned by
 * `Metrics`.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Instrument } from "./metricCatalog.ts"

type Attributes = Readonly<Record<string, string>>
type Hooks = Metric.Metric.Hooks<any, any>
type Metadata = Metric.Metric.Metadata<any, any>
type State = Metric.CounterState<number> | Metric.GaugeState<number> | Metric.HistogramState

/** One number, or for a histogram how many, how much, and the most. */
export class Series {
  readonly instrument: Instrument
  value = 0
  count = 0
  max = 0
  /** When it was set, as a number of looks. */
  setAt = -1
  /** When it was read. */
  readAt = -1

  constructor(instrument: Instrument) {
    this.instrument = instrument
  }

  get state(): State {
    const { count, instrument: { kind }, max, value } = this
    if (kind === "gauge") return { value }
    // The least is not known.
    if (kind === "histogram") return { buckets: [[Infinity, count]], count, sum: value, min: NaN, max }
    return { count: value, incremental: kind === "counter" }
  }
}

const update = () => {}

/**
 * A registry that is looked at through this one: exporters read the values and nothing else. What is written goes to the
 * registry itself.
 */
class View extends Map<string, Metadata> {
  private readonly registry: Metric.MetricRegistry
  private readonly shown: () => Array<Metadata>

  constructor(registry: Metric.MetricRegistry, shown: () => Array<Metadata>) {
    super()
    this.registry = registry
    this.shown = shown
  }

  override values(): MapIterator<Metadata> {
    return this.shown().values()
  }

  override get(key: string): Metadata | undefined {
    return this.registry.get(key)
  }

  override set(key: string, metadata: Metadata): this {
    this.registry.set(key, metadata)
    return this
  }

  override delete(key: string): boolean {
    return this.registry.delete(key)
  }
}

/** How they are registered: one that is read by itself is as new as all others that are read with it. */
export class SeriesBook {
  private readonly context: Context.Context<never>
  private readonly fixed: Attributes
  private readonly look: () => void
  private readonly known = new Map<string, Series>()
  private readonly registrations: Array<Metric.Registration> = []
  private readonly hooks = new WeakMap<Hooks["get"], Series>()
  private looks = 0
  private isFresh = false

  constructor(context: Context.Context<never>, fixed: Attributes, look: () => void) {
    this.context = context
    this.fixed = fixed
    this.look = look
  }

  /** Looks, and sets all of them. What was not set and can fall has fallen to nothing. */
  refresh(): void {
    this.looks++
    this.look()
    for (const series of this.known.values()) {
      const { instrument: { kind }, setAt } = series
      if (setAt !== this.looks && (kind === "updown" || kind === "gauge")) series.value = 0
    }
    this.isFresh = true
    // Who reads them all does it in one go; what is read later is another time.
    queueMicrotask(() => this.isFresh = false)
  }

  /** Makes those that there are at first; nobody has read them. */
  open(): void {
    this.refresh()
    this.isFresh = false
  }

  /** Adds to what it is this time. */
  add(instrument: Instrument, attributes: Attributes, value: number): void {
    this.begun(instrument, attributes).value += value
  }

  /** The most of what it is this time. */
  most(instrument: Instrument, attributes: Attributes, value: number): void {
    const series = this.begun(instrument, attributes)
    series.value = Math.max(series.value, value)
  }

  /** How many, how much together, and the most. */
  spread(instrument: Instrument, attributes: Attributes, count: number, sum: number, max: number): void {
    const series = this.begun(instrument, attributes)
    series.value += sum
    series.count += count
    series.max = Math.max(series.max, max)
  }

  /** The registry of the program, as it is when it is read, with ours as `show` tells them. */
  view(show: (metadata: Metadata, series: Series) => Metadata): Metric.MetricRegistry {
    return new View(this.registry, () => {
      this.refresh()
      return Array.from(this.registry.values(), (metadata) => {
        const series = this.hooks.get(metadata.hooks.get)
        return series === undefined ? metadata : show({ ...metadata, hooks: this.reading(series) }, series)
      })
    })
  }

  close(): void {
    for (const registration of this.registrations) registration.remove()
  }

  private reading(series: Series): Hooks {
    const get = () => {
      series.readAt = this.looks
      return series.state
    }
    return { get, update, modify: update }
  }

  private get registry(): Metric.MetricRegistry {
    return Context.get(this.context, Metric.MetricRegistry)
  }

  private begun(instrument: Instrument, attributes: Attributes): Series {
    const key = `${instrument.id} ${JSON.stringify(attributes)}`
    const series = this.known.get(key) ?? this.register(key, instrument, attributes)
    if (series.setAt !== this.looks) {
      series.setAt = this.looks
      series.value = series.count = 0
    }
    return series
  }

  private register(key: string, instrument: Instrument, attributes: Attributes): Series {
    const { description, id, kind, unit } = instrument
    const series = new Series(instrument)
    const options = { description, attributes: { ...this.fixed, ...attributes, unit } }
    const metric = (kind === "gauge"
      ? Metric.gauge(id, options)
      : kind === "histogram"
      ? Metric.histogram(id, { ...options, boundaries: [Infinity] })
      : Metric.counter(id, { ...options, incremental: kind === "counter" })) as Metric.Metric<any, any>
    const get = () => {
      if (!this.isFresh || series.readAt === this.looks) this.refresh()
      series.readAt = this.looks
      return series.state
    }
    this.hooks.set(get, series)
    this.known.set(key, series)
    this.registrations.push(Metric.registerUnsafe(metric, this.context, { get, update, modify: update }))
    return series
  }
}

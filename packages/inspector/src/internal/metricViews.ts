/**
 * How the series are told to those who have other customs than Effect's registry. Owned by `Metrics`.
 */
import type * as Metric from "effect/Metric"
import { prometheusName } from "./metricCatalog.ts"
import type { Series } from "./metricSeries.ts"

type Metadata = Metric.Metric.Metadata<any, any>

/** Names have their units in them, and a sum that can fall is a gauge: to Prometheus a counter only rises. */
export const asPrometheus = (metadata: Metadata, { instrument }: Series): Metadata => {
  const id = prometheusName(instrument)
  if (instrument.kind !== "updown") return { ...metadata, id }
  const { get } = metadata.hooks
  const hooks = { ...metadata.hooks, get: (context: any) => ({ value: get(context).count }) }
  return { ...metadata, id, type: "Gauge", hooks }
}

/**
 * The unit is a part of the metric, not an attribute of each of its points: it is read, and not listed. The least of a
 * histogram is left out, since nobody knows it.
 */
export const asOtlp = (metadata: Metadata, { instrument }: Series): Metadata => {
  const { unit, ...attributes } = metadata.attributes ?? {}
  Object.defineProperty(attributes, "unit", { value: unit, enumerable: false })
  if (instrument.kind !== "histogram") return { ...metadata, attributes }
  const { get } = metadata.hooks
  const hooks = { ...metadata.hooks, get: (context: any) => ({ ...get(context), min: undefined }) }
  return { ...metadata, attributes, hooks }
}

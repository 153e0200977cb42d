/**
 * Where programs wait: for each pool, budget and shared value how long, for whom, and what would help. Plain data with a
 * schema.
 */
import * as Schema from "effect/Schema"

/** How something that was measured is spread, in milliseconds. */
export class Spread extends Schema.Class<Spread>("@chronovyan/inspector/ContentionReport/Spread")({
  count: Schema.Int,
  total: Schema.Number,
  mean: Schema.Number,
  p50: Schema.Number,
  p90: Schema.Number,
  p99: Schema.Number,
  max: Schema.Number
}) {}

/** Who holds it, by call site, or frame when that is not known. */
export class Site extends Schema.Class<Site>("@chronovyan/inspector/ContentionReport/Site")({
  /** The call site, or the path of the frame. */
  site: Schema.String,
  /** The share of all time that it was held, from 0 to 1. */
  share: Schema.Number,
  /** How many it holds now. */
  holding: Schema.Int,
  held: Spread
}) {}

/** How one pool, unit of a budget, or shared value stands. */
export class Subject extends Schema.Class<Subject>("@chronovyan/inspector/ContentionReport/Subject")({
  kind: Schema.Literals(["pool", "budget", "shared"]),
  name: Schema.String,
  /** The path of the frame that limits it, for budgets. */
  frame: Schema.optionalKey(Schema.String),
  limit: Schema.NullOr(Schema.Number),
  used: Schema.Number,
  waiting: Schema.Int,
  /** The share of the time looked at in which somebody waited, from 0 to 1. */
  contended: Schema.Number,
  waited: Spread,
  held: Spread,
  /** Those that hold it for longest first. */
  sites: Schema.Array(Site),
  /** What the figures say, in plain words; empty when nobody waits. */
  hint: Schema.String
}) {}

/** Who waits for whom. */
export class Edge extends Schema.Class<Edge>("@chronovyan/inspector/ContentionReport/Edge")({
  /** The path of the frame that waits. */
  waiter: Schema.String,
  /** What it waits for. */
  resource: Schema.String,
  /** The path of the frame that has it. */
  holder: Schema.String,
  /** For how long, in milliseconds. */
  waited: Schema.Number
}) {}

/** Where programs wait, over the time since `from`; those with most waiting first. */
export class ContentionReport extends Schema.Class<ContentionReport>("@chronovyan/inspector/ContentionReport")({
  from: Schema.Number,
  at: Schema.Number,
  subjects: Schema.Array(Subject),
  waits: Schema.Array(Edge)
}) {}

/**
 * What a program that is inspected and those who look at it say to each other, over HTTP. The page, the command and any
 * other tool speak it; nothing else is needed to look at a program.
 *
 * | request | answer |
 * |---|---|
 * | `GET /` | the page, in one file |
 * | `GET /api/info` | {@link Info} |
 * | `GET /api/snapshot` | `Snapshot` of `@chronovyan/core` |
 * | `GET /api/contention` | `ContentionReport` |
 * | `GET /api/leaks` | an array of `LeakReport`: those that are raised and not taken back |
 * | `GET /api/events` | a stream of server-sent events: `event: resource` with a `ResourceEvent`, `event: leak` with a `LeakReport` |
 * | `GET /metrics` | the metrics, in the text format of Prometheus |
 * | `POST /api/control` | does what a {@link Control} says; answers {@link Done} or {@link Refused} |
 *
 * A refusal of any kind is a {@link Refused} as JSON with a fitting status. With a token, each request says
 * `Authorization: Bearer <token>`; the page takes it from the fragment of its address.
 */
import * as Schema from "effect/Schema"

/** Who is looked at. */
export class Info extends Schema.Class<Info>("@chronovyan/inspector/Protocol/Info")({
  /** The name that the program has given itself. */
  name: Schema.String,
  pid: Schema.Int,
  /** The version of this protocol. */
  protocol: Schema.Literal(1),
  /** Of the runtime, such as `v24.1.0`. */
  runtime: Schema.String,
  startedAt: Schema.Number,
  /** May it be controlled from outside? */
  control: Schema.Boolean,
  /** Of the leak detector. */
  level: Schema.Literals(["off", "presence", "sampled", "full"])
}) {}

/** Lets a pool come to rest: nobody is lent anything any more, those who wait are served. */
export const Drain = Schema.TaggedStruct("Drain", { pool: Schema.String })

/** Changes the size of a pool. */
export const Resize = Schema.TaggedStruct("Resize", {
  pool: Schema.String,
  min: Schema.optionalKey(Schema.Int),
  max: Schema.optionalKey(Schema.Int)
})

/** Retires all items of a pool, or all values of a shared or persistent definition. */
export const Retire = Schema.TaggedStruct("Retire", { resource: Schema.String })

/** What can be asked of a program that allows it. */
export const Control = Schema.Union([Drain, Resize, Retire])

/** What can be asked of a program that allows it. */
export type Control = typeof Control.Type

/** It was done. */
export class Done extends Schema.Class<Done>("@chronovyan/inspector/Protocol/Done")({
  message: Schema.String
}) {}

/** It was not. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  status: Schema.Int,
  message: Schema.String
}) {}

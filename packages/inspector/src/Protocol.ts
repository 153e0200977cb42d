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
 * | `POST /api/control` | does what a {@link Control} says, as JSON; answers {@link Done} or {@link Refused} |
 *
 * A refusal of any kind is a {@link Refused} as JSON with a fitting status. With a token, each request but that for the
 * page says `Authorization: Bearer <token>`; the page takes it from the fragment of its address.
 *
 * | status | why |
 * |---|---|
 * | 202 | it was begun, and goes on |
 * | 400 | what was sent can not be read, or makes no sense |
 * | 401 | a token is needed, or it is another one |
 * | 403 | the page that asks is not of this program, or control is off |
 * | 404 | there is no such thing |
 * | 405 | not with this method |
 * | 409 | several pools have the name: say which one by `frameId` |
 * | 413 | what was sent is too large |
 * | 415 | it is not JSON |
 * | 421 | it was asked under the name of another host |
 * | 503 | too many listen, or ask, at once |
 *
 * A listener that does not read as fast as things happen misses some: an `EventsDropped` tells how many. One that reads
 * nothing at all for half a minute is disconnected.
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

/** Which pool, when several have the name: as in `PoolState` of `@chronovyan/core`. */
const frameId = Schema.optionalKey(Schema.Int)

/** Ends a pool: nobody new is served, those who wait already are, and those who have an item can finish. */
export const Drain = Schema.TaggedStruct("Drain", {
  pool: Schema.String,
  frameId,
  /** How long to wait for those who have an item, in milliseconds. Default: the `closeTimeout` of the pool. */
  timeout: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)))
})

/** Changes the size of a pool. */
export const Resize = Schema.TaggedStruct("Resize", {
  pool: Schema.String,
  frameId,
  min: Schema.optionalKey(Schema.Int),
  max: Schema.optionalKey(Schema.Int)
})

/** Retires all items of a pool, or all values of a shared or persistent definition. */
export const Retire = Schema.TaggedStruct("Retire", { resource: Schema.String, frameId })

/** What can be asked of a program that allows it. */
export const Control = Schema.Union([Drain, Resize, Retire])

/** What can be asked of a program that allows it. */
export type Control = typeof Control.Type

/** It was done, or begun when that may take long. */
export class Done extends Schema.Class<Done>("@chronovyan/inspector/Protocol/Done")({
  message: Schema.String
}) {}

/** It was not. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  status: Schema.Int,
  message: Schema.String
}) {}

/** What a program writes down about itself while its inspector listens, so that the command finds it. */
export class Registration extends Schema.Class<Registration>("@chronovyan/inspector/Protocol/Registration")({
  name: Schema.String,
  pid: Schema.Int,
  protocol: Schema.Int,
  /** `http://127.0.0.1:1234`, or `unix:` and the path of a socket. */
  address: Schema.String,
  /** Does it ask for a token? */
  token: Schema.Boolean,
  startedAt: Schema.Number
}) {}

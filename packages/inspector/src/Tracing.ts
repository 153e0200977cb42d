/**
 * Spans of what took time: acquisitions, and waits for what is pooled or shared. They are made from events, when all is
 * over.
 */
import type { ResourceEvent } from "@chronovyan/core/ResourceEvent"
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"

/** What a span is made of. */
export type Timed = Extract<ResourceEvent, { readonly took: number }>

/** Which spans are made. */
export interface Options {
  /** What took less makes no span. Default: 1 millisecond. */
  readonly minimum?: Duration.Input | undefined
  /**
   * The span that the work belongs to: events tell the frame, and a program that knows the spans of its frames can tell
   * which that is. Without one the span is a root. Default: none.
   */
  readonly parent?: ((event: Timed) => Tracer.AnySpan | undefined) | undefined
}

/**
 * Makes spans until the layer closes, with the `Tracer` that it is built with. Each event costs something while it does: see
 * `ResourceManager.events`. A wrong option is a defect.
 *
 * `acquire <name>` is an acquisition, `wait for <name>` the wait for an item of a pool or for a shared value. An
 * acquisition that failed has an error, one that arrived when its frame had ended is marked as late. Who waits and gets
 * nothing makes no span: that is counted by `Metrics`.
 *
 * @example
 * ```ts
 * import { ResourceManager } from "@chronovyan/core"
 * import { Tracing } from "@chronovyan/inspector"
 * import { Layer } from "effect"
 *
 * const live = Tracing.layer({ minimum: "10 millis" }).pipe(Layer.provideMerge(ResourceManager.layer()))
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, ResourceManager.ResourceManager> =>
  Layer.effectDiscard(Effect.suspend(() => {
    const minimum = Duration.toMillis(Duration.fromInputUnsafe(options.minimum ?? "1 millis"))
    if (!(minimum >= 0)) throw new TypeError(`The minimum of a span must not be negative: ${String(minimum)}`)
    return Effect.flatMap(Tracer.Tracer, (tracer) =>
      ResourceManager.events.pipe(
        Stream.runForEachArray((events) =>
          Effect.sync(() => {
            for (const event of events) {
              if (isTimed(event) && event.took >= minimum) span(tracer, event, options.parent?.(event))
            }
          })
        ),
        Effect.catchCause((cause) => Effect.logError("Spans are not made any more", cause)),
        Effect.forkScoped({ startImmediately: true })
      ))
  }))

const isTimed = (event: ResourceEvent): event is Timed => "took" in event

const span = (tracer: Tracer.Tracer, event: Timed, parent: Tracer.AnySpan | undefined): void => {
  const { allocation, at, frame, resource, share, took } = event
  const made = tracer.span({
    name: `${share ? "wait for" : "acquire"} ${resource}`,
    parent: Option.fromUndefinedOr(parent),
    annotations: Context.empty(),
    links: [],
    startTime: nanos(at - took),
    kind: "internal",
    root: parent === undefined,
    sampled: parent?.sampled ?? true
  })
  made.attribute("chronovyan.resource.name", resource)
  made.attribute("chronovyan.frame.path", frame)
  made.attribute("chronovyan.allocation.id", allocation)
  if (event._tag === "LateArrival") made.attribute("chronovyan.late", true)
  made.end(nanos(at), event._tag === "AcquireFailed" ? Exit.fail(event.cause) : Exit.void)
}

/** Microseconds are as exact as a number of them is. */
const nanos = (millis: number): bigint => BigInt(Math.round(millis * 1000)) * 1000n

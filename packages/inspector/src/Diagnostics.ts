/**
 * Tells what happens to those who do not use Effect: each event of the manager is published to a channel of Node's
 * `diagnostics_channel`, as long as somebody has subscribed to one of them.
 */
import { ResourceEvent } from "@chronovyan/core/ResourceEvent"
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as DiagnosticsChannel from "node:diagnostics_channel"

/** How it is told. */
export interface Options {
  /** How often is looked whether somebody has subscribed, at least 1 millisecond. Default: 1 second. */
  readonly interval?: Duration.Input | undefined
}

type Tag = ResourceEvent["_tag"]

/** The channel of an event: `chronovyan:frame-opened` of `FrameOpened`. */
export const channelOf = (tag: Tag): string =>
  `chronovyan:${tag.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()}`

/** The names of all channels. */
export const channels: ReadonlyArray<string> = ResourceEvent.members.map(({ fields }) =>
  channelOf(fields._tag.schema.literal)
)

/**
 * Publishes events until the layer closes, from when the first subscriber is noticed until the last one has left. While
 * there is none, nothing is written down, and the program pays for a look every `interval`. A wrong option is a defect.
 *
 * A subscriber gets the event as the schema `ResourceEvent` has it, a moment after it happened. One that throws is an uncaught
 * exception, as Node has it.
 *
 * @example
 * ```ts
 * import { ResourceManager } from "@chronovyan/core"
 * import { Diagnostics } from "@chronovyan/inspector"
 * import { Layer } from "effect"
 *
 * const live = Diagnostics.layer().pipe(Layer.provideMerge(ResourceManager.layer()))
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, ResourceManager.ResourceManager> =>
  Layer.effectDiscard(Effect.suspend(() => publish(millis(options.interval ?? "1 second"))))

const publish: (interval: number) => Effect.Effect<void, never, ResourceManager.ResourceManager | Scope.Scope> = Effect
  .fnUntraced(function*(interval) {
    const all = new Map(channels.map((name) => [name, DiagnosticsChannel.channel(name)]))
    const byTag = new Map<Tag, DiagnosticsChannel.Channel>(
      ResourceEvent.members.map(({ fields }) => {
        const tag = fields._tag.schema.literal
        return [tag, all.get(channelOf(tag))!]
      })
    )
    const scope = yield* Effect.scope
    let listening: Fiber.Fiber<void> | undefined = undefined
    const listen = ResourceManager.events.pipe(
      Stream.runForEachArray((events) =>
        Effect.sync(() => {
          for (const event of events) {
            const channel = byTag.get(event._tag)!
            if (channel.hasSubscribers) channel.publish(event)
          }
        })
      ),
      Effect.forkIn(scope, { startImmediately: true })
    )
    const look = Effect.suspend((): Effect.Effect<unknown, never, ResourceManager.ResourceManager> => {
      const isWanted = Array.from(all.values()).some(({ hasSubscribers }) => hasSubscribers)
      if (isWanted === (listening !== undefined)) return Effect.void
      if (listening === undefined) return Effect.map(listen, (fiber) => listening = fiber)
      const ended = Fiber.interrupt(listening)
      listening = undefined
      return ended
    })
    yield* look
    yield* Effect.sleep(interval).pipe(Effect.andThen(look), Effect.forever, Effect.forkScoped)
  })

const millis = (interval: Duration.Input): number => {
  const value = Duration.toMillis(Duration.fromInputUnsafe(interval))
  if (value >= 1) return value
  throw new TypeError(`The interval of diagnostics must be at least 1 millisecond: ${String(value)}`)
}

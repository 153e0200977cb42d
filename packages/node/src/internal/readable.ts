/**
 * What a Node stream of bytes gives, as a Stream. Owned by `ChildProcess`.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Readable } from "node:stream"

/**
 * Stopping in the middle leaves the rest for the next reader. An async iterator could not do that: the end of one waits
 * for the read that is under way.
 */
export const fromReadable = <E>(
  readable: Readable,
  onError: (cause: unknown) => E
): Stream.Stream<Uint8Array, E> => {
  const pull = Effect.callback<NonEmptyReadonlyArray<Uint8Array>, E | Cause.Done>((resume) => {
    const settle = (effect: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, E | Cause.Done>): void => {
      unlisten()
      resume(effect)
    }
    const read = (): void => {
      const chunk: Uint8Array | null = readable.read()
      if (chunk !== null) settle(Effect.succeed([chunk]))
      else if (readable.errored !== null) settle(Effect.fail(onError(readable.errored)))
      else if (readable.readableEnded || readable.destroyed) settle(Cause.done())
    }
    const events = ["readable", "end", "error", "close"]
    const unlisten = (): void => {
      for (const event of events) readable.off(event, read)
    }
    for (const event of events) readable.on(event, read)
    read()
    return Effect.sync(unlisten)
  })
  return Stream.fromPull(Effect.succeed(pull))
}

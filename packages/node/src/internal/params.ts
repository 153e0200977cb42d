/**
 * Schemas that the params of several definitions share.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * Params that may be left out altogether. `Schema.Void` would let anything pass as "left out", so `undefined` it is;
 * the type says `void`, so that the argument is optional for the caller.
 */
export const optional = <S extends Schema.Constraint>(params: S) =>
  Schema.Union([params, Schema.Undefined as unknown as Schema.Codec<undefined, void>])

/** A `Duration.Input`, as it is. */
export const DurationInput = Schema.declare<Duration.Input>(
  (u): u is Duration.Input => Option.isSome(Duration.fromInput(u as Duration.Input)),
  { expected: `a duration, "5 seconds" for instance` }
)

/** The code of an error of the system, `ENOENT` for instance, when it has one. */
export const codeOf = (cause: unknown): string | undefined => {
  const code = (cause as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

/** What an error says, for use inside of another message. */
export const reasonOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

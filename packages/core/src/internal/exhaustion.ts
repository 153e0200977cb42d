/**
 * What an allocation does when a budget has too little left. Owned by `Budget`.
 */
import * as Context from "effect/Context"

export interface Exhaustion {
  /** How long it waits, in milliseconds: 0 for not at all, `Infinity` for as long as it takes. */
  readonly patience: number
}

/** What a call says of itself; `undefined`: whatever its frame says. */
export const OnExhausted: Context.Reference<Exhaustion | undefined> = Context.Reference<Exhaustion | undefined>(
  "@chronovyan/core/Budget/OnExhausted",
  { defaultValue: () => undefined }
)

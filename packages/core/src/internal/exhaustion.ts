/**
 * What an allocation does when a budget has too little left, and when it would come too late. Owned by `Budget`.
 */
import * as Context from "effect/Context"
import type { Admission } from "./recent.ts"

export interface Exhaustion {
  /** How long it waits, in milliseconds: 0 for not at all, `Infinity` for as long as it takes. */
  readonly patience: number
}

/** What a call says of itself; `undefined`: whatever its frame says. */
export const OnExhausted: Context.Reference<Exhaustion | undefined> = Context.Reference<Exhaustion | undefined>(
  "@chronovyan/core/Budget/OnExhausted",
  { defaultValue: () => undefined }
)

/** What a call says of what comes too late; `null`: that is not refused; `undefined`: whatever its frame says. */
export const OnLate: Context.Reference<Admission | null | undefined> = Context.Reference<Admission | null | undefined>(
  "@chronovyan/core/TimeFrame/OnLate",
  { defaultValue: () => undefined }
)

/** Has a call ever said so? As long as none has, nobody looks for it. */
export const late = { isSaid: false }

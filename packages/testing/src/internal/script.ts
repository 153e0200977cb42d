import type * as Duration from "effect/Duration"
import type * as Latch from "effect/Latch"
import { hasProperty, isTagged } from "effect/Predicate"

/** What a script can be written for. */
export type Step = "acquire" | "validate" | "reset" | "release"

/**
 * What one call of a step does.
 *
 * - `"ok"`: it succeeds at once; a validation answers `true`
 * - `"fail"`: it fails with a `ScriptedFailure`; a release dies of it, as finalizers can not fail
 * - `"die"`: it dies of a `ScriptedFailure`
 * - `"slow"`: it succeeds after 10 milliseconds, see `slow`
 * - `"never"`: it has no end; it can be interrupted where the caller can be
 * - `Slow` and `Gated`: it waits, and then does something else of this list
 *
 * `Extra` is what else there is: `"invalid"` for a validation.
 */
export type Outcome<Extra extends string = never> =
  | "ok"
  | "fail"
  | "die"
  | "slow"
  | "never"
  | Extra
  | Slow<Extra>
  | Gated<Extra>

/** What one validation does: any `Outcome`, or `"invalid"`, which answers `false`. */
export type Validity = Outcome<"invalid">

/** Takes time, then does what comes next; made by `slow`. */
export interface Slow<out Extra extends string = never> {
  readonly _tag: "Slow"
  readonly duration: Duration.Duration
  readonly next: Outcome<Extra>
}

/** Waits for a latch, then does what comes next; made by `gated`. */
export interface Gated<out Extra extends string = never> {
  readonly _tag: "Gated"
  readonly latch: Latch.Latch
  readonly next: Outcome<Extra>
}

/**
 * What the calls of a step do: all of them the same; one after the other as in the array, whose last outcome is repeated;
 * or what the function says of the number of the call, which counts from 1.
 */
export type Script<A extends Outcome<string> = Outcome, Args extends ReadonlyArray<unknown> = []> =
  | A
  | ReadonlyArray<A>
  | ((call: number, ...args: Args) => A)

/** Any of them, for whatever step. */
export type AnyOutcome = Outcome<string>

/** A script that has been checked. */
export type Play<in A> = (call: number, item: A) => AnyOutcome

const simple: ReadonlySet<unknown> = new Set(["ok", "fail", "die", "slow", "never"])

/** Misuse: it names the option. */
export const wrong = (name: string, option: string, value: unknown, rule: string) => {
  const shown = typeof value === "string"
    ? `"${value}"`
    : Array.isArray(value)
    ? `an ${value.length === 0 ? "empty " : ""}array`
    : String(value)
  return new TypeError(`ScriptedResource "${name}": ${option} is ${shown}, but ${rule}`)
}

/** Checked by hand, as scripts may be made by a generator, or come from JavaScript. */
const checkOutcome = (name: string, step: Step, option: string, outcome: unknown): AnyOutcome => {
  let last = outcome
  while (hasProperty(last, "next") && (isTagged(last, "Slow") || isTagged(last, "Gated"))) last = last.next
  if (simple.has(last) || (last === "invalid" && step === "validate")) return outcome as AnyOutcome
  const words = [...simple, ...(step === "validate" ? ["invalid"] : [])].map((word) => `"${word}"`).join(", ")
  throw wrong(name, option, last, `an outcome is one of ${words}, or made by slow or gated`)
}

/** Checks a script, and makes a function of it. */
export const compile = (name: string, step: Step, script: Script<AnyOutcome, [item: any]> = "ok"): Play<unknown> => {
  if (typeof script === "function") {
    return (call, item) => checkOutcome(name, step, `${step}(${call})`, script(call, item))
  }
  if (!Array.isArray(script)) {
    const outcome = checkOutcome(name, step, step, script)
    return () => outcome
  }
  if (script.length === 0) throw wrong(name, step, script, "a script needs at least one outcome")
  const outcomes = script.map((outcome, index) => checkOutcome(name, step, `${step}[${index}]`, outcome))
  return (call) => outcomes[Math.min(call, outcomes.length) - 1]!
}

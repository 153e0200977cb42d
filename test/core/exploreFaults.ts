import { ScriptedResource } from "@chronovyan/testing"
import { Effect } from "effect"

const outcomes = ["ok", "fail", "die", "slow"] as const
type Outcome = (typeof outcomes)[number]

/** How each step of a resource goes wrong. */
export type Faults = Readonly<Record<"acquire" | "validate" | "reset" | "release", Outcome>>

/** In sixteen turns any two steps meet in every combination: an orthogonal array over the field of four elements. */
export const turns = 16

const twice = [0, 2, 3, 1]

export const faultsOf = (turn: number): Faults => {
  const [low, high] = [turn % 4, Math.floor(turn / 4) % 4] as const
  return {
    acquire: outcomes[low]!,
    release: outcomes[high]!,
    validate: outcomes[low ^ high]!,
    reset: outcomes[low ^ twice[high]!]!
  }
}

/** Makes items, of which every third step goes wrong. */
export class Maker {
  readonly book: ScriptedResource.ScriptedResource
  readonly wrong: Array<string> = []
  /** How many there may be at once. */
  most = Infinity

  constructor(name: string, turn: number, concurrency: number) {
    const { acquire, release, reset, validate } = faultsOf(turn)
    const first = turn % 3
    const at = (outcome: Outcome) => (call: number): Outcome => call % 3 === first ? outcome : "ok"
    this.book = ScriptedResource.makeUnsafe({
      name,
      concurrency,
      acquire: at(acquire),
      release: at(release),
      reset: at(reset),
      validate: (call) => call % 3 !== first ? "ok" : validate === "fail" && call % 2 === 0 ? "invalid" : validate
    })
  }

  readonly make = Effect.suspend(() => {
    const { acquiring, live } = this.book.counts
    if (acquiring + live >= this.most) this.wrong.push(`${acquiring + live + 1} of at most ${this.most} are there`)
    return ScriptedResource.acquire(this.book)
  })
}

import { Arbitrary, Schema } from "effect"

/** One step. The numbers choose among what there is at that moment, so that a shorter run is a valid one as well. */
export interface Command<Kind extends string = typeof sequential[number]> {
  readonly do: Kind
  readonly a: number
  readonly b: number
  readonly c: number
}

const number = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 15 }))

// What is listed twice comes twice as often. A failure shrinks to the first one, as the length stays.
const sequential = [
  "nothing",
  "allocate",
  "run",
  "make",
  "allocate",
  "release",
  "transfer",
  "allocate",
  "end",
  "interrupt",
  "retire",
  "advance",
  "allocate",
  "advance",
  "run"
] as const

/** Programs of 20 to 40 steps. */
export const commandsOf = <const Kinds extends ReadonlyArray<string>>(
  kinds: Kinds
): Arbitrary.Arbitrary<ReadonlyArray<Command<Kinds[number]>>> => {
  const kind = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: kinds.length - 1 }))
  const command = Arbitrary.map(
    Arbitrary.all({
      kind: Arbitrary.schema(kind),
      a: Arbitrary.schema(number),
      b: Arbitrary.schema(number),
      c: Arbitrary.schema(number)
    }),
    ({ a, b, c, kind }): Command<Kinds[number]> => ({ do: kinds[kind]!, a, b, c })
  )
  return Arbitrary.array(command, { minLength: 20, maxLength: 40 })
}

export const commands: Arbitrary.Arbitrary<ReadonlyArray<Command>> = commandsOf(sequential)

import { Arbitrary, Schema } from "effect"

/** One step. The numbers choose among what there is at that moment, so that a shorter run is a valid one as well. */
export interface Command {
  readonly do:
    | "nothing"
    | "run"
    | "make"
    | "end"
    | "interrupt"
    | "allocate"
    | "release"
    | "transfer"
    | "retire"
    | "advance"
  readonly a: number
  readonly b: number
  readonly c: number
}

const number = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 15 }))

// What is listed twice comes twice as often. A failure shrinks to the first one, as the length stays.
const kinds = [
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

const kind = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: kinds.length - 1 }))

const command: Arbitrary.Arbitrary<Command> = Arbitrary.map(
  Arbitrary.all({
    kind: Arbitrary.schema(kind),
    a: Arbitrary.schema(number),
    b: Arbitrary.schema(number),
    c: Arbitrary.schema(number)
  }),
  ({ a, b, c, kind }) => ({ do: kinds[kind]!, a, b, c })
)

export const commands: Arbitrary.Arbitrary<ReadonlyArray<Command>> = Arbitrary.array(command, {
  minLength: 20,
  maxLength: 40
})

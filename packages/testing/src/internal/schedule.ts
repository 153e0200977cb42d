/**
 * What makes a run different from one that nobody interferes with. Fibers are told by their ordinal: those of the scenario
 * in the order they are written, then the others as they appear. Operations count within each fiber, from 1 on.
 */
export type Decision =
  /** The fiber yields before that operation. */
  | { readonly type: "yield"; readonly fiber: number; readonly at: number }
  /** It yields there, and another one, or itself, is interrupted before anything else runs. */
  | { readonly type: "interrupt"; readonly fiber: number; readonly at: number; readonly target: number }
  /** After so many turns, when no fiber runs, one is interrupted where it waits. */
  | { readonly type: "turn"; readonly at: number; readonly target: number }
  /** At the so-manieth time that several tasks could go on, another one than the first did. */
  | { readonly type: "pick"; readonly at: number; readonly choice: number }

export type Schedule = ReadonlyArray<Decision>

const render = (decision: Decision): string => {
  switch (decision.type) {
    case "yield":
      return `y${decision.fiber}.${decision.at}`
    case "interrupt":
      return `i${decision.fiber}.${decision.at}>${decision.target}`
    case "turn":
      return `t${decision.at}>${decision.target}`
    case "pick":
      return `p${decision.at}:${decision.choice}`
  }
}

/** A schedule as a short text, to be kept in a test. */
export const encode = (schedule: Schedule): string => schedule.map(render).join(" ")

const shape = /^(?:y(\d+)\.(\d+)|i(\d+)\.(\d+)>(\d+)|p(\d+):(\d+)|t(\d+)>(\d+))$/

const parse = (text: string): Decision | undefined => {
  const found = shape.exec(text)
  if (found === null) return undefined
  const number = (group: number): number => Number(found[group])
  switch (text[0]) {
    case "y":
      return { type: "yield", fiber: number(1), at: number(2) }
    case "i":
      return { type: "interrupt", fiber: number(3), at: number(4), target: number(5) }
    case "t":
      return { type: "turn", at: number(8), target: number(9) }
    default:
      return { type: "pick", at: number(6), choice: number(7) }
  }
}

/** Reads what {@link encode} has written; `undefined` if it is something else. */
export const decode = (text: string): Schedule | undefined => {
  const decisions = text.split(" ").filter((part) => part !== "").map(parse)
  return decisions.includes(undefined) ? undefined : decisions as Schedule
}

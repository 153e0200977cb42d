import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"

/** What operations come to when they are done one after another. */
export interface Model<State, Operation, A = unknown, E = unknown> {
  readonly initial: State
  /**
   * The state that the operation leaves, if it can end like that in that state; `undefined` if it can not. An `exit` of
   * `undefined`: it was interrupted, or has not ended, and may have been done.
   */
  readonly step: (state: State, operation: Operation, exit: Exit.Exit<A, E> | undefined) => State | undefined
  /** An operation in words; as JSON by default. */
  readonly show?: ((operation: Operation) => string) | undefined
}

/** One operation: when it began, when it ended, and with what. */
export interface Recorded {
  readonly operation: unknown
  readonly who: string
  readonly began: number
  ended: number
  exit: Exit.Exit<unknown, unknown> | undefined
}

export class History {
  readonly operations: Array<Recorded> = []
  private now = 0

  begin(operation: unknown, who: string): Recorded {
    const recorded = { operation, who, began: this.now++, ended: Infinity, exit: undefined }
    this.operations.push(recorded)
    return recorded
  }

  end(recorded: Recorded, exit: Exit.Exit<unknown, unknown>): void {
    recorded.ended = this.now++
    recorded.exit = exit
  }
}

/** More than this many operations would take too long. */
const most = 60

const json = (value: unknown): string => JSON.stringify(value) ?? String(value)

/**
 * Is there an order of the operations that explains what each of them answered, and in which none comes before one that
 * had ended when it began? After Wing and Gong (1993), with the memory of Lowe (2017). An operation that never ended may
 * have been done or not.
 */
export const isLinearizable = (history: History, model: Model<any, any>): Array<string> => {
  const { operations } = history
  if (operations.length > most) return [`the model is asked about ${operations.length} operations, at most ${most}`]
  const show = model.show ?? json
  const seen = new Set<string>()
  const done = new Array<boolean>(operations.length).fill(false)

  const search = (state: unknown): boolean => {
    if (operations.every(({ ended }, index) => done[index] === true || ended === Infinity)) return true
    const key = `${done.map((one) => one ? 1 : 0).join("")}${json(state)}`
    if (seen.has(key)) return false
    seen.add(key)
    let firstEnd = Infinity
    operations.forEach(({ ended }, index) => {
      if (!done[index]) firstEnd = Math.min(firstEnd, ended)
    })
    for (let index = 0; index < operations.length; index++) {
      const { began, exit, operation } = operations[index]!
      if (done[index] || began > firstEnd) continue
      const next = model.step(state, operation, exit)
      if (next === undefined) continue
      done[index] = true
      if (search(next)) return true
      done[index] = false
    }
    return false
  }

  if (search(model.initial)) return []
  const told = operations.map(({ exit, operation, who }) => `\n  ${who}: ${show(operation)} ${inWords(exit)}`)
  return [`no order of the operations explains what they answered:${told.join("")}`]
}

const inWords = (exit: Exit.Exit<unknown, unknown> | undefined): string => {
  if (exit === undefined) return "never ended"
  if (Exit.isSuccess(exit)) return `answered ${json(exit.value)}`
  return `${Cause.hasDies(exit.cause) ? "died" : "failed"} with ${Cause.prettyErrors(exit.cause)[0]?.message ?? "?"}`
}

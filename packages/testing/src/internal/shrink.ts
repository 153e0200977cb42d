import * as Effect from "effect/Effect"
import type { Ran } from "./exploreRun.ts"
import type { Decision, Schedule } from "./schedule.ts"
import { Following } from "./steering.ts"
import type { Steering } from "./steering.ts"
import { search } from "./strategies.ts"

/** Tries this many operations at most, in all its runs together. */
const patience = 1_000_000

/** What a run takes besides its operations, in terms of these. */
const overhead = 100

/**
 * Leaves out what a failure does not need: half of the decisions, a quarter, and so on down to single ones, then moves
 * those that are left to earlier operations. What comes about of a schedule may be less than was asked for.
 */
export const shrink = Effect.fnUntraced(function*(failed: Ran, run: (steering: Steering) => Effect.Effect<Ran>) {
  let best = failed
  let left = patience

  const attempt = Effect.fnUntraced(function*(schedule: Schedule) {
    if (left <= 0) return false
    const ran = yield* run(new Following(schedule))
    left -= ran.operations + overhead
    const isBetter = isTheSame(ran, best) && isSimpler(ran.schedule, best.schedule)
    if (isBetter) best = ran
    return isBetter
  })

  for (let size = Math.max(1, Math.ceil(best.schedule.length / 2)); best.schedule.length > 0;) {
    let hasShrunk = false
    for (let from = 0; from < best.schedule.length;) {
      const { schedule } = best
      const rest = [...schedule.slice(0, from), ...schedule.slice(from + size)]
      if (yield* attempt(rest)) hasShrunk = true
      else from += size
    }
    if (size > 1) size = Math.ceil(size / 2)
    else if (!hasShrunk || left <= 0) break
  }
  for (let index = 0; index < best.schedule.length; index++) {
    for (const simpler of simplified(best.schedule[index]!)) {
      const schedule = [...best.schedule]
      schedule[index] = simpler
      if (yield* attempt(schedule)) break
    }
  }
  // What so many decisions have led to, fewer may as well.
  for (let count = 1; count < Math.min(best.schedule.length, 3); count++) {
    const fewer = yield* searchFor(best, count, run)
    if (fewer !== undefined) return fewer
  }
  return best
})

/** Looks for the same failure with so many decisions only. */
const searchFor = Effect.fnUntraced(function*(
  failed: Ran,
  count: number,
  run: (steering: Steering) => Effect.Effect<Ran>
) {
  const interrupts = Math.min(
    count,
    failed.schedule.filter(({ type }) => type === "interrupt" || type === "turn").length
  )
  const schedules = Math.ceil(patience / (failed.operations + overhead))
  const runs = search({ type: "exhaustive", preemptions: count, interrupts, schedules }, failed)
  for (let next = runs.next(); next.done !== true; next = runs.next(next.value)) {
    const ran = yield* run(next.value)
    if (isTheSame(ran, failed) && ran.schedule.length <= count) return ran
  }
  return undefined
})

/** Is it the same that is wrong, whoever it happens to, and whatever the numbers in it? */
const isTheSame = ({ findings: [one] }: Ran, { findings: [other] }: Ran): boolean =>
  one !== undefined && other !== undefined && gist(one) === gist(other)

const gist = (finding: string): string => {
  const [line = ""] = finding.split("\n")
  return line.replaceAll(/"[^"]*"|\d+/g, "#")
}

/** Fewer decisions are simpler; then fewer of them that reorder tasks, then fewer interrupts, then earlier ones. */
const isSimpler = (one: Schedule, other: Schedule): boolean => {
  if (one.length !== other.length) return one.length < other.length
  return weigh(one) < weigh(other)
}

const weigh = (schedule: Schedule): number =>
  schedule.reduce((sum, decision) => sum + weights[decision.type] * 1e6 + Math.min(decision.at, 1e5), 0)

const weights = { yield: 1, turn: 2, interrupt: 3, pick: 4 }

function* simplified(decision: Decision): Generator<Decision> {
  if (decision.type === "pick") return
  // An interrupt may be more than it takes.
  if (decision.type === "interrupt") yield { type: "yield", fiber: decision.fiber, at: decision.at }
  for (let at = 1; at < decision.at; at++) yield { ...decision, at }
}

/**
 * What the figures of contention say, in plain words. Owned by `Contention`.
 */
import type { Seen } from "./slices.ts"
import type { SubjectNow } from "./subjects.ts"
import { duration, number } from "./text.ts"

/** Who holds it for longest, and which share of all holding that is. */
export interface Top {
  readonly site: string
  readonly share: number
  readonly holding: number
}

/** Empty when nobody has waited to speak of. */
export const hintOf = (subject: SubjectNow, seen: Seen, top: Top | undefined, oldestWait: number): string => {
  const share = seen.time === 0 ? 0 : seen.contended / seen.time
  if (subject.waiting === 0 && share < 0.05) return ""
  return `${stateOf(subject, seen, top, oldestWait)}: ${adviceOf(subject, seen, top)}`
}

const stateOf = (subject: SubjectNow, seen: Seen, top: Top | undefined, oldestWait: number): string => {
  const { limit, used, waiting } = subject
  const parts = [
    `${number(used)}${limit === null || limit === Infinity ? "" : ` of ${number(limit)}`} ${verbs[subject.kind]}`
  ]
  if (top !== undefined && top.share >= 0.2) {
    parts[0] += top.share > 0.95 ? ` by ${top.site}` : `, ${percent(top.share)} of the time by ${top.site}`
  }
  if (seen.held.count > 0) parts.push(`median hold ${duration(seen.held.quantile(0.5))}`)
  if (waiting > 0) parts.push(`${number(waiting)} wait${waiting === 1 ? "s" : ""} for up to ${duration(oldestWait)}`)
  else parts.push(`somebody waited for ${percent(seen.contended / seen.time)} of the time`)
  return parts.join(", ")
}

const verbs = { pool: "held", budget: "in use", shared: "in use" }

const percent = (share: number): string => `${Math.round(100 * share)} %`

const adviceOf = (subject: SubjectNow, seen: Seen, top: Top | undefined): string => {
  if (subject.kind === "pool") return poolAdvice(subject, seen, top)
  const site = top === undefined ? "who holds it" : top.site
  if (subject.kind === "budget") {
    return top !== undefined && top.share > 0.5
      ? `let ${site} hold less of it, or for a shorter time, or raise the limit of ${
        subject.frame === "" ? "the manager" : subject.frame
      }`
      : `raise the limit of ${subject.frame === "" ? "the manager" : subject.frame}, or let less go on at once`
  }
  return `let ${site} hold its turn for a shorter time, or read where it need not write`
}

const poolAdvice = ({ limit, name, pool, used, waiting }: SubjectNow, seen: Seen, top: Top | undefined): string => {
  if (pool!.state === "suspended") return `${name} is suspended: nobody is lent anything until it is resumed`
  if (waiting > 0 && used < limit! && pool!.creating > 0) {
    const { count, total } = seen.created
    const took = count === 0 ? "" : ` (${duration(total / count)} on average)`
    return `those that wait, wait for new ones to be made${took}: a higher min keeps more of them ready`
  }
  const median = seen.held.quantile(0.5)
  if (top !== undefined && top.share > 0.6 && median >= 1000) {
    return `see what ${top.site} does while it holds one, let go of it earlier, or give it a pool of its own`
  }
  if (median >= 1000) return `they are held for long: do less between taking one and giving it back`
  const { count, total } = seen.holds ?? seen.held
  // Little's law: as many are busy as come in the time that one is held.
  const busy = seen.time === 0 ? 0 : total / seen.time
  const rate = seen.time === 0 ? 0 : 1000 * count / seen.time
  return `${number(Math.round(rate * 10) / 10)} borrows a second of ${
    duration(count === 0 ? 0 : total / count)
  } each keep ` +
    `${number(Math.round(busy * 10) / 10)} busy all the time: raise max above that, or let fewer ask at once`
}

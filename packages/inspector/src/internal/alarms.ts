/**
 * What was raised and not taken back. Owned by `LeakDetector`.
 *
 * ```text
 *   suspected ──▶ raised ──not suspected any more──▶ returned, forgotten
 *       │
 *       └──too many of its kind are raised──▶ silent, as long as they are
 * ```
 */
import { LeakReport } from "../LeakReport.ts"
import type { Standing } from "./standing.ts"
import { number } from "./text.ts"

/** What looks like a leak at this moment. */
export interface Suspect extends Omit<LeakReportProps, "id" | "state" | "at"> {
  /** What is raised once. */
  readonly key: string
  /** What has come of it, when it is suspected no more. */
  readonly settled: (standing: Standing) => string
}

type LeakReportProps = { readonly [K in keyof LeakReport]: LeakReport[K] }

interface Raised {
  readonly suspect: Suspect
  readonly report: LeakReport
  readonly kind: string
}

/** How many are raised at once, whatever they are. */
const most = 1000

const unchecked = { disableChecks: true }

export class Alarms {
  private readonly limit: number
  private readonly raised = new Map<string, Raised>()
  private readonly kinds = new Map<string, number>()
  private count = 0

  /** No more than `limit` of one kind are raised at once. */
  constructor(limit: number) {
    this.limit = limit
  }

  get current(): ReadonlyArray<LeakReport> {
    return Array.from(this.raised.values(), ({ report }) => report)
  }

  /** What is suspected now: answers what is raised, and what is taken back. */
  settle(standing: Standing, suspects: Iterable<Suspect>): Array<LeakReport> {
    const { at } = standing
    const reports: Array<LeakReport> = []
    const suspected = new Map<string, Suspect>()
    for (const suspect of suspects) if (!suspected.has(suspect.key)) suspected.set(suspect.key, suspect)
    for (const [key, { kind, report, suspect }] of this.raised) {
      if (suspected.has(key)) continue
      this.raised.delete(key)
      this.changeCount(kind, -1)
      reports.push(new LeakReport({ ...report, state: "returned", at, message: suspect.settled(standing) }, unchecked))
    }
    for (const suspect of suspected.values()) {
      const known = this.raised.get(suspect.key)
      const report = known === undefined ? this.raise(at, suspect) : this.keep(known, suspect)
      if (report !== undefined) reports.push(report)
    }
    return reports
  }

  /** Who looks at it sees what it has come to; nobody is told again. */
  private keep({ kind, report }: Raised, suspect: Suspect): undefined {
    if (suspect.count === report.count && suspect.amount === report.amount) return
    const { key, settled: _, ...facts } = suspect
    const { at, id, state } = report
    this.raised.set(key, { suspect, kind, report: new LeakReport({ ...facts, id, state, at }, unchecked) })
  }

  private raise(at: number, suspect: Suspect): LeakReport | undefined {
    const kind = `${suspect.reason} ${suspect.kind} ${suspect.resource}`
    const already = this.kinds.get(kind) ?? 0
    if (already >= this.limit || this.raised.size >= most) return undefined
    const { key, settled: _, ...facts } = suspect
    const isLast = already + 1 === this.limit && suspect.reason !== "growing"
    const message = isLast
      ? `${facts.message}. ${
        number(this.limit)
      } like this are raised: more of them are not told of until one is taken back`
      : facts.message
    const report = new LeakReport({ ...facts, message, id: ++this.count, state: "raised", at }, unchecked)
    this.raised.set(key, { suspect, report, kind })
    this.changeCount(kind, 1)
    return report
  }

  private changeCount(kind: string, by: number): void {
    const count = (this.kinds.get(kind) ?? 0) + by
    if (count === 0) this.kinds.delete(kind)
    else this.kinds.set(kind, count)
  }
}

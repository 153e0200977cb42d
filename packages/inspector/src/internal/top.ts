/**
 * How a program stands, on one screen. Owned by the command.
 */
import type { ResourceState, Snapshot } from "@chronovyan/core/Snapshot"
import type { LeakReport } from "../LeakReport.ts"
import type { Info } from "../Protocol.ts"
import { clean, clip, counted, cut, duration, number, table } from "./text.ts"

export interface View {
  readonly info: Info
  readonly address: string
  readonly before: Snapshot | undefined
  readonly now: Snapshot
  readonly leaks: ReadonlyArray<LeakReport>
}

const keyOf = ({ kind, resource }: ResourceState): string => `${kind} ${resource}`

/** How often something was acquired since the snapshot before, by the second. */
const ratesOf = ({ before, now }: View): ReadonlyMap<string, string> => {
  const rates = new Map<string, string>()
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1000
  if (seconds <= 0) return rates
  const earlier = new Map(before!.resources.map((resource) => [keyOf(resource), resource.acquired]))
  for (const resource of now.resources) {
    const count = resource.acquired - (earlier.get(keyOf(resource)) ?? 0)
    rates.set(keyOf(resource), (count / seconds).toFixed(1))
  }
  return rates
}

const heading = ({ address, info, leaks, now }: View): string => {
  const waiting = now.pools.reduce((sum, pool) => sum + pool.waiting, 0)
  const parts = [
    `${clean(info.name)} (${info.pid})`,
    `up ${duration(now.at - info.startedAt)}`,
    address,
    counted(now.frames.length - 1, "frame"),
    `${number(now.allocations.filter(({ state }) => state === "live").length)} held`,
    `${number(waiting)} waiting`
  ]
  if (leaks.length > 0) parts.push(counted(leaks.length, "leak"))
  return parts.join("  ")
}

/** Those of most interest first; `rows` of them at most. */
const section = <A>(
  all: ReadonlyArray<A>,
  rows: number,
  draw: (some: ReadonlyArray<A>) => ReadonlyArray<string>
): ReadonlyArray<string> => {
  if (all.length === 0 || rows <= 0) return []
  const left = all.length - rows
  return ["", ...draw(all.slice(0, rows)), ...(left > 0 ? [`… and ${number(left)} more`] : [])]
}

/** The lines of the screen: at most `height` of them, none longer than `width`. */
export const draw = (view: View, width: number, height: number): ReadonlyArray<string> => {
  const { leaks, now } = view
  const { allocations, at, frames, pools, resources } = now
  const rates = ratesOf(view)
  const budgets = frames.flatMap((frame) =>
    frame.budgets.flatMap(({ highWaterMark, limit, unit, used }) =>
      limit === null ? [] : [{ frame, highWaterMark, limit, unit, used }]
    )
  )
  const share = ({ limit, used }: { readonly limit: number; readonly used: number }) => limit === 0 ? 1 : used / limit
  const rows = Math.max(2, Math.floor((height - 16) / 5))
  const busiestPools = pools.toSorted((a, b) => b.waiting - a.waiting || b.used / b.max - a.used / a.max)
  const lines = [
    heading(view),
    ...section(busiestPools, rows, (some) =>
      table(
        ["POOL", "USED", "MAX", "IDLE", "WAITING", "OLDEST WAIT", "BORROWS/S", "STATE"],
        some.map((pool) => [
          pool.name,
          pool.used,
          pool.max,
          pool.idle,
          pool.waiting,
          pool.waiting === 0 ? "-" : duration(pool.oldestWait),
          rates.get(`pool ${pool.name}`) ?? "-",
          pool.state
        ])
      )),
    ...section(budgets.toSorted((a, b) => share(b) - share(a)), rows, (some) =>
      table(
        ["BUDGET", "FRAME", "USED", "LIMIT", "MOST", "%"],
        some.map((budget) => [
          budget.unit,
          budget.frame.path || "manager",
          budget.used,
          budget.limit,
          budget.highWaterMark,
          Math.round(share(budget) * 100)
        ])
      )),
    ...section(resources.toSorted((a, b) => b.live - a.live || b.shares - a.shares), rows, (some) =>
      table(
        ["RESOURCE", "KIND", "LIVE", "USES", "MOST", "ACQUIRED/S", "FAILED", "LATE"],
        some.map((one) => [
          one.resource,
          one.kind,
          one.live,
          one.shares,
          one.highWaterMark,
          rates.get(keyOf(one)) ?? "-",
          one.failed,
          one.late
        ])
      )),
    ...section(
      allocations.filter(({ frame, share, state }) => state === "live" && (share || isOfFrame(now, frame)))
        .toSorted((a, b) => a.since - b.since || a.id - b.id),
      rows,
      (some) =>
        table(
          ["HELD LONGEST", "FRAME", "FOR", "FROM"],
          some.map((one) => [
            `${one.resource} #${one.id}`,
            one.frame || "manager",
            duration(at - one.since),
            one.callSite ?? "-"
          ])
        )
    ),
    ...section(leaks, rows, (some) =>
      table(
        ["LEAK", "RESOURCE", "FRAME", "SINCE"],
        some.map((leak) => [leak.reason, leak.resource, leak.frame, duration(at - leak.since)])
      ))
  ]
  const shown = lines.length > height ? lines.slice(0, height) : lines
  return shown.map((line) => cut(line, width))
}

/** What a pool keeps is no news: it is what is borrowed that somebody holds. */
const isOfFrame = ({ frames, pools }: Snapshot, path: string): boolean => {
  const frame = frames.find((one) => one.path === path)
  return frame === undefined || !pools.some(({ frameId }) => frameId === frame.id)
}

/** The same on one line, for what is no terminal. */
export const line = (view: View): string => {
  const { now } = view
  const rates = ratesOf(view)
  const pools = now.pools.map((pool) =>
    `${clip(clean(pool.name), 24)} ${pool.used}/${number(pool.max)} used ${number(pool.waiting)} waiting ` +
    `${rates.get(`pool ${pool.name}`) ?? "-"}/s`
  )
  return [heading(view), ...pools].join("  |  ")
}

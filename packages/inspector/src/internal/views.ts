/**
 * What `ps`, `leaks` and `diff` print. Owned by the command.
 */
import type { AllocationState, Diff, FrameState } from "@chronovyan/core/Snapshot"
import type { LeakReport } from "../LeakReport.ts"
import type { Program } from "./programs.ts"
import { clean, counted, duration, firstOf, groups, number, table } from "./text.ts"

export const programs = (all: ReadonlyArray<Program>, now: number): ReadonlyArray<string> =>
  table(
    ["NAME", "PID", "UP", "ADDRESS", "CONTROL", "LEAKS"],
    all.map(({ info, name, pid, startedAt, target }) => [
      name,
      String(pid),
      duration(now - startedAt),
      target.address,
      info === undefined ? "needs a token" : info.control ? "on" : "off",
      info === undefined ? "-" : info.level === "off" ? "not looked for" : info.level
    ])
  )

const reasons: Readonly<Record<LeakReport["reason"], string>> = {
  overdue: "held for too long",
  collected: "lost: its handle was collected",
  abandoned: "its fiber has ended",
  orphaned: "outlived its frame",
  late: "arrived after its frame had ended",
  releasing: "its release does not end",
  growing: "grows and grows"
}

const leak = (report: LeakReport, now: number): ReadonlyArray<string> => {
  const { advice, amount, callSite, count, frame, message, reason, resource, since, subject, unit } = report
  const what = subject === undefined ? clean(resource) : `${clean(resource)} #${subject}`
  const size = [
    ...(count === 1 ? [] : [`${number(count)} of it`]),
    ...(amount === undefined ? [] : [`${number(amount)} ${clean(unit ?? "")}`.trim()])
  ]
  return [
    `${what}  ${reasons[reason]}, since ${duration(now - since)}${size.length === 0 ? "" : `  (${size.join(", ")})`}`,
    `  in ${frame === "" ? "the manager" : clean(frame)}${callSite === undefined ? "" : `, from ${clean(callSite)}`}`,
    `  ${clean(message)}`,
    `  ${clean(advice)}`
  ]
}

/** Times are those of the program. */
export const leaks = (reports: ReadonlyArray<LeakReport>, now: number): string =>
  [`${counted(reports.length, "leak")}:`, ...reports.map((report) => leak(report, now).join("\n"))].join("\n\n")

const signed = (n: number): string => n > 0 ? `+${number(n)}` : number(n)

const listed = 20

/** What looks the same is on one line. */
const grouped = <A extends { readonly id: number }>(all: ReadonlyArray<A>, draw: (one: A) => string) =>
  Array.from(
    groups(all, draw),
    ([text, same]) => same.length === 1 ? `  ${text}  #${same[0]!.id}` : `  ${text}  ${number(same.length)} of them`
  )

const frameText = (frame: FrameState): string => clean(frame.path) || "manager"

const allocationText = ({ callSite, cost, frame, resource }: AllocationState): string => {
  const amounts = Object.entries(cost).map(([unit, amount]) => `, ${clean(unit)} ${number(amount)}`).join("")
  const site = callSite === undefined ? "" : `  (${clean(callSite)})`
  return `${clean(resource)} in ${clean(frame) || "the manager"}${amounts}${site}`
}

const isWaiting = ({ state }: AllocationState): boolean => state === "acquiring" || state === "charged"

const changes = (heading: string, all: Readonly<Record<string, number>>): ReadonlyArray<string> => {
  const entries = Object.entries(all).toSorted(([, a], [, b]) => Math.abs(b) - Math.abs(a))
  return entries.length === 0 ? [] : ["", ...table([heading, "CHANGE"], entries.map(([name, n]) => [name, signed(n)]))]
}

const section = <A extends { readonly id: number }>(
  heading: string,
  all: ReadonlyArray<A>,
  draw: (one: A) => string
): ReadonlyArray<string> =>
  all.length === 0 ? [] : ["", `${heading} (${number(all.length)}):`, ...firstOf(grouped(all, draw), listed)]

export const diff = (self: Diff): ReadonlyArray<string> => {
  const { allocated, closed, elapsed, live, opened, released, used } = self
  const lines = [
    ...changes("LIVE VALUES OF", live),
    ...changes("USE OF", used),
    ...section("Acquired, and still held", allocated.filter((one) => !isWaiting(one)), allocationText),
    ...section("Waited for", allocated.filter(isWaiting), allocationText),
    ...section("Released, or no longer waited for", released, allocationText),
    ...section("Frames opened", opened, frameText),
    ...section("Frames closed", closed, frameText)
  ]
  return [
    `${duration(elapsed)} lie between them.${lines.length === 0 ? " Nothing changed." : ""}`,
    ...lines
  ]
}

export const noLeaks = (level: string): string =>
  level === "off"
    ? "Nobody looks for leaks in this program: it has no LeakDetector, or its level is off."
    : `No leaks are known of (level: ${level}).`

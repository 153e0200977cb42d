/**
 * What the gateway did, for people to read.
 */
import type { Outcome } from "./gateway.ts"
import { steady } from "./traffic.ts"
import type { Tenant } from "./traffic.ts"

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

const median = (sorted: ReadonlyArray<number>): number => sorted[Math.floor((sorted.length - 1) / 2)] ?? 0

/** Whose calls began while tokens were all that was short. */
const inSteadyTime = (outcome: Outcome): boolean => {
  if (outcome._tag === "Refused") return false
  const began = outcome.request.at + outcome.waited / 1000
  return began >= steady.from && began < steady.to
}

/** Why it was refused, in few words. */
const reason = ({ error }: Extract<Outcome, { readonly _tag: "Refused" }>): string => {
  if (error._tag !== "BudgetExceeded") return error._tag
  if (error.neverFits) return "too large"
  return `too late for ${error.unit}`
}

const count = (words: ReadonlyArray<string>): string =>
  [...Map.groupBy(words, (word) => word)].map(([word, { length }]) => `${length} ${word}`).join(", ")

const columns = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const isText = (i: number) => i === 0 || i === widths.length - 1
  return rows.map((row) =>
    row.map((cell, i) => isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ").trimEnd()
  ).join("\n")
}

export const toText = (tenants: ReadonlyArray<Tenant>, outcomes: ReadonlyArray<Outcome>): string => {
  const head = ["tenant", "weight", "asked", "served", "tokens", "median wait", "longest wait", "refused"]
  const rows = tenants.map((tenant) => {
    const own = outcomes.filter(({ request }) => request.tenant === tenant)
    const served = own.filter((outcome) => outcome._tag === "Served")
    const refused = own.filter((outcome) => outcome._tag === "Refused")
    const waits = served.map(({ waited }) => waited).toSorted((one, other) => one - other)
    const tokens = served.reduce((sum, { request }) => sum + request.tokens, 0)
    const numbers = [tenant.weight, own.length, served.length, tokens].map(String)
    const times = [seconds(median(waits)), seconds(waits.at(-1) ?? 0)]
    return [tenant.name, ...numbers, ...times, count(refused.map(reason)) || "-"]
  })
  const shares = tenants.map((tenant) => {
    const { length } = outcomes.filter((outcome) => outcome.request.tenant === tenant && inSteadyTime(outcome))
    return `${tenant.name} ${length}`
  })
  const summary = `\nCalls from second ${steady.from} to ${steady.to}: ${shares.join(", ")}`
  const messages = new Map<string, string>()
  for (const outcome of outcomes) {
    if (outcome._tag === "Refused" && !messages.has(reason(outcome))) {
      messages.set(reason(outcome), outcome.error.message)
    }
  }
  const examples = [...messages].map(([word, message]) => `\nThe first that was ${word}:\n${message}`)
  return [columns([head, ...rows]), summary, ...examples].join("\n")
}

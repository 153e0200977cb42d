/** Is what was read a snapshot? Says what is wrong with it otherwise, before a view trips over it. */
import type { Contention, Info, Leak, Snapshot } from "./wire.ts"

/** What a file holds: a snapshot, and beside it what else was known at the time. */
export interface Saved {
  readonly snapshot: Snapshot
  readonly leaks: ReadonlyArray<Leak>
  readonly contention: Contention | null
  readonly info: Info | null
}

type Kind = "number" | "string" | "boolean" | "array" | "object" | "numberOrNull"
type Shape = { readonly [field: string]: Kind }

const budget: Shape = { unit: "string", limit: "numberOrNull", used: "number", highWaterMark: "number" }
const frame: Shape = {
  id: "number",
  parent: "numberOrNull",
  name: "string",
  path: "string",
  phase: "string",
  openedAt: "number",
  deadline: "numberOrNull",
  budgets: "array"
}
const allocation: Shape = {
  id: "number",
  resource: "string",
  frameId: "number",
  frame: "string",
  state: "string",
  since: "number",
  cost: "object"
}
const pool: Shape = {
  frameId: "number",
  name: "string",
  state: "string",
  min: "number",
  max: "number",
  total: "number",
  idle: "number",
  used: "number",
  waiting: "number"
}
const waiter: Shape = {
  kind: "string",
  name: "string",
  sourceId: "number",
  resource: "string",
  frameId: "numberOrNull",
  frame: "string",
  position: "number",
  amount: "number",
  since: "number",
  deadline: "numberOrNull"
}
const shared: Shape = { frameId: "number", resource: "string", state: "string", users: "number" }
const resource: Shape = { resource: "string", kind: "string", live: "number" }
const leak: Shape = {
  id: "number",
  reason: "string",
  state: "string",
  at: "number",
  resource: "string",
  frame: "string",
  since: "number",
  count: "number",
  message: "string",
  advice: "string"
}
const subject: Shape = {
  kind: "string",
  name: "string",
  waiting: "number",
  waited: "object",
  held: "object",
  sites: "array"
}
const edge: Shape = { waiter: "string", resource: "string", holder: "string", waited: "number" }

const isKind = (value: unknown, kind: Kind): boolean => {
  switch (kind) {
    case "array":
      return Array.isArray(value)
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value)
    case "number":
      return typeof value === "number" && Number.isFinite(value)
    case "numberOrNull":
      return value === null || isKind(value, "number")
    default:
      return typeof value === kind
  }
}

const wrong = (value: unknown, shape: Shape, where: string): string | undefined => {
  if (!isKind(value, "object")) return `${where} is not an object`
  for (const field in shape) {
    const kind = shape[field]!
    if (!isKind((value as Record<string, unknown>)[field], kind)) {
      return `${where} has no ${field} that is ${kind === "numberOrNull" ? "a number or null" : `of type ${kind}`}`
    }
  }
  return undefined
}

const wrongIn = (list: ReadonlyArray<unknown>, shape: Shape, where: string): string | undefined => {
  for (let index = 0; index < list.length; index++) {
    const found = wrong(list[index], shape, `${where}[${index}]`)
    if (found !== undefined) return found
  }
  return undefined
}

/** What older programs do not send. */
const wrongIfThere = (list: unknown, shape: Shape, where: string): string | undefined =>
  list === undefined ? undefined : Array.isArray(list) ? wrongIn(list, shape, where) : `${where} is not an array`

/** What is wrong with it as a snapshot, or nothing. */
export const wrongWithSnapshot = (value: unknown): string | undefined => {
  const top = wrong(value, {
    at: "number",
    frames: "array",
    allocations: "array",
    pools: "array",
    resources: "array"
  }, "it")
  if (top !== undefined) return top
  const { allocations, frames, pools, resources, values, waiters } = value as Snapshot
  const found = wrongIn(frames, frame, "frames") ?? wrongIn(allocations, allocation, "allocations") ??
    wrongIn(pools, pool, "pools") ?? wrongIn(resources, resource, "resources") ??
    wrongIfThere(values, shared, "values") ?? wrongIfThere(waiters, waiter, "waiters")
  if (found !== undefined) return found
  for (const { budgets, id } of frames) {
    const inside = wrongIn(budgets, budget, `the budgets of frame ${id}`)
    if (inside !== undefined) return inside
  }
  return undefined
}

const contentionOf = (value: unknown): Contention | null => {
  if (wrong(value, { from: "number", at: "number", subjects: "array", waits: "array" }, "") !== undefined) return null
  const report = value as Contention
  if (wrongIn(report.subjects, subject, "") !== undefined || wrongIn(report.waits, edge, "") !== undefined) return null
  return report
}

/** Reads a file that this page or another tool saved; throws an `Error` that says why it can not. */
export const readSaved = (text: string): Saved => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Error(`it is not JSON (${(error as Error).message})`, { cause: error })
  }
  const problem = wrongWithSnapshot(value)
  if (problem !== undefined) throw new Error(`it is not a snapshot: ${problem}`)
  const { inspector } = value as { inspector?: Partial<Record<"leaks" | "contention" | "info", unknown>> }
  const leaks = inspector?.leaks
  return {
    snapshot: value as Snapshot,
    leaks: Array.isArray(leaks) && wrongIn(leaks, leak, "") === undefined ? leaks as Array<Leak> : [],
    contention: contentionOf(inspector?.contention),
    info: wrong(inspector?.info, { name: "string", pid: "number" }, "") === undefined ? inspector!.info as Info : null
  }
}

/** The snapshot as others read it too; what only the page reads stands in one more field. */
export const writeSaved = ({ contention, info, leaks, snapshot }: Saved): string =>
  JSON.stringify({ ...snapshot, inspector: { info, leaks, contention } })

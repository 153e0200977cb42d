/**
 * The instruments that there are: what each is called, what it counts, in which unit, by what. Owned by `Metrics`.
 */

/**
 * What a number can do. An `updown` is a sum that falls, too, so sums over programs make sense of it; of a `gauge` only
 * the latest is of interest. A `histogram` has one bucket, for all: how many and how much together is what is known.
 */
export type Kind = "counter" | "updown" | "gauge" | "histogram"

export interface Instrument {
  readonly id: string
  readonly kind: Kind
  /** As UCUM has it: seconds are `s`, what is counted stands in braces. */
  readonly unit: string
  readonly description: string
  /** The names of its attributes. */
  readonly attributes: ReadonlyArray<string>
}

const instrument = (
  id: string,
  kind: Kind,
  unit: string,
  description: string,
  attributes: ReadonlyArray<string>
): Instrument => ({ id, kind, unit, description, attributes })

/** The attributes. */
export const names = {
  resource: "chronovyan.resource.name",
  kind: "chronovyan.resource.kind",
  pool: "chronovyan.pool.name",
  poolState: "chronovyan.pool.state",
  frame: "chronovyan.frame.name",
  frameState: "chronovyan.frame.state",
  unit: "chronovyan.unit",
  budget: "chronovyan.budget.kind",
  value: "chronovyan.shared.state",
  reason: "chronovyan.reason",
  step: "chronovyan.step"
} as const

/** What OpenTelemetry tells of pools of connections, and the same for others. */
const shapeOf = (prefix: string, attribute: string, item: string) => {
  const pool = [`${attribute}.pool.name`]
  const name = (name: string) => `${prefix}.${name}`
  return {
    count: instrument(name("count"), "updown", `{${item}}`, `${item}s that are idle, and that are used`, [
      ...pool,
      `${attribute}.${attribute === "chronovyan" ? "pool.state" : "state"}`
    ]),
    idleMax: instrument(name("idle.max"), "updown", `{${item}}`, `the most ${item}s that may be idle`, pool),
    idleMin: instrument(name("idle.min"), "updown", `{${item}}`, `the fewest ${item}s that are kept`, pool),
    max: instrument(name("max"), "updown", `{${item}}`, `the most ${item}s that there may be`, pool),
    pending: instrument(name("pending_requests"), "updown", "{request}", "borrowers that wait now", pool),
    timeouts: instrument(name("timeouts"), "counter", "{timeout}", "borrowers that waited for too long", pool),
    createTime: instrument(name("create_time"), "histogram", "s", `how long it took to make ${item}s`, pool),
    waitTime: instrument(
      name("wait_time"),
      "histogram",
      "s",
      `how long those waited that got one and had to wait for it`,
      pool
    ),
    useTime: instrument(
      name("use_time"),
      "histogram",
      "s",
      `how long ${item}s were lent out until they came back`,
      pool
    )
  }
}

/** A pool of connections. */
export const connections = shapeOf("db.client.connection", "db.client.connection", "connection")

/** Any other pool. */
export const items = shapeOf("chronovyan.pool", "chronovyan", "item")

/** What only this library tells, of pools of either kind. */
export const pools = {
  oldestWait: instrument(
    "chronovyan.pool.oldest_wait",
    "gauge",
    "s",
    "how long the one has waited who waits for longest",
    [names.pool]
  ),
  unavailable: instrument(
    "chronovyan.pool.unavailable",
    "updown",
    "{item}",
    "items that are neither idle nor used: being made, reset or checked, closed, or left behind",
    [names.pool, names.poolState]
  ),
  borrows: instrument("chronovyan.pool.borrows", "counter", "{borrow}", "borrows that got an item", [names.pool]),
  closed: instrument("chronovyan.pool.closed", "counter", "{item}", "items that were released", [names.pool]),
  failures: instrument(
    "chronovyan.pool.failures",
    "counter",
    "{failure}",
    "creations, validations and resets that failed",
    [names.pool, names.step]
  ),
  refusals: instrument(
    "chronovyan.pool.refusals",
    "counter",
    "{borrow}",
    "borrowers that got nothing, besides those that timed out",
    [names.pool, names.reason]
  ),
  overdue: instrument("chronovyan.pool.overdue", "counter", "{borrow}", "borrows that lasted for too long", [
    names.pool
  ])
}

const resource = [names.resource, names.kind]

/** What was allocated, by definition; what was borrowed counts with its pool. */
export const allocations = {
  count: instrument("chronovyan.allocation.count", "updown", "{allocation}", "values that exist", resource),
  cost: instrument("chronovyan.allocation.cost", "updown", "{unit}", "what is charged for what is held", [
    names.resource,
    names.unit
  ]),
  acquireTime: instrument(
    "chronovyan.allocation.acquire_time",
    "histogram",
    "s",
    "how long acquisitions took that succeeded",
    resource
  ),
  holdTime: instrument(
    "chronovyan.allocation.hold_time",
    "histogram",
    "s",
    "how long values were held until they were released",
    resource
  ),
  failures: instrument(
    "chronovyan.allocation.failures",
    "counter",
    "{allocation}",
    "acquisitions that failed",
    resource
  ),
  refusals: instrument(
    "chronovyan.allocation.refusals",
    "counter",
    "{allocation}",
    "refused early, since too little time was left",
    resource
  ),
  late: instrument(
    "chronovyan.allocation.late",
    "counter",
    "{allocation}",
    "values that arrived after their frame had ended",
    resource
  )
}

const budget = [names.frame, names.unit, names.budget]

export const budgets = {
  used: instrument("chronovyan.budget.used", "updown", "{unit}", "what is in use of a unit", budget),
  limit: instrument("chronovyan.budget.limit", "updown", "{unit}", "how much of a unit may be in use", budget),
  waiting: instrument("chronovyan.budget.pending_requests", "updown", "{request}", "who waits for a unit now", budget),
  oldestWait: instrument(
    "chronovyan.budget.oldest_wait",
    "gauge",
    "s",
    "how long the one has waited who waits for longest",
    budget
  )
}

export const frames = {
  count: instrument("chronovyan.frame.count", "updown", "{frame}", "frames that have not ended", [
    names.frame,
    names.frameState
  ]),
  abandoned: instrument("chronovyan.frame.abandoned", "updown", "{frame}", "frames that nobody is left to end", [
    names.frame
  ])
}

export const values = {
  count: instrument("chronovyan.shared.count", "updown", "{value}", "shared and persistent values", [
    ...resource,
    names.value
  ]),
  users: instrument("chronovyan.shared.users", "updown", "{user}", "who uses a value, or waits for it", resource),
  waiting: instrument("chronovyan.shared.pending_requests", "updown", "{request}", "who waits for a turn", resource)
}

export const leaks = {
  count: instrument("chronovyan.leak.count", "updown", "{leak}", "what looks like a leak now", [names.reason]),
  raised: instrument("chronovyan.leak.raised", "counter", "{leak}", "what has looked like a leak", [names.reason])
}

/** All of them. */
export const catalog: ReadonlyArray<Instrument> = [
  connections,
  items,
  pools,
  allocations,
  budgets,
  frames,
  values,
  leaks
].flatMap((group) => Object.values<Instrument>(group))

const suffixes: Record<string, string> = { s: "_seconds" }

/** What Prometheus calls it, as OpenTelemetry has it: with its unit, and `_total` when it only rises. */
export const prometheusName = ({ id, kind, unit }: Instrument): string =>
  `${id.replaceAll(".", "_")}${suffixes[unit] ?? ""}${kind === "counter" ? "_total" : ""}`

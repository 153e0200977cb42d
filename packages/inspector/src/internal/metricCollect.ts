/**
 * What a snapshot says, in numbers. Owned by `Metrics`.
 */
import type { PoolState, Snapshot } from "@chronovyan/core/Snapshot"
import type { LeakReport } from "../LeakReport.ts"
import * as catalog from "./metricCatalog.ts"
import type { Names } from "./metricNames.ts"
import { poolNames, PoolTotals } from "./metricPools.ts"
import type { Totals } from "./metricPools.ts"
import type { SeriesBook } from "./metricSeries.ts"

const { names } = catalog

type Book = Pick<SeriesBook, "add" | "most" | "spread">

/** Clocks tell milliseconds. */
const seconds = (milliseconds: number): number => milliseconds / 1000

export interface CollectorOptions {
  readonly book: Book
  readonly names: Names
  readonly isConnection: (name: string) => boolean
}

export class Collector {
  private readonly book: Book
  private readonly names: Names
  private readonly isConnection: (name: string) => boolean
  private readonly totals = new PoolTotals()

  constructor({ book, isConnection, names }: CollectorOptions) {
    this.book = book
    this.names = names
    this.isConnection = isConnection
  }

  look(snapshot: Snapshot): void {
    this.pools(snapshot)
    this.allocations(snapshot)
    this.frames(snapshot)
    this.values(snapshot)
  }

  leaks(raised: ReadonlyMap<string, number>, now: ReadonlyArray<LeakReport>): void {
    const { book } = this
    for (const [reason, count] of raised) {
      const attributes = { [names.reason]: reason }
      book.add(catalog.leaks.raised, attributes, count)
      book.add(catalog.leaks.count, attributes, 0)
    }
    for (const { reason } of now) book.add(catalog.leaks.count, { [names.reason]: reason }, 1)
  }

  private pools(snapshot: Snapshot): void {
    const called = poolNames(snapshot)
    const named = (frameId: number) => this.nameOfPool(called.get(frameId)!)
    const totals = this.totals.look(snapshot, named)
    for (const pool of snapshot.pools) this.standing(named(pool.frameId), pool)
    for (const [name, counts] of totals) this.counts(name, counts)
  }

  /** What its series are found by: the sort of pool, by a letter, and the name. */
  private nameOfPool(name: string): string {
    return `${this.isConnection(name) ? "c" : "p"}${this.names.of("pool", name)}`
  }

  private standing(key: string, pool: PoolState): void {
    const { book } = this
    const { attributes, instruments, name, state } = shapeOf(key)
    book.add(instruments.count, { ...attributes, [state]: "idle" }, pool.idle)
    book.add(instruments.count, { ...attributes, [state]: "used" }, pool.used)
    book.add(instruments.idleMax, attributes, pool.max)
    book.add(instruments.idleMin, attributes, pool.min)
    book.add(instruments.max, attributes, pool.max)
    book.add(instruments.pending, attributes, pool.waiting)
    book.most(catalog.pools.oldestWait, name, seconds(pool.oldestWait))
    for (const state of ["creating", "busy", "closing", "abandoned"] as const) {
      book.add(catalog.pools.unavailable, { ...name, [names.poolState]: state }, pool[state])
    }
  }

  private counts(key: string, counts: Totals): void {
    const { book } = this
    const { attributes, instruments, name } = shapeOf(key)
    book.add(instruments.timeouts, attributes, counts.timeouts)
    book.spread(
      instruments.createTime,
      attributes,
      counts.created,
      seconds(counts.createTotal),
      seconds(counts.createMax)
    )
    book.spread(instruments.waitTime, attributes, counts.waited, seconds(counts.waitTotal), seconds(counts.waitMax))
    book.spread(instruments.useTime, attributes, counts.returned, seconds(counts.useTotal), seconds(counts.useMax))
    book.add(catalog.pools.borrows, name, counts.borrowed)
    book.add(catalog.pools.closed, name, counts.closed)
    book.add(catalog.pools.overdue, name, counts.overdue)
    for (const [step, count] of Object.entries(failed)) {
      book.add(catalog.pools.failures, { ...name, [names.step]: step }, counts[count])
    }
    for (const [reason, count] of Object.entries(refused)) {
      book.add(catalog.pools.refusals, { ...name, [names.reason]: reason }, counts[count])
    }
  }

  private allocations({ allocations, resources }: Snapshot): void {
    const { book } = this
    for (const state of resources) {
      if (state.kind === "pool") continue
      const attributes = { [names.resource]: this.names.of("resource", state.resource), [names.kind]: state.kind }
      const { acquireMax, acquireTotal, acquired, holdMax, holdTotal, released } = state
      book.add(catalog.allocations.count, attributes, state.live)
      book.spread(catalog.allocations.acquireTime, attributes, acquired, seconds(acquireTotal), seconds(acquireMax))
      book.spread(catalog.allocations.holdTime, attributes, released, seconds(holdTotal), seconds(holdMax))
      book.add(catalog.allocations.failures, attributes, state.failed)
      book.add(catalog.allocations.refusals, attributes, state.refused)
      book.add(catalog.allocations.late, attributes, state.late)
    }
    const costs = new Map<string, Map<string, number>>()
    for (const { cost, resource } of allocations) {
      for (const unit in cost) {
        let units = costs.get(resource)
        if (units === undefined) costs.set(resource, units = new Map())
        units.set(unit, (units.get(unit) ?? 0) + cost[unit]!)
      }
    }
    for (const [resource, units] of costs) {
      for (const [unit, amount] of units) {
        const attributes = {
          [names.resource]: this.names.of("resource", resource),
          [names.unit]: this.names.of("unit", unit)
        }
        book.add(catalog.allocations.cost, attributes, amount)
      }
    }
  }

  /** The frames of pools and of shared values are told of as such. */
  private frames({ frames, pools, values }: Snapshot): void {
    const { book } = this
    const told = new Set([...pools, ...values].map(({ frameId }) => frameId))
    for (const { abandoned, budgets, id, name, phase } of frames) {
      if (told.has(id) && budgets.length === 0) continue
      const frame = { [names.frame]: this.names.of("frame", name) }
      if (!told.has(id)) {
        for (const state of ["open", "expired", "closing"] as const) {
          book.add(catalog.frames.count, { ...frame, [names.frameState]: state }, phase === state ? 1 : 0)
        }
        book.add(catalog.frames.abandoned, frame, abandoned === true ? 1 : 0)
      }
      for (const { kind, limit, oldestWait, unit, used, waiting } of budgets) {
        const attributes = { ...frame, [names.unit]: this.names.of("unit", unit), [names.budget]: kind }
        book.add(catalog.budgets.used, attributes, used)
        if (limit !== null) book.add(catalog.budgets.limit, attributes, limit)
        book.add(catalog.budgets.waiting, attributes, waiting)
        book.most(catalog.budgets.oldestWait, attributes, seconds(oldestWait))
      }
    }
  }

  private values({ values }: Snapshot): void {
    const { book } = this
    for (const { kind, resource, state, turns, users } of values) {
      const attributes = { [names.resource]: this.names.of("resource", resource), [names.kind]: kind }
      for (const one of ["acquiring", "live", "retired"] as const) {
        book.add(catalog.values.count, { ...attributes, [names.value]: one }, state === one ? 1 : 0)
      }
      book.add(catalog.values.users, attributes, users)
      if (turns !== undefined) book.add(catalog.values.waiting, attributes, turns.waiting)
    }
  }
}

/** What failed, and where that is counted. */
const failed = { create: "createFailed", validate: "validateFailed", reset: "resetFailed" } as const

/** Who got nothing, and where that is counted. */
const refused = {
  overloaded: "overloaded",
  refused: "refused",
  deadlock: "deadlocks",
  cancelled: "cancelled"
} as const

/** How a pool is told of that is found by this. */
const shapeOf = (key: string) => {
  const name = key.slice(1)
  const isConnection = key.startsWith("c")
  const prefix = isConnection ? "db.client.connection" : "chronovyan"
  return {
    instruments: isConnection ? catalog.connections : catalog.items,
    attributes: { [`${prefix}.pool.name`]: name },
    state: isConnection ? "db.client.connection.state" : names.poolState,
    name: { [names.pool]: name }
  }
}

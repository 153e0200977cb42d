/**
 * What the run found, and what the resource system saw of it.
 */
import type { Snapshot } from "@chronovyan/core"
import * as Name from "./name.ts"
import type { Progress } from "./progress.ts"
import type { Store } from "./store.ts"

export interface Report {
  readonly directory: string
  /** It was stopped before the end: what follows is what was found until then. */
  readonly interrupted: boolean
  readonly millis: number
  readonly store: Store
  readonly progress: Progress
  readonly budgets: ReadonlyArray<Snapshot.BudgetState>
  readonly resources: ReadonlyArray<Snapshot.ResourceState>
  /** Allocations that were not given back. */
  readonly leaks: number
}

export interface Totals {
  readonly files: number
  readonly bytes: number
  readonly lines: number
  readonly texts: number
  readonly words: number
}

/** Each name counts, also where several are links to one file, as with `du --count-links`. */
export const totals = (store: Store): Totals =>
  store.query<Totals>(`
    SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes, coalesce(sum(lines), 0) AS lines,
      count(words) AS texts, coalesce(avg(words), 0) AS words
    FROM files`)[0]!

export interface Duplicates {
  readonly sha256: Uint8Array
  readonly size: number
  readonly copies: number
  readonly wasted: number
}

/** Contents that are there more than once, those that waste most first. */
export const duplicates = (store: Store): Array<Duplicates> =>
  store.query(`
    SELECT sha256, size, count(*) AS copies, size * (count(*) - 1) AS wasted FROM files
    WHERE size > 0 GROUP BY sha256, size HAVING copies > 1 ORDER BY wasted DESC, sha256`)

export const namesOf = (store: Store, { sha256 }: Duplicates): Array<Name.Name> =>
  store.query<{ readonly path: Name.Name }>("SELECT path FROM files WHERE sha256 = ? ORDER BY path", sha256)
    .map(({ path }) => path)

export const slowest = (
  store: Store,
  limit: number
): Array<{ readonly path: Name.Name; readonly size: number; readonly millis: number }> =>
  store.query("SELECT path, size, millis FROM files ORDER BY millis DESC, size DESC LIMIT ?", limit)

export const errors = (
  store: Store,
  limit: number
): Array<{ readonly path: Name.Name; readonly reason: string }> =>
  store.query("SELECT path, reason FROM errors ORDER BY path LIMIT ?", limit)

export const skipped = ({ skipped }: Progress): number => Object.values(skipped).reduce((sum, n) => sum + n, 0)

/** The report as one JSON document. */
export const toJson = (report: Report): string => {
  const { progress, store } = report
  return JSON.stringify(
    {
      directory: report.directory,
      interrupted: report.interrupted,
      millis: report.millis,
      ...totals(store),
      duplicates: duplicates(store).map((group) => ({
        sha256: Buffer.from(group.sha256).toString("hex"),
        size: group.size,
        paths: namesOf(store, group).map(Name.toJson)
      })),
      skipped: skipped(progress),
      skippedByKind: progress.skipped,
      errors: errors(store, -1).map(({ path, reason }) => ({ path: Name.toJson(path), reason })),
      slowest: slowest(store, 10).map(({ millis, path, size }) => ({ path: Name.toJson(path), size, millis })),
      budgets: report.budgets.map(({ highWaterMark, limit, unit }) => ({ unit, limit, highWaterMark })),
      resources: report.resources,
      leaks: report.leaks
    },
    null,
    2
  )
}

/** How full pools and budgets are, now and over the last minutes, and what definitions do. */
import type { ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import { amount, amountShort, count, counted, duration, time } from "../data/format.ts"
import { budgetGroups, fullness } from "../data/history.ts"
import type { BudgetGroup } from "../data/history.ts"
import { loaded, query, shown, shownInfo } from "../data/store.ts"
import type { Shown } from "../data/store.ts"
import { wordsOf } from "../data/tree.ts"
import type { PoolCounts, PoolState, ResourceState } from "../data/wire.ts"
import { question } from "../parts/Confirm.tsx"
import { Empty } from "../parts/Empty.tsx"
import { Meter, pressure } from "../parts/Meter.tsx"
import { secondsOf, Spark } from "../parts/Spark.tsx"
import type { SparkProps } from "../parts/Spark.tsx"
import { reveal } from "./treeState.ts"

/** A plot, and under it what it was where the pointer is. */
const Plot = (
  { say, ...spark }: SparkProps & { readonly say: (values: ReadonlyArray<number>) => string }
) => {
  const [at, set] = useState<string | null>(null)
  return (
    <div class="plot">
      <Spark {...spark} hover={(when, values) => set(`${time(when)}  ${say(values)}`)} leave={() => set(null)} />
      <span class="quiet">{at ?? `last ${duration(Math.round(secondsOf(spark.track, spark.until)) * 1000)}`}</span>
    </div>
  )
}

const matches = (text: string): boolean => {
  const name = text.toLowerCase()
  return wordsOf(query.value).every((word) => name.includes(word))
}

const canControl = (): boolean => loaded.value === null && shownInfo.value?.control === true

const poolParts = (pool: PoolState) => [
  { name: `${pool.used} in use`, value: pool.used, kind: pool.waiting > 0 ? "full" : "used" },
  { name: `${pool.busy} being reset or checked`, value: pool.busy, kind: "busy" },
  { name: `${pool.creating} being created`, value: pool.creating, kind: "creating" },
  { name: `${pool.idle} idle`, value: pool.idle, kind: "idle" }
]

const PoolCard = ({ pool, shown }: { readonly pool: PoolState; readonly shown: Shown }) => {
  // A pool without a limit is shown against what it has.
  const whole = pool.max > 1e9 ? Math.max(pool.total, 1) : pool.max
  const rare = (["busy", "creating", "closing", "abandoned"] as const).filter((name) => pool[name] > 0)
  return (
    <article class={pool.waiting > 0 ? "card waiting" : "card"} aria-label={`Pool ${pool.name}`}>
      <h3>
        <button type="button" class="link" title="Show it in the tree" onClick={() => reveal(`f${pool.frameId}`)}>
          {pool.name}
        </button>
        {pool.state !== "open" && <span class="tag warn">{pool.state}</span>}
      </h3>
      <p class="big">
        {pool.used} <span class="quiet">of {pool.max > 1e9 ? "any number" : count(pool.max)} in use</span>
      </p>
      <Meter label={`Items of ${pool.name} in use`} of={whole} parts={poolParts(pool)} />
      <p class="figures">
        <span>{pool.idle} idle</span>
        {rare.map((name) => <span key={name}>{pool[name]} {name}</span>)}
        {pool.waiting > 0
          ? <span class="warn">{pool.waiting} waiting, up to {duration(pool.oldestWait)}</span>
          : <span class="quiet">nobody waits</span>}
      </p>
      <Plot
        label={`${pool.name}: in use and waiting over the last minutes`}
        track={shown.history.tracks.get(`pool ${pool.frameId}`)}
        until={shown.snapshot.at}
        lines={[{ color: "accent", filled: true }, { color: "warn" }]}
        top={pool.max > 1e9 ? undefined : pool.max}
        say={([used, waiting]) => `${used} in use, ${waiting} waiting`}
      />
      {pool.counts !== undefined && <Counts counts={pool.counts} />}
      {canControl() && (
        <p class="controls">
          <button type="button" onClick={() => question.value = { _tag: "Resize", pool }}>Resize</button>
          <button
            type="button"
            onClick={() => question.value = { _tag: "Retire", resource: pool.name, frameId: pool.frameId }}
          >
            Retire
          </button>
          <button type="button" class="danger" onClick={() => question.value = { _tag: "Drain", pool }}>Drain</button>
        </p>
      )}
    </article>
  )
}

/** What happened in it so far. */
const Counts = ({ counts }: { readonly counts: PoolCounts }) => {
  const { borrowed, created, overloaded, timeouts, waited, waitMax, waitTotal } = counts
  return (
    <p class="figures quiet">
      <span>{count(borrowed)} borrowed</span>
      <span>{count(created)} created</span>
      {waited > 0 && <span>waited {duration(waitTotal / waited)} on average, {duration(waitMax)} at most</span>}
      {timeouts > 0 && <span class="warn">{count(timeouts)} timed out</span>}
      {overloaded > 0 && <span class="warn">{count(overloaded)} turned away</span>}
    </p>
  )
}

const BudgetCard = ({ group, shown }: { readonly group: BudgetGroup; readonly shown: Shown }) => {
  const { frames, fullest, highWaterMark, kind, limit, oldestWait, path, rate, reserved, unit, used, waiting } = group
  const one = frames === 1
  const first = one ? shown.snapshot.frames.find((frame) => frame.path === path) : undefined
  return (
    <article class={waiting > 0 ? "card waiting" : "card"} aria-label={`Budget ${unit} of ${path || "manager"}`}>
      <h3>
        {first === undefined
          ? <button type="button" class="link" onClick={() => query.value = path}>{path || "manager"}</button>
          : <button type="button" class="link" onClick={() => reveal(`f${first.id}`)}>{path || "manager"}</button>}
        <span class="tag">{unit}{kind === "rate" && ", a rate"}</span>
      </h3>
      <p class="big">
        {amount(used, unit)}
        <span class="quiet">{limit === null ? " in use, no limit" : ` of ${amount(limit, unit)}`}</span>
      </p>
      {limit !== null && (
        <Meter
          label={`${unit} of ${path} in use`}
          of={limit}
          mark={highWaterMark}
          parts={[
            { name: `${amount(used, unit)} in use`, value: used, kind: pressure(fullness({ limit, used })) },
            { name: `${amount(reserved, unit)} reserved`, value: reserved, kind: "creating" }
          ]}
        />
      )}
      <p class="figures">
        {one
          ? <span class="quiet">most {amount(highWaterMark, unit)}</span>
          : <span>{counted(frames, "frame")}{limit !== null && `, the fullest at ${Math.round(fullest * 100)}%`}</span>}
        {reserved > 0 && <span>{amount(reserved, unit)} reserved</span>}
        {rate !== undefined && <span>{amount(rate.amount, unit)} come back each {duration(rate.per)}</span>}
        {waiting > 0 && <span class="warn">{waiting} waiting, up to {duration(oldestWait)}</span>}
      </p>
      <Plot
        label={`${unit} of ${path}: in use over the last minutes`}
        track={shown.history.tracks.get(`budget ${group.key}`)}
        until={shown.snapshot.at}
        lines={[{ color: "accent", filled: true }]}
        say={([value]) => amountShort(value ?? 0, unit)}
      />
    </article>
  )
}

const mean = (total: number, many: number): string => many === 0 ? "-" : duration(total / many)

const Definition = ({ one, shown }: { readonly one: ResourceState; readonly shown: Shown }) => {
  const track = shown.history.tracks.get(`resource ${one.kind} ${one.resource}`)
  const done = one.acquired + one.failed
  const canRetire = canControl() && (one.kind === "shared" || one.kind === "persistent")
  return (
    <tr>
      <th scope="row">
        <button type="button" class="link" onClick={() => query.value = one.resource}>{one.resource}</button>
        <span class="tag">{one.kind}</span>
        {canRetire && (
          <button
            type="button"
            class="small"
            onClick={() => question.value = { _tag: "Retire", resource: one.resource }}
          >
            Retire
          </button>
        )}
      </th>
      <td>
        {count(one.live)} <span class="quiet">/ {count(one.highWaterMark)}</span>
      </td>
      <td>{count(one.shares)}</td>
      <td>{count(one.acquired)}</td>
      <td class={one.failed > 0 ? "warn" : "quiet"}>{count(one.failed)}</td>
      <td class={one.late > 0 ? "warn" : "quiet"}>{count(one.late)}</td>
      <td>
        {mean(one.acquireTotal, done)} <span class="quiet">/ {duration(one.acquireMax)}</span>
      </td>
      <td>
        {mean(one.holdTotal, one.released)} <span class="quiet">/ {duration(one.holdMax)}</span>
      </td>
      <td class="sparkcell">
        <Spark
          label={`${one.resource}: live over the last minutes`}
          track={track}
          until={shown.snapshot.at}
          height={22}
          lines={[{ color: "accent", filled: true }]}
        />
      </td>
    </tr>
  )
}

const some = 24

const Cards = <A extends object>({ all, card, title }: {
  readonly all: ReadonlyArray<A>
  readonly title: string
  readonly card: (one: A) => ComponentChildren
}) => {
  const [open, setOpen] = useState(false)
  if (all.length === 0) return null
  return (
    <>
      <h2>
        {title} <span class="quiet">{count(all.length)}</span>
      </h2>
      <div class="cards">{(open ? all.slice(0, 500) : all.slice(0, some)).map(card)}</div>
      {all.length > some && (
        <button type="button" onClick={() => setOpen(!open)}>
          {open ? "Show fewer" : `Show all ${count(all.length)}`}
        </button>
      )}
    </>
  )
}

/** Places do not change while one looks: only what is in trouble comes first, and in the order of names. */
const byTrouble = <A extends object>(trouble: (one: A) => boolean, name: (one: A) => string) => (a: A, b: A): number =>
  Number(trouble(b)) - Number(trouble(a)) || (name(a) < name(b) ? -1 : 1)

export const Gauges = () => {
  const current = shown.value
  if (current === null) return null
  const { pools, resources } = current.snapshot
  const seenPools = pools.filter((pool) => matches(pool.name))
    .sort(byTrouble((pool) => pool.waiting > 0, ({ frameId, name }) => `${name} ${frameId}`))
  const groups = budgetGroups(current.snapshot).filter(({ path, unit }) => matches(`${path || "manager"} ${unit}`))
    .sort(
      byTrouble(
        ({ fullest, waiting }) => waiting > 0 || fullest >= 0.95,
        ({ limit, path, unit }) => `${limit === null ? 1 : 0} ${path} ${unit}`
      )
    )
  const seenResources = resources.filter(({ resource }) => matches(resource))
    .sort((a, b) => b.live - a.live || (a.resource < b.resource ? -1 : 1))
  if (seenPools.length + groups.length + seenResources.length === 0) {
    return query.value === ""
      ? <Empty title="No pools and no budgets">They show up here with their gauges as soon as there are some.</Empty>
      : <Empty title={`No gauge is called “${query.value}”`} />
  }
  return (
    <section class="gauges scroll" data-main tabIndex={0} aria-label="Gauges">
      <Cards
        title="Pools"
        all={seenPools}
        card={(pool) => <PoolCard key={pool.frameId} pool={pool} shown={current} />}
      />
      <Cards
        title="Budgets"
        all={groups}
        card={(group) => <BudgetCard key={group.key} group={group} shown={current} />}
      />
      {seenResources.length > 0 && (
        <>
          <h2>
            Definitions <span class="quiet">{count(seenResources.length)}</span>
          </h2>
          <div class="wide" role="region" aria-label="Definitions" tabIndex={0}>
            <table>
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col" title="Values that exist, and the most there were at once">Live / most</th>
                  <th scope="col" title="Uses of shared, persistent and pooled values">Uses</th>
                  <th scope="col">Acquired</th>
                  <th scope="col">Failed</th>
                  <th scope="col" title="Arrived after their frame had ended">Late</th>
                  <th scope="col">Acquire mean / max</th>
                  <th scope="col">Held mean / max</th>
                  <th scope="col">Live lately</th>
                </tr>
              </thead>
              <tbody>
                {seenResources.slice(0, 100).map((one) => (
                  <Definition key={`${one.kind} ${one.resource}`} one={one} shown={current} />
                ))}
              </tbody>
            </table>
          </div>
          {seenResources.length > 100 && (
            <p class="quiet">The 100 with most values of {count(seenResources.length)}.</p>
          )}
        </>
      )}
    </section>
  )
}

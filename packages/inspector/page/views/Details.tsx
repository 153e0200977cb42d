/** All that is known of the frame or allocation that is selected. */
import type { ComponentChildren } from "preact"
import { amount, cost, count, counted, duration, moment } from "../data/format.ts"
import { fullness } from "../data/history.ts"
import { now, query, selected, shownLeaks, tell } from "../data/store.ts"
import type { Index } from "../data/treeIndex.ts"
import type { AllocationState, FrameState, Leak } from "../data/wire.ts"
import { Icon } from "../parts/Icon.tsx"
import { Meter, pressure } from "../parts/Meter.tsx"
import { Left } from "./Left.tsx"
import { reveal, treeIndex } from "./treeState.ts"

export const Fact = ({ children, name }: { readonly name: string; readonly children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)

export const CallSite = ({ site }: { readonly site: string }) => (
  <span class="callsite">
    <code>{site}</code>
    <button
      type="button"
      class="plain"
      aria-label="Copy the call site"
      title="Copy"
      onClick={() => {
        // Only pages of this machine and over https may write there.
        if (navigator.clipboard === undefined) return tell("This page may not copy here.", true)
        void navigator.clipboard.writeText(site).then(() => tell("Copied"), () => tell("It could not be copied.", true))
      }}
    >
      <Icon name="copy" />
    </button>
  </span>
)

const FrameLink = ({ id, path }: { readonly id: number; readonly path: string }) => (
  <button
    type="button"
    class="link"
    onClick={() => reveal(`f${id}`)}
  >
    {path || "manager"} #{id}
  </button>
)

const LeakNote = ({ leak }: { readonly leak: Leak }) => (
  <div class="note bad">
    <strong>{leak.reason}</strong> {leak.message} {leak.advice}
  </div>
)

const FrameDetails = ({ frame, index }: { readonly frame: FrameState; readonly index: Index }) => {
  const totals = index.totals.get(frame.id)!
  const pool = index.pools.get(frame.id)
  const value = index.snapshot.values?.find((one) => one.frameId === frame.id)
  const outer = frame.parent === null ? undefined : index.frames.get(frame.parent)
  const byName = new Map<string, number>()
  for (const one of index.allocationsIn.get(frame.id) ?? []) {
    byName.set(one.resource, (byName.get(one.resource) ?? 0) + 1)
  }
  return (
    <>
      <h2>
        <span class="mark frame" /> {frame.name || "manager"} <span class="quiet">#{frame.id}</span>
      </h2>
      <dl>
        <Fact name="Path">{frame.path || "manager"}</Fact>
        {outer !== undefined && (
          <Fact name="Inside">
            <FrameLink id={outer.id} path={outer.path || outer.name} />
          </Fact>
        )}
        <Fact name="Phase">{frame.phase}</Fact>
        <Fact name="Opened">{moment(frame.openedAt)}, {duration(now.value - frame.openedAt)} ago</Fact>
        <Fact name="Deadline">{frame.deadline === null ? "none" : <Left deadline={frame.deadline} />}</Fact>
        <Fact name="Holds">
          {byName.size === 0 ?
            "nothing itself" :
            [...byName].map(([name, many]) => (
              <button
                key={name}
                type="button"
                class="link"
                onClick={() => query.value = `${frame.path} ${name}`}
              >
                {name}
                {many > 1 && ` × ${count(many)}`}
              </button>
            ))}
        </Fact>
        <Fact name="Inside it">{counted(totals.frames, "frame")}, {counted(totals.allocations, "allocation")}</Fact>
        {cost(totals.cost) !== "" && <Fact name="Costs inside">{cost(totals.cost)}</Fact>}
      </dl>
      {frame.budgets.length > 0 && <h3>Budgets</h3>}
      {frame.budgets.map((budget) => {
        const { highWaterMark, limit, unit, used } = budget
        return (
          <div key={unit} class="budget">
            <span>{unit}</span>
            <span>
              {amount(used, unit)}
              {limit === null ? ", no limit" : ` of ${amount(limit, unit)}`}
              <span class="quiet">, most {amount(highWaterMark, unit)}</span>
            </span>
            {limit !== null && (
              <Meter
                label={unit}
                of={limit}
                mark={highWaterMark}
                parts={[{ name: "used", value: used, kind: pressure(fullness(budget)) }]}
              />
            )}
          </div>
        )
      })}
      {value !== undefined && (
        <>
          <h3>A {value.kind} value</h3>
          <dl>
            <Fact name="State">{value.state}</Fact>
            <Fact name="Users">{count(value.users)}</Fact>
            {value.turns !== undefined && (
              <Fact name="Turns">
                {count(value.turns.readers)} reading, {value.turns.writing ? "one writing" : "nobody writing"},{" "}
                {count(value.turns.waiting)} waiting
              </Fact>
            )}
          </dl>
        </>
      )}
      {pool !== undefined && (
        <>
          <h3>Pool {pool.name}</h3>
          <dl>
            <Fact name="State">{pool.state}</Fact>
            <Fact name="Items">{pool.total} of {pool.min} to {count(pool.max)}</Fact>
            <Fact name="In use">{pool.used}, {pool.idle} idle</Fact>
            <Fact name="Waiting">
              {pool.waiting}
              {pool.waiting > 0 && `, the first for ${duration(pool.oldestWait)}`}
            </Fact>
          </dl>
        </>
      )}
    </>
  )
}

const AllocationDetails = ({ allocation, index }: { readonly allocation: AllocationState; readonly index: Index }) => {
  const frame = index.frames.get(allocation.frameId)
  const waiter = index.waiterOf.get(allocation.id)
  return (
    <>
      <h2>
        {allocation.resource} <span class="quiet">#{allocation.id}</span>
      </h2>
      <dl>
        <Fact name="State">{allocation.state}{allocation.share && ", the use of a value that others use too"}</Fact>
        <Fact name="Frame">
          {frame === undefined
            ? `${allocation.frame} #${allocation.frameId}${allocation.orphaned ? ", which has ended" : ""}`
            : <FrameLink id={frame.id} path={allocation.frame} />}
        </Fact>
        <Fact name="Since">{moment(allocation.since)}, {duration(now.value - allocation.since)}</Fact>
        {frame !== undefined && (
          <Fact name="Frame's deadline">{frame.deadline === null ? "none" : <Left deadline={frame.deadline} />}</Fact>
        )}
        {waiter !== undefined && (
          <Fact name="Waits">
            for {waiter.name} since {duration(now.value - waiter.since)}, {waiter.position} before it
          </Fact>
        )}
        {allocation.fiber !== undefined && <Fact name="Fiber">#{allocation.fiber}</Fact>}
        <Fact name="Cost">{cost(allocation.cost) || "nothing"}</Fact>
        <Fact name="Call site">
          {allocation.callSite === undefined
            ? <span class="quiet">not recorded</span>
            : <CallSite site={allocation.callSite} />}
        </Fact>
      </dl>
      {allocation.orphaned && <div class="note bad">Its frame ended without it.</div>}
    </>
  )
}

export const Details = () => {
  const key = selected.value
  const index = treeIndex.value
  if (key === null || index === null || !/^[af]\d+$/.test(key)) return null
  const id = Number(key.slice(1))
  const frame = key.startsWith("f") ? index.frames.get(id) : undefined
  const allocation = key.startsWith("a") ? index.snapshot.allocations.find((one) => one.id === id) : undefined
  const leaks = shownLeaks.value.filter((leak) =>
    leak.state === "raised" && leak.subject === id && (leak.kind === "frame") === key.startsWith("f")
  )
  return (
    <aside
      class="details"
      tabIndex={0}
      aria-label="Details"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return
        event.stopPropagation()
        selected.value = null
        document.querySelector<HTMLElement>("[data-main]")?.focus()
      }}
    >
      <button type="button" class="plain close" aria-label="Close the details" onClick={() => selected.value = null}>
        <Icon name="close" />
      </button>
      {frame !== undefined && <FrameDetails frame={frame} index={index} />}
      {allocation !== undefined && <AllocationDetails allocation={allocation} index={index} />}
      {frame === undefined && allocation === undefined && (
        <>
          <h2>#{id} is gone</h2>
          <p>{key.startsWith("f") ? "The frame has ended." : "It has been released."}</p>
        </>
      )}
      {leaks.map((leak) => <LeakNote key={leak.id} leak={leak} />)}
    </aside>
  )
}

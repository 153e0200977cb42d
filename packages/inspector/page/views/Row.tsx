/** What stands in a row of the tree. */
import { amount, cost, count, counted, duration, siteTail } from "../data/format.ts"
import { fullness } from "../data/history.ts"
import { now } from "../data/store.ts"
import type { Row } from "../data/tree.ts"
import type { FrameState } from "../data/wire.ts"
import { Icon } from "../parts/Icon.tsx"
import { Meter, pressure } from "../parts/Meter.tsx"
import { hueOf } from "../theme.ts"
import { Left } from "./Left.tsx"
import { grouping, treeIndex } from "./treeState.ts"

/** The fullest of its limits, as a bar. */
const Budget = ({ frame, text }: { readonly frame: FrameState; readonly text: string }) => {
  const limited = frame.budgets.filter((budget) => budget.limit !== null)
  const fullest = limited.sort((a, b) => fullness(b) - fullness(a))[0]
  if (fullest === undefined) return <span role="gridcell" class="cost">{text}</span>
  const { highWaterMark, limit, unit, used } = fullest
  const words = `${unit} ${amount(used, unit)} of ${amount(limit!, unit)}`
  return (
    <span role="gridcell" class="cost limited" title={`${words}${text === "" ? "" : `; inside: ${text}`}`}>
      <Meter
        label={words}
        of={limit!}
        mark={highWaterMark}
        parts={[{ name: words, value: used, kind: pressure(fullness(fullest)) }]}
      />
      <span>{words}</span>
    </span>
  )
}

/** Where somebody stands in line. */
const place = (position: number): string => position === 0 ? "next in line" : `${count(position)} before it`

export const Name = ({ leaking, row }: { readonly row: Row; readonly leaking: boolean }) => {
  const caret = row.open === null
    ? <span class="caret" />
    : (
      <span class="caret" data-toggle>
        <Icon name={row.open ? "down" : "right"} />
      </span>
    )
  switch (row.kind) {
    case "frame": {
      const { allocations, frames } = row.totals
      const inside = [
        allocations > 0 ? counted(allocations, "allocation") : "",
        frames > 0 ? counted(frames, "frame") : ""
      ].filter(Boolean).join(", ")
      return (
        <span role="gridcell" class="name">
          {caret}
          <span class="mark frame" />
          <strong>{row.frame.name || "manager"}</strong>
          {row.pool !== undefined && (
            <span class={row.pool.waiting > 0 ? "tag warn" : "tag"}>
              pool {row.pool.used}/{count(row.pool.max)}
              {row.pool.waiting > 0 && `, ${row.pool.waiting} waiting`}
            </span>
          )}
          {row.frame.phase !== "open" && <span class="tag warn">{row.frame.phase}</span>}
          {leaking && <span class="tag bad">leak</span>}
          {row.open === false && <span class="quiet">{inside}</span>}
        </span>
      )
    }
    case "waiter": {
      const { name, position, resource } = row.waiter
      return (
        <span role="gridcell" class="name">
          {caret}
          <span class="mark wait" />
          <span class="clip">{resource}</span>
          <span class="tag warn">waits for {name}</span>
          <span class="quiet">{place(position)}</span>
        </span>
      )
    }
    case "fold":
      return (
        <span role="gridcell" class="name">
          {caret}
          <span
            class={row.of === "frames"
              ? "mark frame many"
              : grouping.value === "callSite"
              ? "mark many"
              : `mark many hue-${hueOf(row.name)}`}
          />
          <span class="clip">{grouping.value === "callSite" ? siteTail(row.name) : row.name}</span>
          <span class="tag count">× {count(row.count)}</span>
          {row.of === "frames" && row.totals.allocations > 0 && (
            <span class="quiet">{counted(row.totals.allocations, "allocation")}</span>
          )}
        </span>
      )
    case "allocation": {
      const { allocation } = row
      const waiter = treeIndex.value?.waiterOf.get(allocation.id)
      return (
        <span role="gridcell" class="name">
          {caret}
          <span class={`mark hue-${hueOf(allocation.resource)}`} />
          <span class="clip">{allocation.resource}</span>
          <span class="quiet">#{allocation.id}</span>
          {allocation.share && <span class="tag">use</span>}
          {allocation.state !== "live" && (
            <span class="tag warn">
              {waiter === undefined ? allocation.state : `waiting, ${place(waiter.position)}`}
            </span>
          )}
          {allocation.orphaned && <span class="tag bad">orphaned</span>}
          {leaking && <span class="tag bad">leak</span>}
        </span>
      )
    }
  }
}

export const Cells = ({ row }: { readonly row: Row }) => {
  const at = now.value
  switch (row.kind) {
    case "frame":
      return (
        <>
          <span role="gridcell" class="number">
            {row.frame.parent === null ? "" : duration(at - row.frame.openedAt)}
          </span>
          <span role="gridcell" class="number">
            <Left deadline={row.frame.deadline} />
          </span>
          <Budget frame={row.frame} text={cost(row.totals.cost)} />
          <span role="gridcell" class="site" />
        </>
      )
    case "waiter": {
      const { amount: wanted, callSite, deadline, kind, name, since } = row.waiter
      return (
        <>
          <span role="gridcell" class="number">{duration(at - since)}</span>
          <span role="gridcell" class="number">
            <Left deadline={deadline} />
          </span>
          <span role="gridcell" class="cost">{kind === "pool" ? "" : `wants ${name} ${amount(wanted, name)}`}</span>
          <span role="gridcell" class="site" title={callSite}>{callSite !== undefined && siteTail(callSite)}</span>
        </>
      )
    }
    case "fold":
      return (
        <>
          <span role="gridcell" class="number" title="The oldest">
            {Number.isFinite(row.totals.oldest) ? `≤ ${duration(at - row.totals.oldest)}` : ""}
          </span>
          <span role="gridcell" class="number" title="The nearest deadline">
            <Left deadline={row.deadline} />
          </span>
          <span role="gridcell" class="cost" title="Together">{cost(row.totals.cost)}</span>
          <span role="gridcell" class="site" />
        </>
      )
    case "allocation": {
      const { callSite } = row.allocation
      const frame = treeIndex.value?.frames.get(row.allocation.frameId)
      return (
        <>
          <span role="gridcell" class="number">{duration(at - row.allocation.since)}</span>
          <span role="gridcell" class="number quiet">
            {
              // In the tree the row of the frame says it.
              grouping.value !== "frames" && frame !== undefined && <Left deadline={frame.deadline} />
            }
          </span>
          <span role="gridcell" class="cost">{cost(row.allocation.cost)}</span>
          <span role="gridcell" class="site" title={callSite}>
            {callSite !== undefined
              ? siteTail(callSite)
              : grouping.value !== "frames" && <span class="quiet">{row.allocation.frame}</span>}
          </span>
        </>
      )
    }
  }
}

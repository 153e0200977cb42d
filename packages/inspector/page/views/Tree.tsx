/** The live tree: frames, and in them what they hold. Only the rows that are seen exist. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { amount, cost, count, counted, duration, siteTail } from "../data/format.ts"
import { fullness } from "../data/history.ts"
import { now, query, selected, shownLeaks } from "../data/store.ts"
import type { Row, Sort } from "../data/tree.ts"
import type { FrameState } from "../data/wire.ts"
import { Empty } from "../parts/Empty.tsx"
import { Icon } from "../parts/Icon.tsx"
import { Meter, pressure } from "../parts/Meter.tsx"
import { hueOf } from "../theme.ts"
import { Details } from "./Details.tsx"
import { Left } from "./Left.tsx"
import {
  chooseUnit,
  descending,
  foldAll,
  grouping,
  openAll,
  sort,
  sortBy,
  toggle,
  tree,
  treeIndex,
  unit
} from "./treeState.ts"

const rowHeight = 26
const headHeight = 28
const spare = 8

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
export const place = (position: number): string => position === 0 ? "next in line" : `${count(position)} before it`

const Name = ({ leaking, row }: { readonly row: Row; readonly leaking: boolean }) => {
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

const Cells = ({ row }: { readonly row: Row }) => {
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

const columns: ReadonlyArray<readonly [by: Sort | null, title: string, hint: string]> = [
  ["name", "Name", "by name"],
  ["age", "Age", "by age"],
  ["left", "Left", "by the time until the deadline of the frame"],
  ["cost", "Cost", "by cost"],
  [null, "Call site", ""]
]

const Heads = () => (
  <div class="heads" role="row" aria-rowindex={1}>
    {columns.map(([by, title, hint]) => (
      <span
        key={title}
        role="columnheader"
        aria-sort={by === null || sort.value !== by ? "none" : descending.value ? "descending" : "ascending"}
      >
        {by === null ? title : (
          <button type="button" title={`Sort ${hint}`} onClick={() => sortBy(by)}>
            {title}
            {sort.value === by && <span aria-hidden="true">{descending.value ? " ↓" : " ↑"}</span>}
          </button>
        )}
      </span>
    ))}
  </div>
)

const Options = () => {
  const all = treeIndex.value
  const rows = tree.value
  return (
    <div class="options">
      <label>
        Group by{" "}
        <select
          value={grouping.value}
          onChange={(event) => grouping.value = event.currentTarget.value as typeof grouping.value}
        >
          <option value="frames">frame</option>
          <option value="resource">definition</option>
          <option value="callSite">call site</option>
          <option value="none">nothing</option>
        </select>
      </label>
      {all !== null && all.units.length > 1 && (
        <label>
          Cost is{" "}
          <select value={unit.value} onChange={(event) => chooseUnit(event.currentTarget.value)}>
            {all.units.map((one) => <option key={one} value={one}>{one}</option>)}
          </select>
        </label>
      )}
      <span class="both">
        <button type="button" title="Open what is folded (+)" onClick={openAll}>Open all</button>
        <button type="button" title="Fold what is many (-)" onClick={foldAll}>Fold</button>
      </span>
      <span class="summary" role="status">
        {all !== null && rows !== null && (query.value.trim() === ""
          ? `${counted(all.snapshot.frames.length, "frame")}, ${counted(all.snapshot.allocations.length, "allocation")}`
          : `${count(rows.matches)} found`)}
      </span>
    </div>
  )
}

/** What a key does to the row that is selected. */
const move = (event: KeyboardEvent, rows: ReadonlyArray<Row>, page: number): boolean => {
  const at = rows.findIndex((row) => row.key === selected.value)
  const row = rows[at]
  const go = (to: number): void => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, to))]
    if (next !== undefined) selected.value = next.key
  }
  switch (event.key) {
    case "ArrowDown":
      go(at + 1)
      return true
    case "ArrowUp":
      go(at < 0 ? 0 : at - 1)
      return true
    case "PageDown":
      go(at + page)
      return true
    case "PageUp":
      go(at - page)
      return true
    case "Home":
      go(0)
      return true
    case "End":
      go(rows.length - 1)
      return true
    case "ArrowRight":
      if (row?.open === false) toggle(row.key)
      else if (row?.open === true) go(at + 1)
      return true
    case "ArrowLeft":
      if (row?.open === true) toggle(row.key)
      else if (row?.parent != null) selected.value = row.parent
      return true
    case "Enter":
      if (row?.kind === "fold") toggle(row.key)
      else if (row !== undefined) document.querySelector<HTMLElement>(".details")?.focus()
      return true
    case "+":
    case "*":
      openAll()
      return true
    case "-":
      foldAll()
      return true
    default:
      return false
  }
}

const List = ({ rows }: { readonly rows: ReadonlyArray<Row> }) => {
  const host = useRef<HTMLDivElement>(null)
  const [height, setHeight] = useState(600)
  const [top, setTop] = useState(0)
  const shownKey = useRef<string | null>(null)

  useLayoutEffect(() => {
    const element = host.current!
    const observer = new ResizeObserver(() => setHeight(element.clientHeight - headHeight))
    observer.observe(element)
    setHeight(element.clientHeight - headHeight)
    return () => observer.disconnect()
  }, [])

  const key = selected.value
  useEffect(() => {
    const element = host.current!
    if (key === shownKey.current) return
    const at = rows.findIndex((row) => row.key === key)
    if (at < 0) return
    // Once: who scrolls away from what is selected is not brought back.
    shownKey.current = key
    const from = at * rowHeight
    if (from < element.scrollTop) element.scrollTop = from
    else if (from + rowHeight > element.scrollTop + element.clientHeight - headHeight) {
      element.scrollTop = from + rowHeight - element.clientHeight + headHeight
    }
  }, [key, rows])

  const leaking = new Set(
    shownLeaks.value.filter((leak) => leak.state === "raised" && leak.subject !== undefined)
      .map((leak) => `${leak.kind === "frame" ? "f" : "a"}${leak.subject}`)
  )
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight), rows.length) - spare)
  const seen = rows.slice(first, Math.ceil((top + height) / rowHeight) + spare)
  const isSeen = seen.some((row) => row.key === key)
  return (
    <div
      ref={host}
      class="rows"
      role="treegrid"
      tabIndex={0}
      data-main
      aria-label="Frames and allocations"
      aria-rowcount={rows.length + 1}
      aria-activedescendant={isSeen ? `row-${key}` : undefined}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={(event) => {
        // The buttons of the head have keys of their own.
        if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return
        if (move(event, rows, Math.max(1, Math.floor(height / rowHeight) - 1))) event.preventDefault()
      }}
    >
      <Heads />
      <div role="rowgroup" style={{ height: `${rows.length * rowHeight}px` }}>
        {seen.map((row, index) => (
          <div
            key={row.key}
            id={`row-${row.key}`}
            class={`row ${row.kind}${row.key === key ? " selected" : ""}`}
            role="row"
            aria-level={row.depth + 1}
            aria-expanded={row.open ?? undefined}
            aria-selected={row.key === key}
            aria-posinset={row.position}
            aria-setsize={row.siblings}
            aria-rowindex={first + index + 2}
            style={{
              transform: `translateY(${(first + index) * rowHeight}px)`,
              "--depth": String(Math.min(row.depth, 24))
            }}
            onClick={(event) => {
              const onCaret = (event.target as Element).closest("[data-toggle]") !== null
              if (row.open !== null && (onCaret || row.kind === "fold")) toggle(row.key)
              if (!onCaret) selected.value = row.key
            }}
            onDblClick={() => {
              if (row.kind === "frame" && row.open !== null) toggle(row.key)
            }}
          >
            <Name row={row} leaking={leaking.has(row.key)} />
            <Cells row={row} />
          </div>
        ))}
      </div>
    </div>
  )
}

export const Tree = () => {
  const rows = tree.value?.rows ?? []
  const words = query.value.trim()
  return (
    <section class="tree" aria-label="Tree">
      <div class="table">
        <Options />
        {rows.length > 0 ?
          <List rows={rows} /> :
          (
            <Empty title={words === "" ? "Nothing is open, nothing is held" : `Nothing is called “${words}”`}>
              {words === ""
                ? "Frames and allocations show up here as soon as there are some."
                : "Searched were definitions, frames, call sites, states and #ids of what is live now."}
            </Empty>
          )}
      </div>
      <Details />
    </section>
  )
}

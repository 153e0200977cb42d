/** The live tree: frames, and in them what they hold. Only the rows that are seen exist. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { count, counted } from "../data/format.ts"
import { query, selected, shownLeaks } from "../data/store.ts"
import type { Row, Sort } from "../data/tree.ts"
import { Empty } from "../parts/Empty.tsx"
import { Details } from "./Details.tsx"
import { Cells, Name } from "./Row.tsx"
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

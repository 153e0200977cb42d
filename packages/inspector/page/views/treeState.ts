/** How the tree is looked at. */
import { computed, signal } from "@preact/signals"
import { query, selected, shownSnapshot, view } from "../data/store.ts"
import { flatten, pathTo } from "../data/tree.ts"
import type { Grouping, Row, Sort } from "../data/tree.ts"
import { index } from "../data/treeIndex.ts"

export const sort = signal<Sort>("opened")
export const descending = signal(false)
export const grouping = signal<Grouping>("frames")
const unitChoice = signal<string | null>(null)
/** While something is searched for, rows are opened and closed apart. */
const toggledAlways = signal<ReadonlySet<string>>(new Set())
const toggledSearching = signal<ReadonlySet<string>>(new Set())

export const treeIndex = computed(() => shownSnapshot.value === null ? null : index(shownSnapshot.value))

export const unit = computed(() => {
  const units = treeIndex.value?.units ?? []
  const chosen = unitChoice.value
  return chosen !== null && units.includes(chosen) ? chosen : units.includes("memory") ? "memory" : units[0] ?? ""
})

export const chooseUnit = (next: string): void => {
  unitChoice.value = next
}

const toggled = () => query.value.trim() === "" ? toggledAlways : toggledSearching

export const tree = computed(() =>
  treeIndex.value === null ? null : flatten(treeIndex.value, {
    sort: sort.value,
    descending: descending.value,
    unit: unit.value,
    query: query.value,
    grouping: grouping.value,
    toggled: toggled().value
  })
)

export const toggle = (key: string): void => {
  const set = toggled()
  const next = new Set(set.value)
  if (!next.delete(key)) next.add(key)
  set.value = next
}

/** What is unusual first: the oldest, the dearest, the nearest deadline. */
const descendingFirst: Readonly<Record<Sort, boolean>> = {
  opened: false,
  name: false,
  age: true,
  left: false,
  cost: true
}

/** One way, then the other, then in the order in which things began. */
export const sortBy = (by: Sort): void => {
  if (sort.value !== by) {
    sort.value = by
    descending.value = descendingFirst[by]
  } else if (descending.value === descendingFirst[by]) {
    descending.value = !descending.value
  } else {
    sort.value = "opened"
    descending.value = false
  }
}

const openable = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> => rows.filter((row) => row.open !== null)

/** Opens what is folded; again and again, deeper and deeper. */
export const openAll = (): void => {
  const set = toggled()
  const next = new Set(set.value)
  for (const { key, open } of openable(tree.value?.rows ?? [])) if (open === false && !next.delete(key)) next.add(key)
  set.value = next
}

export const foldAll = (): void => {
  toggled().value = new Set()
}

/** Shows a frame or an allocation where it is in the tree. */
export const reveal = (key: string): void => {
  query.value = ""
  grouping.value = "frames"
  view.value = "tree"
  selected.value = key
  const all = treeIndex.value
  if (all === null) return
  const rows = (): ReadonlyArray<Row> => tree.value?.rows ?? []
  // Each round opens one more of what is around it; a path of a hundred frames is a strange one.
  const path = pathTo(all, key)
  const wanted = [...path.map((frame) => `f${frame.id}`), key]
  for (let round = 0; round < 200; round++) {
    const seen = new Set(rows().map((row) => row.key))
    const missing = wanted.find((one) => !seen.has(one))
    if (missing === undefined) return
    const parent = wanted[wanted.indexOf(missing) - 1] ?? null
    const isFrame = missing.startsWith("f")
    const name = isFrame
      ? all.frames.get(Number(missing.slice(1)))?.name
      : all.snapshot.allocations.find((one) => `a${one.id}` === missing)?.resource
    const closed = rows().find((row) => row.key === parent && row.open === false) ??
      rows().find((row) => row.kind === "fold" && row.parent === parent && row.name === name && row.open === false)
    if (closed === undefined) return
    toggle(closed.key)
  }
}

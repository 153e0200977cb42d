/** What the page knows and shows: what is live, what is paused, what was loaded from a file. */
import { batch, computed, signal } from "@preact/signals"
import { Timeline } from "../timeline/model.ts"
import { readSaved, writeSaved } from "./check.ts"
import type { Saved } from "./check.ts"
import { moment } from "./format.ts"
import { History } from "./history.ts"
import type { Contention, Event, Info, Leak, Snapshot } from "./wire.ts"

/** All that one moment shows. */
export interface Shown extends Saved {
  readonly history: History
  readonly timeline: Timeline
}

export const views = ["tree", "timeline", "gauges", "waits", "leaks"] as const
export type View = typeof views[number]

export const info = signal<Info | null>(null)
export const snapshot = signal<Snapshot | null>(null)
export const contention = signal<Contention | null>(null)
const leaksById = new Map<number, Leak>()
const leakList = signal<ReadonlyArray<Leak>>([])

const liveHistory = new History()
const liveTimeline = new Timeline()

const live = computed<Shown | null>(() =>
  snapshot.value === null ? null : {
    snapshot: snapshot.value,
    leaks: leakList.value,
    contention: contention.value,
    info: info.value,
    history: liveHistory,
    timeline: liveTimeline
  }
)

/** What was shown when it was paused. */
const frozen = signal<Shown | null>(null)

export interface Loaded {
  readonly name: string
  readonly shown: Shown
}

export const loaded = signal<Loaded | null>(null)
export const shown = computed<Shown | null>(() => loaded.value?.shown ?? frozen.value ?? live.value)
export const shownSnapshot = computed(() => shown.value?.snapshot ?? null)
export const shownLeaks = computed(() => shown.value?.leaks ?? [])
export const shownInfo = computed(() => loaded.value === null ? info.value : loaded.value.shown.info)
export const paused = computed(() => frozen.value !== null)
/** Does the program answer? */
export const connected = signal(false)
/** Does what is shown change by itself? What nobody hears of any more stays as old as it was. */
export const moving = computed(() =>
  connected.value && loaded.value === null && frozen.value === null && live.value !== null
)

export const view = signal<View>("tree")
export const query = signal("")
export const helpOpen = signal(false)

/** What is selected in the tree, and shown in detail: `f12` is a frame, `a7` an allocation. */
export const selected = signal<string | null>(null)

/** Something to tell for a moment. */
export const notice = signal<{ readonly text: string; readonly bad: boolean } | null>(null)
let noticeTimer: ReturnType<typeof setTimeout> | undefined

export const tell = (text: string, bad = false): void => {
  notice.value = { text, bad }
  clearTimeout(noticeTimer)
  noticeTimer = setTimeout(() => notice.value = null, bad ? 10_000 : 4000)
}

/** How far the clock of the program is ahead of ours, in milliseconds. */
let ahead = 0

/** The time of the program: that of what is shown, when that does not move. */
export const programNow = (): number => {
  const at = shownSnapshot.value?.at ?? 0
  return moving.value ? Math.max(at, performance.now() + ahead) : at
}

/** For ages: as precise as anyone reads them. */
export const now = signal(0)
export const tick = (): void => {
  now.value = programNow()
}

export const takeSnapshot = (next: Snapshot): void => {
  const before = snapshot.value
  // Another program has taken the place of the one before.
  if (before !== null && next.at < before.at - 60_000) forget()
  ahead = next.at - performance.now()
  liveHistory.add(next)
  liveTimeline.snapshot(next)
  batch(() => {
    snapshot.value = next
    tick()
  })
}

/** The same place answers for another process now: nothing of the one before says anything about it. */
export const forget = (): void => {
  liveHistory.tracks.clear()
  liveTimeline.clear()
  leaksById.clear()
  batch(() => {
    leakList.value = []
    contention.value = null
    snapshot.value = null
  })
}

export const takeEvents = (events: ReadonlyArray<Event>): void => {
  for (const event of events) liveTimeline.event(event)
}

export const takeLeaks = (leaks: ReadonlyArray<Leak>): void => {
  for (const leak of leaks) leaksById.set(leak.id, leak)
  publishLeaks()
}

/** Those that are not in the list any more have come home while nobody listened. */
export const takeAllLeaks = (leaks: ReadonlyArray<Leak>): void => {
  const raised = new Set(leaks.map((leak) => leak.id))
  for (const leak of leaksById.values()) {
    if (leak.state === "raised" && !raised.has(leak.id)) leaksById.set(leak.id, { ...leak, state: "returned" })
  }
  takeLeaks(leaks)
}

/** How many that came home stay to be seen. */
const returnedKept = 200

const publishLeaks = (): void => {
  const all = [...leaksById.values()].sort((a, b) => b.at - a.at)
  let returned = 0
  for (const leak of all) if (leak.state === "returned" && ++returned > returnedKept) leaksById.delete(leak.id)
  leakList.value = all.filter((leak) => leaksById.has(leak.id))
}

export const togglePause = (): void => {
  if (loaded.value !== null) return tell("A file does not move: press Escape to go back to the program.")
  const current = live.value
  if (frozen.value !== null) frozen.value = null
  else if (current !== null) frozen.value = { ...current, timeline: liveTimeline.copy(), history: liveHistory }
  tick()
}

const safeName = (name: string): string => name.replace(/[^\w.-]+/g, "-").slice(0, 60) || "program"

/** Saves what is shown. */
export const download = (): void => {
  const current = shown.value
  if (current === null) return tell("There is nothing to save yet.", true)
  const url = URL.createObjectURL(new Blob([writeSaved(current)], { type: "application/json" }))
  const link = document.createElement("a")
  const stamp = new Date(current.snapshot.at).toISOString().replace(/[:.]/g, "-").slice(0, 19)
  link.href = url
  link.download = `${safeName(current.info?.name ?? "snapshot")}-${stamp}.json`
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
  tell(`Saved as ${link.download}`)
}

export const load = async (file: File): Promise<void> => {
  try {
    const saved = readSaved(await file.text())
    const history = new History()
    const timeline = new Timeline()
    history.add(saved.snapshot)
    timeline.snapshot(saved.snapshot)
    batch(() => {
      loaded.value = { name: file.name, shown: { ...saved, history, timeline } }
      selected.value = null
      tick()
    })
    tell(`${file.name}: as it was on ${moment(saved.snapshot.at)}`)
  } catch (error) {
    tell(`${file.name} can not be shown: ${(error as Error).message}.`, true)
  }
}

export const unload = (): void => {
  batch(() => {
    loaded.value = null
    selected.value = null
    tick()
  })
}

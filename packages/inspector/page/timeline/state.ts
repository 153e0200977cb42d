/** Which part of the timeline is seen. */
import { signal } from "@preact/signals"
import { programNow } from "../data/store.ts"
import type { FrameSpan, Timeline } from "./model.ts"
import { kept } from "./model.ts"

/** How much time is seen, in milliseconds. */
export const span = signal(30_000)
/** The time at the right edge; `null` follows what happens now. */
export const end = signal<number | null>(null)
export const chosen = signal<FrameSpan | null>(null)

export const windowNow = (): { readonly from: number; readonly to: number; readonly now: number } => {
  const now = programNow()
  const to = end.value ?? now + span.value * 0.02
  return { from: to - span.value, to, now }
}

/** Everything that is known. */
export const range = (timeline: Timeline): { readonly from: number; readonly to: number } => {
  const to = Math.max(programNow(), timeline.at)
  return { from: Math.max(Math.min(timeline.from, to - 1000), to - kept), to }
}

export const pan = (millis: number): void => {
  const now = programNow()
  const next = (end.value ?? now + span.value * 0.02) + millis
  end.value = next >= now + span.value * 0.02 ? null : next
}

/** Keeps what is at `share` of the width where it is. */
export const zoom = (factor: number, share = 1): void => {
  const { from } = windowNow()
  const at = from + span.value * share
  const next = Math.max(50, Math.min(kept, span.value * factor))
  if (end.value !== null || share < 1) {
    const to = at + next * (1 - share)
    end.value = to >= programNow() + next * 0.02 ? null : to
  }
  span.value = next
}

export const follow = (): void => {
  end.value = null
}

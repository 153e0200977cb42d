/**
 * What happened over the last minutes: frames and what they held, from events as they come, put right by snapshots.
 *
 * Frames of one path share a track; those that were open at once stand in lanes of it, each in the lowest that was free.
 */
import type { AllocationState, Event, FrameState, Snapshot, WaiterState } from "../data/wire.ts"

/** Nothing is told of what ended longer ago than this, in milliseconds. */
export const kept = 5 * 60_000
/** However many things happen, no more than this are kept. */
const mostSpans = 60_000
/** What is held at once in one frame stands in rows; what has no row is drawn in the last. */
export const mostRows = 8

export interface AllocationSpan {
  readonly id: number
  readonly frame: FrameSpan
  readonly resource: string
  readonly share: boolean
  /** When it was asked for: until `start` it waited, or was acquired. */
  asked: number
  /** When it was there; `Infinity` while it is not. */
  start: number
  /** When it was gone; `Infinity` while it is held. */
  end: number
  failed: boolean
  readonly row: number
}

export interface FrameSpan {
  readonly id: number
  readonly path: string
  readonly start: number
  end: number
  deadline: number
  readonly lane: Lane
  readonly allocations: Array<AllocationSpan>
  /** For each row, until when it is taken. */
  readonly rows: Array<number>
  /** When a budget refused it something. */
  readonly refusals: Array<number>
}

export interface Lane {
  readonly frames: Array<FrameSpan>
  /** The most rows that a frame in it had. */
  rows: number
}

export interface Track {
  readonly path: string
  readonly depth: number
  /** The manager's own: it stands above all. */
  root: boolean
  readonly lanes: Array<Lane>
}

export class Timeline {
  tracks: Array<Track> = []
  /** The newest moment that is known. */
  at = 0
  /** The oldest moment that is known. */
  from = Infinity
  dropped = 0
  /** Rises with each change. */
  version = 0
  private byPath = new Map<string, Track>()
  private frames = new Map<number, FrameSpan>()
  private allocations = new Map<number, AllocationSpan>()
  /** Events and snapshots come on two ways: what one has told to be over, the other may still tell of. */
  private endedFrames = new Map<number, FrameSpan>()
  private endedAllocations = new Map<number, AllocationSpan>()
  private root: FrameSpan | undefined
  private waits = new Map<string, AllocationSpan>()
  /** Waits have numbers of their own, below 0. */
  private nextWait = -1
  private spans = 0
  private pruned = 0

  get size(): number {
    return this.spans
  }

  get openFrames(): Iterable<FrameSpan> {
    return this.frames.values()
  }

  clear(): void {
    Object.assign(this, new Timeline(), { version: this.version + 1 })
  }

  /** As it is now, for good. */
  copy(): Timeline {
    const copy = new Timeline()
    for (const track of this.tracks) {
      const lanes = track.lanes.map((lane): Lane => {
        const next: Lane = { frames: [], rows: lane.rows }
        for (const frame of lane.frames) {
          const copied: FrameSpan = { ...frame, lane: next, allocations: [], rows: [], refusals: [...frame.refusals] }
          for (const span of frame.allocations) copied.allocations.push({ ...span, frame: copied })
          next.frames.push(copied)
        }
        return next
      })
      copy.tracks.push({ ...track, lanes })
    }
    return Object.assign(copy, { at: this.at, from: this.from, dropped: this.dropped, spans: this.spans })
  }

  event(event: Event): void {
    this.version++
    if (event.at > this.at) this.at = event.at
    if (event.at < this.from) this.from = event.at
    switch (event._tag) {
      case "FrameOpened":
        this.open(event.frameId, event.frame, event.at)
        return
      case "FrameEnded": {
        this.close(this.open(event.frameId, event.frame, event.at - event.lasted), event.at)
        return
      }
      case "FrameExpired": {
        const frame = this.frameOf(event)
        frame.deadline = Math.min(frame.deadline, event.at)
        return
      }
      case "Allocated": {
        const known = this.allocations.get(event.allocation) ?? this.endedAllocations.get(event.allocation)
        if (known !== undefined) known.start = event.at
        else {this.hold(
            event.allocation,
            this.frameOf(event),
            event.resource,
            event.share,
            event.at - event.took,
            event.at
          )}
        return
      }
      case "AcquireFailed": {
        const span = this.allocations.get(event.allocation) ?? this.endedAllocations.get(event.allocation) ??
          this.hold(event.allocation, this.frameOf(event), event.resource, event.share, event.at - event.took, Infinity)
        span.failed = true
        this.give(span, event.at)
        return
      }
      case "Released": {
        const span = this.allocations.get(event.allocation) ?? this.endedAllocations.get(event.allocation)
        if (span !== undefined) this.give(span, event.at)
        return
      }
      case "Transferred": {
        const span = this.allocations.get(event.allocation)
        if (span !== undefined) this.give(span, event.at)
        this.hold(event.allocation, this.frameOf(event), event.resource, span?.share ?? false, event.at, event.at)
        return
      }
      case "BudgetRefused":
        this.frameOf(event).refusals.push(event.at)
        return
      case "EventsDropped":
        this.dropped += event.count
        return
      default:
        return
    }
  }

  snapshot(snapshot: Snapshot): void {
    this.version++
    const { allocations, at, frames } = snapshot
    this.at = Math.max(this.at, at)
    this.from = Math.min(this.from, at)
    const open = new Set<number>()
    for (const state of frames) {
      open.add(state.id)
      this.seeFrame(state, at)
    }
    // What is missing has ended while nobody listened, unless it came after the snapshot was taken.
    for (const frame of this.frames.values()) {
      if (!open.has(frame.id) && frame.start < at) this.close(frame, at)
    }
    const held = new Set<number>()
    for (const state of allocations) {
      held.add(state.id)
      this.seeAllocation(state, at)
    }
    for (const span of this.allocations.values()) {
      if (span.id > 0 && !held.has(span.id) && span.asked < at) this.give(span, at)
    }
    this.seeWaiters(snapshot.waiters ?? [], at)
    if (at - this.pruned > 5000 || this.spans > mostSpans) this.prune(at)
  }

  private seeFrame(state: FrameState, at: number): void {
    const ended = this.endedFrames.get(state.id)
    // It ended after the snapshot was taken.
    if (ended !== undefined && ended.end >= at) return
    const frame = this.open(state.id, state.path, state.openedAt)
    if (ended !== undefined) this.reopen(ended)
    frame.deadline = state.deadline ?? Infinity
    if (state.parent === null) this.seeRoot(frame)
  }

  /** Who waits without an allocation is known from snapshots only. */
  private seeWaiters(waiters: ReadonlyArray<WaiterState>, at: number): void {
    const seen = new Set<string>()
    for (const { allocation, fiber, frame, frameId, name, since, sourceId } of waiters) {
      if (allocation !== undefined || frameId === null) continue
      const key = `${fiber} ${sourceId} ${name} ${since}`
      seen.add(key)
      if (this.waits.has(key)) continue
      const home = this.frames.get(frameId) ?? this.open(frameId, frame, since)
      this.waits.set(key, this.hold(this.nextWait--, home, name, false, since, Infinity))
    }
    for (const [key, span] of this.waits) {
      if (seen.has(key)) continue
      this.give(span, at)
      this.waits.delete(key)
    }
  }

  private seeRoot(frame: FrameSpan): void {
    this.root = frame
    const track = this.trackOf(frame.path)
    if (track.root) return
    track.root = true
    this.tracks.sort(inTreeOrder)
  }

  /** A frame of an acquisition is told of only while there is something in it. */
  private reopen(frame: FrameSpan): void {
    frame.end = Infinity
    this.endedFrames.delete(frame.id)
    this.frames.set(frame.id, frame)
  }

  private seeAllocation(state: AllocationState, at: number): void {
    const ended = this.endedAllocations.get(state.id)
    if (ended !== undefined && ended.end >= at && ended.frame.id === state.frameId) return
    const here = state.state === "live" || state.state === "releasing"
    const known = this.allocations.get(state.id)
    if (known === undefined) {
      // What has outlived its frame stands with the manager.
      const home = this.frames.get(state.frameId) ?? (state.orphaned ? this.root : undefined)
      const frame = home ?? this.open(state.frameId, state.frame, state.since)
      this.hold(state.id, frame, state.resource, state.share, state.since, here ? state.since : Infinity)
    } else if (here && known.start === Infinity) {
      known.start = state.since
    }
  }

  private frameOf(event: { readonly frameId: number; readonly frame: string; readonly at: number }): FrameSpan {
    return this.open(event.frameId, event.frame, event.at)
  }

  private open(id: number, path: string, start: number): FrameSpan {
    const known = this.frames.get(id) ?? this.endedFrames.get(id)
    if (known !== undefined) return known
    if (start < this.from) this.from = Math.max(start, this.at - kept)
    const track = this.trackOf(path)
    let lane = track.lanes.find(({ frames }) => (frames.at(-1)?.end ?? -Infinity) <= start)
    if (lane === undefined) track.lanes.push(lane = { frames: [], rows: 0 })
    const frame: FrameSpan = {
      id,
      path,
      start,
      end: Infinity,
      deadline: Infinity,
      lane,
      allocations: [],
      rows: [],
      refusals: []
    }
    lane.frames.push(frame)
    this.frames.set(id, frame)
    this.spans++
    return frame
  }

  private trackOf(path: string): Track {
    let track = this.byPath.get(path)
    if (track === undefined) {
      track = { path, depth: path.split("/").length - 1, root: false, lanes: [] }
      this.byPath.set(path, track)
      this.tracks.push(track)
      this.tracks.sort(inTreeOrder)
    }
    return track
  }

  private close(frame: FrameSpan, at: number): void {
    frame.end = at
    this.frames.delete(frame.id)
    this.endedFrames.set(frame.id, frame)
  }

  private hold(
    id: number,
    frame: FrameSpan,
    resource: string,
    share: boolean,
    asked: number,
    start: number
  ): AllocationSpan {
    let row = frame.rows.findIndex((until) => until <= asked)
    if (row < 0) row = frame.rows.length < mostRows ? frame.rows.length : mostRows - 1
    frame.rows[row] = Infinity
    frame.lane.rows = Math.max(frame.lane.rows, frame.rows.length)
    const span: AllocationSpan = { id, frame, resource, share, asked, start, end: Infinity, failed: false, row }
    frame.allocations.push(span)
    this.allocations.set(id, span)
    this.spans++
    return span
  }

  private give(span: AllocationSpan, at: number): void {
    span.end = at
    span.frame.rows[span.row] = at
    this.allocations.delete(span.id)
    this.endedAllocations.set(span.id, span)
  }

  private prune(at: number): void {
    this.pruned = at
    let keep = kept
    // Halves what is kept until it is little enough: what is open stays in any case.
    for (let round = 0; round < 6; round++) {
      this.pruneBefore(at - keep)
      if (this.spans <= mostSpans) break
      keep /= 2
    }
    this.from = Math.max(this.from, at - keep)
  }

  private pruneBefore(limit: number): void {
    let spans = 0
    for (const [id, { end }] of this.endedFrames) if (end < limit) this.endedFrames.delete(id)
    for (const [id, { end }] of this.endedAllocations) if (end < limit) this.endedAllocations.delete(id)
    for (const track of this.tracks) {
      for (const lane of track.lanes) {
        const first = lane.frames.findIndex((frame) => frame.end >= limit)
        lane.frames.splice(0, first < 0 ? lane.frames.length : first)
        lane.rows = 0
        for (const frame of lane.frames) {
          if (frame.allocations.length > 0 && frame.allocations[0]!.end < limit) {
            const left = frame.allocations.filter((span) => span.end >= limit)
            frame.allocations.splice(0, frame.allocations.length, ...left)
          }
          lane.rows = Math.max(lane.rows, frame.rows.length)
          spans += 1 + frame.allocations.length
        }
      }
      while (track.lanes.length > 0 && track.lanes.at(-1)!.frames.length === 0) track.lanes.pop()
      if (track.lanes.length === 0) this.byPath.delete(track.path)
    }
    this.tracks = this.tracks.filter((track) => track.lanes.length > 0)
    this.spans = spans
  }
}

/** Outer frames before those inside, the rest by name. */
const inTreeOrder = (a: Track, b: Track): number => {
  if (a.root !== b.root) return a.root ? -1 : 1
  const left = a.path.split("/")
  const right = b.path.split("/")
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    if (left[index] !== right[index]) return left[index]! < right[index]! ? -1 : 1
  }
  return left.length - right.length
}

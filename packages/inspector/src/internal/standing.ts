/**
 * What a snapshot tells, sorted by what belongs together: allocations by definition and frame, frames by path. Owned by
 * `LeakDetector`.
 */
import type { AllocationState, FrameState, Snapshot } from "@chronovyan/core/Snapshot"

/** Allocations of one definition in frames of one kind. */
export interface Group {
  readonly key: string
  readonly resource: string
  /** The path of one of the frames. */
  readonly path: string
  readonly allocations: Array<AllocationState>
}

/** Frames of one kind. */
export interface FrameGroup {
  readonly key: string
  readonly name: string
  readonly path: string
  readonly frames: Array<FrameState>
}

/** What happened so far. */
interface Counted {
  released: number
  late: number
  holdMax: number
}

/**
 * Frames that do the same have paths that differ in numbers at most: `tenant-17/job 4` is a `tenant-#/job #`. What looks
 * like a long number in base 16 is one.
 */
export const kindOfPath = (path: string): string =>
  /\d/.test(path) ? path.replace(/[0-9a-f]{8}[0-9a-f-]*|\d+/gi, (text) => /\d/.test(text) ? "#" : text) : path

/** How a path is called in sentences. */
export const nameOfPath = (path: string): string => path === "" ? "the manager's own frame" : path

/** What allocations of a definition have in common in frames of one kind. */
export const keyOf = (resource: string, kindOfFrame: string): string => `${resource}\n${kindOfFrame}`

export class Standing {
  readonly at: number
  readonly snapshot: Snapshot
  readonly groups = new Map<string, Group>()
  readonly frameGroups = new Map<string, FrameGroup>()
  readonly frames = new Map<number, FrameState>()
  readonly allocations = new Map<number, AllocationState>()
  /** What was counted so far by definition, of whatever kind. */
  readonly resources = new Map<string, Counted>()
  private readonly kinds = new Map<string, string>()
  private collected: Map<number, Array<AllocationState>> | undefined = undefined
  private readonly values: ReadonlySet<number>
  private readonly pools: ReadonlySet<number>

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot
    this.at = snapshot.at
    this.values = new Set(snapshot.values.map(({ frameId }) => frameId))
    this.pools = new Set(snapshot.pools.map(({ frameId }) => frameId))
    for (const { holdMax: longest, kind, late, released, resource } of snapshot.resources) {
      // How long others use them is not counted of shared and persistent values.
      const holdMax = kind === "temporal" || kind === "pool" ? longest : Infinity
      const known = this.resources.get(resource)
      if (known === undefined) this.resources.set(resource, { released, late, holdMax })
      else {
        known.released += released
        known.late += late
        known.holdMax = Math.max(known.holdMax, holdMax)
      }
    }
    for (const frame of snapshot.frames) this.addFrame(frame)
    for (const allocation of snapshot.allocations) {
      this.allocations.set(allocation.id, allocation)
      if (!this.isItem(allocation)) this.addAllocation(allocation)
    }
  }

  /** Is it a shared or persistent value? It is kept for those who will use it: nobody holds it. */
  isValue({ frameId, share }: AllocationState): boolean {
    return !share && this.values.has(frameId)
  }

  /** Is it an item of a pool? That is the pool's to keep, and there are no more of them than it may have. */
  isItem({ frameId, share }: AllocationState): boolean {
    return !share && this.pools.has(frameId)
  }

  /** Those in the frame whose handles were collected. */
  collectedIn(frameId: number): ReadonlyArray<AllocationState> {
    if (this.collected === undefined) {
      this.collected = new Map()
      for (const allocation of this.snapshot.allocations) {
        if (allocation.collected !== true) continue
        const others = this.collected.get(allocation.frameId)
        if (others === undefined) this.collected.set(allocation.frameId, [allocation])
        else others.push(allocation)
      }
    }
    return this.collected.get(frameId) ?? []
  }

  private kindOf(path: string): string {
    let kind = this.kinds.get(path)
    if (kind === undefined) this.kinds.set(path, kind = kindOfPath(path))
    return kind
  }

  private addFrame(frame: FrameState): void {
    this.frames.set(frame.id, frame)
    if (frame.parent === null || this.values.has(frame.id)) return
    const key = this.kindOf(frame.path)
    const group = this.frameGroups.get(key)
    if (group === undefined) {
      this.frameGroups.set(key, { key, name: frame.name, path: frame.path, frames: [frame] })
    } else group.frames.push(frame)
  }

  private addAllocation(allocation: AllocationState): void {
    const key = keyOf(allocation.resource, this.kindOf(allocation.frame))
    const group = this.groups.get(key)
    if (group === undefined) {
      this.groups.set(key, { key, resource: allocation.resource, path: allocation.frame, allocations: [allocation] })
    } else group.allocations.push(allocation)
  }
}

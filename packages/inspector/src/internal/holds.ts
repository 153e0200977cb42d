/**
 * What is known of how long things are held: learned from what was given back. Owned by `LeakDetector`.
 *
 * Only snapshots are looked at. What is in one and not in the next one was given back in between, and held no longer than
 * until now. Short holds are seen by chance; how many there were tells the counter of the definition, and they are taken
 * to be spread over the frames as those that were seen are.
 */
import type { Config } from "./leakConfig.ts"
import type { Group, Standing } from "./standing.ts"

interface Learned {
  readonly resource: string
  /** How many were seen to be given back. */
  seen: number
  /** The longest of late, and of the time before. */
  longest: number
  longestBefore: number
  /** Since when the longest is kept, and since when enough is known; 0: not yet. */
  rotatedAt: number
  knownAt: number
  lookedAt: number
}

/** How long something may be held. */
export interface Expectation {
  readonly hold: number
  /** What it was learned from; absent when it is fixed. */
  readonly learned?: { readonly longest: number; readonly holds: number; readonly knownAt: number }
}

/** How many kinds are remembered; those that were not looked at for longest are forgotten first. */
const most = 2000

/** What was given back of one definition. */
interface Released {
  /** Before it was first looked at, and so far. */
  readonly before: number
  count: number
  /** How many of those since then were seen. */
  seen: number
  /** The longest that one of them was held. */
  longest: number
}

interface Held {
  readonly key: string
  readonly resource: string
  readonly since: number
}

export class Holds {
  private readonly config: Config
  private readonly kinds = new Map<string, Learned>()
  private readonly definitions = new Map<string, Released>()
  private live = new Map<number, Held>()

  constructor(config: Config) {
    this.config = config
  }

  learn(standing: Standing): void {
    const { at } = standing
    for (const [resource, { holdMax, released }] of standing.resources) {
      const known = this.definitions.get(resource)
      if (known === undefined) {
        this.definitions.set(resource, { before: released, count: released, seen: 0, longest: holdMax })
      } else {
        known.count = released
        known.longest = holdMax
      }
    }
    for (const resource of this.definitions.keys()) {
      if (!standing.resources.has(resource)) this.definitions.delete(resource)
    }
    for (const [id, held] of this.live) if (!standing.allocations.has(id)) this.cameBack(held, at)
    this.live = new Map()
    for (const { allocations, key, resource } of standing.groups.values()) {
      for (const { id, since, state } of allocations) {
        if (state === "live") this.live.set(id, { key, resource, since })
      }
    }
    for (const kind of this.kinds.values()) {
      // Of one or two nobody can tell whether the others were alike.
      if (kind.knownAt === 0 && kind.seen >= 3 && this.holdsOf(kind) >= this.config.samples) kind.knownAt = at
    }
    this.forget()
  }

  private cameBack({ key, resource, since }: Held, at: number): void {
    const definition = this.definitions.get(resource)
    if (definition !== undefined) definition.seen++
    let kind = this.kinds.get(key)
    if (kind === undefined) {
      kind = { resource, seen: 0, longest: 0, longestBefore: 0, rotatedAt: at, knownAt: 0, lookedAt: at }
      this.kinds.set(key, kind)
    }
    this.rotate(kind, at)
    kind.seen++
    kind.longest = Math.max(kind.longest, Math.min(at - since, definition?.longest ?? Infinity))
  }

  /** What was long ago counts no more: after one to two times half of the memory. */
  private rotate(kind: Learned, at: number): void {
    kind.lookedAt = at
    const half = this.config.memory / 2
    if (at - kind.rotatedAt < half) return
    kind.longestBefore = at - kind.rotatedAt < 2 * half ? kind.longest : 0
    kind.longest = 0
    kind.rotatedAt = at
  }

  private forget(): void {
    if (this.kinds.size <= most) return
    const oldest = Array.from(this.kinds).sort(([, a], [, b]) => a.lookedAt - b.lookedAt)
    for (const [key] of oldest.slice(0, this.kinds.size - most)) this.kinds.delete(key)
  }

  /** How long those of a group may be held; `undefined`: nobody knows. */
  expectationOf({ key, resource }: Group, at: number): Expectation | undefined {
    const fixed = this.config.holds.get(resource) ?? this.config.hold
    if (fixed !== undefined) return { hold: fixed }
    const kind = this.kinds.get(key)
    if (kind === undefined || kind.knownAt === 0) return undefined
    kind.lookedAt = at
    // When nothing came back for so long that all is forgotten, what was known last holds on.
    const longest = Math.max(kind.longest, kind.longestBefore)
    return {
      hold: Math.max(this.config.floor, this.config.factor * longest),
      learned: { longest, holds: this.holdsOf(kind), knownAt: kind.knownAt }
    }
  }

  /** How many were given back, seen or not. */
  private holdsOf({ resource, seen }: Learned): number {
    const definition = this.definitions.get(resource)
    if (definition === undefined) return seen
    const unseen = Math.max(0, definition.count - definition.before - definition.seen)
    return Math.floor(seen * (1 + unseen / Math.max(1, definition.seen)))
  }
}

/**
 * What one look at the allocations and frames tells, each for itself. Owned by `LeakDetector`.
 *
 * Of the reasons that one of them could be suspected for, the one that says most is taken.
 */
import type { AllocationState, FrameState } from "@chronovyan/core/Snapshot"
import type { Suspect } from "./alarms.ts"
import type { Expectation, Holds } from "./holds.ts"
import type { Config } from "./leakConfig.ts"
import * as words from "./leakWords.ts"
import type { Group, Standing } from "./standing.ts"

/** Why something may be a leak, if it goes on looking like that. */
type Look = "releasing" | "orphaned" | "abandoned" | "collected" | "stuck" | "expired"

export class Suspects {
  private readonly config: Config
  private readonly holds: Holds
  /** Since when something looks like that. */
  private looks = new Map<string, number>()
  private looksBefore = new Map<string, number>()

  constructor(config: Config, holds: Holds) {
    this.config = config
    this.holds = holds
  }

  in(standing: Standing): Array<Suspect> {
    const { config: { ignored }, holds } = this
    const suspects: Array<Suspect> = []
    this.looksBefore = this.looks
    this.looks = new Map()
    for (const group of standing.groups.values()) {
      if (ignored.has(group.resource)) continue
      const expectation = holds.expectationOf(group, standing.at)
      const patience = expectation === undefined ? undefined : patienceOf(group, expectation, standing.at, this.config)
      for (const allocation of group.allocations) {
        const suspect = this.ofAllocation(allocation, standing) ??
          (patience === undefined ? undefined : this.overdue(allocation, expectation!, patience, standing))
        if (suspect !== undefined) suspects.push(suspect)
      }
    }
    // Items are told of while they are closed only.
    for (const item of standing.snapshot.allocations) {
      if (!standing.isItem(item) || ignored.has(item.resource)) continue
      const suspect = this.ofAllocation(item, standing)
      if (suspect !== undefined) suspects.push(suspect)
    }
    this.addFrames(standing, suspects)
    return withoutParts(suspects, standing)
  }

  private ofAllocation(allocation: AllocationState, standing: Standing): Suspect | undefined {
    const { at } = standing
    const look = lookOf(allocation, standing)
    if (look === undefined || (look === "collected" && !this.isDropped(allocation, standing))) return undefined
    const since = this.lookedSince(`${look} #${allocation.id}`, at)
    if (at - since < (look === "releasing" ? this.config.releaseAfter : this.config.settle)) return undefined
    return {
      ...factsOf(allocation),
      reason: look,
      since: look === "releasing" ? since : allocation.since,
      ...words.held[look](allocation, at, since)
    }
  }

  /**
   * Who needs a value for as long as the frame is open has no use for the handle: that is so for what is allocated when the
   * frame begins. What is allocated and dropped again and again, or later by a fiber that has ended, is lost.
   */
  private isDropped({ abandoned, frameId, resource, since }: AllocationState, standing: Standing): boolean {
    const { collected, floor, settle } = this.config
    if (collected === "all") return true
    const openedAt = standing.frames.get(frameId)?.openedAt ?? since
    if (abandoned === true && since - openedAt >= floor) return true
    let first = since
    let last = since
    for (const other of standing.collectedIn(frameId)) {
      if (other.resource !== resource) continue
      first = Math.min(first, other.since)
      last = Math.max(last, other.since)
    }
    return last - first >= settle
  }

  private overdue(
    allocation: AllocationState,
    { hold, learned }: Expectation,
    patience: number,
    standing: Standing
  ): Suspect | undefined {
    const { at } = standing
    if (allocation.state !== "live" || standing.isValue(allocation) || at - allocation.since <= patience) {
      return undefined
    }
    // Those that were there before it was known how long the others are held may well be there for good.
    if (learned !== undefined && allocation.since < learned.knownAt) return undefined
    return {
      ...factsOf(allocation),
      reason: "overdue",
      since: allocation.since,
      expected: hold,
      ...words.overdue(allocation, at, hold, learned)
    }
  }

  private addFrames(standing: Standing, suspects: Array<Suspect>): void {
    const { at, snapshot } = standing
    /** Frames that something inside is told of already. */
    const told = new Set<number>()
    const tell = (frame: FrameState | undefined) => {
      for (let one = frame; one !== undefined && !told.has(one.id);) {
        told.add(one.id)
        one = one.parent === null ? undefined : standing.frames.get(one.parent)
      }
    }
    for (const { frameId, state } of snapshot.allocations) {
      if (state === "releasing" || state === "acquiring") tell(standing.frames.get(frameId))
    }
    const holding = new Set<number>()
    for (const { frameId } of snapshot.allocations) {
      let frame = standing.frames.get(frameId)
      while (frame !== undefined && !holding.has(frame.id)) {
        holding.add(frame.id)
        frame = frame.parent === null ? undefined : standing.frames.get(frame.parent)
      }
    }
    // Outer ones come before those inside.
    for (const frame of snapshot.frames.toReversed()) {
      const look = lookOfFrame(frame, holding.has(frame.id))
      if (look === undefined) continue
      const since = this.lookedSince(`${look} frame ${frame.id}`, at)
      if (told.has(frame.id) || this.config.ignored.has(frame.name)) continue
      if (at - since < (look === "abandoned" ? this.config.settle : this.config.releaseAfter)) continue
      tell(frame)
      suspects.push({
        key: `frame ${frame.id}`,
        kind: "frame",
        resource: frame.name,
        frame: frame.path,
        subject: frame.id,
        count: 1,
        ...words.frames[look](frame, at, since)
      })
    }
  }

  private lookedSince(key: string, at: number): number {
    const since = this.looksBefore.get(key) ?? at
    this.looks.set(key, since)
    return since
  }
}

const factsOf = ({ callSite, frame, id, resource }: AllocationState) => ({
  key: `#${id}`,
  kind: "allocation" as const,
  resource,
  frame,
  subject: id,
  ...(callSite === undefined ? undefined : { callSite }),
  count: 1
})

const lookOf = (
  allocation: AllocationState,
  standing: Standing
): "releasing" | "orphaned" | "abandoned" | "collected" | undefined => {
  if (allocation.state === "releasing") return "releasing"
  if (allocation.orphaned) return "orphaned"
  if (allocation.state !== "live" || standing.isItem(allocation) || standing.isValue(allocation)) return undefined
  if (allocation.abandoned === true && isForsaken(allocation, standing)) return "abandoned"
  return allocation.collected === true ? "collected" : undefined
}

/** What was allocated for the acquisition of another one stays because that one does. */
const withoutParts = (suspects: Array<Suspect>, { allocations, frames }: Standing): Array<Suspect> => {
  const wholes = new Set<string>()
  const frameOf = ({ kind, subject }: Suspect) =>
    kind === "allocation" ? frames.get(allocations.get(subject!)!.frameId) : undefined
  for (const suspect of suspects) {
    const frame = frameOf(suspect)
    if (frame !== undefined) wholes.add(`${suspect.resource} in ${frame.id}`)
  }
  return suspects.filter((suspect) => {
    const frame = frameOf(suspect)
    // The frame that an acquisition runs in has its name, and is in the frame of the allocation.
    return frame === undefined || !wholes.has(`${frame.name} in ${frame.parent}`)
  })
}

/**
 * Fibers that only acquire, several side by side for the frame that they share, end before what they acquired: then the
 * frame gives it back. Nobody does when the frame is abandoned as well, or when there is none.
 */
const isForsaken = ({ frame, frameId }: AllocationState, { frames }: Standing): boolean => {
  const owner = frames.get(frameId)
  return owner === undefined || owner.abandoned === true || owner.path !== frame
}

const lookOfFrame = (
  { abandoned, parent, phase }: FrameState,
  isHolding: boolean
): Extract<Look, "stuck" | "expired" | "abandoned"> | undefined => {
  if (parent === null) return undefined
  if (phase === "expired") return "expired"
  if (phase !== "open") return "stuck"
  // What is in it is told of instead.
  return abandoned === true && !isHolding ? "abandoned" : undefined
}

/**
 * From what age on those of a group are suspected. When many of them have outlasted all that came back, it is not known yet
 * how long they are held: those that come back first are the short ones.
 */
const patienceOf = (group: Group, { hold, learned }: Expectation, at: number, { factor }: Config): number => {
  if (learned === undefined) return hold
  let lasting = 0
  for (const { since, state } of group.allocations) {
    if (state === "live" && since >= learned.knownAt && at - since > hold) lasting++
  }
  return lasting <= Math.max(3, learned.holds / 10) ? hold : factor * hold
}

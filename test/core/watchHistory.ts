import type { ResourceEvent, Snapshot } from "@chronovyan/core"

/** What can be counted of one definition, or of its shares. */
interface Tally {
  acquired: number
  released: number
  failed: number
  late: number
  took: number
  held: number
}

/** Counts events, and compares what it counted with what a snapshot says. */
export class History {
  private readonly values = new Map<string, Tally>()
  private readonly shares = new Map<string, Tally>()
  private readonly open = new Map<number, string>()

  add(event: ResourceEvent.ResourceEvent): void {
    switch (event._tag) {
      case "FrameOpened":
        this.open.set(event.frameId, event.frame)
        break
      case "FrameEnded":
        this.open.delete(event.frameId)
        break
      case "Allocated":
      case "LateArrival": {
        const tally = this.tallyOf(event)
        tally.acquired++
        tally.took += event.took
        if (event._tag === "LateArrival") tally.late++
        break
      }
      case "AcquireFailed":
        this.tallyOf(event).failed++
        break
      case "Released": {
        const tally = this.tallyOf(event)
        tally.released++
        tally.held += event.held
        break
      }
    }
  }

  /** What the snapshot says otherwise. */
  differences(snapshot: Snapshot.Snapshot): Array<string> {
    const wrong: Array<string> = []
    for (const state of snapshot.resources) {
      const { kind, resource } = state
      const ofPool = kind === "pool"
      const { acquired, failed, held, late, released, took } = this.of(ofPool ? this.shares : this.values, resource)
      const shares = this.of(this.shares, resource)
      const counted: Partial<Snapshot.ResourceState> = {
        acquired,
        released,
        live: ofPool ? 0 : acquired - released,
        // A refused borrow or share was refused by something else.
        failed: ofPool ? 0 : failed,
        late: late + (kind === "shared" || kind === "persistent" ? shares.late : 0),
        holdTotal: held,
        ...(ofPool ? undefined : { acquireTotal: took }),
        shares: kind === "temporal" ? 0 : shares.acquired - shares.released
      }
      for (const key of Object.keys(counted) as Array<keyof typeof counted>) {
        if (state[key] !== counted[key]) {
          wrong.push(`${key} of the ${kind} "${resource}": ${state[key]}, by events ${counted[key]}`)
        }
      }
    }
    const frames = snapshot.frames.filter(({ id, parent }) => parent !== null && this.open.has(id)).length
    if (frames !== this.open.size) wrong.push(`${frames} of ${this.open.size} frames are shown`)
    return wrong
  }

  private tallyOf({ resource, share }: { readonly resource: string; readonly share: boolean }): Tally {
    const all = share ? this.shares : this.values
    const tally = this.of(all, resource)
    all.set(resource, tally)
    return tally
  }

  private of(all: ReadonlyMap<string, Tally>, resource: string): Tally {
    return all.get(resource) ?? { acquired: 0, released: 0, failed: 0, late: 0, took: 0, held: 0 }
  }
}

/** What does not fit together in a snapshot, apart from budgets. */
export const contradictionsIn = ({ allocations, pools, resources }: Snapshot.Snapshot): Array<string> => {
  const wrong: Array<string> = []
  const isHeld = ({ state }: Snapshot.AllocationState) => state === "live" || state === "releasing"
  const count = (resource: string, share: boolean) =>
    allocations.filter((one) => one.resource === resource && one.share === share && isHeld(one)).length
  for (const { highWaterMark, kind, live, resource, shares } of resources) {
    if (kind !== "pool" && live !== count(resource, false)) {
      wrong.push(`${live} of "${resource}" live, ${count(resource, false)} listed`)
    }
    if (kind !== "temporal" && shares !== count(resource, true)) {
      wrong.push(`${shares} shares of "${resource}", ${count(resource, true)} listed`)
    }
    if (highWaterMark < live) wrong.push(`${live} of "${resource}" live, the mark is at ${highWaterMark}`)
  }
  for (const pool of pools) {
    const { busy, closing, creating, frameId, idle, name, total, used } = pool
    if (used + idle + busy + creating + closing !== total || Math.min(used, idle, busy, creating, closing) < 0) {
      wrong.push(`the pool "${name}" does not add up: ${JSON.stringify(pool)}`)
    }
    const items = allocations.filter((one) => one.frameId === frameId && !one.share && one.state === "live").length
    if (items !== used + idle + busy) wrong.push(`${items} items of "${name}" are live: ${JSON.stringify(pool)}`)
  }
  const ids = new Set(allocations.map(({ id }) => id))
  if (ids.size !== allocations.length) wrong.push("an allocation is listed twice")
  return wrong
}

import { ResourceManager } from "@chronovyan/core"
import type { ResourcePool } from "@chronovyan/core"
import { Effect } from "effect"
import type { Stage, Standing } from "./poolRandomStage.ts"
import { booksOf } from "./sweepWorld.ts"

const sum = (standings: ReadonlyArray<Standing>, of: (one: Standing) => number): number =>
  standings.reduce((total, one) => total + of(one), 0)

/** Compares what pools say of themselves with what the world and the borrowers know. */
export class Books {
  private readonly stage: Stage
  private readonly wrong: Array<string>
  /** How many items there may be of each key: more than its maximum, when that was made smaller. */
  private readonly most = new Map<number, number>()

  constructor(stage: Stage) {
    this.stage = stage
    this.wrong = stage.world.wrong
  }

  private blame(what: string, stats: ResourcePool.Stats): void {
    this.wrong.push(`${what}: ${JSON.stringify({ ...stats, counts: undefined })}`)
  }

  /** What holds even while something moves. */
  look(standings = this.stage.standings): void {
    const { isKeyed, maxTotal } = this.stage
    for (const stats of standings) {
      const { abandoned, busy, closing, creating, idle, key, max, total, used, waiting } = stats
      if (Math.min(abandoned, busy, closing, creating, idle, total, used, waiting) < 0) this.blame("negative", stats)
      if (idle + used + creating + busy + closing !== total) this.blame("a wrong sum", stats)
      // Those beyond a smaller maximum go when they come back.
      if (total > Math.max(max, this.most.get(key) ?? 0)) this.blame("too many items", stats)
      this.most.set(key, Math.max(total, max))
    }
    const all = sum(standings, ({ total }) => total)
    if (isKeyed && all > maxTotal) this.wrong.push(`${all} items of ${maxTotal}`)
  }

  /** What holds when nothing moves. */
  check(): void {
    const { isKeyed, maxTotal, standings, world } = this.stage
    this.look(standings)
    const creating = sum(standings, (one) => one.creating)
    const closing = sum(standings, (one) => one.closing)
    if (creating > world.creating) this.wrong.push(`${creating} creations, but ${world.creating} go on`)
    if (closing > world.releasing) this.wrong.push(`${closing} releases, but ${world.releasing} go on`)
    const hasRoom = !isKeyed || sum(standings, ({ total }) => total) < maxTotal
    for (const stats of standings) {
      this.checkItems(stats)
      this.checkBorrowers(stats)
      this.checkProgress(stats, hasRoom)
    }
  }

  private checkItems(stats: Standing): void {
    const { busy, idle, key, used } = stats
    const { world } = this.stage
    if (world.isForced) return
    const open = world.open.filter((item) => item.key === key)
    const inUse = open.filter(({ users }) => users > 0).length
    if (inUse !== used) this.blame(`${inUse} in use`, stats)
    if (open.length !== idle + used + busy) this.blame(`${open.length} open`, stats)
  }

  private checkBorrowers(stats: Standing): void {
    const { busy, counts, key, waiting } = stats
    const { borrowers, now, options: { acquireTimeout = Infinity } } = this.stage
    const has = borrowers.reduce((lent, borrower) => lent + borrower.has.filter((of) => of === key).length, 0)
    if (counts.borrowed - counts.returned !== has) {
      this.blame(`${has} lent, ${counts.borrowed} borrowed, ${counts.returned} returned`, stats)
    }
    const waits = borrowers.filter((borrower) => borrower.isWaiting && borrower.key === key)
    // Some wait for a check alone.
    if (waits.length < waiting || waits.length > waiting + busy) this.blame(`${waits.length} wait`, stats)
    for (const { kind, since } of waits) {
      if (now() > since + acquireTimeout + 1) this.blame(`${kind} waits since ${since}, now ${now()}`, stats)
    }
  }

  /** Nobody waits for what is there, or could be made. One item is checked for as many as may use it. */
  private checkProgress(stats: Standing, hasRoom: boolean): void {
    const { busy, creating, creationError, idle, max, state, total, waiting } = stats
    if (state !== "open" || waiting <= busy * this.stage.options.concurrency) return
    if (idle > 0) this.blame("items are idle while they wait", stats)
    if (creating > 0 || creationError !== undefined || !hasRoom || total >= max) return
    this.blame("nothing is made", stats)
  }

  /** Everybody has been served or refused, and nobody has anything. */
  checkRest(): void {
    this.checkEnded()
    this.check()
    for (const stats of this.stage.standings) {
      const { abandoned, counts, creating, max, total, used, waiting } = stats
      if (used + waiting + creating + abandoned > 0 || total > max) this.blame("not at rest", stats)
      if (counts.borrowed !== counts.returned) this.blame(`${counts.borrowed - counts.returned} are lent`, stats)
    }
  }

  checkEnded(but?: string): void {
    for (const { fiber, name } of this.stage.fibers) {
      if (fiber.pollUnsafe() === undefined && name !== but) this.wrong.push(`${name} has not ended`)
    }
  }

  checkCapacity(has: number, most: number): void {
    if (has === most) return
    this.wrong.push(`${has} of ${most} have one`)
    for (const stats of this.stage.standings) this.blame("at capacity", stats)
  }

  /** All that was made has been released, once. */
  checkClosed(): void {
    const { standings, world: { creating, items, releasing } } = this.stage
    for (const stats of standings) {
      if (stats.state !== "closed" || stats.total > 0) this.blame("not closed", stats)
    }
    const orphans = items.filter(({ closed, users }) => closed !== 1 || users !== 0)
    if (orphans.length > 0) this.wrong.push(`${orphans.length} orphans: ${JSON.stringify(orphans)}`)
    if (creating + releasing > 0) this.wrong.push(`${creating} creations and ${releasing} releases go on`)
  }

  /** The manager knows of nothing that is left, and has counted all that there was. */
  checkManager(): Effect.Effect<void> {
    return Effect.map(this.stage.placed(ResourceManager.snapshot), (snapshot) => {
      this.wrong.push(...booksOf(snapshot))
      for (const { resource, state } of snapshot.allocations) this.wrong.push(`${resource} is ${state} in the end`)
      for (const { name } of snapshot.pools) this.wrong.push(`the pool ${name} is left`)
      for (const { parent, path } of snapshot.frames) if (parent !== null) this.wrong.push(`the frame ${path} is left`)
      for (const { acquired, live, released, resource, shares } of snapshot.resources) {
        if (acquired === released && live + shares === 0) continue
        this.wrong.push(`${resource}: ${acquired} acquired, ${released} released, ${live} live, ${shares} shares`)
      }
    })
  }

  checkTimers(): void {
    const { sleeping } = this.stage.timers
    if (sleeping > 0) this.wrong.push(`${sleeping} timers are left`)
  }
}

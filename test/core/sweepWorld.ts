import { ResourceDefinition, ResourceError, ResourceManager } from "@chronovyan/core"
import type { Snapshot } from "@chronovyan/core"
import { Cause, Clock, Context, Duration, Effect, Exit, Latch, Layer, Scope } from "effect"

/** How an acquisition goes. */
export type Acquire = "ok" | "fails" | "dies" | "never" | "late"

/** How a release goes: `slow` sleeps, `yields` only lets others run, `overdue` outlasts every grace period. */
export type Release = "ok" | "dies" | "slow" | "yields" | "overdue"

/** A pair of acquire and release, or a scoped acquire, which may or may not be interrupted. */
export type Shape = "plain" | "scoped" | "scoped, uninterruptible"

export interface Cell {
  readonly acquire: Acquire
  readonly release: Release
  readonly shape: Shape
}

export const nameOf = (cell: Cell): string => `${cell.shape}, acquire ${cell.acquire}, release ${cell.release}`

/** A defect that is meant to happen. */
export class Meant extends Error {}

const isLibraryError = (defect: unknown) =>
  defect instanceof ResourceError.DeadlineExceeded || defect instanceof ResourceError.FrameClosed

/** A defect that nobody meant. */
export const unmeant = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const defects = exit.cause.reasons.filter((reason) => reason._tag === "Die").map((reason) => reason.defect)
  // Beside a defect of a finalizer Effect makes defects of the failures as well.
  const isMeant = (defect: unknown) => defect instanceof Meant || defect === "refused" || isLibraryError(defect)
  if (defects.every(isMeant) && (defects.length === 0 || defects.some((defect) => defect instanceof Meant))) {
    return undefined
  }
  return `a defect: ${Cause.pretty(exit.cause)}`
}

export interface Value {
  readonly id: number
  closed: number
}

/** What one run has: a manager, and the books on every value that was opened. */
export class World {
  readonly cell: Cell
  readonly values: Array<Value> = []
  readonly troubles: Array<string> = []
  readonly gate = Latch.makeUnsafe()
  readonly managerScope = Scope.makeUnsafe()
  /** Sleeps of the manager's own clock that have not ended. */
  sleeping = 0
  /** When the body was over, in virtual time. */
  endedAt: number | undefined = undefined
  context: Context.Context<ResourceManager.ResourceManager> = Context.empty() as never

  constructor(cell: Cell) {
    this.cell = cell
  }

  open(): Value {
    const value = { id: this.values.length, closed: 0 }
    this.values.push(value)
    return value
  }

  close(value: Value): void {
    if (++value.closed > 1) this.troubles.push(`value ${value.id} was closed ${value.closed} times`)
  }

  /** Asks whether a value may still be used. */
  use(value: Value): void {
    if (value.closed > 0) this.troubles.push(`value ${value.id} was used after it had been closed`)
  }

  /** A defect that nobody meant, or nothing. */
  note(exit: Exit.Exit<unknown, unknown>): void {
    const defect = unmeant(exit)
    if (defect !== undefined) this.troubles.push(defect)
  }

  /** Runs a part of the body or a rival to its end, whatever that is. */
  observe<A, E>(effect: Effect.Effect<A, E, ResourceManager.ResourceManager>): Effect.Effect<void> {
    // A defect that meets an interruption is only caught where that can not pass through.
    return Effect.uninterruptibleMask((restore) =>
      Effect.map(Effect.exit(restore(Effect.provideContext(effect, this.context))), (exit) => this.note(exit))
    )
  }

  acquire(): Effect.Effect<Value, string> {
    const opened = Effect.sync(() => this.open())
    switch (this.cell.acquire) {
      case "ok":
        return opened
      case "fails":
        return Effect.fail("refused")
      case "dies":
        return Effect.die(new Meant("acquire"))
      case "never":
        return Effect.andThen(this.gate.await, opened)
      case "late":
        return Effect.andThen(Effect.sleep("5 seconds"), opened)
    }
  }

  release(value: Value): Effect.Effect<void> {
    const close = Effect.sync(() => this.close(value))
    switch (this.cell.release) {
      case "ok":
        return close
      case "dies":
        return Effect.andThen(close, Effect.die(new Meant("release")))
      case "slow":
        return Effect.andThen(Effect.sleep("200 millis"), close)
      case "yields":
        return Effect.andThen(Effect.yieldNow, close)
      case "overdue":
        return Effect.andThen(Effect.sleep("20 seconds"), close)
    }
  }

  /** The scoped acquisition: what fails or dies does so when something has been opened already. */
  scoped(): Effect.Effect<Value, string, Scope.Scope> {
    const opened = Effect.acquireRelease(Effect.sync(() => this.open()), (value) => this.release(value))
    switch (this.cell.acquire) {
      case "ok":
        return opened
      case "fails":
        return Effect.andThen(opened, Effect.fail("refused"))
      case "dies":
        return Effect.andThen(opened, Effect.die(new Meant("acquire")))
      case "never":
        return Effect.andThen(this.gate.await, opened)
      case "late":
        return Effect.andThen(Effect.sleep("5 seconds"), opened)
    }
  }

  private get recipe() {
    const cost = () => ({ units: 1, bytes: 3 })
    return this.cell.shape === "plain"
      ? { cost, acquire: () => this.acquire(), release: (value: Value) => this.release(value) }
      : { cost, acquire: () => this.scoped(), interruptible: this.cell.shape === "scoped" }
  }

  readonly temporal = () => ResourceDefinition.temporal("temporal", this.recipe as never) as Named<"temporal">
  readonly shared = (idleTimeToLive: Duration.Input = 0) =>
    ResourceDefinition.shared("shared", { ...this.recipe, idleTimeToLive } as never) as Named<"shared">
  readonly persistent = () => ResourceDefinition.persistent("persistent", this.recipe as never) as Definition
  readonly readWrite = () =>
    ResourceDefinition.shared("readWrite", { ...this.recipe, access: "readWrite" } as never) as ReadWriteDefinition

  /** Opens the gate and waits for whatever still goes on. */
  readonly settle: Effect.Effect<void> = Effect.suspend(() => {
    this.gate.openUnsafe()
    return Effect.sleep("1 minute")
  })

  readonly closeManager: Effect.Effect<void> = Effect.suspend(() =>
    Effect.map(Effect.exit(Scope.close(this.managerScope, Exit.void)), (exit) => this.note(exit))
  )
}

export type Definition = ResourceDefinition.ResourceDefinition<void, Value, string>
export type Named<Name extends string> = Definition & { readonly name: Name }
export type ReadWriteDefinition = ResourceDefinition.ReadWrite<void, Value, string>

/** A clock that counts who sleeps: a timeout that was not cancelled keeps the process alive. */
export const counting = (clock: Clock.Clock, world: { sleeping: number }): Clock.Clock => ({
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanos: clock.currentTimeNanos,
  monotonicTimeNanos: clock.monotonicTimeNanos,
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  sleep: (duration) =>
    Effect.uninterruptibleMask((restore) => {
      world.sleeping++
      return Effect.ensuring(restore(clock.sleep(duration)), Effect.sync(() => world.sleeping--))
    })
})

export const makeWorld = (cell: Cell, options?: ResourceManager.Options): Effect.Effect<World> =>
  Effect.gen(function*() {
    const world = new World(cell)
    const clock = yield* Clock.clockWith(Effect.succeed)
    const layer = ResourceManager.layer({ budget: { units: 100 }, gracePeriod: "1 second", ...options })
    world.context = yield* Layer.buildWithScope(layer, world.managerScope).pipe(
      Effect.provideService(Clock.Clock, counting(clock, world))
    )
    return world
  })

/** What is wrong with a snapshot that is taken when nobody uses anything. */
export const troublesOf = (snapshot: Snapshot.Snapshot, idle: ReadonlySet<string>): Array<string> => {
  const troubles: Array<string> = []
  for (const one of snapshot.allocations) {
    if (!idle.has(one.resource) || one.share || one.state !== "live" || one.orphaned) {
      troubles.push(`${one.resource} #${one.id} of "${one.frame}" is held (${one.state})`)
    }
  }
  for (const frame of snapshot.frames) {
    if (frame.parent !== null && !idle.has(frame.name)) troubles.push(`the frame "${frame.path}" is ${frame.phase}`)
  }
  troubles.push(...booksOf(snapshot))
  for (const { acquired, live, released, resource, shares } of snapshot.resources) {
    const held = snapshot.allocations.filter((one) => one.resource === resource && one.state === "live").length
    if (shares !== 0) troubles.push(`${resource}: ${shares} shares are left`)
    if (acquired !== released + live || live !== held) {
      troubles.push(`${resource}: ${acquired} acquired, ${released} released, ${live} live, ${held} held`)
    }
  }
  return troubles
}

/** Does each budget hold what the allocations below it cost? */
export const booksOf = (snapshot: Snapshot.Snapshot): Array<string> => {
  const troubles: Array<string> = []
  const parents = new Map(snapshot.frames.map((frame) => [frame.id, frame.parent]))
  // An orphan may belong to a frame that is gone, and still be charged to the frames around that one.
  const around = (path: string) =>
    snapshot.frames.filter((frame) => path.startsWith(`${frame.path}/`)).sort((a, b) =>
      b.path.length - a.path.length
    )[0]
  for (const frame of snapshot.frames) {
    for (const { highWaterMark, limit, unit, used } of frame.budgets) {
      let held = 0
      for (const one of snapshot.allocations) {
        let at: number | null | undefined = frame.parent === null
          ? frame.id
          : parents.has(one.frameId)
          ? one.frameId
          : around(one.frame)?.id
        while (at !== frame.id && at !== null && at !== undefined) at = parents.get(at)
        if (at === frame.id) held += one.cost[unit] ?? 0
      }
      const where = `${unit} of "${frame.path}"`
      if (used !== held) troubles.push(`${where}: ${used} used, ${held} held`)
      if (limit !== null && used > limit) troubles.push(`${where}: ${used} used of ${limit}`)
      if (highWaterMark < used) troubles.push(`${where}: ${used} used, the mark is at ${highWaterMark}`)
    }
  }
  return troubles
}

/**
 * The frame of a pool, in which its items are made: it closes with the scope that the pool was made in, and ends the pool
 * first. Owned by `ResourcePool`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Holder } from "../ResourceError.ts"
import { TimeFrame } from "../TimeFrame.ts"
import type { Definition } from "./definition.ts"
import { Frame, nearest } from "./frame.ts"
import type { PoolFacts } from "./frame.ts"
import { Owned } from "./owned.ts"
import type { Closer } from "./owned.ts"
import { Pool } from "./pool.ts"
import { makeLife } from "./poolItem.ts"
import type { PoolConfig, Size } from "./poolOptions.ts"
import { Report } from "./poolReport.ts"
import { Registry } from "./registry.ts"
import { Root } from "./root.ts"
import { closeFrame, inFrame } from "./run.ts"
import { Timeout } from "./timers.ts"

class PoolFrame extends Frame {
  ending: Ending | undefined = undefined

  /** The pool ends first, and with it the items. */
  override get last(): Owned | undefined {
    return this.ending === undefined || this.ending.isOver ? super.last : this.ending
  }

  override get pool(): PoolFacts | undefined {
    return this.ending?.pool.standing()
  }
}

/** How a pool ends: borrowers are waited for, then all items are released side by side. */
class Ending extends Owned {
  readonly pool: OwnedPool
  /** Nothing is waited for any more. */
  isOver = false
  /** Who still held something when the time was over. */
  holders: ReadonlyArray<Holder> = []
  /** How long to wait for the borrowers, in milliseconds. */
  limit: number
  private timeout: Timeout | undefined = undefined

  constructor(pool: OwnedPool) {
    super()
    this.pool = pool
    this.limit = pool.config.closeTimeout ?? pool.frame.gracePeriod
  }

  end(closer: Closer): boolean {
    const { pool } = this
    const { timers } = pool.registry
    if (pool.phase !== "draining") pool.shut()
    if (this.limit !== Infinity) {
      this.timeout = new Timeout(() => this.force())
      timers.arm(this.timeout, this.limit, timers.now() + this.limit)
    }
    let isInline = true
    pool.watch(() => {
      if (pool.phase === "draining" && pool.waiting === 0) pool.shut()
      if (pool.total > 0) return false
      this.over()
      if (!isInline) closer.ended(this)
      return true
    })
    isInline = false
    return this.isOver
  }

  outlive(): void {
    this.force()
    this.over()
  }

  private force(): void {
    const { pool } = this
    this.holders = new Report(pool).holders.holders
    if (this.holders.length > 0) pool.reportHolders(this.holders)
    pool.shut()
    pool.force()
  }

  private over(): void {
    if (this.isOver) return
    this.isOver = true
    if (this.timeout !== undefined) this.pool.registry.timers.cancel(this.timeout)
    this.pool.ended()
  }
}

/** A pool with the frame that it ends with. */
export class OwnedPool extends Pool {
  ending: Ending | undefined = undefined

  /** Takes nobody new. */
  drain(): void {
    if (this.phase === "open") this.phase = "draining"
    this.isSuspended = false
    this.resume()
  }

  /** Refuses all who wait, and ends what nobody uses. */
  shut(): void {
    if (this.phase === "closing" || this.phase === "closed") return
    this.phase = "closing"
    this.care.stop()
    this.growth.stop()
    this.admission.tellClosed()
    this.stock.retire(this.stock.items)
    for (const item of this.stock.items) {
      if (item.state === "creating") item.creation?.interruptUnsafe()
    }
  }

  /** Ends what is left, whoever uses it. */
  force(): void {
    for (const item of Array.from(this.stock.items)) {
      if (this.stock.cancel(item)) this.growth.cancelled()
      else if (item.state !== "closing") this.stock.end(item)
    }
    this.changed()
  }

  ended(): void {
    this.phase = "closed"
  }

  reportHolders(holders: ReadonlyArray<Holder>): void {
    const who = holders.map(({ age, frame }) => `\n  - ${frame === "" ? "no frame" : frame}, for ${age} ms`).join("")
    this.report(`The pool "${this.name}" is closed while items of it are in use:${who}`)
  }

  /** Ends it ahead of its scope, and answers who still held something. */
  end(serveWaiting: boolean, limit: number | undefined): Effect.Effect<ReadonlyArray<Holder>> {
    const ending = this.ending!
    if (this.phase === "open") {
      if (limit !== undefined) ending.limit = limit
      if (serveWaiting) this.drain()
    } else if (!serveWaiting) this.shut()
    return Effect.map(
      Effect.suspend(() => closeFrame(this.frame, Exit.void) ?? Effect.void),
      () => ending.holders
    )
  }
}

/** Makes a pool that ends with the current scope. */
export const openPool = (
  definition: Definition,
  params: unknown,
  config: PoolConfig,
  size: Size
): Effect.Effect<OwnedPool, unknown, any> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber((fiber) => {
      const scope = Context.getUnsafe(fiber.context, Scope.Scope)
      const around = Context.getOrUndefined(fiber.context, TimeFrame) as Frame | undefined
      const owner = around === undefined
        ? privateRoot(fiber.context)
        : nearest(around, ({ phase }) => phase === "open")
      const options = {
        name: config.name,
        timeout: Infinity,
        budget: undefined,
        gracePeriod: undefined,
        isWaitedFor: true
      }
      const frame = new PoolFrame(owner, owner.registry, options, fiber.context)
      const context = frame.context = inFrame(fiber.context, TimeFrame, frame)
      frame.open()
      const lives = Scope.makeUnsafe()
      const opened = Effect.flatMap(Scope.provide(makeLife, lives), (life) => {
        const pool = new OwnedPool({ definition, params, config, size, frame, life, context })
        frame.ending = pool.ending = new Ending(pool)
        frame.whenClosed(() => {
          // An item that was left behind may still be in it.
          Effect.runFork(Scope.close(lives, Exit.void))
          if (around === undefined) owner.close(Exit.void)
        })
        const closes = scope === owner ? Effect.void : closeWith(scope, around === undefined ? owner : frame, frame)
        return Effect.flatMap(closes, () => {
          pool.grow()
          return config.warmUp.failFast ? restore(warm(pool)) : Exit.succeed(pool)
        })
      })
      return opened
    })
  )

/** Outside of frames a pool has a manager of its own. */
const privateRoot = (context: Context.Context<never>): Frame =>
  new Root(new Registry(Context.get(context, Clock.Clock), context, 1024), {
    name: "manager",
    timeout: Infinity,
    budget: undefined,
    gracePeriod: 30_000
  })

/** Closed ahead of its time, it leaves nothing in the scope. */
const closeWith = (scope: Scope.Scope, outer: Frame, frame: Frame): Effect.Effect<void> => {
  const inner = Scope.forkUnsafe(scope)
  frame.whenClosed(() => Scope.closeUnsafe(inner, frame.exit))
  return Scope.addFinalizerExit(inner, (exit) => closeFrame(outer, exit) ?? Effect.void)
}

/** Waits for the first items; if one can not be made, there is no pool. */
const warm = (pool: OwnedPool): Effect.Effect<OwnedPool, unknown> => {
  const warmed = Effect.callback<OwnedPool, unknown>((resume) => {
    pool.watch(() => {
      const { creationFailure, phase } = pool
      if (creationFailure !== undefined) resume(Exit.failCause(creationFailure))
      else if (phase === "open" && pool.total - pool.creating < pool.size.min) return false
      else resume(Exit.succeed(pool))
      return true
    })
  })
  return Effect.onError(warmed, () => pool.end(false, undefined))
}

/**
 * A pool for each key, made when the key is first used, and gone with its last item. Owned by `ResourcePool`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import { Definition } from "./definition.ts"
import { Frame } from "./frame.ts"
import type { Lending } from "./lease.ts"
import { Owned } from "./owned.ts"
import type { Closer } from "./owned.ts"
import type { OwnedPool } from "./ownedPool.ts"
import { TypeId } from "./pool.ts"
import { buildPool } from "./poolFrame.ts"
import type { Plan } from "./poolFrame.ts"
import { findGround } from "./poolGround.ts"
import type { Ground } from "./poolGround.ts"
import { Quota } from "./poolQuota.ts"
import type { Stats } from "./poolStats.ts"

export interface StatsOfKey extends Stats {
  readonly key: any
}

/** The frame around the pools of all keys: they end side by side. */
class KeyedFrame extends Frame {
  private readonly ending = new Endings(this)

  override get last(): Owned | undefined {
    return this.owned.first === undefined || this.ending.isOver ? super.last : this.ending
  }
}

class Endings extends Owned {
  private readonly frame: Frame
  isOver = false

  constructor(frame: Frame) {
    super()
    this.frame = frame
  }

  end(closer: Closer): boolean {
    const pools: Array<Frame> = []
    for (let owned = this.frame.owned.first; owned !== undefined; owned = owned.next) {
      if (owned instanceof Frame) pools.push(owned)
    }
    let left = pools.length
    let isInline = true
    const ended = () => {
      if (--left > 0) return
      this.isOver = true
      if (!isInline) closer.ended(this)
    }
    for (const pool of pools) {
      if (pool.close(closer.exit, closer.fiber) !== undefined) ended()
      else pool.closing!.wait(ended)
    }
    isInline = false
    return this.isOver
  }

  outlive(): void {
    this.isOver = true
  }
}

export class KeyedPool {
  readonly plan: Omit<Plan, "params">
  readonly maxTotal: number
  private readonly ground: Ground
  private readonly frame: Frame
  private readonly pools = MutableHashMap.empty<unknown, OwnedPool>()
  /** The keys as they were given. */
  private readonly inputs = new WeakMap<OwnedPool, unknown>()
  /** Stands for all pools when there are to be no more. */
  readonly none: OwnedPool

  constructor(ground: Ground, frame: Frame, plan: Omit<Plan, "params" | "quota">, maxTotal: number) {
    this.ground = ground
    this.frame = frame
    this.maxTotal = maxTotal
    this.plan = { ...plan, quota: new Quota(maxTotal) }
    this.none = this.build(undefined)
    this.none.phase = "closed"
  }

  /** The pool of the key, or how one would look. */
  look(key: unknown): OwnedPool {
    return Option.getOrElse(MutableHashMap.get(this.pools, key), () => this.build(key))
  }

  /** The pool of the key, made now if there is none. */
  poolOf(key: unknown, input: unknown): OwnedPool {
    const found = Option.getOrUndefined(MutableHashMap.get(this.pools, key))
    if (found !== undefined) return found
    if (this.frame.phase !== "open") return this.none
    const pool = this.build(key)
    pool.frame.open()
    MutableHashMap.set(this.pools, key, pool)
    this.inputs.set(pool, input)
    this.plan.quota?.pools.add(pool)
    pool.frame.whenClosed(() => this.forget(key, pool))
    pool.successor = () => this.poolOf(key, input)
    let isNew = true
    pool.changes.watch(() => !isNew && this.endUnused(pool))
    isNew = false
    return pool
  }

  stats(): ReadonlyArray<StatsOfKey> {
    return Array.from(this.pools, ([, pool]) => ({ key: this.inputs.get(pool), ...pool.stats() }))
  }

  private build(key: unknown): OwnedPool {
    return buildPool({ ...this.plan, params: key, key: inWords(key) }, this.ground, this.frame)
  }

  /** A pool that has nothing, and nobody waits for, is not needed. */
  private endUnused(pool: OwnedPool): boolean {
    if (pool.phase !== "open") return true
    const isAsPlanned = !pool.isSuspended && pool.size === this.plan.size
    if (pool.total > 0 || pool.awaited > 0 || !isAsPlanned) return false
    pool.frame.close(Exit.void)
    return true
  }

  private forget(key: unknown, pool: OwnedPool): void {
    this.plan.quota?.leave(pool)
    const found = MutableHashMap.get(this.pools, key)
    if (Option.isSome(found) && found.value === pool) MutableHashMap.remove(this.pools, key)
  }
}

/** A key as frames show it. */
const inWords = (key: unknown): string => {
  const text = typeof key === "object" ? safeStringify(key) : String(key)
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}

const safeStringify = (key: object | null): string => {
  try {
    return JSON.stringify(key)
  } catch {
    return String(key)
  }
}

/** The pool of a key, as a definition: found, or made, at each borrow. */
export class PoolOfKey extends Definition implements Lending {
  readonly [TypeId]: typeof TypeId = TypeId
  private readonly keyed: KeyedPool
  private readonly key: unknown
  private readonly input: unknown

  constructor(keyed: KeyedPool, key: unknown, input: unknown) {
    super({ ...keyed.none })
    this.keyed = keyed
    this.key = key
    this.input = input
  }

  get lender(): OwnedPool {
    return this.keyed.poolOf(this.key, this.input)
  }

  get pool(): OwnedPool {
    return this.keyed.look(this.key)
  }
}

/** Makes pools that end with the current scope. */
export const openKeyed = (
  plan: Omit<Plan, "params" | "quota">,
  maxTotal: number
): Effect.Effect<KeyedPool, never, any> =>
  Effect.uninterruptible(Effect.flatMap(findGround, (ground) => {
    const { owner } = ground
    const options = { timeout: Infinity, budget: undefined, gracePeriod: undefined, isWaitedFor: true }
    const frame = new KeyedFrame(owner, owner.registry, { name: plan.config.name, ...options }, ground.context)
    frame.open()
    return Effect.as(ground.endWith(frame), new KeyedPool(ground, frame, plan, maxTotal))
  }))

import { ResourceDefinition } from "@chronovyan/core"
import { Effect, Latch, Schema } from "effect"
import type { Scope } from "effect"
import { Meant } from "./sweepWorld.ts"

/** A number from 0 up to what is asked for. */
export type Random = (below: number) => number

/** The same numbers for the same seed. */
export const randomOf = (seed: number): Random => {
  let state = (Math.imul(seed, 2_654_435_761) >>> 0) || 1
  return (below) => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

/** How often something was done, or went wrong. */
export type Tally = Record<string, number>

export const count = (tally: Tally, what: string) => void (tally[what] = (tally[what] ?? 0) + 1)

/** What is lent: it knows who uses it, and how often its release began and ended. */
export interface Item {
  readonly id: number
  readonly key: number
  users: number
  closing: number
  closed: number
}

export interface Failure {
  readonly _tag: string
}

/** One that fails on purpose. */
const refused: Failure = { _tag: "Refused" }

/** The other side of a pool: makes items, looks after them, and keeps books on them; some of it goes wrong. */
export class World {
  readonly random: Random
  readonly concurrency: number
  readonly items: Array<Item> = []
  readonly wrong: Array<string> = []
  /** What hangs, hangs until it opens. */
  readonly gate = Latch.makeUnsafe()
  /** Creations and releases that have begun and not ended. */
  creating = 0
  releasing = 0
  /** Nothing goes wrong any more, and nothing takes any time. */
  isHealthy = true
  /** The pool was told to end whatever is in use. */
  isForced = false
  private readonly tally: Tally
  /** What does not go well does so in each of the ways for one in so many. */
  private readonly rarity: number
  /** There are fewer validations and resets than creations and releases. */
  private readonly rarityOfHooks: number

  constructor(random: Random, tally: Tally) {
    this.random = random
    this.tally = tally
    this.concurrency = [1, 1, 2, 3][random(4)]!
    this.rarity = [100, 20, 8, 6][random(4)]!
    this.rarityOfHooks = Math.max(5, this.rarity / 2)
  }

  get open(): ReadonlyArray<Item> {
    return this.items.filter(({ closing }) => closing === 0)
  }

  enter(item: Item): void {
    item.users++
    if (item.users > this.concurrency) this.wrong.push(`${item.users} use item ${item.id}`)
    if (item.closing > 0 && !this.isForced) this.wrong.push(`item ${item.id} is lent after its release began`)
  }

  /** How it goes: mostly well, or else in each of the ways for one in so many. */
  private fate<How extends string>(what: string, ways: ReadonlyArray<How>, rarity: number): How | "well" {
    const how = this.isHealthy ? undefined : ways[this.random(rarity)]
    if (how === undefined) return "well"
    count(this.tally, `${how} ${what}`)
    return how
  }

  private get takes(): Effect.Effect<void> {
    const millis = this.isHealthy ? 0 : this.random(4)
    return millis === 0 ? Effect.void : millis === 1 ? Effect.yieldNow : Effect.sleep(millis)
  }

  private get hangs(): Effect.Effect<void> {
    return this.random(2) === 0 ? this.gate.await : Effect.uninterruptible(this.gate.await)
  }

  private creation(): Effect.Effect<void, Failure> {
    switch (this.fate("creation", ["failing", "dying", "hanging", "late"], this.rarity)) {
      case "well":
        return this.takes
      case "failing":
        return Effect.andThen(this.takes, Effect.fail(refused))
      case "dying":
        return Effect.die(new Meant("creation"))
      case "hanging":
        return this.hangs
      case "late":
        return Effect.uninterruptible(Effect.sleep(25))
    }
  }

  private ending(): Effect.Effect<void> {
    switch (this.fate("release", ["failing", "dying", "hanging", "late"], this.rarity)) {
      case "well":
        return this.takes
      case "failing":
        return Effect.andThen(this.takes, Effect.orDie(Effect.fail(refused)))
      case "dying":
        return Effect.die(new Meant("release"))
      case "hanging":
        return this.gate.await
      case "late":
        return Effect.sleep(25)
    }
  }

  readonly validate = (): Effect.Effect<boolean, Failure> =>
    Effect.suspend(() => {
      switch (this.fate("validation", ["failing", "negative", "dying", "hanging"], this.rarityOfHooks)) {
        case "well":
          return Effect.as(this.takes, true)
        case "failing":
          return Effect.andThen(this.takes, Effect.fail(refused))
        case "negative":
          return Effect.as(this.takes, false)
        case "dying":
          return Effect.die(new Meant("validation"))
        case "hanging":
          return Effect.as(this.hangs, true)
      }
    })

  readonly reset = (item: Item): Effect.Effect<void, Failure> =>
    Effect.suspend(() => {
      if (item.users > 0) this.wrong.push(`item ${item.id} is reset while it is used`)
      switch (this.fate("reset", ["dying", "failing", "dying", "hanging"], this.rarityOfHooks)) {
        case "well":
          return this.takes
        case "failing":
          return Effect.andThen(this.takes, Effect.fail(refused))
        case "dying":
          return Effect.die(new Meant("reset"))
        case "hanging":
          return this.hangs
      }
    })

  private readonly make = Effect.suspend(() => {
    this.creating++
    return Effect.onExit(this.creation(), () => Effect.sync(() => void this.creating--))
  })

  private opened(key: number): Item {
    const item = { id: this.items.length, key, users: 0, closing: 0, closed: 0 }
    this.items.push(item)
    return item
  }

  private readonly release = (item: Item): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (item.closing++ > 0) this.wrong.push(`item ${item.id} is released twice`)
      if (item.users > 0 && !this.isForced) this.wrong.push(`item ${item.id} is released while it is used`)
      this.releasing++
      return Effect.onExit(Effect.suspend(() => this.ending()), () =>
        Effect.sync(() => {
          this.releasing--
          item.closed++
        }))
    })

  /** What the pool is made of: a pair of functions, or one that has a scope. */
  define() {
    const recipe = { params: Schema.Number, cost: () => ({ things: 1 }), interruptible: this.random(2) === 0 }
    return this.random(2) === 0
      ? ResourceDefinition.temporal("thing", {
        ...recipe,
        acquire: (key: number): Effect.Effect<Item, Failure> => Effect.map(this.make, () => this.opened(key)),
        release: this.release
      })
      : ResourceDefinition.temporal("thing", {
        ...recipe,
        acquire: (key: number): Effect.Effect<Item, Failure, Scope.Scope> =>
          Effect.andThen(this.make, Effect.acquireRelease(Effect.sync(() => this.opened(key)), this.release))
      })
  }
}

import { ResourceDefinition } from "@chronovyan/core"
import { Effect, Exit, Latch, Schema } from "effect"
import type { Scope } from "effect"
import { Meant, unmeant } from "./sweepWorld.ts"

const acquires = ["ok", "ok", "ok", "slow", "slow", "fails", "dies", "never", "late"] as const
const releases = ["ok", "ok", "yields", "slow", "slow", "dies", "overdue"] as const

/** Params say how an acquisition and the release of its value go, and what they cost. */
export const Params = Schema.Struct({
  key: Schema.Int,
  cost: Schema.Record(Schema.String, Schema.Int),
  acquire: Schema.Literals(acquires),
  release: Schema.Literals(releases)
})
export type Params = typeof Params.Type

export const paramsOf = (b: number, c: number): Params => ({
  key: b % 2,
  cost: { u: 1 + c % 3, ...(c & 4 ? { v: b % 4 } : {}) },
  acquire: acquires[b % acquires.length]!,
  release: releases[c % releases.length]!
})

/** A value, and how far it has come. */
export interface Value {
  readonly resource: string
  /** How often its release has begun, and ended. */
  ending: number
  closed: number
  reading: number
  writing: number
}

/** What the definitions of one run open, and what has gone wrong so far. */
export class SlowWorld {
  readonly values: Array<Value> = []
  readonly troubles: Array<string> = []
  readonly gate = Latch.makeUnsafe()
  /** Sleeps that have not ended, of the program and of the library. */
  sleeping = 0
  readonly library = { sleeping: 0 }
  isClosing = false
  private bells: Array<() => void> = []

  /** Waits until something happens in the library, and goes on in the middle of it. */
  readonly bell: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resume(Effect.void)
    this.bells.push(wake)
    return Effect.sync(() => {
      this.bells = this.bells.filter((bell) => bell !== wake)
    })
  })

  ring(): void {
    const { bells } = this
    this.bells = []
    for (const bell of bells) bell()
  }

  note(exit: Exit.Exit<unknown, unknown>): void {
    const defect = unmeant(exit)
    if (defect !== undefined) this.troubles.push(defect)
  }

  /** A value may be used as long as its release has not begun; only the end of the manager ends it under its users. */
  use(value: Value): void {
    if (value.ending > 0 && !this.isClosing) this.troubles.push(`a ${value.resource} is used after its release`)
  }

  /** Uses a value by turns for a moment. */
  readonly turn = (write: boolean, millis: number) => (value: Value): Effect.Effect<void> => {
    const kind = write ? "writing" : "reading"
    return Effect.suspend(() => {
      this.use(value)
      value[kind]++
      if (value.writing > 1 || value.writing * value.reading > 0) this.troubles.push("a writer is not alone")
      return Effect.sleep(millis)
    }).pipe(Effect.ensuring(Effect.sync(() => {
      this.use(value)
      value[kind]--
    })))
  }

  private open(resource: string): Value {
    const value = { resource, ending: 0, closed: 0, reading: 0, writing: 0 }
    this.values.push(value)
    this.ring()
    return value
  }

  /** What comes before a value is there. */
  private wait({ acquire }: Params): Effect.Effect<void, string> {
    switch (acquire) {
      case "ok":
        return Effect.void
      case "fails":
        return Effect.fail("refused")
      case "dies":
        return Effect.die(new Meant("acquire"))
      case "slow":
        return Effect.sleep("40 millis")
      case "never":
        return this.gate.await
      case "late":
        return Effect.uninterruptible(Effect.sleep("5 seconds"))
    }
  }

  private release(value: Value, { release }: Params): Effect.Effect<void> {
    if (++value.ending > 1) this.troubles.push(`a ${value.resource} is released twice`)
    this.ring()
    const close = Effect.sync(() => {
      value.closed++
      this.ring()
    })
    switch (release) {
      case "ok":
        return close
      case "dies":
        return Effect.andThen(close, Effect.die(new Meant("release")))
      case "yields":
        return Effect.andThen(Effect.yieldNow, close)
      case "slow":
        return Effect.andThen(Effect.sleep("30 millis"), close)
      case "overdue":
        return Effect.andThen(Effect.sleep("2 seconds"), close)
    }
  }

  private plain(name: string) {
    return {
      params: Params,
      cost: (params: Params) => params.cost,
      acquire: (params: Params) => Effect.map(this.wait(params), () => ({ value: this.open(name), params })),
      release: (one: { value: Value; params: Params }) => Effect.suspend(() => this.release(one.value, one.params))
    }
  }

  /** One that can be interrupted, and that fails or dies when something has been opened already. */
  private scoped(name: string) {
    const open = (params: Params) =>
      Effect.acquireRelease(
        Effect.sync(() => this.open(name)),
        (value) => Effect.suspend(() => this.release(value, params))
      )
    return {
      params: Params,
      cost: (params: Params) => params.cost,
      acquire: (params: Params): Effect.Effect<{ value: Value; params: Params }, string, Scope.Scope> => {
        const { acquire } = params
        const first = acquire === "fails" || acquire === "dies" ? Effect.asVoid(open(params)) : Effect.void
        const opened = Effect.map(open(params), (value) => ({ value, params }))
        return first.pipe(Effect.andThen(this.wait(params)), Effect.andThen(opened))
      }
    }
  }

  readonly temporals: ReadonlyArray<Definition> = [
    ResourceDefinition.temporal("plain", this.plain("plain")) as never,
    ResourceDefinition.temporal("scoped", this.scoped("scoped")) as never
  ]
  readonly shares: ReadonlyArray<Definition> = [
    ResourceDefinition.shared("shared", this.plain("shared")) as never,
    ResourceDefinition.shared("idle", { ...this.scoped("idle"), idleTimeToLive: "60 millis" }) as never,
    ResourceDefinition.persistent("persistent", this.plain("persistent")) as never
  ]
  readonly turns: ResourceDefinition.ReadWrite<Params, { value: Value }, string> = ResourceDefinition.shared("turns", {
    ...this.plain("turns"),
    idleTimeToLive: "60 millis",
    access: "readWrite"
  }) as never

  /** What is wrong with the values, given how many are live or ending and how many are under way, by resource. */
  compare(held: ReadonlyMap<string, number>, underWay: ReadonlyMap<string, number>): Array<string> {
    const open = new Map<string, number>()
    const wrong: Array<string> = []
    for (const { closed, ending, resource } of this.values) {
      if (closed > 1 || ending > 1) wrong.push(`a ${resource} was closed ${Math.max(closed, ending)} times`)
      if (closed === 0) open.set(resource, (open.get(resource) ?? 0) + 1)
    }
    for (const resource of new Set([...open.keys(), ...held.keys()])) {
      const values = open.get(resource) ?? 0
      const least = held.get(resource) ?? 0
      // Only a scoped acquisition has something to close while it is under way.
      const most = least + (resource === "scoped" || resource === "idle" ? underWay.get(resource) ?? 0 : 0)
      if (values < least || values > most) wrong.push(`${values} of ${resource} are open, ${least} to ${most} are held`)
    }
    return wrong
  }
}

export type Definition = ResourceDefinition.ResourceDefinition<Params, { value: Value }, string>

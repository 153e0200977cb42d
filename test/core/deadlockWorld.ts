import { Budget, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { Effect, Latch, Scope, TxRef } from "effect"
import { failureOf, settle, start } from "./fixtures.ts"

type Refusal = { readonly _tag: string }
type Program = Effect.Effect<unknown, Refusal, TimeFrame.TimeFrame | ResourceManager.ResourceManager>
type Making = Effect.Effect<Thing, ResourceError.FrameClosed, TimeFrame.TimeFrame | Scope.Scope>

/** Something that can be held, and asked for by somebody else, who waits then. */
export interface Thing {
  readonly name: string
  readonly hold: (body: Program) => Program
  /** Asks for it, and gives it back at once. */
  readonly ask: Program
  /** Somebody else who comes in between. */
  readonly between: Program | undefined
  /** Takes all of it without waiting. */
  readonly all: Program
  /** The turn that is asked for. */
  readonly turn?: "read" | "write"
}

const ok = () => Effect.void

const pooled = (name: string): Making =>
  Effect.map(
    ResourcePool.make(ResourceDefinition.temporal(name, { acquire: () => Effect.succeed(name) }), { max: 1 }),
    (pool): Thing => {
      const ask = ResourcePool.use(pool, ok)
      const all = Effect.flatMap(
        ResourcePool.stats(pool),
        ({ used, waiting }) => used + waiting > 0 ? Effect.fail({ _tag: "used" }) : ask
      )
      return { name, hold: (body) => ResourcePool.use(pool, () => body), ask, between: undefined, all }
    }
  )

const budgeted = (name: string): Making => {
  const One = ResourceDefinition.temporal(`of ${name}`, {
    cost: () => ({ [name]: 1 }),
    acquire: () => Effect.succeed(name)
  })
  const use = (body: Program): Program => Effect.suspend(() => ResourceManager.use(One, () => body))
  return Effect.succeed({
    name,
    hold: use,
    ask: use(Effect.void),
    between: undefined,
    all: Budget.failFast(use(Effect.void))
  })
}

/** A value by turns, held and asked for like that; `isQueued`: a writer waits in between. */
const byTurns = (held: "read" | "write", turn: "read" | "write", isQueued = false) => (name: string): Making =>
  Effect.map(
    ResourceManager.allocate(
      ResourceDefinition.shared(name, { access: "readWrite", acquire: () => Effect.succeed(name) })
    ),
    (handle): Thing => ({
      name,
      hold: (body) => handle[held](() => body),
      ask: handle[turn](ok),
      between: isQueued ? TimeFrame.run(handle.write(ok), { name: "between" }) : undefined,
      all: Effect.flatMap(
        TxRef.get(handle.access),
        ({ readers, waiting, writing }) =>
          writing || readers + waiting > 0 ? Effect.fail({ _tag: "used" }) : handle.write(ok)
      ),
      turn
    })
  )

export const kinds = {
  pool: pooled,
  budget: budgeted,
  "write after write": byTurns("write", "write"),
  "write after read": byTurns("read", "write"),
  "read after write": byTurns("write", "read"),
  "read after a writer who waits for a reader": byTurns("read", "read", true)
} satisfies Readonly<Record<string, (name: string) => Making>>

export type Kind = keyof typeof kinds
const all = Object.keys(kinds) as ReadonlyArray<Kind>

/** All sequences of kinds of that length. */
export const sequences = (length: number): ReadonlyArray<ReadonlyArray<Kind>> =>
  length === 0
    ? [[]]
    : sequences(length - 1).flatMap((before) => all.map((kind) => before.concat(kind)))

/** The names of things in a world, which are units of its budget, too. */
export const names = ["a", "b", "c"]

/** A frame in which there is one of each unit, and whoever wants more waits. */
export const server = TimeFrame.run({
  name: "server",
  budget: Object.fromEntries(names.map((name) => [name, 1])),
  exhausted: "wait"
})

export const makeThings = (sequence: ReadonlyArray<Kind>) =>
  Effect.forEach(sequence, (kind, index) => kinds[kind](names[index]!))

/** A party: takes one thing, waits until it may go on, then wants another one. */
export const party = (name: string, held: Thing, wanted: Program) =>
  Effect.gen(function*() {
    const gate = yield* Latch.make()
    const fiber = yield* start(
      held.hold(Effect.andThen(gate.await, wanted)).pipe(TimeFrame.run({ name }))
    )
    yield* settle
    return { fiber, goOn: Effect.andThen(gate.open, settle) }
  })

/** What is not there to be had, although nobody is left. */
export const leftovers = (things: ReadonlyArray<Thing>) =>
  Effect.gen(function*() {
    const found: Array<string> = []
    for (const { all, name } of things) {
      const exit = yield* Effect.exit(all)
      if (exit._tag === "Failure") found.push(`${name}: ${failureOf(exit)?._tag}`)
    }
    return found
  })

/**
 * Does what is asked of a program from outside. Owned by `Inspector`.
 */
import type * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as ResourcePool from "@chronovyan/core/ResourcePool"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Done, Refused } from "../Protocol.ts"
import type { Control } from "../Protocol.ts"

/** What was done, and whether it goes on. */
export interface Outcome {
  readonly done: Done
  readonly goesOn: boolean
}

type Result = Effect.Effect<Outcome, Refused, ResourceManager.ResourceManager>

/** Nobody who asks waits longer than that; what was begun goes on. */
const patience = "5 seconds"

const refuse = (status: number, message: string) => Effect.fail(new Refused({ status, message }))

const quote = (name: string): string => JSON.stringify(name.length > 100 ? `${name.slice(0, 99)}…` : name)

/** The pools that are meant. */
const poolsOf = (name: string, frameId: number | undefined) =>
  Effect.map(
    ResourceManager.pools,
    (pools) => pools.filter((pool) => pool.name === name && (frameId === undefined || pool.frameId === frameId))
  )

const onePool = (name: string, frameId: number | undefined) =>
  Effect.flatMap(poolsOf(name, frameId), (pools) => {
    const [pool] = pools
    if (pool === undefined) return refuse(404, `There is no pool ${quote(name)}${inFrame(frameId)}`)
    if (pools.length === 1) return Effect.succeed(pool.pool)
    const ids = pools.slice(0, 20).map(({ frameId }) => frameId).join(", ")
    return refuse(409, `${pools.length} pools are called ${quote(name)}: say which one by its frame, which are ${ids}`)
  })

const inFrame = (frameId: number | undefined): string => frameId === undefined ? "" : ` in frame ${frameId}`

/** Begins it in the background, where nobody who goes away ends it, and waits for a while. */
const begin = <A>(effect: Effect.Effect<A>, over: (value: A) => string, goesOn: Effect.Effect<string>): Result =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
    const exit = yield* Effect.timeoutOption(Fiber.await(fiber), patience)
    if (exit._tag === "None") return { done: new Done({ message: yield* goesOn }), goesOn: true }
    if (exit.value._tag === "Success") return { done: new Done({ message: over(exit.value.value) }), goesOn: false }
    return yield* refuse(500, `It died: ${Cause.pretty(exit.value.cause).split("\n")[0]}`)
  })

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const drain = ({ frameId, pool: name, timeout }: Extract<Control, { _tag: "Drain" }>): Result =>
  Effect.flatMap(onePool(name, frameId), (pool) =>
    begin(
      ResourcePool.drain(pool, timeout === undefined ? {} : { timeout }),
      (holders) =>
        holders.length === 0
          ? `The pool ${quote(name)} is drained and closed`
          : `The pool ${quote(name)} is closed; ${counted(holders.length, "item")} had not come back by then`,
      Effect.map(
        ResourcePool.stats(pool),
        ({ used, waiting }) =>
          `The pool ${quote(name)} is draining: ${used} in use, ${waiting} waiting; it closes when they are done`
      )
    ))

const resize = ({ frameId, max, min, pool: name }: Extract<Control, { _tag: "Resize" }>): Result =>
  Effect.gen(function*() {
    if (min === undefined && max === undefined) return yield* refuse(400, "A min or a max is needed")
    const pool = yield* onePool(name, frameId)
    const size = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) }
    const exit = yield* Effect.exit(ResourcePool.resize(pool, size))
    if (exit._tag === "Failure") {
      const error = Cause.squash(exit.cause)
      if (Cause.isIllegalArgumentError(error)) return yield* refuse(400, error.message)
      return yield* Effect.failCause(exit.cause)
    }
    const stats = yield* ResourcePool.stats(pool)
    const message = `The pool ${quote(name)} has at least ${stats.min} and at most ${stats.max} items now`
    return { done: new Done({ message }), goesOn: false }
  })

const retire = ({ frameId, resource }: Extract<Control, { _tag: "Retire" }>): Result =>
  Effect.gen(function*() {
    const pools = yield* poolsOf(resource, frameId)
    const isMeant = ({ name }: ResourceDefinition.Any) => name === resource && frameId === undefined
    const definitions = (yield* ResourceManager.definitions).filter(isMeant)
    if (pools.length + definitions.length === 0) {
      return yield* refuse(
        404,
        `There is no pool and no shared or persistent value ${quote(resource)}${inFrame(frameId)}`
      )
    }
    const manager = yield* ResourceManager.ResourceManager
    const all = [
      ...pools.map(({ pool }) => ResourcePool.retireAll(pool)),
      ...definitions.map((definition) => ResourceManager.retire(definition))
    ]
    return yield* begin(
      Effect.provideService(
        Effect.all(all, { concurrency: "unbounded", discard: true }),
        ResourceManager.ResourceManager,
        manager
      ),
      () => `${quote(resource)} is retired; what is in use ends when it comes back`,
      Effect.succeed(`${quote(resource)} is being retired: some releases take their time`)
    )
  })

/** Does it, and tells the log of the program. */
export const perform = (control: Control): Result =>
  (control._tag === "Drain" ? drain(control) : control._tag === "Resize" ? resize(control) : retire(control)).pipe(
    Effect.tap(({ done }) => Effect.logInfo(`Asked for by the inspector: ${done.message}`))
  )

import { ResourceManager, TimeFrame } from "@chronovyan/core"
import type { Budget } from "@chronovyan/core"
import { assert } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Scope } from "effect"
import { readdirSync, readlinkSync } from "node:fs"
import { readFile } from "node:fs/promises"

/** Runs the body in a frame of a manager of its own, and checks that nothing is held any more when it is over. */
export const framed = (budget: Budget.Budget = {}) =>
<A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<Exclude<R, TimeFrame.TimeFrame | Scope.Scope>, ResourceManager.ResourceManager>> =>
  Effect.gen(function*() {
    const result = yield* TimeFrame.run(self, { name: "test", budget })
    const { allocations, resources } = yield* ResourceManager.snapshot
    assert.deepStrictEqual(allocations.filter(({ frame }) => frame !== "" && !frame.startsWith("sqlite")), [])
    for (const { kind, live, resource } of resources) {
      if (kind === "temporal") assert.strictEqual(live, 0, resource)
    }
    return result
  }).pipe(Effect.provide(ResourceManager.layer())) as any

/** A full turn of the event loop. */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/**
 * Interrupts an acquisition after more and more turns of the event loop, until it is done before its interruption.
 * Answers how often it was interrupted before it was done.
 */
export const interruptLaterAndLater = <A, E>(
  acquire: Effect.Effect<A, E, TimeFrame.TimeFrame | ResourceManager.ResourceManager | Scope.Scope>,
  check: () => void | Promise<void>
) =>
  Effect.gen(function*() {
    let interrupted = 0
    for (let turns = 0;; turns = Math.ceil(turns * 1.3 + 0.1)) {
      const fiber = yield* acquire.pipe(framed(), Effect.forkChild({ startImmediately: turns > 0 }))
      for (let at = 1; at < turns && fiber.pollUnsafe() === undefined; at++) yield* turn
      const isDone = fiber.pollUnsafe() !== undefined
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(async () => check())
      if (isDone) return interrupted
      interrupted++
    }
  })

/** The open descriptors of this process whose target contains a text. */
export const descriptorsOf = (text: string): ReadonlyArray<string> =>
  readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`)
      return target.includes(text) ? [target] : []
    } catch {
      return []
    }
  })

/** The threads of this process, as the system counts them. */
export const threads = (): number => readdirSync("/proc/self/task").length

/** Does the process run? One that has ended and waits for its parent does not. */
export const isRunning = async (pid: number): Promise<boolean> => {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")
  return stat !== "" && !/\) [ZX] /.test(stat)
}

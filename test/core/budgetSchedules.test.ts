import { Budget, Cost, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { managed, settle } from "./fixtures.ts"

/** How many are played; all of them with SCHEDULES=100000 in the environment. */
const schedules = Number(process.env["SCHEDULES"] ?? 10_000)

/** Numbers that are the same each time, so that a change is judged by itself; others with MODEL_SEED. */
const random = (seed: number) => {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  return {
    /** A whole number below that. */
    below: (limit: number) => Math.floor(next() * limit),
    /** True as often as that, of a hundred times. */
    percent: (often: number) => next() * 100 < often
  }
}

const seed = Array.from(process.env["MODEL_SEED"] ?? "schedules").reduce(
  (sum, char) => sum * 31 + char.charCodeAt(0) | 0,
  7
)

const Costly = ResourceDefinition.temporal("costly", {
  params: Schema.Any,
  cost: (cost: Cost.Cost) => cost,
  acquire: () => Effect.void
})

const Table = ResourceDefinition.shared("table", { access: "readWrite", acquire: () => Effect.succeed("table") })

const Item = ResourceDefinition.temporal("item", { acquire: () => Effect.succeed("item"), release: () => Effect.void })

type Program = Effect.Effect<unknown, any, any>

/** What is asked for, from the first to the last. Whoever has one asks only for those that come after it. */
const kinds = ["pool a", "u", "table", "v", "x", "pool b", "w", "rate"] as const

/** Plays schedules one after another with the same manager, pools and frame, which each of them has to leave unused. */
const world = Effect.gen(function*() {
  const pools = {
    a: yield* ResourcePool.make(Item, { name: "a", max: 2 }),
    b: yield* ResourcePool.make(Item, { name: "b", max: 1, borrowCost: { x: 1 } })
  }
  const counts = {
    schedules: 0,
    fibers: 0,
    asked: 0,
    granted: 0,
    /** Of those who had to wait, the ones that did so for longer than a step. */
    waited: 0,
    frames: 0,
    reserves: 0,
    interrupted: 0,
    late: 0,
    alarms: 0,
    steps: 0
  }

  const play = (number: number, isOrdered: boolean) =>
    Effect.gen(function*() {
      const { below, percent } = random(seed + 7919 * number)

      const stay = (): Program => {
        const turns = below(4)
        if (percent(3)) return Effect.sleep(1 + below(3))
        return turns === 0
          ? Effect.void
          : turns === 1
          ? Effect.yieldNow
          : Effect.andThen(Effect.yieldNow, Effect.yieldNow)
      }

      /** What is done with it, and with all that comes after it. */
      const hold = (after: number, askedAt: number): Program => {
        const inside = Effect.andThen(
          Effect.sync(() => {
            counts.granted++
            if (counts.steps > askedAt) counts.waited++
          }),
          stay()
        )
        return Effect.andThen(inside, percent(75) ? next(after) : Effect.void)
      }

      const costly = (cost: Cost.Cost, after: number): Program => {
        const now = counts.steps
        const use = percent(85)
          ? ResourceManager.use(Costly, cost, () => hold(after, now))
          : inFrame(Effect.andThen(ResourceManager.allocate(Costly, cost), hold(after, now)))
        const asked = percent(15) ? Budget.wait(use, { timeout: 1 + below(5) }) : use
        return percent(10) ? Effect.suspend(() => aside(cost, asked)) : asked
      }

      /** What is asked for is put aside first. */
      const aside = ({ r: _, ...reserve }: Cost.Cost, program: Program): Program => {
        counts.reserves++
        return TimeFrame.run(program, { name: "sure", reserve })
      }

      const ask = (at: number): Program => {
        counts.asked++
        const now = counts.steps
        const amount = 1 + below(2)
        switch (kinds[at]!) {
          case "pool a":
            return ResourcePool.use(pools.a, () => hold(at + 1, now))
          case "pool b":
            return ResourcePool.use(pools.b, () => hold(at + 1, now))
          case "x":
            return costly({ x: 1 }, at + 1)
          case "u":
            // With what comes after it, in one: then what is asked next comes after that, too.
            return percent(25) ? costly({ u: amount, v: 1 }, 4) : costly({ u: amount }, at + 1)
          case "v":
            return percent(25) ? costly({ w: 1, v: amount }, 7) : costly({ v: amount }, at + 1)
          case "w":
            return percent(25) ? costly({ w: amount, r: 1 }, at + 1) : costly({ w: amount }, at + 1)
          case "rate":
            return costly({ r: 1 }, at + 1)
          case "table":
            return ResourceManager.use(Table, (table) => table[percent(50) ? "read" : "write"](() => hold(at + 1, now)))
        }
      }

      const inFrame = (program: Program): Program => {
        counts.frames++
        const wants = below(8)
        return TimeFrame.run(program, {
          name: `f${below(3)}`,
          ...(wants === 0 ? { timeout: 1 + below(6) } : wants === 1 ? { timeout: "1 minute" } : {}),
          ...(wants === 2 ? { tenant: `t${below(2)}`, weight: 1 + below(3) } : {}),
          // A limit of its own, which is nothing but a narrower one outside.
          ...(wants === 3 ? { budget: { v: 2, w: 2 } } : {})
        } as TimeFrame.Options)
      }

      /** Asks for something that comes after what it has, or lets others do so meanwhile. */
      const next = (from: number): Program => {
        const at = isOrdered ? from + below(3) : below(kinds.length)
        if (at >= kinds.length || (!isOrdered && percent(40))) return stay()
        const one = Effect.suspend(() => ask(at))
        if (percent(10)) return inFrame(one)
        if (percent(8)) return Effect.all([one, Effect.suspend(() => next(from + 1))], { concurrency: "unbounded" })
        return one
      }

      const fibers: Array<Fiber.Fiber<unknown, any>> = []
      for (let i = 2 + below(4); i > 0; i--) {
        const program = Effect.suspend(() => percent(25) ? inFrame(next(0)) : next(0))
        fibers.push(yield* Effect.forkChild(program, { startImmediately: percent(50) }))
      }
      counts.schedules++
      counts.fibers += fibers.length
      let running = fibers
      for (let step = 0; running.length > 0 && step < 400; step++) {
        counts.steps++
        if (percent(3)) running[below(running.length)]!.interruptUnsafe()
        yield* step % 6 === 5 ? TestClock.adjust(step < 200 ? 1 : 100) : Effect.yieldNow
        running = running.filter((fiber) => fiber.pollUnsafe() === undefined)
      }
      assert.isEmpty(running, `somebody hangs in schedule ${number}`)
      let alarms = 0
      for (const fiber of fibers) {
        const exit = fiber.pollUnsafe()!
        if (exit._tag === "Success") continue
        if (Cause.hasInterrupts(exit.cause)) counts.interrupted++
        for (const reason of exit.cause.reasons) {
          if (reason._tag === "Die") assert.fail(`schedule ${number}: ${Cause.pretty(exit.cause)}`)
          if (reason._tag !== "Fail") continue
          const error = reason.error as ResourceError.ResourceError
          if (error._tag !== "WouldDeadlock") counts.late++
          else if (alarms++ === 0 && isOrdered) assert.fail(`false alarm in schedule ${number}: ${error.message}`)
        }
      }
      if (alarms > 0) counts.alarms++
    })

  /** Nothing is in use, and nobody waits. */
  const isIdle = Effect.gen(function*() {
    yield* TestClock.adjust("1 second")
    yield* settle
    const { allocations, frames } = yield* ResourceManager.snapshot
    assert.deepStrictEqual(allocations.filter(({ resource }) => resource === "costly" || resource === "table"), [])
    for (const { budgets } of frames) {
      for (const { unit, used } of budgets) if (unit !== "r") assert.strictEqual(used, 0, unit)
    }
    for (const pool of [pools.a, pools.b]) {
      assert.deepInclude(yield* ResourcePool.stats(pool), { used: 0, waiting: 0 })
    }
  })

  return { counts, play, isIdle }
})

const inWorld = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  body.pipe(
    TimeFrame.run({
      name: "server",
      budget: { u: 3, v: 2, x: 2, r: Budget.rate(10, "10 millis", 2) },
      exhausted: "wait"
    }),
    managed({ budget: { w: 2 } })
  )

describe("Programs that ask for everything in one order", () => {
  it.effect(
    "are never refused for a deadlock, whatever frames, fibers, timeouts and interruptions there are",
    () =>
      Effect.gen(function*() {
        const { counts, isIdle, play } = yield* world
        for (let number = 0; number < schedules; number++) {
          yield* play(number, true)
          if (number % 500 === 499) yield* isIdle
        }
        yield* isIdle
        console.log(JSON.stringify(counts))
        assert.deepInclude(counts, { schedules, alarms: 0 })
      }).pipe(inWorld),
    600_000
  )
})

describe("Programs that ask in whatever order", () => {
  it.effect("are refused where they would deadlock, and never hang", () =>
    Effect.gen(function*() {
      const { counts, isIdle, play } = yield* world
      for (let number = 0; number < schedules / 50; number++) yield* play(number, false)
      yield* isIdle
      console.log(JSON.stringify(counts))
      assert.isAtLeast(counts.alarms, 1)
    }).pipe(inWorld), 600_000)
})

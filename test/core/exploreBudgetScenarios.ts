import { Budget, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Effect, TxRef } from "effect"
import { define, moment, noStage, toil, tries, work } from "./exploreWorld.ts"
import type { Definition, World } from "./exploreWorld.ts"

const use = (definition: Definition) => ResourceManager.use(definition, undefined, toil)
const run = (name: string) => TimeFrame.run({ name })

/** Holds one of a budget, and then wants another one. */
const nested = (definition: Definition) =>
  ResourceManager.use(definition, undefined, () => Effect.andThen(Effect.yieldNow, use(definition)))

export const budgetCases = [
  define({
    name: "frames that get more time and more of a budget while they run",
    covers: ["TimeFrame.extend"],
    idle: ["stage"],
    stage: () => TimeFrame.make({ name: "stage", budget: { units: 1 } }),
    fibers: (world, frame) => ({
      first: use(world.Thing).pipe(Budget.wait({ timeout: 40 }), run("first"), TimeFrame.provide(frame)),
      second: use(world.Pair).pipe(Budget.wait({ timeout: 40 }), run("second"), TimeFrame.provide(frame)),
      longer: Effect.gen(function*() {
        const own = yield* TimeFrame.current
        yield* use(world.Scoped)
        yield* TimeFrame.extend(own, { timeout: 30, budget: { units: 1 } })
        yield* ResourceManager.allocateAll([[world.Thing], [world.Scoped]])
        yield* moment
      }).pipe(TimeFrame.run({ name: "longer", timeout: 12, budget: { units: 1 } })),
      extending: Effect.andThen(moment, TimeFrame.extend(frame, { budget: { units: 1 } }))
    })
  }),
  define({
    name: "allocations that wait for a budget",
    covers: ["Budget.wait", "Budget.failFast", "exhausted"],
    idle: ["stage"],
    stage: () => TimeFrame.make({ name: "stage", budget: { units: 2 }, exhausted: "wait" }),
    fibers: (world, frame) => {
      const inside = TimeFrame.provide(frame)
      return {
        first: inside(Effect.andThen(tries(use(world.Thing)), use(world.Scoped))),
        pair: use(world.Pair).pipe(run("pair"), inside),
        hasty: use(world.Deaf).pipe(TimeFrame.run({ name: "hasty", timeout: 8 }), inside),
        proud: Effect.andThen(
          tries(use(world.Thing).pipe(Budget.failFast, inside)),
          use(world.Thing).pipe(Budget.wait({ timeout: 12 }), inside)
        )
      }
    }
  }),
  define({
    name: "what is refused early, or let through to find out",
    isSlow: true,
    covers: ["TimeFrame.withAdmission", "admission"],
    idle: ["stage"],
    stage: (world: World) =>
      Effect.all({
        frame: TimeFrame.make({ name: "stage", budget: { units: 2 }, exhausted: "wait" }),
        pool: world.pool({ max: 1 })
      }),
    fibers: (world, { frame, pool }) => {
      const inside = TimeFrame.provide(frame)
      const admission = { minimumSamples: 1, probeEvery: 5 }
      const twice = Effect.andThen(tries(use(world.Pair)), tries(ResourcePool.use(pool, work)))
      return {
        patient: twice.pipe(TimeFrame.run({ name: "patient", timeout: 200, admission }), inside),
        hasty: Effect.andThen(twice, twice).pipe(TimeFrame.run({ name: "hasty", timeout: 4, admission }), inside),
        asking: use(world.Call).pipe(
          TimeFrame.withAdmission(admission),
          TimeFrame.run({ name: "asking", timeout: 3 }),
          inside
        ),
        lending: ResourcePool.use(pool, () => use(world.Pair)).pipe(
          TimeFrame.withAdmission(false),
          TimeFrame.run({ name: "lending", timeout: 8, admission }),
          inside
        )
      }
    }
  }),
  define({
    name: "shares that are sure, of tenants with weights",
    covers: ["reserve", "tenant", "weight"],
    idle: ["stage"],
    stage: () => TimeFrame.make({ name: "stage", budget: { units: 3 }, exhausted: { wait: 50 } }),
    fibers: (world, frame) => {
      const inside = TimeFrame.provide(frame)
      const twice = (definition: Definition) => Effect.andThen(tries(use(definition)), use(definition))
      return {
        sure: use(world.Pair).pipe(TimeFrame.run({ name: "sure", reserve: { units: 2 } }), inside),
        light: twice(world.Thing).pipe(TimeFrame.run({ name: "light", tenant: "light" }), inside),
        heavy: twice(world.Pair).pipe(TimeFrame.run({ name: "heavy", tenant: "heavy", weight: 2 }), inside),
        hasty: use(world.Pair).pipe(TimeFrame.run({ name: "hasty", reserve: { units: 1 }, timeout: 15 }), inside)
      }
    }
  }),
  define({
    name: "limits that move in transactions, beside those who wait for them",
    covers: ["Budget.move", "Budget.standing"],
    idle: ["a", "b"],
    stage: () =>
      Effect.all({
        a: TimeFrame.make({ name: "a", budget: { units: 2 }, exhausted: "wait" }),
        b: TimeFrame.make({ name: "b", budget: { units: 2 }, exhausted: "wait" }),
        sum: TxRef.make(0)
      }),
    fibers: (world, { a, b, sum }) => {
      const move = (from: TimeFrame.TimeFrame, to: TimeFrame.TimeFrame) =>
        Effect.gen(function*() {
          const { available, waiting } = yield* Budget.standing("units", from)
          if (available === 0 || waiting > 0) return yield* Effect.txRetry
          yield* Budget.move({ unit: "units", amount: 1, from, to })
          yield* TxRef.update(sum, (moves) => moves + 1)
          return available
        })
      // The only part of a limit may have gone, and who waits for it may be told so.
      return {
        first: Effect.andThen(tries(use(world.Thing)), use(world.Pair)).pipe(TimeFrame.provide(a)),
        second: Effect.andThen(use(world.Pair), use(world.Scoped)).pipe(TimeFrame.provide(b)),
        moving: Effect.tx(Effect.andThen(move(a, b), Effect.yieldNow)).pipe(Effect.timeoutOption(30)),
        back: Effect.gen(function*() {
          yield* Effect.tx(move(b, a)).pipe(Effect.timeoutOption(30))
          const limits = yield* Effect.tx(Effect.forEach([a, b], (frame) => Budget.standing("units", frame)))
          if (limits[0]!.limit + limits[1]!.limit !== 4) world.wrong("a part of a limit is lost")
        })
      }
    }
  }),
  define({
    name: "calls at a rate",
    covers: ["Budget.rate"],
    flows: ["calls"],
    idle: ["stage"],
    stage: () =>
      TimeFrame.make({ name: "stage", budget: { calls: Budget.rate(1, 10, 2), units: 2 }, exhausted: "wait" }),
    fibers: (world, frame) => {
      const inside = TimeFrame.provide(frame)
      return {
        first: inside(Effect.andThen(tries(use(world.Call)), use(world.Call))),
        both: ResourceManager.allocateAll([[world.Call], [world.Call]]).pipe(run("both"), inside),
        hasty: use(world.Call).pipe(TimeFrame.run({ name: "hasty", timeout: 8 }), inside),
        proud: use(world.Call).pipe(Budget.failFast, inside)
      }
    }
  }),
  define({
    name: "waits for budgets inside of what is held, and for a pool beside",
    isSlow: true,
    covers: ["Budget.wait", "WouldDeadlock"],
    idle: ["stage"],
    stage: (world: World) =>
      Effect.all({
        frame: TimeFrame.make({ name: "stage", budget: { units: 2 }, exhausted: "wait" }),
        pool: world.pool({ max: 1 })
      }),
    fibers: (world, { frame, pool }) => {
      const inside = TimeFrame.provide(frame)
      return {
        first: inside(nested(world.Call)),
        second: nested(world.Call).pipe(run("second"), inside),
        // Both units take two holders.
        lending: inside(ResourcePool.use(pool, (item) => Effect.andThen(work(item), use(world.Pair)))),
        borrowing: inside(
          ResourceManager.use(world.Call, () => Effect.andThen(Effect.yieldNow, ResourcePool.use(pool, work)))
        )
      }
    }
  }),
  define({
    name: "frames of frames that wait, and end before they are served",
    covers: ["Budget.wait", "exhausted", "TimeFrame.close"],
    endsOthers: true,
    idle: ["stage", "call"],
    stage: noStage,
    fibers: (world) => ({
      outer: Effect.gen(function*() {
        const inner = yield* TimeFrame.make({ name: "inner", budget: { units: 1 } })
        // It may be released under its user, who does not use it.
        const one = Effect.andThen(ResourceManager.allocate(world.Thing), moment).pipe(TimeFrame.provide(inner))
        const close = Effect.andThen(moment, TimeFrame.close(inner))
        yield* Effect.all([tries(one), tries(one), tries(close)], { concurrency: 3 })
      }).pipe(TimeFrame.run({ name: "outer", budget: { units: 2 }, exhausted: "wait", timeout: 30 })),
      beside: Effect.all([tries(use(world.Pair)), tries(use(world.Pair))], { concurrency: 2 }).pipe(
        TimeFrame.run({ name: "beside", budget: { units: 3 }, exhausted: { wait: 6 } })
      )
    })
  })
]

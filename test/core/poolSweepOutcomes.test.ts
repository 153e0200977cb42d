import { ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { hooks, inWords, outcomes, scenarioOf, steps } from "./poolSweepWorld.ts"
import type { Operation, Vector, World } from "./poolSweepWorld.ts"

const use = ({ use }: World) => use

/** Runs something while an item is used. */
const beside = (what: (world: World) => Effect.Effect<unknown, unknown>) => (world: World) =>
  Effect.all([Effect.exit(world.use), what(world)], { concurrency: 2, discard: true })

const operations: ReadonlyArray<Operation> = [
  { name: "use", body: use },
  { name: "use of an empty pool", isCold: true, max: 1, body: use },
  {
    name: "get in a scope",
    body: ({ books, pool }) => Effect.scoped(Effect.flatMap(ResourcePool.get(pool), (item) => books.work(item)))
  },
  {
    name: "get in a frame",
    max: 1,
    body: ({ books, pool }) =>
      Effect.flatMap(ResourcePool.get(pool), (item) => books.work(item)).pipe(TimeFrame.run({ name: "frame" }))
  },
  {
    name: "allocate and give back early",
    body: ({ books, pool }) =>
      Effect.gen(function*() {
        const handle = yield* ResourceManager.allocate(pool)
        yield* books.work(handle.value)
        yield* handle.release
        yield* steps
      }).pipe(TimeFrame.run({ name: "frame" }))
  },
  { name: "use with a timeout", options: { acquireTimeout: 8 }, max: 1, body: use },
  {
    name: "invalidate inside a use",
    body: ({ books, pool }) =>
      ResourcePool.use(pool, (item) => books.work(item, Effect.andThen(ResourcePool.invalidate(pool, item), steps)))
  },
  { name: "retireAll beside a use", body: beside(({ pool }) => ResourcePool.retireAll(pool)) },
  {
    name: "resize down and up beside a use",
    body: beside(({ pool }) =>
      Effect.andThen(ResourcePool.resize(pool, { max: 1 }), steps).pipe(
        Effect.ensuring(ResourcePool.resize(pool, { max: 2 }))
      )
    )
  },
  {
    name: "suspend and resume beside a use",
    body: beside(({ pool }) =>
      Effect.andThen(ResourcePool.suspend(pool), steps).pipe(Effect.ensuring(ResourcePool.resume(pool)))
    )
  },
  { name: "drain beside a use", ends: true, body: beside(({ pool }) => ResourcePool.drain(pool)) },
  { name: "close beside a use", ends: true, body: beside(({ pool }) => ResourcePool.close(pool)) },
  {
    name: "the end of the pool's scope beside a use",
    ends: true,
    body: beside(({ scope }) => Scope.close(scope, Exit.void))
  },
  { name: "use of a keyed pool", isKeyed: true, body: use }
]

/** Operations that are wrong on purpose, and what is found then. */
const broken: ReadonlyArray<Operation & { readonly finds: RegExp }> = [
  {
    name: "takes an item in one step, and sees to its return in the next",
    finds: /nobody is there, but .*"used":1/,
    body: ({ books, pool }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const item = yield* Scope.provide(ResourcePool.get(pool), scope)
        yield* Effect.onExit(books.work(item), (exit) => Scope.close(scope, exit))
      })
  },
  {
    name: "uses an item after it has given it back",
    finds: /is used by two|is lent after it was closed|is closed while it is used/,
    body: ({ books, pool }) => Effect.flatMap(Effect.scoped(ResourcePool.get(pool)), (item) => books.work(item))
  },
  {
    name: "suspends in one step, and resumes in a later one",
    finds: /0 of 2 are there to be borrowed/,
    body: ({ pool }) => Effect.andThen(ResourcePool.suspend(pool), Effect.andThen(steps, ResourcePool.resume(pool)))
  },
  {
    name: "sets a smaller size in one step, and the old one in a later one",
    finds: /1 of 2 are there to be borrowed/,
    body: ({ pool }) =>
      Effect.andThen(
        ResourcePool.resize(pool, { max: 1 }),
        Effect.andThen(steps, ResourcePool.resize(pool, { max: 2 }))
      )
  },
  {
    name: "makes an item in one step, and sees to its end in a later one",
    finds: /are open, but the pool has|was closed 0 times/,
    body: ({ books }) => Effect.flatMap(books.acquire, (item) => Effect.andThen(steps, books.release(item)))
  },
  {
    name: "closes an item that belongs to the pool",
    finds: /is closed twice|is lent after it was closed/,
    body: ({ books, pool }) => ResourcePool.use(pool, (item) => Effect.asVoid(Effect.exit(books.release(item))))
  }
]

const limits = {
  creation: "createTimeout",
  validation: "validateTimeout",
  reset: "resetTimeout",
  release: "releaseTimeout"
}
const allWell: Vector = { creation: "ok", validation: "ok", reset: "ok", release: "ok" }

/** How many rounds of 25 vectors: all 625 are 25 rounds, `SWEEP=full`. A fifth of them is `SWEEP=5`. */
const rounds = process.env["SWEEP"] === "full" ? 25 : Number(process.env["SWEEP"] ?? 1)
const paces = [5, 6, 7, 9, 11]
const numbers = outcomes.map((_, index) => index)

interface Case {
  readonly vector: Vector
  readonly pace: number
}

/**
 * 25 vectors that have each pair of outcomes, and each outcome with each pace: five is a prime, so any two of a, b, a + b,
 * a + 2b and a + 3b tell the others. No two rounds have a vector in common.
 */
const casesOf = (round: number): ReadonlyArray<Case> =>
  numbers.flatMap((a) =>
    numbers.map((b) => ({
      vector: {
        creation: outcomes[a]!,
        validation: outcomes[b]!,
        reset: outcomes[(a + b + round) % 5]!,
        release: outcomes[(a + 2 * b + Math.floor(round / 5)) % 5]!
      },
      pace: paces[(a + 3 * b) % 5]!
    }))
  )

/** Each operation begins with another round. */
const casesFor = (index: number) => Array.from({ length: rounds }, (_, round) => casesOf((index + round) % 25)).flat()

/** One round sees to the turns of all fibers, and to the operations of the one that is interrupted; more see to all. */
const sweep = (operation: Operation, { pace, vector }: Case, bitten = new Set<string>()) =>
  Sweep.run(scenarioOf(operation, vector, { fibers: rounds > 1 ? "all" : "main", bitten }), {
    modes: ["interrupt", "turn"],
    paces: [pace],
    maxFailures: 3
  })

describe("Interrupted at any turn, whatever comes of creation, validation, reset and release, a pool loses nothing:", () => {
  for (const [index, operation] of operations.entries()) {
    it.effect(operation.name, () =>
      Effect.gen(function*() {
        const troubles: Array<string> = []
        const bitten = new Set<string>()
        let runs = 0
        for (const each of casesFor(index)) {
          const report = yield* sweep(operation, each, bitten)
          runs += report.runs
          if (report.failures.length > 0) troubles.push(new Sweep.SweepFailure({ report }).message)
        }
        assert.strictEqual(troubles.join("\n"), "")
        assert.isAbove(runs, rounds * 25 * 20)
        // Whatever was in the scripts has happened.
        const scripted = hooks.flatMap((hook) => outcomes.slice(1).map((outcome) => `${hook} ${outcome}`))
        assert.deepStrictEqual(scripted.filter((each) => !bitten.has(each)), [])
      }), rounds * 60_000)
  }
})

describe("The sweep of outcomes", () => {
  for (const operation of broken) {
    it.effect(`finds an operation that ${operation.name}`, () =>
      Effect.gen(function*() {
        const findings: Array<string> = []
        for (const each of casesOf(0).filter(({ vector }) => vector.creation === "ok")) {
          const { failures } = yield* sweep(operation, each)
          findings.push(...failures.flatMap((failure) => failure.findings))
        }
        assert.match(findings.join("\n"), operation.finds)
      }))
  }

  for (const [hook, option] of Object.entries(limits)) {
    it.effect(`finds a pool that lets a ${hook} go on for ever`, () =>
      Effect.gen(function*() {
        const operation = { name: "use", max: 1, options: { [option]: Infinity }, body: use }
        const report = yield* sweep(operation, { vector: { ...allWell, [hook]: "never" }, pace: 5 })
        const findings = report.failures.flatMap((failure) => failure.findings).join("\n")
        assert.match(findings, /stuck|a rival hangs|nobody is there, but|0 of 1 are there to be borrowed/)
      }))
  }

  it("has each pair of outcomes in each round, and each vector in some", () => {
    const all = new Set<string>()
    for (let round = 0; round < 25; round++) {
      const cases = casesOf(round)
      for (const { vector } of cases) all.add(inWords(vector))
      for (const one of hooks) {
        for (const other of hooks) {
          const pairs = new Set(cases.map(({ vector }) => `${vector[one]} ${vector[other]}`))
          assert.strictEqual(pairs.size, one === other ? 5 : 25, `${one} and ${other}`)
        }
      }
    }
    assert.strictEqual(all.size, 625)
  })
})

import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { assertSane, makeStock, working } from "./poolFixtures.ts"

const outcomes = ["ok", "fails", "dies", "slow", "never"] as const
type Outcome = (typeof outcomes)[number]

const hook = (outcome: Outcome): Effect.Effect<void, string> =>
  outcome === "ok"
    ? Effect.void
    : outcome === "fails"
    ? Effect.fail("no")
    : outcome === "dies"
    ? Effect.die("no")
    : outcome === "slow"
    ? Effect.sleep(7)
    : Effect.never

/** Four borrowers of two items that go idle, wear out and are invalidated, whatever making and keeping them comes to. */
const run = (create: Outcome, validate: Outcome, reset: Outcome, release: Outcome) =>
  Effect.gen(function*() {
    const trouble: Array<string> = []
    const stock = makeStock({
      create: () => hook(create),
      release: () => Effect.orDie(hook(release))
    })
    const pool = yield* ResourcePool.make(stock.Thing, {
      max: 2,
      acquireTimeout: 50,
      createTimeout: 20,
      validateTimeout: 20,
      resetTimeout: 20,
      releaseTimeout: 20,
      closeTimeout: 100,
      validateAfter: 3,
      maxUses: 3,
      idleTimeToLive: 200,
      creationBackoff: { base: 5, max: 20 },
      validate: () => hook(validate),
      reset: () => hook(reset)
    })
    const borrower = (index: number) =>
      Effect.forEach(Array.from({ length: 6 }, (_, round) => round), (round) =>
        Effect.gen(function*() {
          yield* Effect.exit(ResourcePool.use(
            pool,
            working(
              stock,
              (item) =>
                Effect.andThen(Effect.sleep(index), round === 3 ? ResourcePool.invalidate(pool, item) : Effect.void)
            )
          ))
          yield* Effect.sleep(round * index)
        }), { discard: true })
    const fibers = yield* Effect.forEach([1, 2, 3, 4], (index) => start(borrower(index)))
    for (let step = 0; step < 40; step++) {
      yield* TestClock.adjust(11)
      assertSane(yield* ResourcePool.stats(pool))
      if (step === 5) fibers[3]!.interruptUnsafe()
    }
    for (const [index, fiber] of fibers.entries()) {
      if (fiber.pollUnsafe() === undefined) trouble.push(`borrower ${index} hangs`)
    }
    const { counts } = yield* ResourcePool.stats(pool)
    if (counts.borrowed !== counts.returned) trouble.push(`${counts.borrowed} borrowed, ${counts.returned} returned`)
    if (create === "ok" && counts.borrowed === 0) trouble.push("nothing was lent")
    const end = yield* start(ResourcePool.close(pool))
    for (let step = 0; step < 10; step++) yield* TestClock.adjust(30)
    yield* settle
    if (end.pollUnsafe() === undefined) trouble.push("the end hangs")
    const { creating, idle, total, used, waiting } = yield* ResourcePool.stats(pool)
    if (total + idle + used + creating + waiting !== 0) trouble.push("something is left")
    if (stock.state.mostOpen > 2 && (release === "ok" || release === "slow")) trouble.push("too many at once")
    if ((release === "ok" || release === "slow") && stock.open().length > 0) trouble.push("an item is open")
    yield* Fiber.interruptAll(fibers)
    return [...trouble, ...stock.wrong]
  })

// As deadpool tests itself.
describe("A pool keeps its books", () => {
  for (const create of outcomes) {
    for (const validate of outcomes) {
      it.effect(`when creation is ${create} and validation is ${validate}, whatever reset and release do`, () =>
        Effect.gen(function*() {
          const troubles: Array<string> = []
          for (const reset of outcomes) {
            for (const release of outcomes) {
              const found = yield* run(create, validate, reset, release)
              if (found.length > 0) troubles.push(`reset ${reset}, release ${release}: ${found.join("; ")}`)
            }
          }
          assert.deepStrictEqual(troubles, [])
        }))
    }
  }
})

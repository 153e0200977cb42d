import { Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Effect, Exit, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { failureOf, managed, settle, start } from "./fixtures.ts"
import { Mismatch } from "./modelDriver.ts"

const runs = 1000

/** The same shapes each time, so that a change is judged by itself; others with MODEL_SEED in the environment. */
const seed = process.env["MODEL_SEED"] ?? "exhaustions"

/** As many holders are listed; the others are counted. */
const listed = 100

const units = ["u", "v", "w"] as const
const names = ["block", "call", "socket"]

const definitions = names.map((name) =>
  ResourceDefinition.temporal(name, {
    params: Schema.Record(Schema.String, Schema.Number),
    cost: (cost): Cost.Cost => cost,
    acquire: (cost) => Effect.succeed(cost)
  })
)

const upTo = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

/** A frame goes into one of those before it; a holder into one of the frames. */
const Shape = Arbitrary.all({
  frames: Arbitrary.array(Arbitrary.all({ inside: upTo(15), limits: upTo(7) }), { minLength: 1, maxLength: 6 }),
  holders: Arbitrary.array(Arbitrary.all({ frame: upTo(15), amounts: upTo(63), name: upTo(2), pause: upTo(3) }), {
    minLength: 0,
    maxLength: 40
  }),
  /** One in eight has five times as many holders. */
  crowd: upTo(7),
  released: upTo(3),
  slack: upTo(3),
  asker: upTo(15),
  patience: upTo(2)
})
type Shape = typeof Shape extends Arbitrary.Arbitrary<infer T> ? T : never

/** What the books say of one that holds something. */
interface Entry {
  readonly resource: string
  readonly frame: string
  readonly cost: Cost.Cost
  readonly since: number
}

interface Node {
  readonly path: string
  readonly parent: Node | undefined
  readonly limits: ReadonlyArray<string>
  readonly frame: TimeFrame.TimeFrame | undefined
}

const isInside = (path: string, outer: string): boolean =>
  outer === "" || path === outer || path.startsWith(`${outer}/`)

const amountsOf = (bits: number): Cost.Cost => {
  const cost: Record<string, number> = {}
  units.forEach((unit, at) => {
    const amount = (bits >> (2 * at)) & 3
    if (amount > 0) cost[unit] = amount
  })
  return cost
}

/** All holders of the unit in that frame as the books say, the largest first, then the oldest. */
const holdersIn = (entries: ReadonlyArray<Entry>, frame: string, unit: string): ReadonlyArray<Entry> =>
  entries.filter((entry) => isInside(entry.frame, frame) && (entry.cost[unit] ?? 0) > 0)
    .sort((one, other) => other.cost[unit]! - one.cost[unit]! || one.since - other.since)

const rank = (holders: ReadonlyArray<Entry>, unit: string) =>
  holders.slice(0, listed).map(({ cost, since }) => [cost[unit]!, since])

const compare = (error: ResourceError.BudgetExceeded, entries: ReadonlyArray<Entry>): Array<string> => {
  const { frame, holders, omitted = 0, unit, used } = error
  const expected = holdersIn(entries, frame, unit)
  const wrong: Array<string> = []
  const say = (what: string, found: unknown, wanted: unknown) => {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
      wrong.push(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`)
    }
  }
  say("omitted", omitted, Math.max(0, expected.length - listed))
  say("used", used, expected.reduce((sum, { cost }) => sum + cost[unit]!, 0))
  say("amounts", holders.map(({ amount, since }) => [amount, since]), rank(expected, unit))
  // Those of the same size and age may come in any order.
  const rows = expected.map(({ cost, frame, resource, since }) => `${resource} ${frame} ${cost[unit]!} ${since}`)
  for (const { amount, frame, resource, since } of holders) {
    const at = rows.indexOf(`${resource} ${frame} ${amount} ${since}`)
    if (at === -1) wrong.push(`${resource} of "${frame}" does not hold ${amount}`)
    else rows.splice(at, 1)
  }
  say("listed twice", new Set(holders.map(({ allocation }) => allocation)).size, holders.length)
  say("states", holders.filter(({ state }) => state !== "live").length, 0)
  return wrong
}

/** Opens the frames, fills the budgets to the brim, and asks for more than is left of one of them. */
const exhaust = (shape: Shape, counts: { refused: number; waited: number; omitted: number }) =>
  Effect.gen(function*() {
    const entries: Array<Entry> = []
    const root: Node = { path: "", parent: undefined, limits: ["u"], frame: undefined }
    const nodes: Array<Node> = [root]
    const scope = yield* Scope.Scope
    // Limits are what is in use when the holders have come, and a little more.
    const planned = shape.frames.map((frame, at) => ({ ...frame, at }))
    const total = shape.holders.length * (shape.crowd === 0 ? 5 : 1)
    const brim = total * 3 + 3
    for (const { at, inside, limits } of planned) {
      const parent = nodes[inside % nodes.length]!
      const limited = units.filter((_, unit) => (limits >> unit) & 1)
      const budget = Object.fromEntries(limited.map((unit) => [unit, brim]))
      const made = Scope.provide(TimeFrame.make({ name: `f${at}`, budget }), scope)
      const frame = yield* parent.frame === undefined ? made : Effect.flatMap(TimeFrame.TimeFrame, () => made).pipe(
        TimeFrame.provide(parent.frame)
      )
      nodes.push({ path: frame.path, parent, limits: limited, frame })
    }
    const frames = nodes.slice(1)
    const handles: Array<{ readonly release: Effect.Effect<void> }> = []
    for (let round = 0; round < (shape.crowd === 0 ? 5 : 1); round++) {
      for (const { amounts, frame, name, pause } of shape.holders) {
        const { frame: home, path } = frames[frame % frames.length]!
        const cost = amountsOf(amounts)
        handles.push(yield* TimeFrame.provide(ResourceManager.allocate(definitions[name]!, cost), home!))
        entries.push({ resource: names[name]!, frame: path, cost, since: yield* Clock.currentTimeMillis })
        if (pause === 0) yield* TestClock.adjust("1 millis")
      }
    }
    // Some have given theirs back: they hold nothing any more.
    for (let at = shape.released; at > 0 && handles.length > 0; at--) {
      const which = (at * 7) % handles.length
      yield* handles.splice(which, 1)[0]!.release
      entries.splice(which, 1)
    }
    const asker = frames[shape.asker % frames.length]!
    const limiting = [asker]
    while (limiting.at(-1)!.parent !== undefined) limiting.push(limiting.at(-1)!.parent!)
    const wrong: Array<string> = []
    for (const unit of units) {
      const owner = limiting.find(({ limits }) => limits.includes(unit))
      if (owner === undefined || owner === root) continue
      const used = holdersIn(entries, owner.path, unit).reduce((sum, { cost }) => sum + cost[unit]!, 0)
      const left = brim - used
      const requested = Math.min(brim, left + 1 + shape.slack)
      if (requested <= left) continue
      const ask = ResourceManager.allocate(definitions[0]!, { [unit]: requested })
      const patience = [0, 50, 120][shape.patience]!
      const fiber = yield* start(
        Effect.exit(TimeFrame.provide(patience === 0 ? ask : Budget.wait(ask, { timeout: patience }), asker.frame!))
      )
      yield* settle
      if (patience > 0) {
        if (fiber.pollUnsafe() !== undefined) wrong.push("it has not waited")
        yield* TestClock.adjust(patience)
        yield* settle
      }
      const ended = fiber.pollUnsafe()
      const error = ended === undefined || Exit.isFailure(ended)
        ? undefined
        : failureOf(ended.value) as ResourceError.BudgetExceeded | undefined
      if (error?._tag !== "BudgetExceeded") {
        wrong.push(`${requested} ${unit} in "${asker.path}", of which ${left} are left: ${String(ended)}`)
        continue
      }
      const { frame, limit, requestedBy, waited = 0 } = error
      if (frame !== owner.path || requestedBy !== asker.path) wrong.push(`"${frame}" refuses "${requestedBy}"`)
      if (limit !== brim || error.requested !== requested || error.unit !== unit) wrong.push(error.message)
      if (waited !== patience || error.waiting !== undefined) {
        wrong.push(`waited ${waited} ms, ${error.waiting} in line`)
      }
      wrong.push(...compare(error, entries))
      counts.refused++
      if (patience > 0) counts.waited++
      if (error.omitted !== undefined) counts.omitted++
    }
    return wrong
  }).pipe(Effect.scoped, managed())

describe("A budget that is exhausted, whatever the frames, units and holders", () => {
  it.effect("says who has it, all of them, the largest first, in its error", () =>
    Effect.gen(function*() {
      const counts = { refused: 0, waited: 0, omitted: 0 }
      const property = (shape: Shape) =>
        Effect.gen(function*() {
          const wrong = yield* exhaust(shape, counts)
          return wrong.length === 0 || (yield* new Mismatch({ message: wrong.slice(0, 3).join("; ") }))
        })
      const result = yield* Arbitrary.checkEffect(Shape, property, { runs, size: 400, concurrency: 1, seed })
      const failure = Arbitrary.formatCheckFailure(result)
      console.log(JSON.stringify(counts))
      assert.isUndefined(failure, failure)
      assert.isAbove(counts.refused, runs)
      assert.isAbove(counts.waited, 100)
      assert.isAbove(counts.omitted, 0)
    }), 120_000)
})

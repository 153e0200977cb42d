import type { ResourceError } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { leftovers, makeThings, party, sequences, server } from "./deadlockWorld.ts"
import type { Kind } from "./deadlockWorld.ts"
import { failureOf, managed, settle, start } from "./fixtures.ts"

const deadlockOf = (fiber: Fiber.Fiber<unknown, unknown>, what: string): ResourceError.WouldDeadlock => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, `${what}: it hangs`)
  const failure = failureOf(exit) as ResourceError.WouldDeadlock
  assert.strictEqual(failure?._tag, "WouldDeadlock", `${what}: ${String(exit)}`)
  return failure
}

const assertDone = (fiber: Fiber.Fiber<unknown, unknown>, what: string) => {
  const exit = fiber.pollUnsafe()
  assert.isTrue(exit !== undefined && Exit.isSuccess(exit), `${what}: ${exit === undefined ? "hangs" : String(exit)}`)
}

/** Each party has one thing, and those who come in between wait in their lines. */
const seat = (sequence: ReadonlyArray<Kind>, wants: (index: number, count: number) => number | undefined) =>
  Effect.gen(function*() {
    const things = yield* makeThings(sequence)
    const parties: Array<Effect.Success<ReturnType<typeof party>>> = []
    for (const [index, thing] of things.entries()) {
      const wanted = wants(index, things.length)
      parties.push(yield* party(`p${index}`, thing, wanted === undefined ? Effect.void : things[wanted]!.ask))
    }
    const between: Array<Fiber.Fiber<unknown, unknown>> = []
    for (const thing of things) if (thing.between !== undefined) between.push(yield* start(thing.between))
    yield* settle
    return { things, parties, between }
  })

/** Everybody wants what the next one has; the last one, what the first one has. */
const cycle = (sequence: ReadonlyArray<Kind>) =>
  Effect.gen(function*() {
    const what = sequence.join(", ")
    const { between, parties, things } = yield* seat(sequence, (index, count) => (index + 1) % count)
    const last = parties.at(-1)!
    for (const one of parties) {
      if (one === last) continue
      yield* one.goOn
      assert.isUndefined(one.fiber.pollUnsafe(), `${what}: ${String(one.fiber.pollUnsafe())}`)
    }
    yield* last.goOn
    const error = deadlockOf(last.fiber, what)
    const asker = `server/p${parties.length - 1}`
    assert.strictEqual(error.requestedBy, asker, what)
    assert.strictEqual(error.pool, things[0]!.name, what)
    assert.strictEqual(error.turn, things[0]!.turn, what)
    assert.strictEqual(error.cycle.at(-1)!.frame, asker, what)
    const frames = parties.map((_, index) => `server/p${index}`)
    assert.sameMembers(error.cycle.map(({ frame }) => frame).filter((frame) => frames.includes(frame)), frames, what)
    for (const { frame, turn, waitsFor } of error.cycle) {
      const index = frames.indexOf(frame)
      if (index === -1) assert.strictEqual(frame, "server/between", what)
      const wanted = things[(index + 1) % things.length]!
      if (index !== -1) assert.deepStrictEqual({ turn, waitsFor }, { turn: wanted.turn, waitsFor: wanted.name }, what)
      assert.include(error.message, `${frame} `, what)
    }
    assert.isAtLeast(error.holders.length, 1, what)
    yield* settle
    for (const [index, { fiber }] of parties.slice(0, -1).entries()) assertDone(fiber, `${what}: p${index}`)
    for (const fiber of between) assertDone(fiber, `${what}: in between`)
    assert.deepStrictEqual(yield* leftovers(things), [], what)
  }).pipe(server, managed())

/** Each but the last one wants what the next one has. */
const chain = (sequence: ReadonlyArray<Kind>) =>
  Effect.gen(function*() {
    const what = sequence.join(", ")
    const { between, parties, things } = yield* seat(
      sequence,
      (index, count) => index + 1 < count ? index + 1 : undefined
    )
    for (const { fiber, goOn } of parties) {
      assert.isUndefined(fiber.pollUnsafe(), what)
      yield* goOn
    }
    yield* settle
    for (const [index, { fiber }] of parties.entries()) assertDone(fiber, `${what}: p${index}`)
    for (const fiber of between) assertDone(fiber, `${what}: in between`)
    assert.deepStrictEqual(yield* leftovers(things), [], what)
  }).pipe(server, managed())

/** All ask in the same order, so that the last one waits for what the first one has while it has nothing. */
const ordered = (sequence: ReadonlyArray<Kind>) =>
  Effect.gen(function*() {
    const what = sequence.join(", ")
    const things = yield* makeThings(sequence)
    const parties: Array<Effect.Success<ReturnType<typeof party>>> = []
    for (const [index, thing] of things.slice(0, -1).entries()) {
      parties.push(yield* party(`p${index}`, thing, things[index + 1]!.ask))
    }
    const [first, last] = [things[0]!, things.at(-1)!]
    const between: Array<Fiber.Fiber<unknown, unknown>> = []
    if (first.between !== undefined) between.push(yield* start(first.between))
    parties.push(
      yield* party(`p${things.length - 1}`, { ...first, hold: (body) => Effect.andThen(first.ask, body) }, last.ask)
    )
    for (const { goOn } of parties.toReversed()) yield* goOn
    yield* settle
    for (const [index, { fiber }] of parties.entries()) assertDone(fiber, `${what}: p${index}`)
    for (const fiber of between) assertDone(fiber, `${what}: in between`)
    assert.deepStrictEqual(yield* leftovers(things), [], what)
  }).pipe(server, managed())

const lengths = [["one party", 1], ["two parties", 2], ["three parties", 3]] as const

describe("Over pools, budgets and turns to read and to write,", () => {
  for (const [parties, length] of lengths) {
    it.effect(`every cycle of ${parties} is refused at once, by name, and the others go on`, () =>
      Effect.forEach(sequences(length), cycle, { discard: true }))

    it.effect(`no chain of ${parties} is refused`, () => Effect.forEach(sequences(length), chain, { discard: true }))
  }

  for (const [parties, length] of lengths.slice(1)) {
    it.effect(`${parties} who ask in the same order are not refused`, () =>
      Effect.forEach(sequences(length), ordered, { discard: true }))
  }
})

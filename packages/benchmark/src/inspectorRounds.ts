/**
 * What it costs to be looked at, by the levels of the leak detector. Run by `inspector.ts` in processes of its own; prints
 * what it measured as JSON.
 */
import { CallSite, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Effect, Schema, Stream } from "effect"
import type { Scope } from "effect"
import { contest } from "./harness.ts"
import type { Contest, Measured, Peer } from "./harness.ts"
import { inFrames, layer } from "./kernel.ts"
import { ours } from "./poolSides.ts"
import type { Item } from "./poolSides.ts"

type Manager = ResourceManager.ResourceManager
type Level = Effect.Effect<unknown, never, Manager | Scope.Scope>

const every = 128

const live = 100

/** One in a round, which takes about a tenth of a second: as much work as once a second with ten times as many live. */
const poll = ResourceManager.snapshot

const looked = (options: { readonly every: number }): Level =>
  Effect.all([CallSite.sample(options), ResourceManager.trackHandles(options)])

const listen = Effect.forkScoped(Stream.runDrain(ResourceManager.events), { startImmediately: true })

/** What is switched on for a round. */
const levels: ReadonlyArray<{ readonly name: string; readonly bar: number | undefined; readonly level: Level }> = [
  { name: "off", bar: 1.02, level: Effect.scoped(looked({ every: 1 })) },
  { name: "presence", bar: 1.05, level: poll },
  { name: `sampled 1/${every}`, bar: 1.1, level: Effect.andThen(looked({ every }), poll) },
  { name: "full", bar: undefined, level: Effect.all([listen, looked({ every: 1 }), poll]) }
]

const Buffer = ResourceDefinition.temporal("buffer", {
  params: Schema.Int.check(Schema.isGreaterThan(0)),
  cost: (bytes) => ({ memory: bytes, connections: 1 }),
  acquire: (bytes) => Effect.succeed({ bytes }),
  release: () => Effect.void
})

const look = (item: Item) => Effect.sync(() => item.id)

const loop = <E, R>(one: () => Effect.Effect<unknown, E, R>) => (operations: number) =>
  Effect.orDie(Effect.gen(function*() {
    for (let i = 0; i < operations; i++) yield* one()
  }))

/** What costs much is apart from the others, and comes after them. */
const rounds = <E>(
  title: string,
  operations: number,
  one: () => Effect.Effect<unknown, E, Manager | TimeFrame.TimeFrame>
): { readonly held: Contest; readonly shown: Contest } => {
  const work = loop(one)
  const side = (level: Level) => (operations: number) =>
    Effect.scoped(Effect.andThen(level, work(operations))) as Effect.Effect<unknown>
  const ours = { name: "nobody looks", program: side(Effect.void) }
  const theirs = levels.map(({ bar, level, name }): Peer => ({ name, bar, program: side(level) }))
  const held = theirs.filter(({ bar }) => bar !== undefined)
  const shown = theirs.filter(({ bar }) => bar === undefined)
  return {
    held: { title, ours, theirs: held, operations, rounds: 41, warmUp: 3, collects: true },
    shown: { title, ours, theirs: shown, operations: operations / 5, rounds: 11, warmUp: 2, collects: true }
  }
}

/** All of them against the one that nobody looks at. */
const turned = (rows: ReadonlyArray<Measured>): ReadonlyArray<Measured> =>
  rows.map(({ added, against, bar, ours, ratio, theirs, title }) => ({
    title: `${title}: ${against}`,
    ours: theirs,
    theirs: ours,
    ratio: 1 / ratio,
    added: -added,
    bar,
    against: "nobody looks"
  }))

const program = Effect.gen(function*() {
  const pool = yield* ours(60_000)
  for (let i = 0; i < live; i++) yield* ResourceManager.allocate(Buffer, 64)
  const all = [
    rounds("ResourcePool.use", 150_000, () => ResourcePool.use(pool, look)),
    rounds(
      "allocate + release",
      75_000,
      () => Effect.flatMap(ResourceManager.allocate(Buffer, 64), (one) => one.release)
    )
  ]
  return yield* TimeFrame.run(
    Effect.gen(function*() {
      const run = Effect.runPromiseWith(yield* Effect.context<Manager | TimeFrame.TimeFrame>())
      const rows: Array<Measured> = []
      for (const one of [...all.map(({ held }) => held), ...all.map(({ shown }) => shown)]) {
        rows.push(...turned(yield* Effect.promise(() => contest(run, one))))
      }
      return rows
    }),
    { name: "query" }
  )
})

console.log(JSON.stringify(await Effect.runPromise(program.pipe(inFrames, Effect.orDie, Effect.provide(layer)))))
process.exit(0)

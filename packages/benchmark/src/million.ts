/**
 * A million live allocations: what each takes in memory over its bare value, and whether the next one costs more.
 */
import { ResourceDefinition, ResourceManager } from "@chronovyan/core"
import { Effect } from "effect"
import { median } from "./harness.ts"
import { inFrames, layer } from "./kernel.ts"

const Value = ResourceDefinition.temporal("value", {
  acquire: () => Effect.sync(() => ({ live: true })),
  release: () => Effect.void
})

export interface Million {
  readonly bytesEach: number
  /** allocate + release with a million live, against the same with a thousand live. */
  readonly slowdown: number
}

const heap = () => {
  globalThis.gc!()
  globalThis.gc!()
  return process.memoryUsage().heapUsed
}

const fill = (count: number) =>
  Effect.gen(function*() {
    for (let i = 0; i < count; i++) yield* ResourceManager.allocate(Value)
  })

const pairs = 100_000

/**
 * CPU nanoseconds of one allocate + release, on this thread alone: the collector's own threads still sweep up after the
 * collection that makes all rounds start alike.
 */
const pair = Effect.gen(function*() {
  globalThis.gc!()
  const before = process.threadCpuUsage()
  for (let i = 0; i < pairs; i++) {
    const one = yield* ResourceManager.allocate(Value)
    yield* one.release
  }
  const { system, user } = process.threadCpuUsage(before)
  return (user + system) * 1000 / pairs
})

const count = 1_000_000

/** The bytes of the bare values, to be subtracted. */
const bare = (): number => {
  const values = new Array<unknown>(count)
  const before = heap()
  for (let i = 0; i < count; i++) values[i] = { live: true }
  const bytes = heap() - before
  values.length = 0
  return bytes / count
}

/** Interleaved, since the first measurements of a process are slower than the later ones. */
export const million: Effect.Effect<Million> = Effect.gen(function*() {
  const value = bare()
  const few: Array<number> = []
  const many: Array<number> = []
  const bytes: Array<number> = []
  for (let round = 0; round < 5; round++) {
    yield* Effect.gen(function*() {
      yield* fill(1_000)
      yield* pair
      few.push(yield* pair)
    }).pipe(inFrames, Effect.provide(layer))
    yield* Effect.gen(function*() {
      const before = heap()
      yield* fill(count)
      bytes.push((heap() - before) / count - value)
      yield* pair
      many.push(yield* pair)
    }).pipe(inFrames, Effect.provide(layer))
  }
  return { bytesEach: median(bytes), slowdown: median(many) / median(few) }
}).pipe(Effect.orDie)

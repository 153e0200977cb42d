/**
 * One file, in a frame of its own: whatever happens to it, what it took is given back, and the others go on.
 */
import { ResourceManager, TimeFrame } from "@chronovyan/core"
import { FileHandle, TemporalBuffer } from "@chronovyan/node"
import { Clock, type Duration, Effect, Schema } from "effect"
import type { FileHandle as Handle } from "node:fs/promises"
import type { Digest } from "./digest.ts"
import * as display from "./display.ts"
import type { Hashers } from "./hashers.ts"
import * as Name from "./name.ts"
import * as Plan from "./plan.ts"
import type { Progress } from "./progress.ts"

export interface Options {
  readonly root: Name.Name
  readonly plan: Plan.Plan
  readonly hashers: Hashers
  readonly progress: Progress
  readonly timeout: Duration.Duration
}

export interface Indexed extends Digest {
  readonly path: Name.Name
  readonly size: number
  readonly millis: number
}

class ReadError extends Schema.TaggedError<ReadError>()("ReadError", { cause: Schema.Defect() }) {
  override get message(): string {
    return display.reasonOf(this.cause)
  }
}

class Changed extends Schema.TaggedError<Changed>()("Changed", {}) {
  override get message(): string {
    return "it changed while it was read"
  }
}

const tryRead = <A>(evaluate: () => Promise<A>) =>
  Effect.tryPromise({ try: evaluate, catch: (cause) => new ReadError({ cause }) })

/** The deadline of a file holds from its opening to the answer of the worker. */
export const indexFile = (path: Name.Name, options: Options) =>
  read(path, options).pipe(TimeFrame.run({ name: Name.toText(path), timeout: options.timeout }))

const read = Effect.fnUntraced(function*(path: Name.Name, { hashers, plan, progress, root }: Options) {
  const startedAt = yield* Clock.currentTimeMillis
  const file = yield* ResourceManager.allocate(FileHandle, { path: Name.join(root, path), regularOnly: true }).pipe(
    Plan.whenThereIsRoom
  )
  const before = yield* tryRead(() => file.value.stat({ bigint: true }))
  const size = Number(before.size)
  const hasher = yield* hashers.open

  let chunk = (yield* ResourceManager.allocate(TemporalBuffer, Plan.chunkBytes(plan, size))).value
  let length = yield* fill(file.value, chunk, size)
  let words = looksLikeText(chunk.subarray(0, length))
    ? (yield* ResourceManager.allocate(TemporalBuffer, Plan.tableBytes(plan, size))).value
    : undefined

  let position = length
  while (length === chunk.length && position <= size) {
    progress.bytes += length
    chunk = yield* hasher.read({ chunk, length, words })
    words = undefined
    length = yield* fill(file.value, chunk, size - position)
    position += length
  }
  const digest = yield* hasher.end({ chunk, length, words })
  progress.bytes += length

  const after = yield* tryRead(() => file.value.stat({ bigint: true }))
  if (position !== size || after.size !== before.size || after.mtimeNs !== before.mtimeNs) return yield* new Changed()
  const millis = (yield* Clock.currentTimeMillis) - startedAt
  return { ...digest, path, size, millis } satisfies Indexed
})

/** Reads until the chunk is full or the file ends: where it is expected to, or before. */
const fill = Effect.fnUntraced(function*(file: Handle, chunk: Buffer<ArrayBuffer>, expected: number) {
  let length = 0
  while (length < chunk.length) {
    const { bytesRead } = yield* tryRead(() => file.read(chunk, length, chunk.length - length, null))
    length += bytesRead
    if (bytesRead === 0 || length === expected) break
  }
  return length
})

/** As git and grep decide it: there is no NUL byte in the first part. The worker finds out whether it is UTF-8. */
const looksLikeText = (start: Uint8Array): boolean => !start.subarray(0, 8 * 1024).includes(0)

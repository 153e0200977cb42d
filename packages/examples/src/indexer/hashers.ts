/**
 * The workers, and which of them reads which file.
 *
 * All chunks of a file go to the same worker, one after another. The memory of a chunk is not copied but moved: to the
 * worker, and back with its answer. So it is there once, and paid for by the file that allocated it.
 */
import { ResourceManager } from "@chronovyan/core"
import { Worker, type WorkerThread } from "@chronovyan/node"
import { Effect } from "effect"
import type { Digest } from "./digest.ts"
import type { Message } from "./worker.ts"

interface Member {
  readonly thread: WorkerThread
  /** How many files it is at. */
  files: number
}

export type Hashers = Effect.Success<ReturnType<typeof start>>

/** Starts workers; they belong to the frame that this runs in. */
export const start = Effect.fnUntraced(function*(count: number) {
  const url = new URL("./worker.ts", import.meta.url)
  const workers = yield* Effect.all(
    Array.from({ length: count }, () => ResourceManager.allocate(Worker, { url })),
    { concurrency: "unbounded" }
  )
  const members = workers.map((worker): Member => ({ thread: worker.value, files: 0 }))
  let files = 0
  const leastBusy = () => members.reduce((least, member) => member.files < least.files ? member : least)
  return {
    /** A hasher for one file. It joins the frame of the file: a worker forgets a file that was given up. */
    open: Effect.acquireRelease(
      Effect.sync(() => new Hasher(leastBusy(), files++)),
      (hasher) => hasher.close
    )
  }
})

/** The contents of a file, and the memory for its words when it is text. */
interface Piece {
  readonly chunk: Buffer<ArrayBuffer>
  readonly length: number
  readonly words: Buffer<ArrayBuffer> | undefined
}

class Hasher {
  private readonly member: Member
  private readonly file: number
  private ended = false

  constructor(member: Member, file: number) {
    this.member = member
    this.file = file
    member.files++
  }

  /** Reads a piece, and answers the memory of its chunk, to be filled again. */
  readonly read = (piece: Piece) => Effect.map(this.send<ArrayBuffer>(piece, false), (memory) => Buffer.from(memory))

  /** Reads the last piece. */
  readonly end = (piece: Piece) =>
    Effect.tap(this.send<Digest>(piece, true), () => Effect.sync(() => this.ended = true))

  /** Can not be interrupted: until the worker is done with the memory it is in use, and has to be paid for. */
  private send<A>({ chunk, length, words }: Piece, last: boolean) {
    const message: Message = { _tag: "Read", file: this.file, memory: chunk.buffer, length, words: words?.buffer, last }
    const transfer = words === undefined ? [chunk.buffer] : [chunk.buffer, words.buffer]
    return Effect.uninterruptible(this.member.thread.run<A>(message, { transfer }))
  }

  get close() {
    return Effect.suspend(() => {
      this.member.files--
      if (this.ended) return Effect.void
      const message: Message = { _tag: "Forget", file: this.file }
      return Effect.ignore(this.member.thread.run(message))
    })
  }
}

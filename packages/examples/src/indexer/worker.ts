/**
 * What runs in a worker thread: it reads the chunks that it is sent, of some files in turn.
 */
import { parentPort } from "node:worker_threads"
import { Digester, free } from "./digest.ts"

export type Message =
  | {
    readonly _tag: "Read"
    readonly file: number
    readonly memory: ArrayBuffer
    /** How much of the memory is filled. */
    readonly length: number
    /** With the first chunk of a text. */
    readonly words: ArrayBuffer | undefined
    readonly last: boolean
  }
  | { readonly _tag: "Forget"; readonly file: number }

/** The files that it is at, by number. */
const files = new Map<number, Digester>()

const answer = (reply: unknown, transfer: ReadonlyArray<ArrayBuffer> = []): void =>
  parentPort!.postMessage(reply, transfer)

/** Each message gets one answer: the memory of the chunk, or what came out when it was the last one. */
parentPort!.on("message", (message: Message) => {
  if (message._tag === "Forget") {
    files.get(message.file)?.free()
    files.delete(message.file)
    return answer(undefined)
  }
  const { file, last, length, memory, words } = message
  const digester = files.get(file) ?? new Digester(words)
  digester.read(new Uint8Array(memory, 0, length))
  if (!last) {
    files.set(file, digester)
    return answer(memory, [memory])
  }
  files.delete(file)
  const digest = digester.end()
  // The file stops paying for the memory with this answer, so it has to be gone by then, not at some later collection.
  digester.free()
  free(memory)
  answer(digest)
})

/**
 * What is computed from the contents of one file, piece by piece.
 */
import { createHash } from "node:crypto"
import { DistinctWords } from "./words.ts"

export interface Digest {
  readonly sha256: Uint8Array
  /** Newline bytes, as `wc -l` counts them. */
  readonly lines: number
  /** Distinct words, or `null` for a file that is not text. */
  readonly words: number | null
  /** False where the table of words was too small for all of them. */
  readonly exact: boolean
}

/** Text is decoded in pieces of this size, so that the strings stay small as well. */
const slice = 64 * 1024

export class Digester {
  private readonly hash = createHash("sha256")
  private readonly decoder = new TextDecoder("utf-8", { fatal: true })
  private readonly memory: ArrayBuffer | undefined
  private words: DistinctWords | undefined
  private lines = 0

  /** `memory` is for the words; without it the file is taken for binary. */
  constructor(memory: ArrayBuffer | undefined) {
    this.memory = memory
    this.words = memory === undefined ? undefined : new DistinctWords(memory)
  }

  read(chunk: Uint8Array): void {
    this.hash.update(chunk)
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, at + 1)) this.lines++
    for (let at = 0; at < chunk.length && this.words !== undefined; at += slice) {
      this.readText(chunk.subarray(at, at + slice), true)
    }
  }

  end(): Digest {
    this.readText(undefined, false)
    const { exact, words } = this.words?.end() ?? { words: null, exact: true }
    return { sha256: new Uint8Array(this.hash.digest()), lines: this.lines, words, exact }
  }

  free(): void {
    if (this.memory !== undefined) free(this.memory)
  }

  private readText(bytes: Uint8Array | undefined, stream: boolean): void {
    try {
      this.words?.read(this.decoder.decode(bytes, { stream }))
    } catch {
      // Not UTF-8, so not text.
      this.words = undefined
    }
  }
}

const newline = 10

/** Gives memory back now, not when the collector comes around to it. */
export const free = (memory: ArrayBuffer): void => {
  memory.transfer(0)
}

import { ResourceManager } from "@chronovyan/core"
import { OutOfMemory, TemporalBuffer } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { constants } from "node:buffer"
import { framed } from "./support.ts"

describe("A temporal buffer", () => {
  it.effect("has the size that was asked for and is filled with zeros", () =>
    Effect.gen(function*() {
      const { value } = yield* ResourceManager.allocate(TemporalBuffer, 4096)
      assert.isTrue(Buffer.isBuffer(value))
      assert.deepStrictEqual(value, Buffer.alloc(4096))
    }).pipe(framed()))

  it.effect("is fresh each time, with memory that no other buffer has", () =>
    Effect.gen(function*() {
      const first = yield* ResourceManager.allocate(TemporalBuffer, 16)
      first.value.fill(1)
      const used = first.value
      yield* first.release
      const second = yield* ResourceManager.allocate(TemporalBuffer, 16)
      assert.notStrictEqual(second.value.buffer, used.buffer)
      assert.strictEqual(second.value.buffer.byteLength, 16)
      assert.deepStrictEqual(second.value, Buffer.alloc(16))
    }).pipe(framed()))

  it.effect("costs its bytes until it is released, early or with its frame", () =>
    Effect.gen(function*() {
      const first = yield* ResourceManager.allocate(TemporalBuffer, 1024)
      const error = yield* Effect.flip(ResourceManager.allocate(TemporalBuffer, 1))
      assert(error._tag === "BudgetExceeded")
      assert.deepStrictEqual([error.unit, error.used, error.limit], ["memory", 1024, 1024])
      yield* first.release
      assert.throws(() => first.value, /has been released/)
      yield* ResourceManager.allocate(TemporalBuffer, 1024)
    }).pipe(framed({ memory: 1024 })))

  for (const bytes of [0, -1, 1.5, NaN, Infinity, constants.MAX_LENGTH + 2]) {
    it.effect(`of ${bytes} bytes is refused as invalid`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ResourceManager.allocate(TemporalBuffer, bytes))
        assert.strictEqual(error._tag, "InvalidParams")
      }).pipe(framed()))
  }

  it.effect("that does not fit into memory is a typed error, and costs nothing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ResourceManager.allocate(TemporalBuffer, 2 ** 52))
      assert(error instanceof OutOfMemory)
      assert.strictEqual(error.bytes, 2 ** 52)
      assert.include(error.message, "Ask for less")
      yield* ResourceManager.allocate(TemporalBuffer, 8)
    }).pipe(framed({ memory: 2 ** 52 })))
})

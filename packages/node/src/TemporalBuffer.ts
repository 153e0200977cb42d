/**
 * Memory of a known size that counts against the budgets.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { constants } from "node:buffer"
import { reasonOf } from "./internal/params.ts"

/**
 * The system has too little memory left for a buffer of that size.
 */
export class OutOfMemory extends Schema.TaggedError<OutOfMemory>()("OutOfMemory", {
  bytes: Schema.Int,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `There is no memory for a buffer of ${this.bytes} bytes: ${reasonOf(this.cause)}. Ask for less, or give ` +
      `back what is not needed; a budget of "memory" refuses earlier and says who holds it`
  }
}

/**
 * A fresh Node `Buffer`, filled with zeros. The params are its size in bytes, a whole number above 0; it costs that much
 * `memory`.
 *
 * Releasing drops it: the memory goes back once nothing else refers to the buffer, so do not keep it beyond its
 * allocation. Fails with {@link OutOfMemory}, and `InvalidParams` for a size beyond `buffer.constants.MAX_LENGTH`.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { TemporalBuffer } from "@chronovyan/node"
 * import { Effect } from "effect"
 *
 * const program = ResourceManager.use(TemporalBuffer, 1024, (buffer) => Effect.sync(() => buffer.write("hello"))).pipe(
 *   TimeFrame.run({ name: "example", budget: { memory: 4096 } }),
 *   Effect.provide(ResourceManager.layer())
 * )
 *
 * console.log(await Effect.runPromise(program)) // 5
 * ```
 */
export const TemporalBuffer = ResourceDefinition.temporal("temporal_buffer", {
  params: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: constants.MAX_LENGTH })),
  cost: (bytes) => ({ memory: bytes }),
  acquire: (bytes) =>
    Effect.try({
      try: () => Buffer.alloc(bytes),
      catch: (cause) => new OutOfMemory({ bytes, cause })
    })
})

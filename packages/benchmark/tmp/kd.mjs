import { Effect, Schema } from "effect"
import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
const T = ResourceDefinition.temporal("t", { params: Schema.String, acquire: (name) => Effect.succeed(name), release: () => Effect.void })
const p = Effect.scoped(Effect.gen(function*() {
  const ts = yield* ResourcePool.keyed(T, { max: 1, maxTotal: 1 })
  const a = yield* ResourcePool.at(ts, "a"), b = yield* ResourcePool.at(ts, "b")
  const e = yield* Effect.flip(ResourcePool.use(a, () => ResourcePool.use(b, () => Effect.void)))
  console.log(e.message)
  console.log(yield* ResourcePool.use(b, Effect.succeed))
}))
await Effect.runPromise(p)

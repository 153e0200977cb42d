import { Effect, Schema } from "effect"
import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
let live = 0, most = 0
const Tenant = ResourceDefinition.temporal("tenant", { params: Schema.String, acquire: (name) => Effect.sync(() => { most = Math.max(most, ++live); return name }), release: () => Effect.sync(() => { live-- }) })
const program = Effect.scoped(Effect.gen(function*() {
  const ts = yield* ResourcePool.keyed(Tenant, { max: 2, maxTotal: 3, idleTimeToLive: "100 millis" })
  yield* Effect.forEach(Array.from({length: 200}, (_, i) => "k" + i % 20), (k) => Effect.flatMap(ResourcePool.at(ts, k), (p) => ResourcePool.use(p, (v) => Effect.as(Effect.sleep(1), v))), { concurrency: 50 })
  console.log((yield* ResourcePool.keys(ts)).map(({key,total,waiting}) => ({key,total,waiting})), live, most)
  yield* Effect.sleep(300)
  console.log((yield* ResourcePool.keys(ts)).length, live)
}))
await Effect.runPromise(program); console.log(live)

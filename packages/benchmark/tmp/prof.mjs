import { Effect, Pool, Exit } from "effect"
import { ResourcePool, ResourceManager, TimeFrame } from "@chronovyan/core"
const N = 3000000
const loop = (e) => { let i=0; return Effect.whileLoop({ while: () => i++ < N, body: () => e, step: () => {} }) }
const body = () => Exit.void
await Effect.runPromise(Effect.gen(function*() {
  const rp = yield* ResourcePool.make({ acquire: Effect.succeed({}), size: 10, acquireTimeout: "1 second" })
  yield* Effect.sleep(50)
  yield* loop(ResourcePool.use(rp, body))
}).pipe(TimeFrame.run({ name: "bench" }), Effect.provide(ResourceManager.layer())))

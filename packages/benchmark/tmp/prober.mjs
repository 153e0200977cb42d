import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
let isDown = true, connecting = 0
const T = ResourceDefinition.temporal("t", { acquire: () => Effect.gen(function*() { connecting++; console.log("try at", yield* Effect.clockWith(c => c.currentTimeMillis)); yield* Effect.sleep(10); if (isDown) return yield* Effect.fail("down"); return {} }).pipe(Effect.onExit(() => Effect.sync(() => { connecting-- }))), release: () => Effect.void })
const p = Effect.scoped(Effect.gen(function*() {
  const pool = yield* ResourcePool.make(T, { max: 16, creationBackoff: { base: 1000, max: 1000 } })
  const settle = Effect.gen(function*() { for (let i = 0; i < 30; i++) yield* Effect.yieldNow })
  const asking = yield* Effect.forEach(Array.from({ length: 16 }), () => Effect.forkChild(Effect.retry(ResourcePool.use(pool, () => Effect.never), { times: 20 })))
  for (let step = 0; step < 300; step++) yield* TestClock.adjust(10)
  console.log("up", JSON.stringify(pool), pool.growth.failures, asking.filter(f => f.pollUnsafe()).length)
  isDown = false
  for (let step = 0; step < 150; step++) {
    yield* TestClock.adjust(10); yield* settle
    if (step % 10 === 0) console.log(step, connecting, JSON.stringify(pool), pool.growth.failures, pool.growth.window)
  }
  yield* Fiber.interruptAll(asking)
})).pipe(Effect.provide(TestClock.layer()))
setTimeout(() => { console.log("timeout"); process.exit() }, 4000)
await Effect.runPromise(p)
process.exit()

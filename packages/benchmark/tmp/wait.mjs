import { Effect, Exit } from "effect"
import { ResourcePool, ResourceManager, TimeFrame } from "@chronovyan/core"
import { bareQueue, immediate } from "../src/poolSides.ts"
const hold = process.argv[2] === "yield" ? Effect.yieldNow : immediate
const borrowers = Array.from({ length: 1_000 }, (_, i) => i)
const crowd = (one) => { const b = Effect.gen(function*() { for (let i = 0; i < 10; i++) yield* one }); return Effect.forEach(borrowers, () => b, { concurrency: "unbounded", discard: true }) }
await Effect.runPromise(Effect.gen(function*() {
  const rp = yield* ResourcePool.make({ acquire: Effect.succeed({}), size: 10, acquireTimeout: "1 minute" })
  yield* Effect.sleep(50)
  const q = bareQueue()
  const ours = crowd(ResourcePool.use(rp, () => hold))
  const bare = process.argv[2] === "yield" ? crowd(q.use(Effect.yieldNow)) : crowd(q.use(immediate))
  const a = [], b = [], r = []
  for (let i = 0; i < (process.argv[3] ?? 40); i++) {
    let t = process.cpuUsage(); yield* ours; let d = process.cpuUsage(t); a.push((d.user + d.system) / 10)
    if (process.argv[4]) continue
    t = process.cpuUsage(); yield* bare; d = process.cpuUsage(t); b.push((d.user + d.system) / 10)
    r.push(a[i]/b[i])
  }
  for (const l of [a,b,r]) { l.sort((x,y)=>x-y); console.log(l[l.length>>1]?.toFixed(2)) }
}).pipe(TimeFrame.run({ name: "bench" }), Effect.provide(ResourceManager.layer())))

import { Effect, Pool, Exit } from "effect"
import { ResourcePool, ResourceManager, TimeFrame } from "@chronovyan/core"
const N = 2000, ROUNDS = 201
const loop = (e) => { let i=0; return Effect.whileLoop({ while: () => i++ < N, body: () => e, step: () => {} }) }
const body = () => Exit.void
const which = process.argv[2] ?? "use"
const program = Effect.gen(function*() {
  const ep = yield* Pool.make({ acquire: Effect.succeed({}), size: 10 })
  const rp = yield* ResourcePool.make({ acquire: Effect.succeed({}), size: 10, acquireTimeout: "1 second" })
  yield* Effect.sleep(50)
  const a = which === "use" ? Pool.use(ep, body) : Effect.scoped(Pool.get(ep))
  const b = which === "use" ? ResourcePool.use(rp, body) : which === "get" ? Effect.scoped(ResourcePool.get(rp)) : ResourceManager.use(rp, body)
  const rs = [], as = [], bs = []
  for (let r = 0; r < ROUNDS; r++) {
    const t0 = process.cpuUsage(); yield* loop(a); const d0 = process.cpuUsage(t0)
    const t1 = process.cpuUsage(); yield* loop(b); const d1 = process.cpuUsage(t1)
    const x = (d0.user+d0.system)*1000/N, y = (d1.user+d1.system)*1000/N
    as.push(x); bs.push(y); rs.push(y/x)
  }
  for (const l of [as,bs,rs]) l.sort((a,b)=>a-b)
  console.log(which, as[ROUNDS>>1].toFixed(0), bs[ROUNDS>>1].toFixed(0), rs[ROUNDS>>1].toFixed(2))
}).pipe(TimeFrame.run({ name: "bench" }), Effect.provide(ResourceManager.layer()))
await Effect.runPromise(program)

import { Effect, Pool, Exit, Effectable, Context } from "effect"
import { TimeFrame, ResourceManager } from "@chronovyan/core"
const N = 5000, ROUNDS = 61
const loop = (e) => { let i=0; return Effect.whileLoop({ while: () => i++ < N, body: () => e, step: () => {} }) }
const body = () => Exit.void
class L extends Effectable.Class { constructor(b){super();this.b=b} asEffect(){ return this.b() } leave(e){ return undefined } }
const proto = Effectable.Prototype({ label: "L", evaluate(fiber) { return this.b() } })
class M { constructor(b){this.b=b} leave(){return undefined} }
Object.setPrototypeOf(M.prototype, proto)
class H { constructor(f){this.f=f; this.a=1;this.c=2;this.d=3;this.e=4;this.g=5;this.h=6;this.i=7;this.j=8;this.k=9;this.l=1;this.m=1;this.n=2;this.o=4;this.p=1;this.q=1} }
const program = Effect.gen(function*() {
  const ep = yield* Pool.make({ acquire: Effect.succeed({}), size: 10 })
  yield* Effect.sleep(50)
  const bare = Effect.withFiber((fiber) => { const l = new L(body); return Effect.onExitPrimitive(l, (exit) => l.leave(exit)) })
  const bareM = Effect.withFiber((fiber) => { const l = new M(body); return Effect.onExitPrimitive(l, (exit) => l.leave(exit)) })
  const bareT = Effect.withFiber((fiber) => { const l = new M(body); return Effect.onExitPrimitive(l, (exit) => l.leave(exit), true) })
  const one = Effect.suspend(body)
  const sides = { pool: Pool.use(ep, body), one, bare, bareM, bareT }
  const res = Object.fromEntries(Object.keys(sides).map(k => [k, []]))
  for (let r = 0; r < ROUNDS; r++) for (const k in sides) {
    const t = process.cpuUsage()
    yield* loop(sides[k])
    const d = process.cpuUsage(t)
    res[k].push((d.user + d.system) * 1000 / N)
  }
  for (const k in res) { res[k].sort((a,b)=>a-b); console.log(k, res[k][ROUNDS>>1].toFixed(0)) }
}).pipe(TimeFrame.run({ name: "bench" }), Effect.provide(ResourceManager.layer()))
await Effect.runPromise(program)

/**
 * The longest stall of the event loop while 20,000 who wait time out at the same moment. Run by `pools.ts` in a process
 * for each side; prints what it measured as JSON.
 */
import { ResourcePool } from "@chronovyan/core"
import { Effect, Pool } from "effect"
import { performance } from "node:perf_hooks"
import { median, threadTime } from "./harness.ts"
import { inFrames, layer } from "./kernel.ts"
import { effects, ours, promisePools, size } from "./poolSides.ts"

/** The longest turn of the event loop, in milliseconds: on the wall, and of this thread's CPU time. */
export interface Turn {
  readonly wall: number
  readonly cpu: number
}

/** The longest turns of several rounds, the median of them. */
export interface Stalls {
  readonly name: string
  readonly asTheyCome: Turn
  /** The loop was busy at that moment, so that all are late and due at once. */
  readonly allLate: Turn
  /** While nothing happened: what the machine is good for. */
  readonly idle: Turn
}

const waiters = 20_000
const timeout = 500

/** Ten who hold an item until they are let go, and many who wait for it. */
interface Crowd {
  readonly holdAll: () => void
  readonly letGo: () => void
  /** One that waits, and counts itself when its time is over. */
  readonly wait: () => void
}

let timedOut = 0

const gates: Array<() => void> = []

const letGo = () => {
  for (const open of gates.splice(0)) open()
}

const counted = Effect.sync(() => {
  timedOut++
})

const gate = () =>
  Effect.callback<void>((resume) => {
    gates.push(() => resume(Effect.void))
  })

const crowdOfFibers = <R>(use: Effect.Effect<unknown, unknown, R>, useInTime: Effect.Effect<unknown, unknown, R>) =>
  Effect.map(Effect.context<R>(), (context): Crowd => {
    const fork = Effect.runForkWith(context)
    return {
      holdAll: () => {
        for (let i = 0; i < size; i++) fork(use)
      },
      letGo,
      wait: () => {
        fork(Effect.catch(useInTime, () => counted))
      }
    }
  })

const crowdOfPromises = (name: string): Crowd => {
  const { hold } = promisePools.map((make) => make(timeout)).find((pool) => pool.name === name)!
  const wait = async () => {
    try {
      await hold(async () => {})
    } catch {
      timedOut++
    }
  }
  return {
    holdAll: () => {
      for (let i = 0; i < size; i++) void hold(() => new Promise<void>((resolve) => gates.push(resolve)))
    },
    letGo,
    wait: () => void wait()
  }
}

const crowdOf = (name: string) => {
  switch (name) {
    case "ResourcePool":
      return Effect.flatMap(ours(timeout), (pool) => {
        const use = ResourcePool.use(pool, gate)
        return crowdOfFibers(use, use)
      })
    case "Effect's Pool":
      return Effect.flatMap(effects, (pool) => {
        const use = Pool.use(pool, gate)
        return crowdOfFibers(use, Effect.timeout(use, timeout))
      })
    default:
      return Effect.sync(() => crowdOfPromises(name))
  }
}

const longestTurn = (until: () => boolean): Promise<Turn> =>
  new Promise((resolve) => {
    let last = performance.now()
    let lastCpu = threadTime()
    let wall = 0
    let cpu = 0
    const turn = () => {
      const now = performance.now()
      if (now - last > wall) wall = now - last
      last = now
      const nowCpu = threadTime()
      if (nowCpu - lastCpu > cpu) cpu = nowCpu - lastCpu
      lastCpu = nowCpu
      if (until()) resolve({ wall, cpu: cpu / 1000 })
      else setImmediate(turn)
    }
    setImmediate(turn)
  })

const after = (at: number) => () => performance.now() > at

const pause = (millis: number) => longestTurn(after(performance.now() + millis))

const round = async (crowd: Crowd, areLate: boolean) => {
  crowd.holdAll()
  await pause(50)
  globalThis.gc!()
  const idle = await pause(200)
  timedOut = 0
  for (let i = 0; i < waiters; i++) crowd.wait()
  const last = performance.now()
  await pause(100)
  if (areLate) { while (performance.now() < last + timeout + 10); }
  const stall = await longestTurn(() => timedOut === waiters)
  crowd.letGo()
  await pause(50)
  return { idle, stall }
}

const middle = (turns: ReadonlyArray<Turn>): Turn => ({
  wall: median(turns.map(({ wall }) => wall)),
  cpu: median(turns.map(({ cpu }) => cpu))
})

const measure = (name: string) =>
  Effect.gen(function*() {
    const asTheyCome: Array<Turn> = []
    const allLate: Array<Turn> = []
    const idles: Array<Turn> = []
    const rounds = name === "ResourcePool" ? 5 : 3
    // The first two rounds warm up.
    for (let i = -2; i < 2 * rounds; i++) {
      const crowd = yield* crowdOf(name)
      const areLate = i % 2 !== 0
      const { idle, stall } = yield* Effect.promise(() => round(crowd, areLate))
      if (i < 0) continue
      idles.push(idle)
      ;(areLate ? allLate : asTheyCome).push(stall)
    }
    const stalls: Stalls = { name, asTheyCome: middle(asTheyCome), allLate: middle(allLate), idle: middle(idles) }
    return stalls
  })

const program = measure(process.argv[2]!).pipe(inFrames, Effect.orDie, Effect.provide(layer))
console.log(JSON.stringify(await Effect.runPromise(program)))
process.exit(0)

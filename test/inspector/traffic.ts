/**
 * A program that does what programs do, and leaks nothing: requests in bursts, sessions that last, jobs, caches, pools that
 * grow, workers that start one after another, values for good. What it does is a matter of the seed.
 */
import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Duration, Effect, Random, Schema } from "effect"

const Client = ResourceDefinition.temporal("client", {
  acquire: () => Effect.sleep(20),
  release: () => Effect.sleep(5)
})
const Buffer = ResourceDefinition.temporal("buffer", {
  params: Schema.Int,
  cost: (bytes) => ({ memory: bytes }),
  acquire: (bytes) => Effect.succeed(bytes)
})
const Worker = ResourceDefinition.temporal("worker", {
  cost: () => ({ threads: 1 }),
  acquire: () => Effect.succeed({})
})
const Socket = ResourceDefinition.temporal("socket", {
  cost: () => ({ descriptors: 1 }),
  acquire: () => Effect.succeed({}),
  release: () => Effect.void
})
const Region = ResourceDefinition.shared("region", {
  params: Schema.Int,
  acquire: (region) => Effect.as(Effect.sleep(50), { region }),
  idleTimeToLive: "5 minutes"
})
const Settings = ResourceDefinition.persistent("settings", {
  params: Schema.Int,
  acquire: (tenant) => Effect.succeed({ tenant })
})

/** Exponential: most are short, some are long. */
const about = (millis: number) => Effect.map(Random.next, (x) => Duration.millis(1 - millis * Math.log(1 - x)))

const upTo = (most: number) => Random.nextIntBetween(1, most)

const inBackground = Effect.forkChild({ startImmediately: true })

/** Goes on for as long, `scale` times as fast. */
export const traffic = (options: { readonly lasts: Duration.Input; readonly scale?: number }) =>
  Effect.gen(function*() {
    const { scale = 1 } = options
    const seconds = (n: number) => n * 1000 / scale
    const lasting = (n: number) => Effect.flatMap(about(seconds(n)), Effect.sleep)
    const pool = yield* ResourcePool.make(Client, { min: 1, max: 12, idleTimeToLive: "2 minutes" })

    const request = Effect.gen(function*() {
      yield* ResourceManager.allocate(Region, yield* upTo(6))
      yield* ResourceManager.allocate(Settings, yield* upTo(30))
      yield* ResourceManager.allocate(Buffer, yield* upTo(1_000_000))
      yield* ResourcePool.use(pool, () => lasting(0.3))
      if ((yield* Random.next) < 0.05) yield* lasting(8)
    }).pipe(TimeFrame.run({ name: "request", timeout: "5 minutes" }), Effect.orDie)

    /** More and less of it, with bursts. */
    const requests = Effect.gen(function*() {
      const burst = (yield* Random.next) < 0.02 ? yield* upTo(60) : 1
      for (let index = 0; index < burst; index++) yield* inBackground(request)
      yield* lasting(1.5)
    }).pipe(Effect.forever)

    /** The longest are a hundred times as long as most. */
    const session = Effect.gen(function*() {
      yield* ResourceManager.allocate(Socket)
      yield* ResourceManager.allocate(Buffer, yield* upTo(10_000))
      const long = (yield* Random.next) < 0.3
      yield* lasting(long ? 900 : 60)
    })
    const sessions = Effect.gen(function*() {
      const id = yield* upTo(100_000)
      yield* session.pipe(TimeFrame.run({ name: `session ${id}` }), Effect.orDie, inBackground)
      yield* lasting(15)
    }).pipe(Effect.forever)

    /** Every now and then, for minutes. */
    const jobs = Effect.gen(function*() {
      yield* lasting(300)
      yield* Effect.forEach(
        Array.from({ length: yield* upTo(8) }),
        () => ResourceManager.use(Worker, () => lasting(60)),
        {
          concurrency: 4
        }
      ).pipe(TimeFrame.run({ name: "job" }), Effect.orDie)
    }).pipe(Effect.forever)

    /** A cache of no more than so many, which fills slowly: the oldest one leaves. */
    const cache = Effect.gen(function*() {
      const cached: Array<{ readonly release: Effect.Effect<void> }> = []
      while (true) {
        cached.push(yield* ResourceManager.allocate(Buffer, yield* upTo(5000)))
        if (cached.length > 40) yield* cached.shift()!.release
        yield* lasting(5)
      }
    }).pipe(TimeFrame.run({ name: "cache" }), Effect.orDie)

    /** Start one after another, and stay; one in a while is replaced. */
    const workers = Effect.gen(function*() {
      const started: Array<{ readonly release: Effect.Effect<void> }> = []
      for (let index = 0; index < 8; index++) {
        started.push(yield* ResourceManager.allocate(Worker))
        yield* lasting(20)
      }
      while (true) {
        yield* lasting(900)
        yield* started.shift()!.release
        started.push(yield* ResourceManager.allocate(Worker))
      }
    }).pipe(TimeFrame.run({ name: "workers" }), Effect.orDie)

    // For good, in frames where others come and go.
    yield* ResourceManager.allocate(Socket)
    yield* ResourceManager.allocate(Buffer, 50_000_000)
    yield* ResourceManager.allocate(Region, 99)
    const health = Effect.gen(function*() {
      yield* ResourceManager.use(Socket, () => lasting(0.5))
      yield* Effect.sleep(seconds(10))
    }).pipe(Effect.forever)
    yield* Effect.all([requests, sessions, jobs, cache, workers, health], { concurrency: "unbounded" }).pipe(
      Effect.timeoutOption(options.lasts)
    )
  }).pipe(TimeFrame.run({ name: "server" }), Effect.orDie)

/** A program that has some of everything that there are metrics of. */
import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { LeakDetector, Metrics } from "@chronovyan/inspector"
import { Effect, Exit, Layer, Metric, Schema } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "../core/fixtures.ts"

const slow = (name: string) =>
  ResourceDefinition.temporal(name, {
    cost: () => ({ sockets: 1 }),
    acquire: () => Effect.sleep("200 millis").pipe(Effect.as({})),
    release: () => Effect.void
  })

const Postgres = slow("postgres")
const Worker = ResourceDefinition.temporal("worker", { acquire: () => Effect.succeed({}) })
const Tenant = ResourceDefinition.temporal("tenant", { params: Schema.String, acquire: (name) => Effect.succeed(name) })
const Buffer = ResourceDefinition.temporal("buffer", {
  params: Schema.Int,
  cost: (memory) => ({ memory }),
  acquire: (size) => size === 7 ? Effect.fail("unlucky") : Effect.succeed(size)
})
const Cache = ResourceDefinition.shared("cache", { acquire: () => Effect.succeed(new Map<string, string>()) })
const Ledger = ResourceDefinition.shared("ledger", {
  acquire: () => Effect.succeed({}),
  access: "readWrite"
})

/** In a registry of its own. */
export const measured =
  (options?: Metrics.Options, detector: LeakDetector.Options = { level: "off" }) =>
  <A, E, R>(body: Effect.Effect<A, E, R>) =>
    Effect.suspend(() =>
      body.pipe(
        TimeFrame.run({ name: "server", budget: { memory: 1000 } }),
        Effect.provide(
          Metrics.layer(options).pipe(
            Layer.provideMerge(LeakDetector.layer({ log: false, ...detector })),
            Layer.provideMerge(ResourceManager.layer()),
            Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, new Map()))
          )
        )
      )
    )

/**
 * A pool of 2 connections, of which each takes 200 ms to make and is used for 1 second, by 3 borrowers at once; 1 of 2
 * workers that is used; 2 tenants; 2 buffers of 300 in all, besides one that was held for 3 seconds and one that failed;
 * a cache, and a ledger that is used by turns. It is left as it is after 4 seconds, until the frame ends.
 */
export const busy = Effect.gen(function*() {
  const postgres = yield* ResourcePool.make(Postgres, { max: 2, acquireTimeout: "10 seconds" })
  const workers = yield* ResourcePool.make(Worker, { min: 1, max: 2 })
  const tenants = yield* ResourcePool.keyed(Tenant, { max: 1 })
  const borrowers = yield* Effect.forEach(
    [1, 2, 3],
    () => start(ResourcePool.use(postgres, () => Effect.sleep("1 second")).pipe(TimeFrame.run({ name: "request" })))
  )
  yield* ResourceManager.allocate(Buffer, 100)
  yield* ResourceManager.allocate(Buffer, 200)
  const short = yield* ResourceManager.allocate(Buffer, 50)
  const failed = yield* Effect.exit(ResourceManager.allocate(Buffer, 7))
  yield* ResourceManager.allocate(Cache)
  yield* ResourceManager.allocate(Ledger)
  yield* ResourcePool.get(workers)
  for (const key of ["blue", "green"]) yield* ResourcePool.get(yield* ResourcePool.at(tenants, key))
  yield* TestClock.adjust("3 seconds")
  yield* short.release
  yield* TestClock.adjust("1 second")
  yield* settle
  return { borrowers, failed: Exit.isFailure(failed), workers, postgres }
})

import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Inspector } from "@chronovyan/inspector"
import { Effect, Layer, Schedule } from "effect"

const Connection = ResourceDefinition.temporal("connection", {
  acquire: () => Effect.succeed({ query: (millis: number) => Effect.sleep(millis) })
})

const Image = ResourceDefinition.temporal("image", {
  cost: () => ({ memory: 1_000_000 }),
  acquire: () => Effect.succeed(new Uint8Array(1_000_000))
})

const shop = Effect.gen(function*() {
  const connections = yield* ResourcePool.make(Connection, { min: 1, max: 2, acquireTimeout: "5 seconds" })

  // Each request asks the database, which takes 10 milliseconds.
  const request = ResourcePool.use(connections, ({ query }) => query(10)).pipe(
    TimeFrame.run({ name: "request", timeout: "10 seconds" }),
    Effect.ignore
  )
  // The report reads all day through, with a connection in its hands all the time.
  const report = ResourcePool.use(connections, ({ query }) => query(3_600_000)).pipe(TimeFrame.run({ name: "report" }))
  const gallery = ResourceManager.allocate(Image).pipe(Effect.andThen(Effect.never), TimeFrame.run({ name: "gallery" }))

  yield* Effect.forkChild(report)
  yield* Effect.forkChild(gallery)
  yield* Effect.forkChild(Effect.repeat(Effect.forkChild(request), Schedule.spaced("8 millis")))
  yield* Effect.never
}).pipe(TimeFrame.run({ name: "server", budget: { memory: 8_000_000 } }))

const inspector = Inspector.layer({ name: "shop", control: true }).pipe(Layer.provideMerge(ResourceManager.layer()))

await Effect.runPromise(Effect.provide(shop, inspector))

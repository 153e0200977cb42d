/** A real program with 10,000 live allocations, which is inspected by its own endpoint. */
import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Inspector } from "@chronovyan/inspector"
import { Effect, Layer, Logger, ManagedRuntime, Schema } from "effect"

const TemporalBuffer = ResourceDefinition.temporal("temporal_buffer", {
  params: Schema.Int,
  cost: (bytes) => ({ memory: bytes }),
  acquire: (bytes) => Effect.succeed(bytes)
})

const Connection = ResourceDefinition.temporal("connection", { acquire: () => Effect.succeed({}) })

const session = TimeFrame.run(
  Effect.gen(function*() {
    for (let one = 0; one < 100; one++) yield* ResourceManager.allocate(TemporalBuffer, 64)
    return yield* Effect.never
  }),
  { name: "session", budget: { memory: 10_000 } }
)

/** Comes and goes, so that there is something to tell. */
const request = TimeFrame.run(
  Effect.gen(function*() {
    yield* ResourceManager.allocate(TemporalBuffer, 1024)
    yield* Effect.sleep("40 millis")
  }),
  { name: "request", timeout: "1 second" }
)

const server = Effect.gen(function*() {
  const pool = yield* ResourcePool.make(Connection, { max: 2 })
  const query = TimeFrame.run(ResourcePool.use(pool, () => Effect.never), { name: "query" })
  for (let one = 0; one < 5; one++) yield* Effect.forkChild(query)
  for (let one = 0; one < 100; one++) yield* Effect.forkChild(session)
  return yield* Effect.forever(request)
}).pipe(TimeFrame.run({ name: "server", budget: { memory: 1024 * 1024 } }))

export interface LiveProgram extends AsyncDisposable {
  readonly url: string
}

export const startLive = async (options: Partial<Inspector.Options>): Promise<LiveProgram> => {
  const runtime = ManagedRuntime.make(
    Inspector.layer({ name: "live", announce: false, ...options }).pipe(
      Layer.provideMerge(ResourceManager.layer()),
      Layer.provideMerge(Logger.layer([]))
    )
  )
  const url = `${await runtime.runPromise(Inspector.address)}/`
  runtime.runFork(server)
  return {
    url,
    [Symbol.asyncDispose]: () => runtime.dispose()
  }
}

// A program as a user of the published packages writes it: npm run check:packages compiles and runs it against the
// packed packages, outside of this repository.
import { ResourceCatalog, ResourceDefinition, ResourceManager, Snapshot, TimeFrame } from "@chronovyan/core"
import * as Deadline from "@chronovyan/core/Deadline"
import { FileHandle, TempDirectory, TemporalBuffer } from "@chronovyan/node"
import { Sweep } from "@chronovyan/testing"
import { Effect } from "effect"

const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.succeed({ greeting: "hello" }) })
const catalog = ResourceCatalog.make(TemporalBuffer, Settings)

const program = Effect.gen(function*() {
  const buffer = yield* catalog.allocate("temporal_buffer", 1024)
  const settings = yield* catalog.allocate("settings")
  const directory = yield* ResourceManager.allocate(TempDirectory)
  const written = yield* ResourceManager.use(
    FileHandle,
    { path: `${directory.value}/greeting.txt`, flags: "w" },
    (file) => Effect.promise(() => file.write(buffer.value.fill(settings.value.greeting)))
  )
  console.log(Snapshot.render(yield* ResourceManager.snapshot))
  const refused = yield* Effect.flip(catalog.allocate("temporal_buffer", 8192))
  return [written.bytesWritten, refused._tag, Deadline.none] as const
}).pipe(
  TimeFrame.run({ name: "consumer", timeout: "10 seconds", budget: { memory: 4096, descriptors: 2 } }),
  Effect.provide(ResourceManager.layer())
)

console.log(await Effect.runPromise(program))

const scenario = Sweep.make({
  name: "a flag that is put back",
  setup: Effect.sync(() => ({ up: false })),
  body: (world) =>
    Effect.acquireUseRelease(
      Effect.sync(() => world.up = true),
      () => Effect.void,
      () => Effect.sync(() => world.up = false)
    ),
  check: (world) => world.up ? ["the flag is still up"] : []
})

const { operations } = await Effect.runPromise(Sweep.assert(scenario))
console.log(`interrupted at each of ${operations} operations`)

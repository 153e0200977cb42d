import { Allocation, ResourceCatalog, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import type { Cell, Definition, ReadWriteDefinition, Value, World } from "./sweepWorld.ts"

type Program = Effect.Effect<unknown, unknown, ResourceManager.ResourceManager>

/** One public operation, alone or against rivals. */
export interface Operation {
  readonly name: string
  /** What may stay when nobody uses it any more. */
  readonly idle?: ReadonlyArray<string>
  /** Rivals: started before the body, each on a fiber of its own. */
  readonly rivals?: (world: World) => ReadonlyArray<Program>
  /** Gets what `start` made, so that the rivals and the body have the same definitions. */
  readonly body: (world: World) => Program
  /** How long the body may take, in virtual milliseconds; without it there is no deadline. */
  readonly within?: number
  readonly applies?: (cell: Cell) => boolean
}

const frame = { name: "outer", timeout: "1 second", gracePeriod: "1 second", budget: { units: 10 } } as const

/** The deadline and the grace period. */
const within = 2000

const bounded = TimeFrame.run(frame)
const ends = (cell: Cell) => cell.acquire !== "never" && cell.acquire !== "late"

/** Uses the value for a moment, on both sides of a sleep. */
const touch = (world: World, value: () => Value) =>
  Effect.gen(function*() {
    world.use(value())
    yield* Effect.sleep("10 millis")
    world.use(value())
  })

const allocate = (world: World, definition: Definition) =>
  Effect.flatMap(ResourceManager.allocate(definition), (one) => touch(world, () => one.value))

/** The definitions of a run, made once: shared values are found by their definition. */
const definitions = new WeakMap<World, Map<string, unknown>>()
const once = <A>(world: World, name: string, make: () => A): A => {
  const known = definitions.get(world) ?? new Map<string, unknown>()
  definitions.set(world, known)
  if (!known.has(name)) known.set(name, make())
  return known.get(name) as A
}
const shared = (world: World, idle = 0) => once(world, "shared", () => world.shared(idle))
const persistent = (world: World): Definition => once(world, "persistent", () => world.persistent())
const readWrite = (world: World): ReadWriteDefinition => once(world, "readWrite", () => world.readWrite())

const rival = (delay: number, program: Effect.Effect<unknown, unknown, any>): Program =>
  program.pipe(TimeFrame.run({ name: "rival", timeout: "10 seconds" }), Effect.delay(delay)) as Program

const turn = (world: World, kind: "read" | "write", definition: ReadWriteDefinition, held: number) =>
  Effect.gen(function*() {
    const handle = yield* ResourceManager.allocate(definition)
    yield* handle[kind]((value) =>
      Effect.gen(function*() {
        world.use(value)
        yield* Effect.sleep(held)
        world.use(value)
      })
    )
    const { readers, writing } = handle.access.value
    if (readers > 2 || (writing && readers > 0)) world.troubles.push(`${readers} readers, writing: ${writing}`)
  })

const temporals: ReadonlyArray<Operation> = [
  {
    name: "TimeFrame.run without a timeout",
    applies: ends,
    body: (world) => TimeFrame.run(allocate(world, world.temporal()), { name: "plain", budget: { units: 1 } })
  },
  { name: "TimeFrame.run with a timeout", within, body: (world) => bounded(allocate(world, world.temporal())) },
  {
    name: "a body that outlives its deadline",
    within,
    body: (world) => bounded(Effect.andThen(allocate(world, world.temporal()), Effect.never))
  },
  {
    name: "TimeFrame.run, nested",
    within,
    body: (world) =>
      Effect.gen(function*() {
        const definition = world.temporal()
        yield* allocate(world, definition)
        yield* allocate(world, definition).pipe(
          TimeFrame.run({ name: "inner", timeout: "500 millis", gracePeriod: "100 millis", budget: { units: 1 } }),
          Effect.ignoreCause
        )
        yield* TimeFrame.run(allocate(world, definition), { name: "inner" })
      }).pipe(bounded)
  },
  {
    name: "TimeFrame.make, provide and close",
    within,
    body: (world) =>
      Effect.gen(function*() {
        const inner = yield* TimeFrame.make({ name: "inner", budget: { units: 1, bytes: 3 } })
        yield* Effect.exit(TimeFrame.provide(allocate(world, world.temporal()), inner))
        yield* Effect.exit(TimeFrame.close(inner))
        const late = yield* Effect.exit(TimeFrame.provide(ResourceManager.allocate(world.temporal()), inner))
        if (Exit.isSuccess(late)) world.troubles.push("a closed frame took something new")
      }).pipe(bounded)
  },
  {
    name: "closing a frame from two fibers at once",
    within,
    body: (world) =>
      Effect.gen(function*() {
        const inner = yield* TimeFrame.make({ name: "inner" })
        yield* Effect.exit(TimeFrame.provide(allocate(world, world.temporal()), inner))
        yield* Effect.all([Effect.exit(TimeFrame.close(inner)), Effect.exit(TimeFrame.close(inner))], {
          concurrency: 2
        })
        if (world.cell.release !== "overdue") yield* allReleased(world)
      }).pipe(bounded)
  },
  {
    name: "Allocation.release, twice",
    within,
    body: (world) =>
      Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(world.temporal())
        world.use(one.value)
        yield* Effect.all([Effect.exit(one.release), Effect.exit(one.release)], { concurrency: 2 })
        yield* allReleased(world)
        yield* one.release
      }).pipe(bounded)
  },
  {
    name: "ResourceManager.use",
    within,
    body: (world) => bounded(ResourceManager.use(world.temporal(), undefined, (value) => touch(world, () => value)))
  },
  {
    name: "ResourceManager.allocateAll",
    within,
    body: (world) =>
      Effect.gen(function*() {
        const definition = world.temporal()
        const all = yield* ResourceManager.allocateAll([[definition], [definition], [shared(world)]])
        for (const one of all) yield* touch(world, () => one.value)
      }).pipe(bounded)
  },
  {
    name: "Allocation.transfer",
    within,
    body: (world) =>
      Effect.gen(function*() {
        const outer = yield* TimeFrame.current
        const moved = yield* Effect.gen(function*() {
          const one = yield* ResourceManager.allocate(world.temporal())
          yield* Allocation.transfer(one, outer)
          return one
        }).pipe(TimeFrame.run({ name: "inner", budget: { units: 1 } }))
        yield* touch(world, () => moved.value)
      }).pipe(bounded)
  },
  {
    name: "ResourceCatalog.allocate",
    within,
    body: (world) =>
      Effect.gen(function*() {
        const catalog = ResourceCatalog.make(world.temporal(), shared(world))
        const one = yield* catalog.allocate("temporal")
        yield* touch(world, () => one.value)
        const two = yield* catalog.allocateUnknown("shared")
        yield* touch(world, () => two.value)
      }).pipe(bounded)
  },
  {
    name: "ResourceManager.events",
    within,
    rivals: () => [Stream.runDrain(Stream.take(ResourceManager.events, 4)).pipe(Effect.timeoutOption("30 seconds"))],
    body: (world) => bounded(allocate(world, world.temporal()))
  }
]

/** What was released in the eyes of the library is closed. */
const allReleased = (world: World) =>
  Effect.sync(() => {
    const open = world.values.filter((value) => value.closed === 0).length
    if (open > 0) world.troubles.push(`${open} values are still open when their release has returned`)
  })

const shares: ReadonlyArray<Operation> = [
  { name: "a shared value, first user", within, body: (world) => bounded(allocate(world, shared(world))) },
  {
    name: "a shared value, second user after the first",
    within,
    body: (world) =>
      bounded(Effect.andThen(
        Effect.exit(TimeFrame.run(allocate(world, shared(world)), { name: "first", timeout: "400 millis" })),
        allocate(world, shared(world))
      ))
  },
  {
    name: "a shared value, second user with the first",
    within,
    rivals: (world) => [rival(0, allocate(world, shared(world)))],
    body: (world) => bounded(allocate(world, shared(world)))
  },
  {
    name: "a shared value, waiting users",
    within,
    rivals: (world) => [rival(0, allocate(world, shared(world))), rival(5, allocate(world, shared(world)))],
    body: (world) => bounded(Effect.delay(allocate(world, shared(world)), 3))
  },
  {
    name: "a shared value, retired in use",
    within,
    rivals: (world) => [Effect.delay(ResourceManager.retire(shared(world)), 5)],
    body: (world) => bounded(Effect.andThen(allocate(world, shared(world)), ResourceManager.retire(shared(world))))
  },
  {
    name: "a shared value with idle time",
    within,
    rivals: (world) => [rival(300, allocate(world, shared(world, 300)))],
    body: (world) =>
      bounded(Effect.andThen(
        TimeFrame.run(allocate(world, shared(world, 300)), { name: "first" }),
        Effect.delay(TimeFrame.run(allocate(world, shared(world, 300)), { name: "second" }), 200)
      ))
  },
  {
    name: "a shared value, retired while idle",
    within,
    rivals: (world) => [rival(15, allocate(world, shared(world, 20_000)))],
    body: (world) =>
      bounded(Effect.andThen(
        TimeFrame.run(allocate(world, shared(world, 20_000)), { name: "first" }),
        ResourceManager.retire(shared(world, 20_000))
      ))
  },
  {
    name: "a persistent value",
    within,
    idle: ["persistent"],
    rivals: (world) => [rival(5, allocate(world, persistent(world)))],
    body: (world) => bounded(allocate(world, persistent(world)))
  },
  {
    name: "a persistent value, retired",
    within,
    rivals: (
      world
    ) => [
      rival(5, allocate(world, persistent(world))),
      Effect.delay(ResourceManager.retire(persistent(world)), "20 seconds")
    ],
    body: (world) =>
      bounded(Effect.andThen(allocate(world, persistent(world)), ResourceManager.retire(persistent(world))))
  },
  {
    name: "reading against a writer and a reader",
    within,
    rivals: (world) => [
      rival(0, turn(world, "write", readWrite(world), 20)),
      rival(5, turn(world, "read", readWrite(world), 20))
    ],
    body: (world) => bounded(turn(world, "read", readWrite(world), 10))
  },
  {
    name: "writing against a reader and a writer",
    within,
    rivals: (world) => [
      rival(0, turn(world, "read", readWrite(world), 20)),
      rival(5, turn(world, "write", readWrite(world), 20))
    ],
    body: (world) => bounded(turn(world, "write", readWrite(world), 10))
  }
]

/** A manager that closes while things are open in it. */
const closing: ReadonlyArray<Operation> = [
  {
    name: "closing the layer inside of a frame's body",
    within: within + 1000,
    body: (world) =>
      Effect.scoped(Effect.gen(function*() {
        const scope = yield* Scope.Scope
        const layer = ResourceManager.layer({ gracePeriod: "1 second", budget: { units: 10 } })
        const context = yield* Layer.buildWithScope(layer, scope)
        const frame = yield* TimeFrame.make({ name: "left open" }).pipe(Effect.provideContext(context))
        yield* Effect.gen(function*() {
          yield* allocate(world, world.temporal())
          yield* allocate(world, shared(world))
          yield* allocate(world, persistent(world))
        }).pipe(
          TimeFrame.provide(frame),
          Effect.provideContext(context),
          Effect.forkDetach,
          Effect.andThen(Effect.sleep("100 millis"))
        )
        yield* Effect.exit(Effect.scoped(TimeFrame.close(frame)))
      }))
  },
  {
    name: "closing the layer under its users",
    within: within + 1000,
    body: (world) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Effect.addFinalizer((exit) =>
          Effect.map(Effect.exit(Scope.close(scope, exit)), (closed) => world.note(closed))
        )
        const layer = ResourceManager.layer({ gracePeriod: "1 second", budget: { units: 10 } })
        const context = yield* Layer.buildWithScope(layer, scope)
        yield* Effect.gen(function*() {
          const one = yield* Effect.option(ResourceManager.allocate(shared(world)))
          yield* Effect.addFinalizer(() =>
            // What a frame uses is there until the frame has ended.
            Effect.sync(() => one._tag === "Some" && world.use(one.value.value))
          )
          yield* allocate(world, persistent(world))
          yield* Effect.sleep("1 minute")
        }).pipe(
          TimeFrame.run({ name: "left open" }),
          Effect.provideContext(context),
          Effect.exit,
          Effect.forkDetach,
          Effect.andThen(Effect.sleep("100 millis"))
        )
      }).pipe(Effect.scoped)
  }
]

export const operations: ReadonlyArray<Operation> = [...temporals, ...shares, ...closing]

import {
  Allocation,
  CallSite,
  ResourceCatalog,
  ResourceDefinition,
  ResourceManager,
  Snapshot,
  TimeFrame
} from "@chronovyan/core"
import { Duration, Effect, Exit, Stream } from "effect"
import type { Scope } from "effect"
import { define, moment, noStage, toil, tries, work } from "./exploreWorld.ts"
import type { Definition, Item, World } from "./exploreWorld.ts"
import { booksOf } from "./sweepWorld.ts"

type Handle = Allocation.Allocation<Item>

const run = (name: string) => TimeFrame.run({ name })

/** A frame that several fibers share; it ends with the world. */
const stageFrame = (budget: { readonly units: number }) => () => TimeFrame.make({ name: "stage", budget })

/** Uses a shared value in a frame of its own. */
const visit = (name: string, definition: Definition, held = toil) =>
  Effect.flatMap(ResourceManager.allocate(definition), ({ value }) => held(value)).pipe(run(name))

const releaseTwice = (one: Handle) => Effect.all([tries(one.release), tries(one.release)], { concurrency: 2 })

/** What can be seen of the manager at any moment. */
const look = (world: World) =>
  Effect.gen(function*() {
    const before = yield* ResourceManager.snapshot
    yield* Effect.yieldNow
    const after = yield* ResourceManager.snapshot
    for (const trouble of [...booksOf(before), ...booksOf(after)]) world.wrong(`at some time, ${trouble}`)
    const { opened } = Snapshot.diff(before, after)
    if (opened.some(({ openedAt }) => openedAt < before.at)) world.wrong("a frame is new and old")
    if (!Snapshot.render(after).startsWith("manager")) world.wrong("the manager is not shown")
    for (const waiter of after.waiters) {
      // Whoever waits is shown once, and does not have what it waits for.
      const own = Snapshot.holdersFor(after, waiter).filter(({ id }) => id === waiter.allocation)
      if (own.length > 0) world.wrong(`${waiter.frame} waits for what it has`)
    }
    if (Snapshot.orphans(after).length > 0) world.wrong("something has outlived its frame")
  })

const frames = [
  define({
    name: "allocations that are released early, from two fibers at once",
    covers: ["ResourceManager.allocate", "Allocation.release", "Allocation.isAllocation", "TimeFrame.run"],
    stage: () => Effect.sync((): { handle: Handle | undefined } => ({ handle: undefined })),
    fibers: (world, stage) => ({
      owner: Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(world.Thing)
        yield* work(one.value)
        stage.handle = one
        yield* releaseTwice(one)
        if (one.isLive) world.wrong("it lives after its release")
        yield* Effect.flatMap(ResourceManager.allocate(world.Scoped), ({ value }) => toil(value))
      }).pipe(run("owner")),
      other: Effect.suspend(() => Allocation.isAllocation(stage.handle) ? stage.handle.release : moment).pipe(
        Effect.repeat({ times: 2 })
      ),
      third: Effect.gen(function*() {
        const [one, two] = [yield* ResourceManager.allocate(world.Deaf), yield* ResourceManager.allocate(world.Thing)]
        yield* work(two.value)
        yield* tries(one.release)
      }).pipe(run("third"))
    })
  }),
  define({
    name: "tracked handles, from when their tracking comes and goes",
    covers: ["ResourceManager.trackHandles", "CallSite.sample", "Allocation.transfer", "ResourceManager.allocateAll"],
    stage: () => Effect.sync((): { handle: Handle | undefined } => ({ handle: undefined })),
    fibers: (world, stage) => ({
      owner: Effect.gen(function*() {
        const outer = yield* TimeFrame.current
        yield* Effect.gen(function*() {
          yield* ResourceManager.trackHandles()
          yield* CallSite.sample()
          const kept = yield* ResourceManager.allocate(world.Thing)
          yield* work(kept.value)
          stage.handle = kept
          const [one] = yield* ResourceManager.allocateAll([[world.Thing], [world.Scoped]])
          yield* toil(one.value)
          yield* Allocation.transfer(one, outer)
          yield* moment
        }).pipe(run("inner"))
        if (stage.handle?.isLive === true) world.wrong("it lives after its frame")
      }).pipe(run("outer")),
      other: Effect.suspend(() => stage.handle === undefined ? moment : releaseTwice(stage.handle)).pipe(
        Effect.repeat({ times: 2 })
      ),
      third: ResourceManager.use(world.Thing, undefined, toil).pipe(
        Effect.andThen(ResourceManager.allocate(world.Thing)),
        run("third"),
        Effect.tap(ResourceManager.trackHandles({ every: 2 })),
        Effect.scoped
      )
    })
  }),
  define({
    name: "uses that share a budget",
    covers: ["ResourceManager.use", "Budget", "TimeFrame.make", "TimeFrame.provide"],
    idle: ["stage"],
    stage: stageFrame({ units: 2 }),
    fibers: (world, frame) => {
      const use = (definition: Definition) =>
        ResourceManager.use(definition, undefined, toil).pipe(TimeFrame.provide(frame))
      return { one: use(world.Thing), two: use(world.Scoped), three: use(world.Thing), again: tries(use(world.Thing)) }
    }
  }),
  define({
    name: "several at once, all or none",
    covers: ["ResourceManager.allocateAll", "BudgetExceeded"],
    idle: ["stage"],
    stage: stageFrame({ units: 3 }),
    fibers: (world, frame) => ({
      pair: ResourceManager.allocateAll([[world.Thing], [world.Scoped]]).pipe(
        Effect.flatMap((all) => Effect.forEach(all, ({ value }) => work(value))),
        TimeFrame.run({ name: "pair", budget: { units: 2 } }),
        TimeFrame.provide(frame)
      ),
      mixed: ResourceManager.allocateAll([[world.Shared], [world.Thing], [world.Named, "two"]]).pipe(
        Effect.flatMap(([, two, three]) => Effect.andThen(work(two.value), toil(three.value))),
        run("mixed"),
        TimeFrame.provide(frame)
      ),
      shares: ResourceManager.allocateAll([[world.Deaf], [world.Shared]]).pipe(run("shares"), TimeFrame.provide(frame))
    })
  }),
  define({
    name: "handles that move to a frame that closes",
    covers: ["Allocation.transfer", "TimeFrame.close", "TimeFrame.current"],
    idle: ["goal", "thing", "scoped"],
    endsOthers: true,
    stage: () =>
      Effect.map(
        TimeFrame.make({ name: "goal", budget: { units: 2 } }),
        (goal) => ({ goal, handle: undefined as Handle | undefined })
      ),
    fibers: (world, stage) => {
      const move = (name: string) =>
        Effect.gen(function*() {
          const one = yield* ResourceManager.allocate(world.Thing)
          stage.handle = one
          const two = yield* ResourceManager.allocate(world.Scoped)
          yield* Allocation.transfer(two, yield* TimeFrame.current)
          yield* Effect.yieldNow
          yield* tries(Allocation.transfer(one, stage.goal))
          yield* tries(Allocation.transfer(two, stage.goal))
        }).pipe(run(name))
      return {
        first: move("first"),
        second: move("second"),
        releasing: Effect.andThen(moment, Effect.suspend(() => stage.handle?.release ?? Effect.void)),
        closing: Effect.andThen(moment, TimeFrame.close(stage.goal))
      }
    }
  }),
  define({
    name: "a frame that is closed while others work in it",
    covers: ["TimeFrame.make", "TimeFrame.provide", "TimeFrame.close", "TimeFrame.path", "FrameClosed"],
    idle: ["stage", "thing", "scoped"],
    endsOthers: true,
    stage: stageFrame({ units: 4 }),
    fibers: (world, frame) => {
      const visitor = Effect.gen(function*() {
        if ((yield* TimeFrame.path) !== "stage") world.wrong("the path is wrong")
        yield* ResourceManager.allocate(world.Thing)
        yield* moment
      }).pipe(TimeFrame.provide(frame))
      const inside = Effect.flatMap(ResourceManager.allocate(world.Scoped), ({ value }) => toil(value)).pipe(
        TimeFrame.run({ name: "inside", timeout: "1 second" }),
        TimeFrame.provide(frame)
      )
      return {
        visitor,
        inside,
        closing: Effect.gen(function*() {
          yield* Effect.yieldNow
          yield* TimeFrame.close(frame)
          if (Exit.isSuccess(yield* tries(visitor))) world.wrong("a closed frame took something new")
        }),
        also: Effect.andThen(moment, TimeFrame.close(frame, Exit.fail("over")))
      }
    }
  }),
  define({
    name: "bodies that run out of time",
    covers: ["TimeFrame.run", "TimeFrame.remaining", "DeadlineExceeded"],
    stage: noStage,
    fibers: (world) => ({
      sleeping: Effect.gen(function*() {
        yield* ResourceManager.allocate(world.Thing)
        return yield* Effect.never
      }).pipe(TimeFrame.run({ name: "sleeping", timeout: 8 })),
      acquiring: Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(world.Scoped)
        yield* work(one.value)
        if (Duration.toMillis(yield* TimeFrame.remaining) > 12) world.wrong("there is more time than there was")
        yield* ResourceManager.use(world.Thing, toil)
      }).pipe(TimeFrame.run({ name: "acquiring", timeout: 12 })),
      inner: Effect.gen(function*() {
        yield* ResourceManager.allocate(world.Scoped)
        yield* tries(
          Effect.andThen(ResourceManager.allocate(world.Thing), Effect.never).pipe(
            TimeFrame.run({ name: "inner", timeout: 5, gracePeriod: "1 second" })
          )
        )
        yield* ResourceManager.use(world.Thing, work)
      }).pipe(TimeFrame.run({ name: "outer", timeout: 30, budget: { units: 2 } }))
    })
  }),
  define({
    name: "acquisitions that ignore the deadline, and are left behind",
    covers: ["TimeFrame.run", "LateArrival"],
    stage: noStage,
    fibers: (world) => {
      const late = (timeout: number) =>
        Effect.flatMap(ResourceManager.allocate(world.Deaf), ({ value }) => toil(value)).pipe(
          TimeFrame.run({ name: `${timeout} ms`, timeout, gracePeriod: 3 })
        )
      return { first: late(2), second: late(5), third: late(8) }
    }
  }),
  define({
    name: "acquisitions that are mapped, renamed, and allocate themselves",
    covers: ["ResourceDefinition.mapAcquire", "ResourceDefinition.rename", "ResourceDefinition.temporal"],
    stage: (world) =>
      Effect.sync(() => ({
        // What is done again is not one step any more, so it may not be interrupted.
        Retried: ResourceDefinition.mapAcquire(world.Deaf, (acquire) => Effect.retry(acquire, { times: 1 })).pipe(
          ResourceDefinition.rename("retried")
        ),
        Pair: ResourceDefinition.temporal("pair", {
          acquire: () =>
            Effect.gen(function*() {
              const one = yield* ResourceManager.allocate(world.Thing)
              yield* Effect.yieldNow
              const two = yield* ResourceManager.allocate(world.Scoped)
              return [one.value, two.value] as const
            })
        })
      })),
    fibers: (world, { Pair, Retried }) => ({
      retried: ResourceManager.use(Retried, toil).pipe(run("retried")),
      pair: ResourceManager.use(Pair, ([one, two]) => Effect.andThen(work(one), toil(two))).pipe(run("pair")),
      hasty: Effect.flatMap(
        ResourceManager.allocate(Pair as any) as Effect.Effect<Handle, never, TimeFrame.TimeFrame>,
        (pair) => Effect.andThen(Effect.yieldNow, pair.release)
      ).pipe(TimeFrame.run({ name: "hasty", timeout: 12 })),
      alone: ResourceManager.use(world.Thing, work).pipe(run("alone"))
    })
  })
]

const shares = [
  define({
    name: "a shared value of several frames",
    covers: ["ResourceDefinition.shared", "ResourceManager.allocate"],
    stage: noStage,
    fibers: (world) => ({
      first: visit("first", world.Shared),
      second: visit("second", world.Shared, work),
      third: Effect.andThen(moment, visit("third", world.Shared)),
      hasty: ResourceManager.use(world.Shared, toil).pipe(TimeFrame.run({ name: "hasty", timeout: 4 }))
    })
  }),
  define({
    name: "a shared value that stays for a while",
    covers: ["ResourceDefinition.shared"],
    stage: noStage,
    fibers: (world) => ({
      first: visit("first", world.Lasting),
      soon: Effect.andThen(Effect.sleep(15), visit("soon", world.Lasting)),
      late: Effect.andThen(Effect.sleep(30), visit("late", world.Lasting, work)),
      retiring: Effect.andThen(Effect.sleep(20), ResourceManager.retire(world.Lasting))
    })
  }),
  define({
    name: "a shared value that is retired while it is made, used and released",
    covers: ["ResourceManager.retire"],
    stage: noStage,
    fibers: (world) => ({
      first: visit("first", world.Shared),
      second: tries(visit("second", world.Shared, work)).pipe(Effect.repeat({ times: 1 })),
      retiring: Effect.andThen(tries(ResourceManager.retire(world.Shared)), Effect.yieldNow).pipe(
        Effect.repeat({ times: 2 })
      )
    })
  }),
  define({
    name: "readers and writers who take turns",
    covers: ["Allocation.read", "Allocation.write", "Allocation.access"],
    stage: () => Effect.sync(() => ({ read: 0, write: 0 })),
    fibers: (world, inside) => {
      const turn = (name: string, kind: "read" | "write") =>
        Effect.gen(function*() {
          const handle = yield* ResourceManager.allocate(world.ByTurns)
          const see = Effect.sync(() => {
            const { readers, writing } = handle.access.value
            if (readers < inside.read || (writing ? readers > 0 : inside.write > 0)) world.wrong("it is not its turn")
          })
          const enter = (item: Item) =>
            Effect.acquireUseRelease(
              Effect.sync(() => {
                inside[kind]++
                if (inside.write > 1 || (inside.write > 0 && inside.read > 0)) world.wrong("a writer is not alone")
                if (!item.isOpen) world.wrong("it is released under those who use it")
              }),
              () => Effect.andThen(Effect.andThen(see, moment), see),
              () => Effect.sync(() => void inside[kind]--)
            )
          yield* handle[kind](enter)
          yield* tries(handle.release)
          if (Exit.isSuccess(yield* tries(handle[kind](enter)))) world.wrong("it has a turn after its release")
        }).pipe(run(name))
      return {
        reader: turn("reader", "read"),
        writer: turn("writer", "write"),
        other: turn("other", "write"),
        late: Effect.andThen(moment, turn("late", "read"))
      }
    }
  }),
  define({
    name: "a persistent value that is retired and made anew",
    covers: ["ResourceDefinition.persistent", "ResourceManager.retire"],
    idle: ["persistent"],
    stage: noStage,
    fibers: (world) => ({
      first: visit("first", world.Persistent),
      second: visit("second", world.Persistent, work),
      third: Effect.andThen(moment, visit("third", world.Persistent)),
      retiring: Effect.andThen(moment, ResourceManager.retire(world.Persistent))
    })
  }),
  define({
    name: "persistent values by params",
    covers: ["ResourceDefinition.persistent", "ResourceManager.retire", "InvalidParams"],
    idle: ["each"],
    stage: noStage,
    fibers: (world) => {
      const each = (params: string, name: string) => ResourceManager.use(world.Each, params, toil).pipe(run(name))
      return {
        blue: each("blue", "blue"),
        both: Effect.andThen(tries(each("red", "both")), each("blue", "both")),
        retiring: Effect.andThen(Effect.yieldNow, ResourceManager.retire(world.Each, "blue")),
        wrong: tries(each(7 as never, "wrong")).pipe(Effect.andThen(ResourceManager.retire(world.Each)))
      }
    }
  })
]

const whole = [
  define({
    name: "definitions by name",
    covers: ["ResourceCatalog.make", "ResourceCatalog.allocate", "ResourceCatalog.allocateUnknown", "UnknownResource"],
    stage: (world) => Effect.sync(() => ResourceCatalog.make(world.Thing, world.Shared, world.Named)),
    fibers: (world, catalog) => ({
      known: Effect.flatMap(catalog.allocate("thing"), ({ value }) => toil(value)).pipe(run("known")),
      named: Effect.flatMap(catalog.allocate("named", "one"), ({ value }) => work(value)).pipe(run("named")),
      unchecked: Effect.gen(function*() {
        const one = yield* catalog.allocateUnknown("shared")
        yield* toil(one.value)
        if (Exit.isSuccess(yield* tries(catalog.allocateUnknown("named", 7)))) world.wrong("7 is a name")
        yield* catalog.allocateUnknown("other")
      }).pipe(run("unchecked"))
    })
  }),
  define({
    name: "what happens, and how it stands, as others see it",
    covers: [
      "ResourceManager.events",
      "ResourceManager.snapshot",
      "Snapshot.diff",
      "Snapshot.holdersFor",
      "Snapshot.render",
      "Snapshot.orphans"
    ],
    stage: noStage,
    fibers: (world) => ({
      listener: Effect.gen(function*() {
        const events = yield* Stream.runCollect(ResourceManager.events.pipe(Stream.interruptWhen(Effect.sleep(200))))
        const count = (tag: string) => events.filter(({ _tag }) => _tag === tag).length
        if (count("FrameEnded") < count("FrameOpened")) world.wrong("a frame was opened and never ended")
        if (count("Released") < count("Allocated")) world.wrong("something was allocated and never released")
      }),
      busy: ResourceManager.use(world.Thing, toil).pipe(run("inner"), tries, Effect.repeat({ times: 1 }), run("busy")),
      sharing: visit("sharing", world.Shared),
      looking: Effect.andThen(look(world), moment).pipe(Effect.repeat({ times: 2 }))
    })
  }),
  define({
    name: "a manager that closes under its users",
    covers: ["ResourceManager.layer", "FrameClosed"],
    idle: ["persistent"],
    endsOthers: true,
    stage: noStage,
    fibers: (world) => {
      // What a frame uses is there until the frame has ended.
      const keep = (name: string, definition: Definition, use = work) =>
        Effect.gen(function*() {
          const one = yield* ResourceManager.allocate(definition)
          yield* Effect.addFinalizer(() => Effect.suspend(() => one.isLive ? use(one.value) : Effect.void))
          yield* Effect.sleep(20)
        }).pipe(run(name)) as Effect.Effect<void, unknown, ResourceManager.ResourceManager | Scope.Scope>
      return {
        alone: Effect.scoped(keep("alone", world.Thing)),
        sharing: Effect.scoped(keep("sharing", world.Shared)),
        persistent: Effect.scoped(keep("persistent", world.Persistent)),
        closing: Effect.andThen(moment, world.closeManager)
      }
    }
  })
]

export const frameCases = [...frames, ...shares, ...whole]

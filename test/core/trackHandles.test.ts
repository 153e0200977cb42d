import { Allocation, CallSite, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import type { ResourceEvent, Snapshot } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { findGc } from "./collecting.ts"
import { defectsOf, failureOf, heldNow, managed, settle, start } from "./fixtures.ts"

const gc = findGc()

const Thing = ResourceDefinition.temporal("thing", {
  cost: () => ({ units: 1 }),
  acquire: () => Effect.succeed({ name: "thing" }),
  release: () => Effect.void
})
const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.succeed("settings") })
const Document = ResourceDefinition.shared("document", { access: "readWrite", acquire: () => Effect.succeed([1]) })

const held = Effect.map(ResourceManager.snapshot, ({ allocations }) => allocations)

/** What is told about handles. */
const listen = Effect.gen(function*() {
  const told: Array<ResourceEvent.ResourceEvent> = []
  yield* ResourceManager.events.pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag === "HandleCollected") told.push(event)
      })
    ),
    start
  )
  return told
})

/** Runs it on a fiber of its own, so that nothing is left of it on this one, then collects until that is so, for a while. */
const apart = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flatMap(start(effect), Fiber.join)

const collect = (isDone: Effect.Effect<boolean, never, ResourceManager.ResourceManager>) =>
  Effect.gen(function*() {
    for (let round = 0; round < 20 && !(yield* isDone); round++) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      gc!()
    }
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    yield* settle
  })

const collectedNow = Effect.map(held, (all) => all.filter(({ collected }) => collected).map(({ id }) => id))

const framed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(TimeFrame.run({ name: "frame", budget: { units: 100 } }), managed())

describe("ResourceManager.trackHandles", () => {
  it.effect.skipIf(gc === undefined)(
    "tells of a handle that was collected, though nobody had given it back; the allocation is still held",
    () =>
      Effect.gen(function*() {
        const told = yield* listen
        yield* ResourceManager.trackHandles()
        const value = yield* apart(Effect.map(ResourceManager.allocate(Thing), ({ value }) => value))
        yield* TestClock.adjust("3 seconds")
        yield* collect(Effect.sync(() => told.length > 0))
        assert.deepStrictEqual(told, [
          {
            _tag: "HandleCollected",
            allocation: 1,
            at: 3000,
            frame: "frame",
            frameId: 1,
            held: 3000,
            resource: "thing"
          }
        ])
        assert.deepStrictEqual(value, { name: "thing" })
        assert.deepInclude({ ...(yield* held)[0] }, { collected: true, state: "live", cost: { units: 1 } })
      }).pipe(framed)
  )

  it.effect.skipIf(gc === undefined)(
    "tells nothing of those that are in use, given back, or nobody's to lose",
    () =>
      Effect.gen(function*() {
        const told = yield* listen
        yield* ResourceManager.trackHandles()
        yield* CallSite.sample()
        const pool = yield* ResourcePool.make(Thing, { max: 10 })
        const kept = yield* ResourceManager.allocate(Thing)
        const { release } = yield* ResourceManager.allocate(Thing)
        const hasEnded = new WeakRef({})
        yield* apart(Effect.gen(function*() {
          yield* (yield* ResourceManager.allocate(Thing)).release
          yield* (yield* ResourceManager.allocate(pool)).release
          yield* ResourceManager.allocate(Settings)
          yield* ResourceManager.allocate(Document)
          yield* ResourcePool.get(pool)
          yield* ResourceManager.allocate(Thing).pipe(TimeFrame.run({ name: "inner" }))
        }))
        yield* start(ResourceManager.use(Thing, () => Effect.never))
        yield* collect(Effect.sync(() => hasEnded.deref() === undefined))
        assert.deepStrictEqual(told, [])
        assert.deepStrictEqual(yield* collectedNow, [])
        assert.isTrue(kept.isLive)
        yield* release
      }).pipe(framed)
  )

  it.effect.skipIf(gc === undefined)(
    "tells of the handle of a borrow, and of those of a set",
    () =>
      Effect.gen(function*() {
        yield* ResourceManager.trackHandles()
        const pool = yield* ResourcePool.make(Thing, { max: 10 })
        const kept = yield* apart(Effect.gen(function*() {
          yield* ResourceManager.allocate(pool)
          const [one] = yield* ResourceManager.allocateAll([[Thing], [Thing], [Settings], [pool]])
          return one
        }))
        yield* collect(Effect.map(collectedNow, (ids) => ids.length === 3))
        const resources = (yield* held).map(({ collected, resource, share }) => [resource, share, collected === true])
        assert.deepStrictEqual(resources.filter(([, , collected]) => collected), [
          ["thing", true, true],
          ["thing", false, true],
          ["thing", true, true]
        ])
        assert.isTrue(kept.isLive)
      }).pipe(framed)
  )

  it.effect("changes nothing about what can be done with a handle", () =>
    Effect.gen(function*() {
      yield* ResourceManager.trackHandles()
      const outer = yield* TimeFrame.current
      const scope = yield* Scope.make()
      const kept = yield* Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(Thing)
        assert.isTrue(Allocation.isAllocation(one))
        assert.deepInclude({ id: one.id, isLive: one.isLive, resource: one.resource, value: one.value }, {
          id: 1,
          isLive: true,
          resource: "thing",
          value: { name: "thing" }
        })
        assert.deepStrictEqual(JSON.parse(JSON.stringify(one)), {
          _id: "Allocation",
          id: 1,
          resource: "thing",
          state: "live"
        })
        yield* Allocation.transfer(one, outer)
        return one
      }).pipe(TimeFrame.run({ name: "inner" }))
      assert.deepStrictEqual(yield* heldNow, ["thing live"])
      const closed = yield* TimeFrame.make({ name: "closed" }).pipe(Scope.provide(scope))
      yield* TimeFrame.close(closed)
      assert.strictEqual(failureOf(yield* Effect.exit(Allocation.transfer(kept, closed)))?._tag, "FrameClosed")
      yield* Effect.all([kept.release, kept.release], { concurrency: 2 })
      assert.isFalse(kept.isLive)
      assert.throws(() => kept.value, /AllocationReleased|given back|released/i)
      assert.strictEqual(failureOf(yield* Effect.exit(Allocation.transfer(kept, outer)))?._tag, "AllocationReleased")
      const document = yield* ResourceManager.allocate(Document)
      assert.strictEqual(yield* document.read((lines) => Effect.succeed(lines.length)), 1)
      yield* document.write((lines) => Effect.sync(() => lines.push(2)))
      assert.strictEqual(document.access.value.readers, 0)
      assert.deepStrictEqual(yield* Scope.close(scope, Exit.void), undefined)
    }).pipe(framed))

  it.effect("is for one manager, one in so many, and until its scope ends", () =>
    Effect.gen(function*() {
      const isTracked = Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(Thing)
        // A handle that is not tracked is the record itself, which knows its frame.
        return !("frame" in one)
      })
      assert.isFalse(yield* isTracked)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* ResourceManager.trackHandles({ every: 4 })
        assert.isFalse(yield* isTracked.pipe(TimeFrame.run({ name: "other" }), managed()))
        let count = 0
        for (let i = 0; i < 400; i++) if (yield* isTracked.pipe(TimeFrame.run({ name: "inner" }))) count++
        assert.isTrue(count > 50 && count < 150, String(count))
        yield* Effect.scoped(ResourceManager.trackHandles())
        yield* ResourceManager.trackHandles()
        assert.isTrue(yield* isTracked)
      }))
      assert.isFalse(yield* isTracked)
      const [defect] = defectsOf(yield* Effect.exit(ResourceManager.trackHandles({ every: 0 })))
      assert.instanceOf(defect, TypeError)
      assert.isFalse(yield* isTracked)
    }).pipe(framed))
})

describe("What is abandoned", () => {
  const abandoned = Effect.map(ResourceManager.snapshot, ({ allocations, frames }) => {
    const name = ({ abandoned, resource }: Snapshot.AllocationState) => abandoned === true ? [resource] : []
    return [...frames.flatMap(({ abandoned, path }) => abandoned === true ? [path] : []), ...allocations.flatMap(name)]
  })

  it.effect("is what a fiber allocated, when its handle is tracked and the fiber has ended; a move makes it another's", () =>
    Effect.gen(function*() {
      const outer = yield* TimeFrame.current
      const before = yield* apart(ResourceManager.allocate(Thing))
      yield* ResourceManager.trackHandles()
      const server = yield* TimeFrame.make({ name: "server" })
      const own = yield* ResourceManager.allocate(Thing)
      const fiber = yield* start(Effect.gen(function*() {
        const one = yield* ResourceManager.allocate(Thing).pipe(TimeFrame.provide(server))
        yield* Effect.sleep("1 second")
        return one
      }))
      assert.deepStrictEqual(yield* abandoned, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* abandoned, ["thing"])
      yield* Allocation.transfer(yield* Fiber.join(fiber), outer)
      assert.deepStrictEqual(yield* abandoned, [])
      assert.isTrue(before.isLive && own.isLive)
    }).pipe(framed))

  it.effect("is what was borrowed by a fiber that has ended, wherever it stands, unless a body that runs ends it", () =>
    Effect.gen(function*() {
      const Item = ResourceDefinition.temporal("item", { acquire: () => Effect.succeed("item") })
      const pool = yield* ResourcePool.make(Item, { name: "pool", max: 10 })
      const scope = yield* Scope.make()
      const server = yield* TimeFrame.make({ name: "server" })
      yield* apart(ResourcePool.get(pool))
      assert.deepStrictEqual(yield* abandoned, [])
      yield* apart(TimeFrame.provide(ResourcePool.get(pool), server))
      assert.deepStrictEqual(yield* abandoned, ["pool"])
      yield* apart(Scope.provide(ResourcePool.get(pool), scope))
      assert.deepStrictEqual(yield* abandoned, ["pool", "pool"])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* abandoned, ["pool"])
      yield* TimeFrame.close(server)
      const fiber = yield* start(ResourcePool.use(pool, () => Effect.never))
      assert.deepStrictEqual(yield* abandoned, [])
      yield* Fiber.interrupt(fiber)
    }).pipe(framed))

  it.effect("is a frame that was made by a fiber that has ended, as long as no other has entered it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const make = TimeFrame.make({ name: "made" }).pipe(
        Effect.tap((frame) => TimeFrame.provide(ResourceManager.allocate(Thing), frame)),
        Scope.provide(scope)
      )
      const made = yield* apart(make)
      assert.deepStrictEqual(yield* abandoned, ["frame/made", "thing"])
      yield* TimeFrame.provide(Effect.void, made)
      assert.deepStrictEqual(yield* abandoned, [])
      yield* apart(make)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* abandoned, [])
    }).pipe(framed))

  it.effect("is no frame that is about to end", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<string>> = []
      const fiber = yield* Effect.yieldNow.pipe(
        TimeFrame.run({ name: "inner", timeout: "1 minute" }),
        TimeFrame.run({ name: "outer", timeout: "1 minute" }),
        Effect.forkChild
      )
      while (fiber.pollUnsafe() === undefined) {
        seen.push(yield* abandoned)
        yield* Effect.yieldNow
      }
      assert.isAbove(seen.length, 1)
      assert.deepStrictEqual(seen.flat(), [])
    }).pipe(framed))
})

describe("What is borrowed outside of frames", () => {
  it.effect("is shown with the pool, as long as it is held", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { name: "pool", min: 1, max: 2, warmUp: { failFast: true } })
      const fiber = Effect.runFork(ResourcePool.use(pool, () => Effect.never))
      const borrow = (yield* held).find(({ share }) => share)
      assert.deepInclude({ ...borrow }, { frame: `fiber #${fiber.id}`, resource: "pool", state: "live" })
      const { pools: [state], resources } = yield* ResourceManager.snapshot
      assert.strictEqual(borrow!.frameId, state!.frameId)
      assert.strictEqual(resources.find(({ kind }) => kind === "pool")!.shares, 1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual((yield* held).filter(({ share }) => share), [])
    }).pipe(framed))
})

import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, PartitionedSemaphore, Pool, Queue, Semaphore, TxQueue, TxReentrantLock } from "effect"
import { findingsOf, leakyPermit, makeThings, noneLive } from "./fixtures.ts"

const oneFree = (semaphore: Semaphore.Semaphore) =>
  Effect.map(Semaphore.takeIfAvailable(semaphore, 1), (free) => (free ? [] : ["a permit is lost"]))

/** A queue that is empty for a second. */
const aQueue = Effect.gen(function*() {
  const queue = yield* Queue.unbounded<string>()
  yield* Effect.forkScoped(Effect.delay(Queue.offer(queue, "item"), "1 second"))
  return { queue, got: new Array<string>() }
})

/** Only the wait is interruptible: whoever gets the item keeps it. */
const keep = <E>(got: Array<string>, take: Effect.Effect<string, E>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.map(restore(take), (item) => {
      got.push(item)
    })
  )

const oneLeft = (items: number) => (items === 1 ? [] : ["the item is lost"])

describe("Sweep finds what is known to leak in Effect 4.1", () => {
  it.effect("TxSemaphore.withPermit loses a permit", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run(leakyPermit)
      assert.deepStrictEqual(findingsOf(report), new Set(["1 permit lost"]))
    }))

  it.effect("PartitionedSemaphore.withPermits loses a permit", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "PartitionedSemaphore.withPermits",
        setup: PartitionedSemaphore.make<string>({ permits: 2 }),
        body: (semaphore) => PartitionedSemaphore.withPermits(semaphore, "a", 1, Effect.void),
        check: (semaphore) =>
          Effect.map(PartitionedSemaphore.available(semaphore), (free) => (free === 2 ? [] : [`${2 - free} lost`]))
      })
      assert.deepStrictEqual(findingsOf(report), new Set(["1 lost"]))
    }))

  it.effect("TxReentrantLock.withWriteLock stays locked", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "TxReentrantLock.withWriteLock",
        setup: TxReentrantLock.make(),
        body: (lock) => TxReentrantLock.withWriteLock(lock, Effect.void),
        check: (lock) => Effect.map(TxReentrantLock.locked(lock), (locked) => (locked ? ["still locked"] : []))
      })
      assert.deepStrictEqual(findingsOf(report), new Set(["still locked"]))
    }))

  it.effect("an interruptible acquireRelease of a permit loses it", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "acquireRelease, interruptible",
        setup: Semaphore.make(1),
        body: (semaphore) =>
          Effect.scoped(
            Effect.acquireRelease(Semaphore.take(semaphore, 1), () => Semaphore.release(semaphore, 1), {
              interruptible: true
            })
          ),
        check: oneFree
      })
      assert.deepStrictEqual(findingsOf(report), new Set(["a permit is lost"]))
    }))

  it.effect("TxQueue.take loses the item", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "TxQueue.take",
        setup: Effect.gen(function*() {
          const queue = yield* TxQueue.unbounded<string>()
          yield* TxQueue.offer(queue, "item")
          return { queue, got: new Array<string>() }
        }),
        body: ({ got, queue }) => keep(got, TxQueue.take(queue)),
        check: ({ got, queue }) => Effect.map(TxQueue.size(queue), (left) => oneLeft(left + got.length))
      })
      assert.deepStrictEqual(findingsOf(report), new Set(["the item is lost"]))
    }))

  it.effect("Queue.take loses the item when there is a timeout around it", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "Queue.take under a timeout",
        setup: aQueue,
        body: ({ got, queue }) => keep(got, Effect.timeout(Queue.take(queue), "1 minute")),
        check: ({ got, queue }) => Effect.map(Queue.size(queue), (left) => oneLeft(left + got.length))
      })
      assert.deepStrictEqual(findingsOf(report), new Set(["the item is lost"]))
    }))

  it.effect("a Pool forgets its borrower when an acquire fails between its last look and its falling asleep", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "Pool, one item, one failing acquire",
        setup: Effect.suspend(() => {
          let attempts = 0
          const acquire = Effect.suspend(() => (attempts++ === 1 ? Effect.fail("refused") : Effect.succeed(attempts)))
          return Pool.make({ size: 1, acquire })
        }),
        body: (pool) =>
          Effect.forEach(
            [1, 2, 3],
            (borrower) =>
              Effect.exit(
                Pool.use(pool, (item) => (borrower === 1 ? Pool.invalidate(pool, item) : Effect.yieldNow))
              ),
            { concurrency: 3, discard: true }
          ),
        check: () => []
      }, { modes: ["yield"] })
      const [failure] = report.failures
      assert.match(failure!.findings[0]!, /^stuck: the body has not ended/)
      assert.match(failure!.where!, /^another fiber/)
    }))
})

describe("Sweep has nothing against", () => {
  it.effect("Effect.acquireRelease in a scope", () =>
    Sweep.assert({
      name: "acquireRelease",
      setup: Effect.sync(makeThings),
      body: ({ acquire, release }) =>
        Effect.scoped(Effect.andThen(Effect.acquireRelease(acquire, () => release), Effect.sleep("1 second"))),
      check: noneLive
    }))

  it.effect("Effect.acquireUseRelease, also when all of it is slow", () =>
    Sweep.assert({
      name: "acquireUseRelease",
      setup: Effect.sync(makeThings),
      body: ({ acquire, release }) =>
        Effect.acquireUseRelease(
          Effect.delay(acquire, "1 second"),
          () => Effect.sleep("1 hour"),
          () => Effect.delay(release, "1 second")
        ),
      check: noneLive
    }))

  it.effect("Semaphore.withPermits, with others waiting", () =>
    Sweep.assert({
      name: "withPermits",
      setup: Semaphore.make(1),
      body: (semaphore) =>
        Effect.forEach([1, 2, 3], () => Semaphore.withPermits(semaphore, 1, Effect.yieldNow), {
          concurrency: "unbounded"
        }),
      check: oneFree
    }))

  it.effect("Queue.take by itself, which hands the item over in one step", () =>
    Sweep.assert({
      name: "Queue.take",
      setup: aQueue,
      body: ({ got, queue }) => keep(got, Queue.take(queue)),
      check: ({ got, queue }) => Effect.map(Queue.size(queue), (left) => oneLeft(left + got.length))
    }))

  it.effect("Semaphore.takeScoped", () =>
    Sweep.assert({
      name: "takeScoped",
      setup: Semaphore.make(1),
      body: (semaphore) => Effect.scoped(Semaphore.takeScoped(semaphore, 1)),
      check: oneFree
    }))

  it.effect("Pool.use, and the pool can be closed afterwards", () =>
    Sweep.assert({
      name: "Pool.use",
      setup: Effect.gen(function*() {
        const { acquire, release, things } = makeThings()
        const pool = yield* Pool.make({ size: 1, acquire: Effect.acquireRelease(acquire, () => release) })
        return { pool, things }
      }),
      body: ({ pool }) =>
        Effect.forEach([1, 2], () => Pool.use(pool, () => Effect.sleep("1 second")), { concurrency: 2 }),
      check: ({ pool }) => Effect.as(Pool.use(pool, () => Effect.void), []),
      afterClose: noneLive
    }))
})

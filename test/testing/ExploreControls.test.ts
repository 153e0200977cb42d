import { Explore } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Pool, Queue, RcMap, Ref, ScopedCache, Semaphore, TxReentrantLock } from "effect"
import {
  acquired,
  borrowers,
  clients,
  election,
  emptyStreams,
  finds,
  getThenSet,
  heldFor,
  lineAtOnce,
  lineInSteps,
  locks,
  partitionedPermit,
  passes,
  queueTake,
  reentrant,
  semaphorePermit,
  shared,
  signals,
  spinner,
  tickets,
  transfer,
  twice,
  twoItems,
  txPermit,
  txTake,
  withdrawals,
  worker
} from "./exploreFixtures.ts"

describe("Explore finds, in Effect 4.1, that", () => {
  it.effect("a Pool forgets two borrowers when an acquisition fails", () =>
    finds(borrowers(true), { finds: /^stuck: "bob" and "cid" have not ended/, decisions: 1 }))

  it.effect("a Pool that grows misses a wake-up", () =>
    finds(
      twoItems((acquire) => Pool.makeWithTTL({ acquire, min: 0, max: 2, timeToLive: "1 hour" })),
      { finds: /^ann died: TimeoutError/, decisions: 1 }
    ))

  const held = /^stuck: "bob" has not ended/

  it.effect("TxSemaphore.withPermit loses a permit", () => finds(txPermit, { finds: held, decisions: 1 }))

  it.effect("PartitionedSemaphore.withPermits loses a permit", () =>
    finds(partitionedPermit, { finds: held, decisions: 1 }))

  it.effect("TxReentrantLock.withWriteLock stays locked", () =>
    finds(reentrant("TxReentrantLock.withWriteLock", (lock, work) => TxReentrantLock.withWriteLock(lock, work)), {
      finds: held,
      decisions: 1
    }))

  it.effect("TxReentrantLock.withReadLock stays locked", () =>
    finds(reentrant("TxReentrantLock.withReadLock", (lock, work) => TxReentrantLock.withReadLock(lock, work)), {
      finds: /^it is never free again$/,
      decisions: 1
    }))

  it.effect("an interruptible acquireRelease of a permit loses it", () =>
    finds(acquired({ interruptible: true }), { finds: held, decisions: 1 }))

  it.effect("ScopedCache.get leaves a resource open", () =>
    finds(
      shared(
        "ScopedCache.get",
        (value) => ScopedCache.make({ capacity: 1, lookup: (_: string) => value }),
        (cache) => ScopedCache.get(cache, "a")
      ),
      { finds: /^1 live$/, decisions: 2 }
    ))

  it.effect("Stream.flatMap hangs when an inner stream ends before its fiber is known", () =>
    finds(emptyStreams(2), { finds: /^stuck: "ann" has not ended/, decisions: 1 }))

  it.effect("TxQueue.take loses the item", () => finds(txTake, { finds: /^items: 0/, decisions: 1 }))

  it.effect("Queue.take loses the item when there is a timeout around it", () =>
    finds(queueTake("Queue.take, timeout", (queue) => Effect.timeout(Queue.take(queue), "1 minute")), {
      finds: /^items: 0/,
      decisions: 1
    }))
})

describe("Explore finds", () => {
  it.effect("a lost update", () => finds(withdrawals(getThenSet), { finds: /^balance: [57]0/, decisions: 1 }))
  it.effect("two that check, then act", () => finds(clients(false), { finds: /^2 made/, decisions: 1 }))
  it.effect("two locks in opposite orders", () =>
    finds(locks(false), { finds: /^stuck: "ann" and "bob" have not ended/, decisions: 1 }))
  it.effect("a missed signal", () => finds(signals(false), { finds: /^stuck: "waiter" has not ended/, decisions: 1 }))
  it.effect("a livelock", () => finds(election(() => "1 second"), { finds: /^endless/, decisions: 1 }))
  it.effect("an invariant that does not hold for a moment", () =>
    finds(
      transfer((world) =>
        Effect.andThen(
          Effect.sync(() => world.here -= 30),
          Effect.sync(() => world.there += 30)
        )
      ),
      { finds: /^total: 70/, decisions: 1 }
    ))
  it.effect("a fiber that dies unnoticed", () =>
    finds(worker(false), { finds: /^main\/1 died: TypeError/, decisions: 1 }))
  it.effect("a counter that is not linearizable", () =>
    finds(tickets((counter) => Effect.andThen(Ref.update(counter, (n) => n + 1), Ref.get(counter))), {
      finds: /^no order/,
      decisions: 1
    }))
  it.effect("a queue that is not linearizable", () => finds(lineInSteps, { finds: /^no order/, decisions: 1 }))
})

describe("Explore has nothing against", () => {
  it.effect("a Pool whose acquisitions succeed", () => passes(borrowers(false)))
  it.effect("a Pool of a fixed size", () => passes(twoItems((acquire) => Pool.make({ acquire, size: 2 }))))
  it.effect("Semaphore.withPermits", () =>
    passes(semaphorePermit("withPermits", (semaphore) => Semaphore.withPermits(semaphore, 1, heldFor))))
  it.effect("Semaphore.takeScoped", () =>
    passes(
      semaphorePermit("takeScoped", (semaphore) =>
        Effect.scoped(Effect.andThen(Semaphore.takeScoped(semaphore, 1), heldFor)))
    ))
  it.effect("Effect.acquireRelease of a permit", () => passes(acquired()))
  it.effect("RcMap.get", () =>
    passes(shared(
      "RcMap.get",
      (value) => RcMap.make({ lookup: (_: string) => value }),
      (map) => RcMap.get(map, "a")
    )))
  it.effect("Queue.take by itself", () => passes(queueTake("Queue.take", Queue.take)))
  it.effect("Stream.flatMap of one stream after the other", () => passes(emptyStreams(1)))
  it.effect("Ref.update", () =>
    passes(withdrawals((balance, amount) => Ref.update(balance, (before) => before - amount))))
  it.effect("a check and an act behind a lock", () => passes(clients(true)))
  it.effect("two locks in the same order", () => passes(locks(true)))
  it.effect("a latch", () => passes(signals(true)))
  it.effect("an election where not all are equally patient", () =>
    passes(election((who) => who === "ann" ? "1 second" : "3 seconds")))
  it.effect("a transfer in one step", () =>
    passes(transfer((world) =>
      Effect.sync(() => {
        world.here -= 30
        world.there += 30
      })
    )))
  it.effect("a worker that waits until it can work", () => passes(worker(true)))
  it.effect("a fiber that is interrupted before it begins", () =>
    passes({
      name: "a fiber that does not begin",
      setup: Effect.void,
      fibers: () => twice(Effect.flatMap(Effect.forkChild(Effect.never), Fiber.interrupt))
    }))
  it.effect("a fiber that waits by looking again and again", () => passes(spinner))
  it.effect("a counter that counts in one step", () => passes(tickets(Ref.updateAndGet((count) => count + 1))))
  it.effect("a queue that hands out in one step", () => passes(lineAtOnce))
})

/** All orders of the letters of two words. */
const merges = (one: string, other: string): Array<string> =>
  one === "" || other === "" ? [one + other] : [
    ...merges(one.slice(1), other).map((rest) => one.charAt(0) + rest),
    ...merges(one, other.slice(1)).map((rest) => other.charAt(0) + rest)
  ]

/** Fibers that say a word each, letter by letter; tells what is heard. */
const heard = Effect.fnUntraced(function*(words: ReadonlyArray<string>, strategy: Explore.Strategy) {
  const all = new Set<string>()
  const { searches } = yield* Explore.run({
    name: "words",
    setup: Effect.sync(() => ({ said: "" })),
    fibers: (world) =>
      Object.fromEntries(words.map((word) => [
        word,
        Effect.forEach(word, (letter) => Effect.sync(() => world.said += letter), { discard: true })
      ])),
    state: ({ said }) => said,
    check: ({ said }) => {
      all.add(said)
      return []
    }
  }, { strategies: [strategy] })
  assert.deepStrictEqual(searches.map(({ isComplete }) => isComplete), [true])
  return Array.from(all).sort()
})

describe("Explore", () => {
  it.effect("hears all orders of two fibers of three steps each", () =>
    Effect.gen(function*() {
      const all = merges("abc", "xyz").sort()
      assert.lengthOf(all, 20)
      assert.deepStrictEqual(yield* heard(["abc", "xyz"], Explore.exhaustive({ preemptions: 5, schedules: 1e5 })), all)
    }))

  it.effect("hears all orders of three fibers, if it may decide often enough", () =>
    Effect.gen(function*() {
      const words = ["ab", "p", "x"]
      const all = new Set(merges("ab", "p").flatMap((both) => merges(both, "x")))
      assert.lengthOf(Array.from(all), 12)
      assert.deepStrictEqual(yield* heard(words, Explore.exhaustive({ preemptions: 4 })), Array.from(all).sort())
      assert.isBelow((yield* heard(words, Explore.exhaustive({ preemptions: 1 }))).length, 12)
    }))

  it.effect("hears all that two fibers can say until each of them is interrupted", () =>
    Effect.gen(function*() {
      const words = (yield* heard(["abc", "xyz"], Explore.interrupts(2))).map((said) =>
        said.replaceAll(/[xyz]/g, "").length * 10 + said.replaceAll(/[abc]/g, "").length
      )
      const all = [0, 1, 2, 3].flatMap((one) => [0, 1, 2, 3].map((other) => one * 10 + other))
      assert.deepStrictEqual(Array.from(new Set(words)).sort((one, other) => one - other), all)
    }))

  it.effect("gives the same report each time, by whatever strategy", () =>
    Effect.gen(function*() {
      const scenario = reentrant("a lock", (lock, work) => TxReentrantLock.withReadLock(lock, work))
      const strategies = [
        Explore.exhaustive({ preemptions: 1, interrupts: 1 }),
        Explore.interrupts(2),
        Explore.random({ seed: 3 })
      ]
      for (const strategy of strategies) {
        const one = yield* Explore.run(scenario, { strategies: [strategy] })
        assert.deepStrictEqual(yield* Explore.run(scenario, { strategies: [strategy] }), one)
      }
    }))

  it.effect("dies of what is no schedule, and says so", () =>
    Effect.gen(function*() {
      for (const text of ["y1", "y0.1,y0.2", "i0.1", "p1", "t1", "z1.1", "y-1.2"]) {
        const exit = yield* Effect.exit(Explore.replay(spinner, text))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), text)
        assert.include(String(exit), `"${text}" is not a schedule`)
      }
    }))

  it.effect("says whether all of a schedule has come about", () =>
    Effect.gen(function*() {
      const { findings, isExact } = yield* Explore.replay(spinner, "y0.2 y1.999")
      assert.deepStrictEqual(findings, [])
      assert.isFalse(isExact)
    }))

  it.effect("changes nothing about operations and notes that nobody explores", () =>
    Effect.gen(function*() {
      yield* Explore.note("nobody hears this")
      assert.strictEqual(yield* Explore.operation("get", Effect.succeed(1)), 1)
      assert.strictEqual(yield* Effect.flip(Explore.operation("get", Effect.fail("no"))), "no")
      assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(Explore.operation("get", Effect.interrupt))))
    }))
})

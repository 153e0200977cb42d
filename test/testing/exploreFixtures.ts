import { Explore } from "@chronovyan/testing"
import { assert } from "@effect/vitest"
import {
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Latch,
  PartitionedSemaphore,
  Pool,
  Queue,
  Ref,
  Scope,
  Semaphore,
  Stream,
  TxQueue,
  TxReentrantLock,
  TxSemaphore
} from "effect"
import { makeThings, noneLive } from "./fixtures.ts"

/** What a control comes to. */
interface Expected {
  readonly finds: RegExp
  readonly decisions: 1 | 2
}

/**
 * Explores with the default options, and holds what is found against what is expected: the fewest decisions, since all of
 * fewer have been tried, and the same again when it is replayed.
 */
export const finds = Effect.fnUntraced(function*<World>(
  scenario: Explore.Scenario<World>,
  { decisions, finds }: Expected
) {
  const report = yield* Explore.run(scenario)
  assert.isDefined(report.failure, "nothing was found")
  const { findings, schedule } = report.failure
  assert.match(findings[0]!, finds)
  assert.match(schedule, /^\S/, "it goes wrong by itself")
  assert.lengthOf(schedule.split(" "), decisions)
  if (decisions === 2) yield* passesOne(scenario)
  const again = yield* Explore.replay(scenario, schedule)
  assert.deepStrictEqual(again, { ...report.failure, isExact: true })
  return report.failure
})

/** Nothing comes of one decision. */
const passesOne = <World>(scenario: Explore.Scenario<World>) =>
  Explore.assert(scenario, { strategies: [Explore.exhaustive({ preemptions: 1 }), Explore.interrupts()] })

/** Nothing is found, whatever the tool tries by default. */
export const passes = <World>(scenario: Explore.Scenario<World>) => Explore.assert(scenario)

/** Two that do the same. */
export const twice = (work: Effect.Effect<unknown, unknown>) => ({ ann: work, bob: work })

const expect = (what: string, expected: unknown, actual: unknown) =>
  actual === expected ? [] : [`${what}: ${String(actual)} instead of ${String(expected)}`]

/** A pool of one; the first borrower breaks the item, and the second acquisition may fail. */
export const borrowers = (refuses: boolean) =>
  Explore.make({
    name: "three borrowers of one item",
    setup: Effect.suspend(() => {
      let attempts = 0
      return Pool.make({
        size: 1,
        acquire: Effect.suspend(() => ++attempts === 2 && refuses ? Effect.fail("refused") : Effect.succeed(attempts))
      })
    }),
    fibers: (pool) => ({
      ann: Pool.use(pool, (item) => Pool.invalidate(pool, item)),
      bob: Pool.use(pool, () => Effect.yieldNow),
      cid: Pool.use(pool, () => Effect.yieldNow)
    })
  })

/** Two items of a pool that has room for two. */
export const twoItems = (
  make: (acquire: Effect.Effect<object>) => Effect.Effect<Pool.Pool<object>, never, Scope.Scope>
) =>
  Explore.make({
    name: "two items in a row",
    setup: make(Effect.sync(() => ({}))),
    fibers: (pool) => ({
      ann: Effect.andThen(Pool.get(pool), Pool.get(pool)).pipe(Effect.timeout("1 minute"), Effect.scoped, Effect.orDie)
    })
  })

/** Something that two fibers hold for a while, one after the other; it must be free in the end. */
const holders = (name: string, make: Effect.Effect<{ hold: Effect.Effect<void>; isFree: Effect.Effect<boolean> }>) =>
  Explore.make({
    name,
    setup: make,
    fibers: ({ hold }) => twice(hold),
    check: ({ isFree }) => Effect.map(isFree, (free) => (free ? [] : ["it is never free again"]))
  })

export const heldFor = Effect.yieldNow

export const txPermit = holders(
  "TxSemaphore.withPermit",
  Effect.map(TxSemaphore.make(1), (semaphore) => ({
    hold: TxSemaphore.withPermit(semaphore, heldFor),
    isFree: Effect.map(TxSemaphore.available(semaphore), (free) => free === 1)
  }))
)

export const partitionedPermit = holders(
  "PartitionedSemaphore.withPermits",
  Effect.map(PartitionedSemaphore.make<string>({ permits: 1 }), (semaphore) => ({
    hold: PartitionedSemaphore.withPermits(semaphore, "a", 1, heldFor),
    isFree: Effect.map(PartitionedSemaphore.available(semaphore), (free) => free === 1)
  }))
)

export const reentrant = (
  name: string,
  withLock: (lock: TxReentrantLock.TxReentrantLock, work: Effect.Effect<void>) => Effect.Effect<void>
) =>
  holders(
    name,
    Effect.map(TxReentrantLock.make(), (lock) => ({
      hold: withLock(lock, heldFor),
      isFree: Effect.map(TxReentrantLock.locked(lock), (locked) => !locked)
    }))
  )

export const semaphorePermit = (name: string, hold: (semaphore: Semaphore.Semaphore) => Effect.Effect<void>) =>
  holders(
    name,
    Effect.map(Semaphore.make(1), (semaphore) => ({
      hold: hold(semaphore),
      isFree: Semaphore.takeIfAvailable(semaphore, 1)
    }))
  )

export const acquired = (options?: { readonly interruptible: boolean }) =>
  semaphorePermit("a permit in a scope", (semaphore) =>
    Effect.scoped(
      Effect.andThen(
        Effect.acquireRelease(Semaphore.take(semaphore, 1), () => Semaphore.release(semaphore, 1), options),
        heldFor
      )
    ))

/** Two fibers share a value that takes a while to get. All values must be closed once their owner is. */
export const shared = <Owner>(
  name: string,
  make: (value: Effect.Effect<void, never, Scope.Scope>) => Effect.Effect<Owner, never, Scope.Scope>,
  get: (owner: Owner) => Effect.Effect<void, never, Scope.Scope>
) =>
  Explore.make({
    name,
    setup: Effect.gen(function*() {
      const { acquire, release, things } = makeThings()
      const owner = yield* make(Effect.acquireRelease(Effect.andThen(Effect.yieldNow, acquire), () => release))
      return { owner, things }
    }),
    fibers: ({ owner }) => twice(Effect.scoped(get(owner))),
    afterClose: noneLive
  })

/** Whoever is interrupted got nothing: the item is still there. */
const taker = <Q>(
  name: string,
  { make, offer, size, take }: {
    readonly make: Effect.Effect<Q>
    readonly offer: (queue: Q) => Effect.Effect<unknown>
    readonly take: (queue: Q) => Effect.Effect<string, unknown>
    readonly size: (queue: Q) => Effect.Effect<number>
  }
) =>
  Explore.make({
    name,
    setup: Effect.gen(function*() {
      return { queue: yield* make, got: new Array<string>() }
    }),
    fibers: ({ got, queue }) => ({
      taker: Effect.uninterruptibleMask((restore) =>
        Effect.map(restore(take(queue)), (item) => {
          got.push(item)
        })
      ),
      giver: offer(queue)
    }),
    interruptible: ["taker"],
    check: ({ got, queue }) => Effect.map(size(queue), (left) => expect("items", 1, left + got.length))
  })

export const txTake = taker("TxQueue.take", {
  make: TxQueue.unbounded<string>(),
  offer: (queue) => TxQueue.offer(queue, "item"),
  take: TxQueue.take,
  size: TxQueue.size
})

export const queueTake = (name: string, take: (queue: Queue.Queue<string>) => Effect.Effect<string, unknown>) =>
  taker(name, { make: Queue.unbounded<string>(), offer: (queue) => Queue.offer(queue, "item"), take, size: Queue.size })

/** Two withdrawals. */
export const withdrawals = (withdraw: (balance: Ref.Ref<number>, amount: number) => Effect.Effect<void>) =>
  Explore.make({
    name: "two withdrawals",
    setup: Ref.make(100),
    fibers: (balance) => ({ ann: withdraw(balance, 30), bob: withdraw(balance, 50) }),
    interruptible: [],
    check: (balance) => Effect.map(Ref.get(balance), (left) => expect("balance", 20, left))
  })

export const getThenSet = (balance: Ref.Ref<number>, amount: number) =>
  Effect.flatMap(Ref.get(balance), (before) => Ref.set(balance, before - amount))

/** A client that is made by whoever comes first. */
export const clients = (isLocked: boolean) =>
  Explore.make({
    name: "a client that is made on demand",
    setup: Effect.sync((): { client: object | undefined; made: number; readonly semaphore: Semaphore.Semaphore } => ({
      client: undefined,
      made: 0,
      semaphore: Semaphore.makeUnsafe(1)
    })),
    fibers: (world) => {
      const connect = Effect.sync(() => {
        world.made++
        return {}
      })
      const client = Effect.gen(function*() {
        if (world.client === undefined) world.client = yield* connect
        return world.client
      })
      return twice(isLocked ? Semaphore.withPermit(world.semaphore, client) : client)
    },
    check: ({ made }) => made > 1 ? [`${made} made`] : []
  })

/** Two locks that two fibers take. */
export const locks = (isOrdered: boolean) =>
  Explore.make({
    name: "two locks",
    setup: Effect.all({ left: Semaphore.make(1), right: Semaphore.make(1) }),
    fibers: ({ left, right }) => {
      const both = (first: Semaphore.Semaphore, second: Semaphore.Semaphore) =>
        Semaphore.withPermit(first, Semaphore.withPermit(second, Effect.void))
      return { ann: both(left, right), bob: isOrdered ? both(left, right) : both(right, left) }
    }
  })

/** One waits until the other one is ready. */
export const signals = (isLatch: boolean) =>
  Explore.make({
    name: "a signal",
    setup: Effect.sync(() => ({ latch: Latch.makeUnsafe(), isReady: false, wake: () => {} })),
    fibers: (world) => ({
      waiter: isLatch ? world.latch.await : Effect.gen(function*() {
        const isReady = yield* Effect.sync(() => world.isReady)
        if (!isReady) {
          yield* Effect.callback<void>((resume) => {
            world.wake = () => resume(Effect.void)
          })
        }
      }),
      other: isLatch ? world.latch.open : Effect.sync(() => {
        world.isReady = true
        world.wake()
      })
    }),
    interruptible: []
  })

/** Whoever stands for election waits for a while, and stands again if somebody else has done so in the meantime. */
export const election = (patience: (who: string) => Duration.Input) =>
  Explore.make({
    name: "an election",
    setup: Effect.sync(() => ({ term: 0, leader: undefined as string | undefined })),
    fibers: (world) => {
      const stand = (who: string) =>
        Effect.gen(function*() {
          const isCalled = yield* Effect.sync(() => world.term > 0)
          if (isCalled) return
          while (world.leader === undefined) {
            const term = yield* Effect.sync(() => ++world.term)
            yield* Effect.sleep(patience(who))
            if (world.term === term) world.leader = who
          }
        })
      return { ann: stand("ann"), bob: stand("bob") }
    },
    interruptible: [],
    // Each run that never ends takes this long.
    maxOperations: 1000
  })

/** A transfer between two accounts, in one step or in two. */
export const transfer = (move: (world: { here: number; there: number }) => Effect.Effect<unknown>) =>
  Explore.make({
    name: "a transfer",
    setup: Effect.sync(() => ({ here: 100, there: 0 })),
    fibers: (world) => ({
      mover: move(world),
      other: Effect.void
    }),
    invariant: ({ here, there }) => expect("total", 100, here + there)
  })

/** A worker in the background that reads what somebody else writes. */
export const worker = (waits: boolean) =>
  Explore.make({
    name: "a worker in the background",
    setup: Effect.sync((): { readonly ready: Deferred.Deferred<void>; config: { url: string } | undefined } => ({
      ready: Deferred.makeUnsafe(),
      config: undefined
    })),
    fibers: (world) => ({
      main: Effect.gen(function*() {
        const work = Effect.map(Effect.sync(() => world.config!.url), (url) => url.length)
        const child = yield* Effect.forkChild(waits ? Effect.andThen(Deferred.await(world.ready), work) : work)
        world.config = yield* Effect.sync(() => ({ url: "http://localhost" }))
        yield* Deferred.succeed(world.ready, undefined)
        yield* Fiber.await(child)
      })
    })
  })

/** Waits by yielding again and again. */
export const spinner = Explore.make({
  name: "a fiber that looks again and again",
  setup: Effect.sync(() => ({ isDone: false })),
  fibers: (world) => ({
    waiter: Effect.repeat(Effect.yieldNow, { until: () => world.isDone }),
    other: Effect.sync(() => {
      world.isDone = true
    })
  }),
  interruptible: ["waiter"]
})

/** Streams without elements are joined. */
export const emptyStreams = (concurrency: number) =>
  Explore.make({
    name: "empty streams",
    setup: Effect.void,
    fibers: () => ({
      ann: Stream.runDrain(Stream.flatMap(Stream.range(1, 2), () => Stream.empty, { concurrency }))
    })
  })

/** A counter that several ask for the next number. */
export const tickets = (next: (counter: Ref.Ref<number>) => Effect.Effect<number>) =>
  Explore.make({
    name: "tickets",
    setup: Ref.make(0),
    fibers: (counter) => twice(Explore.operation("next", next(counter))),
    model: {
      initial: 0,
      step: (count: number, _: "next", exit) =>
        exit === undefined || (Exit.isSuccess(exit) && exit.value === count + 1) ? count + 1 : undefined
    }
  })

type Work = { readonly put: string } | "take"

interface Line {
  readonly put: (item: string) => Effect.Effect<void>
  readonly take: Effect.Effect<string | undefined>
}

const line = (make: (items: Ref.Ref<ReadonlyArray<string>>) => Line) =>
  Explore.make({
    name: "a line",
    setup: Effect.sync(() => make(Ref.makeUnsafe<ReadonlyArray<string>>([]))),
    fibers: ({ put, take }) => {
      const putting = (item: string) => Explore.operation<Work, void, never, never>({ put: item }, put(item))
      const taking = Explore.operation<Work, string | undefined, never, never>("take", take)
      return { ann: Effect.andThen(putting("a"), putting("b")), bob: taking, cid: taking }
    },
    model: {
      initial: [] as ReadonlyArray<string>,
      step: (items: ReadonlyArray<string>, work: Work, exit) => {
        if (work !== "take") return [...items, work.put]
        return exit === undefined || (Exit.isSuccess(exit) && exit.value === items[0]) ? items.slice(1) : undefined
      }
    }
  })

export const lineInSteps = line((items) => ({
  put: (item) => Ref.update(items, (all) => [...all, item]),
  take: Effect.gen(function*() {
    const [first, ...rest] = yield* Ref.get(items)
    yield* Ref.set(items, rest)
    return first
  })
}))

export const lineAtOnce = line((items) => ({
  put: (item) => Ref.update(items, (all) => [...all, item]),
  take: Ref.modify(items, ([first, ...rest]) => [first, rest])
}))

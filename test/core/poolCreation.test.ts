import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, settle, start } from "./fixtures.ts"
import { assertSane, failedWith, hold, makeStock, queueUp, spawn } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

const idOf = ({ id }: Item) => Effect.succeed(id)
const ok = () => Effect.void

/** A dependency that can be down. */
const makeServer = (slow = 0) => {
  const server = { isDown: false, tries: [] as Array<number>, connecting: 0, mostConnecting: 0 }
  const create = () =>
    Effect.gen(function*() {
      server.tries.push(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
      server.mostConnecting = Math.max(server.mostConnecting, ++server.connecting)
      if (slow > 0) yield* Effect.sleep(slow)
      if (server.isDown) return yield* Effect.fail("down")
    }).pipe(Effect.onExit(() => Effect.sync(() => void server.connecting--)))
  return { server, stock: makeStock({ create }) }
}

describe("The warm-up", () => {
  it.effect("makes min items, so many at a time", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(10) })
      const pool = yield* ResourcePool.make(stock.Thing, { min: 7, max: 9, warmUp: { parallelism: 3 } })
      yield* settle
      assert.strictEqual(stock.state.creating, 3)
      yield* TestClock.adjust(10)
      yield* settle
      yield* TestClock.adjust(10)
      yield* settle
      yield* TestClock.adjust(10)
      assert.strictEqual(stock.state.mostCreating, 3)
      assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 7, total: 7 })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(stock.state.started, 7)
    }))

  it.effect("goes ten at a time when nothing is said", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.never })
      yield* ResourcePool.make(stock.Thing, { min: 50, max: 50 })
      yield* settle
      assert.strictEqual(stock.state.mostCreating, 10)
    }))

  it.effect("that is to fail fast waits until all are there", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => Effect.sleep(id * 10) })
      const fiber = yield* start(ResourcePool.make(stock.Thing, { min: 3, warmUp: { failFast: true } }))
      yield* settle
      yield* TestClock.adjust(29)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const pool = yield* Fiber.join(fiber)
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 3)
    }))

  it.effect("that is to fail fast fails with the first one that fails, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id === 2 ? Effect.fail("refused") : Effect.void })
      const exit = yield* Effect.exit(ResourcePool.make(stock.Thing, { min: 3, warmUp: { failFast: true } }))
      assert.strictEqual(failureOf(exit), "refused")
      yield* settle
      assert.deepStrictEqual(stock.open(), [])
      yield* TestClock.adjust("1 hour")
      assert.isAtMost(stock.state.started, 3)
    }))

  it.effect("that is to fail fast tells of a defect as one", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.die("broken") })
      const exit = yield* Effect.exit(ResourcePool.make(stock.Thing, { min: 1, warmUp: { failFast: true } }))
      assert.deepStrictEqual(defectsOf(exit), ["broken"])
    }))

  it.effect("that is to fail fast can be interrupted, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id === 1 ? Effect.void : Effect.never })
      const fiber = yield* start(ResourcePool.make(stock.Thing, { min: 3, warmUp: { failFast: true } }))
      yield* settle
      yield* Fiber.interrupt(fiber)
      yield* settle
      assert.deepStrictEqual(stock.open(), [])
      assert.strictEqual(stock.state.creating, 0)
    }))

  it.effect("of a pool without min is over at once", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      yield* ResourcePool.make(stock.Thing, { warmUp: { failFast: true } })
      assert.strictEqual(stock.state.started, 0)
    }))

  it.effect("goes on in the background after a failure, with pauses (node-pool#175)", () =>
    Effect.gen(function*() {
      const { server, stock } = makeServer()
      server.isDown = true
      const pool = yield* ResourcePool.make(stock.Thing, { min: 5 })
      yield* settle
      for (let step = 0; step < 200; step++) yield* TestClock.adjust(1)
      // 17,850 in 200 ms where it was a busy loop.
      assert.isAtMost(server.tries.length, 8)
      server.isDown = false
      for (let second = 0; second < 12; second++) yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 5)
    }))
})

describe("A creation that fails", () => {
  it.effect("tells all who wait for it at once", () =>
    Effect.gen(function*() {
      const { server, stock } = makeServer(50)
      server.isDown = true
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const fibers = yield* Effect.forEach(Array.from({ length: 20 }), () => start(ResourcePool.use(pool, ok)))
      yield* settle
      yield* TestClock.adjust(50)
      for (const fiber of fibers) assert.strictEqual(failedWith(fiber), "down")
      assert.strictEqual(server.tries.length, 1)
      assert.deepInclude(yield* ResourcePool.stats(pool), { waiting: 0, total: 0, creating: 0 })
    }))

  it.effect("wakes the next waiter, who gets an item of its own (reactor-pool#82)", () =>
    Effect.gen(function*() {
      const stock = makeStock({
        create: (id) => Effect.andThen(Effect.sleep(10), id === 2 ? Effect.fail("no") : Effect.void)
      })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      const holder = yield* hold(pool)
      yield* TestClock.adjust(10)
      assert.isTrue(holder.has())
      const first = yield* start(ResourcePool.use(pool, idOf))
      const second = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust(10)
      assert.strictEqual(failedWith(first), "no")
      yield* settle
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* Fiber.join(second), 3)
    }))

  it.effect("does not leave those waiting who can still get an item of another borrower", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id === 1 ? Effect.void : Effect.fail("no") })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, creationBackoff: { base: "1 hour", max: "1 hour" } })
      const holder = yield* hold(pool)
      const served: Array<string> = []
      const told = yield* Effect.forEach(["a", "b", "c"], (name) => queueUp(pool, served, name))
      yield* settle
      yield* holder.release
      yield* settle
      const failed = told.filter((fiber) => failureOf(fiber.pollUnsafe()!) !== undefined).length
      assert.strictEqual(failed + served.length, 3)
      assert.isAbove(served.length, 0)
    }))

  it.effect("counts no slot as in use before it succeeds (ClickHouse#120533)", () =>
    Effect.gen(function*() {
      const { server, stock } = makeServer(10)
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, creationBackoff: false })
      server.isDown = true
      for (let round = 0; round < 5; round++) {
        const fibers = yield* Effect.forEach([1, 2, 3], () => start(Effect.exit(ResourcePool.use(pool, ok))))
        yield* settle
        assert.deepInclude(yield* ResourcePool.stats(pool), { used: 0, idle: 0 })
        for (let step = 0; step < 3; step++) {
          yield* TestClock.adjust(10)
          yield* settle
        }
        for (const fiber of fibers) assert.isDefined(fiber.pollUnsafe())
      }
      server.isDown = false
      const holders = yield* Effect.forEach([1, 2], () => hold(pool))
      yield* TestClock.adjust(10)
      yield* settle
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(holders.map(({ has }) => has()), [true, true])
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("closes what it had opened", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const say = (line: string) => Effect.sync(() => void log.push(line))
      const acquire = Effect.acquireRelease(say("socket"), () => say("socket closed")).pipe(
        Effect.andThen(Effect.fail("handshake"))
      )
      const pool = yield* ResourcePool.make({ acquire, max: 1 })
      assert.strictEqual(yield* Effect.flip(ResourcePool.use(pool, ok)), "handshake")
      yield* settle
      assert.deepStrictEqual(log, ["socket", "socket closed"])
    }))

  it.effect("by interruption alone is told as such, and is not tried without end", () =>
    Effect.gen(function*() {
      let tries = 0
      // The cap keeps a busy loop from hanging the test itself.
      const stock = makeStock({ create: () => Effect.suspend(() => ++tries > 50 ? Effect.never : Effect.interrupt) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      assert.isAtMost(tries, 3)
      const exit = fiber.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
    }))
})

describe("After failures", () => {
  it.effect("there is a pause, doubled each time, before what somebody waits for is tried again", () =>
    Effect.gen(function*() {
      const { server, stock } = makeServer()
      server.isDown = true
      const pool = yield* ResourcePool.make(stock.Thing, { max: 5, creationBackoff: { base: 1000, max: 8000 } })
      const borrow = Effect.forever(Effect.exit(ResourcePool.use(pool, ok)))
      const fibers = yield* Effect.forEach([1, 2, 3], () => start(borrow))
      for (let step = 0; step < 400; step++) yield* TestClock.adjust(100)
      yield* Fiber.interruptAll(fibers)
      const pauses = server.tries.slice(1).map((at, index) => at - server.tries[index]!).filter((pause) => pause > 0)
      // Shortened by up to a fifth at random, and seen in steps of 100 ms.
      const expected = [1000, 2000, 4000, 8000, 8000]
      for (const [index, pause] of expected.entries()) {
        assert.isAtLeast(pauses[index]!, pause * 0.8 - 100, `pause ${index} of ${pauses}`)
        assert.isAtMost(pauses[index]!, pause + 100, `pause ${index} of ${pauses}`)
      }
      assert.isAtMost(server.tries.length, 12)
    }))

  it.effect("one prober tries, then one, two and four at a time (postgres#1180)", () =>
    Effect.gen(function*() {
      const { server, stock } = makeServer(10)
      server.isDown = true
      const pool = yield* ResourcePool.make(stock.Thing, { max: 16, creationBackoff: { base: 1000, max: 1000 } })
      const first = yield* Effect.forEach(
        Array.from({ length: 3 }),
        () => start(Effect.exit(ResourcePool.use(pool, ok)))
      )
      yield* settle
      yield* TestClock.adjust(10)
      yield* settle
      yield* Fiber.joinAll(first)
      server.mostConnecting = 0
      // While it is down, many ask, and one at a time tries.
      yield* Effect.forEach(
        Array.from({ length: 16 }),
        () => spawn(Effect.retry(ResourcePool.use(pool, () => Effect.never), { times: 20 }))
      )
      for (let step = 0; step < 300; step++) yield* TestClock.adjust(10)
      assert.strictEqual(server.mostConnecting, 1)
      server.isDown = false
      const atOnce: Array<number> = []
      for (let step = 0; step < 150; step++) {
        yield* TestClock.adjust(10)
        yield* settle
        if (server.connecting > 0) atOnce.push(server.connecting)
      }
      assert.deepStrictEqual(atOnce.filter((n, index) => n !== atOnce[index - 1]).slice(0, 3), [1, 2, 4])
      assert.strictEqual((yield* ResourcePool.stats(pool)).used, 16)
    }))

  it.effect("there is no pause for a first failure, which may have been bad luck", () =>
    Effect.gen(function*() {
      let tries = 0
      const stock = makeStock({ create: () => ++tries === 1 ? Effect.fail("bad luck") : Effect.void })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      assert.strictEqual(yield* Effect.flip(ResourcePool.use(pool, idOf)), "bad luck")
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 2)
    }))

  it.effect("there is no pause at all with creationBackoff false", () =>
    Effect.gen(function*() {
      const { server, stock } = makeServer()
      server.isDown = true
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, creationBackoff: false })
      for (let round = 0; round < 10; round++) {
        assert.strictEqual(yield* Effect.flip(ResourcePool.use(pool, ok)), "down")
      }
      assert.strictEqual(server.tries.length, 10)
    }))

  it.effect("a success makes the pauses short again", () =>
    Effect.gen(function*() {
      const { server, stock } = makeServer()
      server.isDown = true
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, creationBackoff: false, maxUses: 1 })
      for (let round = 0; round < 3; round++) yield* Effect.exit(ResourcePool.use(pool, ok))
      assert.strictEqual((yield* ResourcePool.stats(pool)).creationError?.includes("down"), true)
      server.isDown = false
      yield* ResourcePool.use(pool, ok)
      const { counts, creationError } = yield* ResourcePool.stats(pool)
      assert.isUndefined(creationError)
      assert.deepInclude(counts, { created: 1, createFailed: 3 })
    }))
})

describe("A slow creation", () => {
  it.effect("loses to an item that comes back (deadpool#462)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id === 1 ? Effect.void : Effect.sleep("10 seconds") })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      const holder = yield* hold(pool)
      const waiter = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      assert.strictEqual((yield* ResourcePool.stats(pool)).creating, 1)
      yield* holder.release
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiter), 1)
      yield* TestClock.adjust("10 seconds")
      // The new one arrives all the same, and is kept.
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 2)
    }))

  it.effect("is kept when its borrower has left: it is never orphaned (node-postgres#3543)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, acquireTimeout: 50 })
      const fiber = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust(50)
      assert.strictEqual((failedWith(fiber) as { readonly _tag: string })._tag, "PoolTimeout")
      yield* TestClock.adjust(50)
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 1)
    }))

  it.effect("is not started anew for each borrower that gives up: no endless connects (pgx#1780)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep("1 second") })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 10 })
      for (let round = 0; round < 100; round++) {
        const fiber = yield* start(ResourcePool.use(pool, ok))
        yield* settle
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust(1)
      }
      assert.isAtMost(stock.state.started, 1)
    }))

  it.effect("is interrupted after createTimeout, and another one is tried for who waits", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id === 1 ? Effect.never : Effect.void })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, createTimeout: 100 })
      const fiber = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust(99)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(yield* Fiber.join(fiber), 2)
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.createFailed, 1)
      assert.strictEqual(stock.state.creating, 0)
    }))

  it.effect("that arrives after its timeout is closed, and nobody waits for it (node-postgres#3543)", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const stock = makeStock({ create: (id) => id === 1 ? gate.await : Effect.void, interruptible: false })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, createTimeout: 100 })
      const fiber = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(yield* Fiber.join(fiber), 2)
      assert.deepInclude(yield* ResourcePool.stats(pool), { total: 1, abandoned: 1 })
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(stock.closed, [1])
      assert.deepInclude(yield* ResourcePool.stats(pool), { total: 1, idle: 1, abandoned: 0 })
    }))

  it.effect("stays interruptible: the end of the pool does not wait for it (zio#8537)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.never })
      const scope = yield* Scope.make()
      yield* Scope.provide(ResourcePool.make(stock.Thing, { min: 3 }), scope)
      yield* settle
      assert.strictEqual(stock.state.creating, 3)
      const end = yield* start(Scope.close(scope, Exit.void))
      yield* settle
      assert.isDefined(end.pollUnsafe())
      assert.strictEqual(stock.state.creating, 0)
    }))

  it.effect("that ignores everything is not counted twice when the pool ends without it", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const stock = makeStock({ create: () => gate.await, interruptible: false })
      const pool = yield* ResourcePool.make(stock.Thing, { min: 1, createTimeout: "1 minute" })
      yield* settle
      const end = yield* start(ResourcePool.close(pool, { timeout: "1 second" }))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(end.pollUnsafe())
      yield* TestClock.adjust("2 minutes")
      assert.isAtLeast((yield* ResourcePool.stats(pool)).abandoned, 0)
      yield* gate.open
      yield* settle
      const { abandoned, creating, total } = yield* ResourcePool.stats(pool)
      assert.deepStrictEqual({ abandoned, creating, total }, { abandoned: 0, creating: 0, total: 0 })
      assert.deepStrictEqual(stock.open(), [])
    }))
})

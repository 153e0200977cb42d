import { ResourcePool } from "@chronovyan/core"
import { SqliteConnection, Worker } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref } from "effect"
import { access } from "node:fs/promises"
import { join } from "node:path"
import { MessageChannel } from "node:worker_threads"
import { freshDirectory } from "./holders.ts"
import { descriptorsOf, framed, threads } from "./support.ts"

const url = new URL("./fixtures/worker.ts", import.meta.url)
const hop = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

describe("A pool of SQLite connections", () => {
  it.live("serves many borrowers with few connections, and closes them all", () =>
    Effect.gen(function*() {
      const path = join(yield* freshDirectory, "pooled.db")
      let most = 0
      yield* Effect.gen(function*() {
        const pool = yield* ResourcePool.make(SqliteConnection, {
          params: { path },
          min: 1,
          max: 4,
          acquireTimeout: "10 seconds",
          validate: (database) => Effect.sync(() => database.exec("SELECT 1")),
          reset: (database) => Effect.sync(() => database.isTransaction && database.exec("ROLLBACK"))
        })
        yield* ResourcePool.use(
          pool,
          (database) => Effect.sync(() => database.exec("CREATE TABLE numbers (n INTEGER)"))
        )
        const insert = (n: number) =>
          ResourcePool.use(pool, (database) =>
            Effect.gen(function*() {
              most = Math.max(most, descriptorsOf(path).length)
              yield* hop
              database.prepare("INSERT INTO numbers VALUES (?)").run(n)
            }))
        yield* Effect.forEach(Array.from({ length: 200 }, (_, n) => n), insert, { concurrency: 50, discard: true })
        const sum = yield* ResourcePool.use(
          pool,
          (database) => Effect.sync(() => database.prepare("SELECT sum(n) AS sum FROM numbers").get()?.["sum"])
        )
        assert.strictEqual(sum, 199 * 100)
        const { counts, used } = yield* ResourcePool.stats(pool)
        assert.isAtMost(counts.totalHighWaterMark, 4)
        assert.strictEqual(used, 0)
      }).pipe(framed({ descriptors: 12 }))
      assert.isAbove(most, 3)
      assert.isAtMost(most, 12)
      assert.deepStrictEqual(descriptorsOf(path), [])
    }))

  it.live("rolls back what a borrower left open before it lends the connection again", () =>
    Effect.gen(function*() {
      const path = join(yield* freshDirectory, "reset.db")
      const pool = yield* ResourcePool.make(SqliteConnection, {
        params: { path },
        max: 1,
        reset: (database) => Effect.sync(() => database.isTransaction && database.exec("ROLLBACK"))
      })
      yield* ResourcePool.use(pool, (database) => Effect.sync(() => database.exec("CREATE TABLE numbers (n INTEGER)")))
      yield* ResourcePool.use(pool, (database) =>
        Effect.sync(() => database.exec("BEGIN; INSERT INTO numbers VALUES (1)")))
      const count = yield* ResourcePool.use(pool, (database) =>
        Effect.sync(() =>
          database.prepare("SELECT count(*) AS count FROM numbers").get()?.["count"]
        ))
      assert.strictEqual(count, 0)
    }).pipe(framed()))
})

describe("A pool of worker threads", () => {
  it.live("shares few threads among many tasks", () =>
    Effect.gen(function*() {
      // Node starts threads of its own with the first file that it looks at.
      yield* Effect.promise(() => access(url))
      const before = threads()
      const used = yield* Ref.make(new Set<unknown>())
      yield* Effect.gen(function*() {
        const pool = yield* ResourcePool.make(Worker, { params: { url }, max: 2 })
        const task = ResourcePool.use(pool, (worker) => worker.run({ do: "thread" })).pipe(
          Effect.flatMap((id) => Ref.update(used, (ids) => new Set(ids).add(id)))
        )
        yield* Effect.replicateEffect(task, 20, { concurrency: "unbounded" })
      }).pipe(framed({ workers: 2 }))
      // On a busy machine the first thread may be done before the second one has begun.
      assert.oneOf((yield* Ref.get(used)).size, [1, 2])
      assert.strictEqual(threads(), before)
    }))

  it.live("replaces a thread that hangs", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Worker, {
        params: { url },
        max: 1,
        validate: (worker) => worker.run({ do: "echo", value: "ready" }),
        validateAfter: 0,
        validateTimeout: "300 millis"
      })
      const id = (worker: { readonly run: (task: unknown) => Effect.Effect<unknown, unknown> }) =>
        worker.run({ do: "thread" })
      const first = yield* ResourcePool.use(pool, id)
      // Behind the back of the worker, as a bug in its script would.
      yield* ResourcePool.use(pool, (worker) => Effect.sync(() => worker.raw.postMessage({ do: "spin" }, [])))
      const second = yield* ResourcePool.use(pool, id)
      assert.notStrictEqual(second, first)
      const { counts, total } = yield* ResourcePool.stats(pool)
      assert.strictEqual(counts.validateFailed, 1)
      assert.strictEqual(total, 1)
    }).pipe(framed()))

  it.live("lends a new thread after a task was interrupted in the middle", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Worker, { params: { url }, max: 1 })
      const { port1, port2 } = new MessageChannel()
      const started = new Promise((resolve) => port1.once("message", resolve))
      const spinning = yield* Effect.forkChild(
        ResourcePool.use(pool, (worker) => worker.run({ do: "spin", started: port2 }, { transfer: [port2] }))
      )
      yield* Effect.promise(() => started)
      yield* Fiber.interrupt(spinning)
      assert.strictEqual(yield* ResourcePool.use(pool, (worker) => worker.run({ do: "echo", value: 7 })), 7)
    }).pipe(framed()))
})

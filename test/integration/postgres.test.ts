import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Latch, Schema, Scope } from "effect"
import { Client, Connection } from "pg"
import type { ClientConfig } from "pg"
import { missing, startServer } from "./postgres.ts"
import type { Server } from "./postgres.ts"

const reasonOf = (cause: unknown): string => (cause as { readonly code?: string }).code ?? String(cause)

class ConnectError extends Schema.TaggedError<ConnectError>()("ConnectError", {
  reason: Schema.String,
  cause: Schema.Defect()
}) {}

class QueryError extends Schema.TaggedError<QueryError>()("QueryError", {
  reason: Schema.String,
  cause: Schema.Defect()
}) {}

type Rows = ReadonlyArray<Record<string, unknown>>

/** A client as its borrowers see it. */
class Session {
  readonly raw: Client
  readonly pid: number
  /** Queries that the server has not answered, also when nobody waits for the answer any more. */
  unanswered = 0
  /** It has told of an error while nobody asked it anything. */
  isBroken = false
  private readonly config: ClientConfig
  private readonly ended: Promise<unknown>
  private readonly idle: Array<() => void> = []

  constructor(raw: Client, config: ClientConfig) {
    this.raw = raw
    this.config = config
    this.pid = (raw as unknown as { readonly processID: number }).processID
    this.ended = new Promise((resolve) => raw.once("end", resolve))
  }

  /** A backend that ends by itself is waited for: to hang up on it would make room for another one before it is gone. */
  readonly close = Effect.suspend(() =>
    Effect.andThen(this.cancel, Effect.promise(() => this.isBroken ? this.ended : this.raw.end()))
  )

  /** An interruption does not stop the query: it only leaves it alone. */
  query(sql: string): Effect.Effect<Rows, QueryError> {
    return Effect.callback<Rows, QueryError>((resume) => {
      this.unanswered++
      this.raw.query(sql, (cause: Error | null, result) => {
        this.unanswered--
        const answered = this.unanswered === 0 ? this.idle.splice(0) : []
        for (const tell of answered) tell()
        resume(cause === null ? Effect.succeed(result.rows) : new QueryError({ reason: reasonOf(cause), cause }))
      })
    })
  }

  /** Stops what still runs at the server, and waits for its answer. */
  readonly cancel: Effect.Effect<void> = Effect.suspend(() => {
    if (this.unanswered === 0) return Effect.void
    const answered = Effect.callback<void>((resume) => {
      if (this.unanswered === 0) resume(Effect.void)
      else this.idle.push(() => resume(Effect.void))
    })
    return Effect.andThen(this.requestCancel, answered)
  })

  /** PostgreSQL takes it over a connection of its own, which ends once it has been passed on. */
  private readonly requestCancel = Effect.callback<void>((resume) => {
    const { processID, secretKey } = this.raw as unknown as Record<"processID" | "secretKey", number>
    const connection = new Connection({}) as any
    connection.on("connect", () => connection.cancel(processID, secretKey))
    connection.on("error", () => {})
    connection.on("end", () => resume(Effect.void))
    connection.connect(`${this.config.host}/.s.PGSQL.${this.config.port}`)
  })
}

let server: Server
let superuser: Session
const scope = Scope.makeUnsafe()

const connect = (config: ClientConfig, onError: (session: Session) => void = () => {}) =>
  Effect.tryPromise({
    try: async () => {
      const raw = new Client(config)
      let session: Session | undefined
      // Without a listener the event would end the process
      raw.on("error", () => {
        if (session === undefined) return
        session.isBroken = true
        onError(session)
      })
      await raw.connect().catch(async (cause: unknown) => {
        await raw.end()
        throw cause
      })
      return session = new Session(raw, config)
    },
    catch: (cause) => new ConnectError({ reason: reasonOf(cause), cause })
  })

const asSuperuser = Effect.acquireRelease(
  Effect.suspend(() => connect({ ...server.config, application_name: "superuser" })),
  (session) => session.close
)

/** The rows that the server's superuser is answered. */
const ask = (sql: string) => Effect.suspend(() => superuser.query(sql)).pipe(Effect.orDie)

const countOf = (name: string, where = "true") => `
  select count(*)::int as count from pg_stat_activity where application_name = '${name}' and ${where}`

/** How many connections the server counts. */
const count = (name: string, where?: string) =>
  Effect.map(ask(countOf(name, where)), ([row]) => row!["count"] as number)

const amongst = (pids: ReadonlyArray<number>) => `pid in (${pids.join(", ")})`

/** Asks the server again and again how many connections it counts, until it is gone or the scope ends. */
const watch = (name: string) =>
  Effect.gen(function*() {
    const observer = yield* Effect.orDie(asSuperuser)
    const seen = { most: 0, samples: 0 }
    const sample = Effect.map(observer.query(countOf(name)), ([row]) => {
      seen.most = Math.max(seen.most, row!["count"] as number)
      seen.samples++
    })
    yield* Effect.orDie(sample)
    yield* sample.pipe(Effect.forever, Effect.ignore, Effect.forkScoped)
    return seen
  })

/** A full turn of the event loop. */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

let names = 0

/**
 * A definition of clients that connect under a name of their own, and whose role the server itself grants no more than
 * `max` connections: it refuses one too many with `too_many_connections`, even where nobody counts.
 */
const clients = (max: number, onError?: (session: Session) => void) =>
  Effect.gen(function*() {
    const name = `pool_${++names}`
    yield* ask(`create role ${name} login connection limit ${max}`)
    const config = { ...server.config, user: name, application_name: name }
    const definition = ResourceDefinition.temporal("postgres", {
      acquire: () => connect(config, onError),
      release: (session) => session.close
    })
    return { name, definition }
  })

const validate = (session: Session) => session.query("select 1")

const reset = (session: Session) =>
  session.cancel.pipe(Effect.andThen(session.query("rollback")), Effect.andThen(session.query("discard all")))

type Pool<E> = ResourcePool.ResourcePool<Session, E>

const query = <E>(pool: Pool<E>, sql: string) => ResourcePool.use(pool, (session) => session.query(sql))

const pidOf = <E>(pool: Pool<E>) => ResourcePool.use(pool, (session) => Effect.succeed(session.pid))

/** Borrows as many at once, and answers their backends, each of which has answered. */
const pidsAtOnce = <E>(pool: Pool<E>, number: number) =>
  Effect.gen(function*() {
    const all = yield* Latch.make()
    let arrived = 0
    const borrow = ResourcePool.use(pool, (session) =>
      Effect.gen(function*() {
        const [row] = yield* session.query("select pg_backend_pid() as pid")
        if (++arrived === number) yield* all.open
        yield* all.await
        return row!["pid"] as number
      }))
    const pids = yield* Effect.all(Array.from({ length: number }, () => borrow), { concurrency: "unbounded" })
    assert.strictEqual(new Set(pids).size, number)
    return pids
  })

/** Ends backends as an administrator or a proxy does, and waits until the server has none of them. */
const terminate = (pids: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    yield* ask(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where ${amongst(pids)}`)
    const [row] = yield* ask(`select count(*)::int as count from pg_stat_activity where ${amongst(pids)}`)
    assert.strictEqual(row!["count"], 0)
  })

/** A borrower whose query is answered long after the test. */
const stuck = <E>(pool: Pool<E>, lent: Deferred.Deferred<number>) =>
  ResourcePool.use(pool, (session) => {
    Deferred.doneUnsafe(lent, Exit.succeed(session.pid))
    return session.query("select pg_sleep(1000)")
  })

/** Waits until the server is at work on what `stuck` asked for. */
const sleeping = (name: string): Effect.Effect<void> =>
  Effect.flatMap(count(name, "wait_event = 'PgSleep'"), (asleep) => asleep > 0 ? Effect.void : sleeping(name))

if (missing !== undefined) console.warn(`The pools of PostgreSQL clients are not tested: ${missing}`)

describe.skipIf(missing !== undefined)("A pool of PostgreSQL clients", () => {
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(startServer, scope))
    superuser = await Effect.runPromise(Scope.provide(asSuperuser, scope))
  }, 30_000)

  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 30_000)

  it.live("serves many queries over no more connections than its max, as the server counts them", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(4)
      const pool = yield* ResourcePool.make(definition, { max: 4 })
      const seen = yield* watch(name)
      const pids = new Set<unknown>()
      yield* Effect.forEach(
        Array.from({ length: 2000 }, (_, i) => i),
        (i) =>
          Effect.map(query(pool, `select ${i} as i, pg_backend_pid() as pid`), ([row]) => {
            assert.strictEqual(row!["i"], i)
            pids.add(row!["pid"])
          }),
        { concurrency: 64, discard: true }
      )
      assert.strictEqual(pids.size, 4)
      assert.isAbove(seen.samples, 10)
      assert.isAtMost(seen.most, 4)
      assert.strictEqual(yield* count(name), 4)
    }))

  it.live("does not exceed its max while clients are replaced all the time", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(4)
      const pool = yield* ResourcePool.make(definition, { min: 2, max: 4, maxUses: 3 })
      const seen = yield* watch(name)
      const pids = new Set<unknown>()
      yield* Effect.forEach(Array.from({ length: 300 }, (_, i) => i), (i) =>
        ResourcePool.use(pool, (session) =>
          Effect.gen(function*() {
            pids.add(session.pid)
            yield* session.query("select 1")
            if (i % 7 === 0) {
              yield* ResourcePool.invalidate(pool, session)
            }
          })), { concurrency: 16, discard: true })
      assert.isAtLeast(pids.size, 100)
      assert.isAbove(seen.samples, 10)
      assert.isAtMost(seen.most, 4)
    }))

  /** Two crashes under load, with a pool that finds broken clients in one of two ways. */
  const crash = (signal: "SIGKILL" | "SIGQUIT", finds: "validate" | "invalidate") =>
    Effect.gen(function*() {
      const max = 4
      let pool: Pool<unknown> | undefined
      const { definition, name } = yield* clients(max, (session) => {
        if (finds === "invalidate" && pool !== undefined) Effect.runFork(ResourcePool.invalidate(pool, session))
      })
      const creationBackoff = { base: "5 millis", max: "50 millis" } as const
      const options = { min: 2, max, acquireTimeout: "1 second", creationBackoff } as const
      const made = finds === "validate"
        ? yield* ResourcePool.make(definition, { ...options, validate, validateAfter: 0 })
        : yield* ResourcePool.make(definition, options)
      pool = made

      const borrow = ResourcePool.use(made, (session) =>
        session.query("select pg_sleep(0.001)").pipe(
          Effect.tapError(() => finds === "invalidate" ? ResourcePool.invalidate(made, session) : Effect.void)
        ))

      for (let round = 0; round < 2; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const before = yield* watch(name)
          const workers = 16
          const failing = yield* Latch.make()
          const recovered = yield* Latch.make()
          const tags = new Set<string>()
          const phase = { isBack: false, isOver: false }
          let failed = 0
          let whole = 0
          const worker = Effect.gen(function*() {
            let failuresWhenBack = 0
            let successesWhenBack = 0
            let hasFailed = false
            while (!phase.isOver) {
              const wasBack = phase.isBack
              const exit = yield* Effect.exit(borrow)
              if (Exit.isSuccess(exit)) {
                if (wasBack && ++successesWhenBack === 20 && ++whole === workers) yield* recovered.open
                continue
              }
              // A client that is broken answers before the event loop can go on
              yield* turn
              for (const reason of exit.cause.reasons) {
                assert(Cause.isFailReason(reason), String(reason))
                tags.add(reason.error._tag)
                if (reason.error._tag === "ConnectError") assert.notStrictEqual(reason.error.reason, "53300")
              }
              if (wasBack) {
                assert.isAtMost(++failuresWhenBack, 2)
                assert.strictEqual(successesWhenBack, 0, "a borrower that was served again failed")
              }
              if (!hasFailed && ++failed === workers) yield* failing.open
              hasFailed = true
            }
          })
          const load = yield* Effect.forkChild(
            Effect.all(Array.from({ length: workers }, () => worker), { concurrency: "unbounded", discard: true })
          )
          const ended = Effect.flatMap(Fiber.join(load), () => Effect.die("the load ended early"))
          yield* pidsAtOnce(made, max)
          assert.isAtMost(before.most, max)
          assert.isAbove(before.samples, 0)
          yield* server.kill(signal)
          yield* Effect.raceFirst(failing.await, ended)
          yield* server.start
          superuser = yield* Scope.provide(asSuperuser, scope)
          phase.isBack = true
          const after = yield* watch(name)
          yield* Effect.raceFirst(recovered.await, ended)
          phase.isOver = true
          yield* Fiber.join(load)

          assert.includeMembers(["ConnectError", "QueryError", "PoolTimeout"], [...tags])
          assert.isTrue(tags.has("ConnectError") || tags.has("PoolTimeout"))
          const pids = yield* pidsAtOnce(made, max)
          assert.strictEqual(yield* count(name), max)
          assert.strictEqual(yield* count(name, amongst(pids)), max)
          assert.isAtMost(after.most, max)
          assert.isAbove(after.samples, 0)
          const { closing, creating, total, used, waiting } = yield* ResourcePool.stats(made)
          assert.deepStrictEqual({ closing, creating, total, used, waiting }, {
            closing: 0,
            creating: 0,
            total: max,
            used: 0,
            waiting: 0
          })
        }))
      }
      yield* ResourcePool.close(made)
      assert.strictEqual(yield* count(name), 0)
    })

  it.live("recovers from crashes of the server, when it validates", () => crash("SIGKILL", "validate"), 20_000)

  it.live(
    "recovers from immediate shutdowns of the server, when it validates",
    () => crash("SIGQUIT", "validate"),
    20_000
  )

  it.live(
    "recovers from crashes of the server, when clients that fail are invalidated",
    () => crash("SIGKILL", "invalidate"),
    20_000
  )

  it.live(
    "recovers from immediate shutdowns of the server, when clients that fail are invalidated",
    () => crash("SIGQUIT", "invalidate"),
    20_000
  )

  it.live("lends a good client when all idle ones were terminated, if it validates", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(4)
      const pool = yield* ResourcePool.make(definition, { max: 4, validate, validateAfter: 0 })
      const old = yield* pidsAtOnce(pool, 4)
      yield* terminate(old)
      assert.notInclude(old, yield* pidOf(pool))
      const pids = yield* pidsAtOnce(pool, 4)
      assert.deepStrictEqual(pids.filter((pid) => old.includes(pid)), [])
      assert.strictEqual(yield* count(name), 4)
    }))

  it.live("lends a good client to who waits for one that breaks in use, if it always validates", () =>
    Effect.gen(function*() {
      const { definition } = yield* clients(1)
      const pool = yield* ResourcePool.make(definition, { max: 1, validate, validateAfter: 0 })
      const gate = yield* Latch.make()
      const breaking = yield* Effect.forkChild(
        ResourcePool.use(
          pool,
          (session) => Effect.andThen(gate.await, session.query("select pg_terminate_backend(pg_backend_pid())"))
        ),
        { startImmediately: true }
      )
      const next = yield* Effect.forkChild(query(pool, "select 1 as one"), { startImmediately: true })
      assert.strictEqual((yield* ResourcePool.stats(pool)).waiting, 2)
      yield* gate.open
      assert.isTrue(Exit.isFailure(yield* Fiber.await(breaking)))
      const [row] = yield* Fiber.join(next)
      assert.strictEqual(row!["one"], 1)
    }))

  it.live("lends a good client when an idle one was terminated, if its error event invalidates it", () =>
    Effect.gen(function*() {
      const invalidated = yield* Deferred.make<number>()
      let pool: Pool<unknown> | undefined
      const { definition } = yield* clients(1, (session) => {
        Effect.runFork(Effect.andThen(
          ResourcePool.invalidate(pool!, session),
          Deferred.succeed(invalidated, session.pid)
        ))
      })
      const made = pool = yield* ResourcePool.make(definition, { max: 1 })
      const old = yield* pidOf(made)
      yield* terminate([old])
      assert.strictEqual(yield* Deferred.await(invalidated), old)
      assert.notStrictEqual(yield* pidOf(made), old)
    }))

  it.live("closes all old backends after retireAll, and goes on with new ones", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(4)
      const pool = yield* ResourcePool.make(definition, { min: 2, max: 4 })
      const seen = yield* watch(name)
      const old = yield* pidsAtOnce(pool, 4)
      const gate = yield* Latch.make()
      const lent: Array<number> = []
      const holding = yield* Latch.make()
      const holder = ResourcePool.use(pool, (session) =>
        Effect.gen(function*() {
          if (lent.push(session.pid) === 2) yield* holding.open
          yield* gate.await
          return yield* session.query("select pg_backend_pid() as pid")
        }))
      const holders = yield* Effect.forkChild(Effect.all([holder, holder], { concurrency: 2 }))
      yield* holding.await
      yield* ResourcePool.retireAll(pool)
      assert.sameMembers(
        (yield* ask(`select pid from pg_stat_activity where ${amongst(old)}`)).map(({ pid }) => pid),
        lent
      )
      const pids = yield* pidsAtOnce(pool, 2)
      assert.deepStrictEqual(pids.filter((pid) => old.includes(pid)), [])
      yield* gate.open
      assert.sameMembers((yield* Fiber.join(holders)).map(([row]) => row!["pid"]), lent)
      const all = yield* pidsAtOnce(pool, 4)
      assert.deepStrictEqual(all.filter((pid) => old.includes(pid)), [])
      assert.strictEqual(yield* count(name, amongst(old)), 0)
      assert.isAtMost(seen.most, 4)
    }))

  it.live("leaves no connection when its scope has closed", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(4)
      const pool = yield* Effect.scoped(Effect.gen(function*() {
        const pool = yield* ResourcePool.make(definition, { min: 2, max: 4 })
        yield* pidsAtOnce(pool, 4)
        assert.strictEqual(yield* count(name), 4)
        return pool
      }))
      assert.strictEqual(yield* count(name), 0)
      assert.strictEqual((yield* Effect.flip(pidOf(pool)))._tag, "PoolClosed")
    }))

  it.live("leaves no connection when it was closed, not even of a borrower in the middle of a query", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(4)
      const pool = yield* ResourcePool.make(definition, { max: 4 })
      yield* pidsAtOnce(pool, 4)
      const lent = yield* Deferred.make<number>()
      const borrower = yield* Effect.forkChild(Effect.flip(stuck(pool, lent)))
      yield* Deferred.await(lent)
      yield* sleeping(name)
      const holders = yield* ResourcePool.close(pool, { timeout: "50 millis" })
      assert.strictEqual(holders.length, 1)
      assert.strictEqual(yield* count(name), 0)
      const error = yield* Fiber.join(borrower)
      assert(error._tag === "QueryError")
      assert.strictEqual(error.reason, "57014")
    }))

  it.live("resets the state of a session between two borrowers", () =>
    Effect.gen(function*() {
      const { definition } = yield* clients(1)
      const pool = yield* ResourcePool.make(definition, { max: 1, reset })
      const pid = yield* ResourcePool.use(pool, (session) =>
        Effect.gen(function*() {
          yield* session.query("set statement_timeout = '5min'")
          yield* session.query("create temporary table kept as select 1 as n")
          yield* session.query("begin")
          yield* session.query("insert into kept values (2)")
          return session.pid
        }))
      const next = yield* ResourcePool.use(pool, (session) =>
        Effect.gen(function*() {
          assert.strictEqual(session.pid, pid)
          assert.strictEqual(session.raw.getTransactionStatus(), "I")
          return (yield* session.query(`
            select current_setting('statement_timeout') as timeout, to_regclass('kept') as kept`))[0]!
        }))
      assert.deepStrictEqual({ ...next }, { timeout: "0", kept: null })
      const failed = yield* Effect.flip(
        ResourcePool.use(pool, (session) => Effect.andThen(session.query("begin"), session.query("select 1 / 0")))
      )
      assert(failed._tag === "QueryError")
      assert.strictEqual(failed.reason, "22012")
      assert.strictEqual((yield* query(pool, "select pg_backend_pid() as pid"))[0]!["pid"], pid)
    }))

  it.live("closes a client that can not be reset", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(1)
      const pool = yield* ResourcePool.make(definition, { max: 1, reset })
      const pid = yield* ResourcePool.use(pool, (session) =>
        Effect.as(Effect.flip(session.query("select pg_terminate_backend(pg_backend_pid())")), session.pid))
      const [row] = yield* query(pool, "select pg_backend_pid() as pid")
      assert.notStrictEqual(row!["pid"], pid)
      assert.strictEqual(yield* count(name), 1)
      assert.strictEqual((yield* ResourcePool.stats(pool)).counts.resetFailed, 1)
    }))

  /** Interrupts a borrower in the middle of its query, and lends again; answers the two backends. */
  const interrupted = <E>(
    pool: Pool<E>,
    name: string,
    borrower: (lent: Deferred.Deferred<number>) => Effect.Effect<unknown, unknown>
  ) =>
    Effect.gen(function*() {
      const seen = yield* watch(name)
      const lent = yield* Deferred.make<number>()
      const fiber = yield* Effect.forkChild(borrower(lent))
      const first = yield* Deferred.await(lent)
      yield* sleeping(name)
      yield* Fiber.interrupt(fiber)
      const [row, unanswered] = yield* ResourcePool.use(pool, (session) => {
        const { unanswered } = session
        return Effect.map(session.query("select pg_backend_pid() as pid"), ([row]) => [row!, unanswered] as const)
      })
      assert.strictEqual(unanswered, 0)
      assert.isAtMost(seen.most, 1)
      assert.strictEqual(yield* count(name, "wait_event = 'PgSleep'"), 0)
      return { first, second: row["pid"] as number }
    })

  it.live("lends the client of an interrupted query again once its reset has cancelled the query", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(1)
      const pool = yield* ResourcePool.make(definition, { max: 1, reset })
      const { first, second } = yield* interrupted(pool, name, (lent) => stuck(pool, lent))
      assert.strictEqual(second, first)
    }))

  it.live("lends another client when the one of an interrupted query is invalidated", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(1)
      const pool = yield* ResourcePool.make(definition, { max: 1 })
      const { first, second } = yield* interrupted(pool, name, (lent) =>
        ResourcePool.use(pool, (session) => {
          Deferred.doneUnsafe(lent, Exit.succeed(session.pid))
          return session.query("select pg_sleep(1000)").pipe(
            Effect.onInterrupt(() => ResourcePool.invalidate(pool, session))
          )
        }))
      assert.notStrictEqual(second, first)
    }))

  it.live("lends another client when the reset of an interrupted one waits for its query for too long", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(1)
      const pool = yield* ResourcePool.make(definition, {
        max: 1,
        reset: (session) => session.query("discard all"),
        resetTimeout: "50 millis"
      })
      const { first, second } = yield* interrupted(pool, name, (lent) => stuck(pool, lent))
      assert.notStrictEqual(second, first)
    }))

  it.live("gives every borrower the answers to its own queries, whenever others are interrupted", () =>
    Effect.gen(function*() {
      const { definition, name } = yield* clients(3)
      const pool = yield* ResourcePool.make(definition, { max: 3, reset })
      const seen = yield* watch(name)
      let served = 0
      const borrower = (i: number) =>
        ResourcePool.use(pool, (session) =>
          Effect.gen(function*() {
            assert.strictEqual(session.unanswered, 0)
            const [row] = yield* session.query(`select ${i} as i, pg_sleep(${i % 5 / 1000})`)
            assert.strictEqual(row!["i"], i)
            served++
          }))
      yield* Effect.forEach(Array.from({ length: 400 }, (_, i) => i), (i) =>
        Effect.gen(function*() {
          if (i % 2 === 0) return yield* borrower(i)
          const fiber = yield* Effect.forkChild(borrower(i))
          for (let turns = 0; turns < i % 37; turns++) yield* turn
          const exit = yield* Effect.flatMap(Fiber.interrupt(fiber), () => Fiber.await(fiber))
          if (Exit.isFailure(exit)) assert.isTrue(Cause.hasInterruptsOnly(exit.cause), Cause.pretty(exit.cause))
        }), { concurrency: 12, discard: true })
      assert.isAtLeast(served, 200)
      assert.isAtMost(seen.most, 3)
      assert.strictEqual((yield* pidsAtOnce(pool, 3)).length, 3)
    }))
})

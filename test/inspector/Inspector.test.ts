import { ResourceDefinition, ResourceEvent, ResourceManager, ResourcePool, Snapshot, TimeFrame } from "@chronovyan/core"
import {
  Contention,
  ContentionReport,
  Inspector,
  LeakDetector,
  LeakReport,
  Metrics,
  Protocol,
  Source
} from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Logger, PubSub, Redacted, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ask, askAt, Connection, control, inspected, listen, statusOf } from "./support.ts"

const decode = <A>(schema: Schema.ConstraintDecoder<A, never>, body: string): A =>
  Schema.decodeUnknownSync(schema)(JSON.parse(body))

const report = new LeakReport.LeakReport({
  id: 1,
  reason: "overdue",
  state: "raised",
  at: 5,
  resource: "connection",
  kind: "allocation",
  frame: "test",
  since: 1,
  count: 1,
  message: "It is held for too long",
  advice: "Give it back"
})

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "inspector-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("A program that is inspected", () => {
  it.live("says who it is, what it holds, and where it waits", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Connection, { max: 1 })
      yield* ResourcePool.get(pool)
      yield* Effect.forkChild(ResourcePool.use(pool, () => Effect.void), { startImmediately: true })

      const info = decode(Protocol.Info, (yield* ask({ path: "/api/info" })).body)
      assert.deepInclude(info, { name: "test", pid: process.pid, protocol: 1, control: false, level: "off" })

      const told = yield* ask({ path: "/api/snapshot" })
      assert.strictEqual(told.headers["content-type"], "application/json")
      const snapshot = decode(Snapshot.Snapshot, told.body)
      assert.deepStrictEqual({ ...snapshot, at: 0 }, {
        ...(yield* ResourceManager.snapshot),
        at: 0,
        pools: snapshot.pools
      })
      assert.deepInclude(snapshot.pools[0], { name: "connection", used: 1, waiting: 1 })

      const contention = decode(ContentionReport.ContentionReport, (yield* ask({ path: "/api/contention" })).body)
      assert.deepInclude(contention.subjects[0], { kind: "pool", name: "connection", limit: 1, used: 1, waiting: 1 })
      assert.strictEqual(contention.subjects[0]!.sites[0]!.holding, 1)

      assert.deepInclude(yield* ask({ path: "/api/leaks" }), { status: 200, body: "[]" })
      assert.deepInclude(yield* ask({ path: "/metrics" }), { status: 200, body: "" })
    }).pipe(inspected()))

  it.live("tells of leaks, contention and metrics what their sources tell", () =>
    Effect.gen(function*() {
      const changes = yield* PubSub.unbounded<LeakReport.LeakReport>()
      const contention = new ContentionReport.ContentionReport({ from: 1, at: 2, subjects: [], waits: [] })
      const sources = Layer.mergeAll(
        Layer.succeed(Source.Leaks, {
          level: "sampled",
          reports: Effect.succeed([report]),
          changes: Stream.fromPubSub(changes)
        }),
        Layer.succeed(Source.Contention, { report: Effect.succeed(contention) }),
        Layer.succeed(Source.Metrics, { text: Effect.succeed("pools 1\n") })
      )
      yield* Effect.gen(function*() {
        assert.strictEqual(decode(Protocol.Info, (yield* ask()).body).level, "sampled")
        assert.deepStrictEqual(decode(Schema.Array(LeakReport.LeakReport), (yield* ask({ path: "/api/leaks" })).body), [
          report
        ])
        assert.deepStrictEqual(
          decode(ContentionReport.ContentionReport, (yield* ask({ path: "/api/contention" })).body),
          contention
        )
        const metrics = yield* ask({ path: "/metrics" })
        assert.strictEqual(metrics.body, "pools 1\n")
        assert.strictEqual(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")

        const listening = yield* listen
        yield* PubSub.publish(changes, report).pipe(Effect.delay("1 millis"), Effect.forever, Effect.forkScoped)
        const { data } = yield* listening.next("leak")
        assert.deepStrictEqual(Schema.decodeUnknownSync(LeakReport.LeakReport)(data), report)
      }).pipe(inspected(), Effect.provide(sources))
    }))

  it.live("tells what leaks, where it waits and what it comes to, by all that looks at it together", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Connection, { max: 1 })
      const gate = yield* Latch.make()
      const holder = yield* Effect.forkChild(ResourcePool.use(pool, () => gate.await), { startImmediately: true })
      const waiter = yield* Effect.forkChild(ResourcePool.use(pool, () => Effect.void), { startImmediately: true })
      const leaks = Effect.map(ask({ path: "/api/leaks" }), ({ body }) => JSON.parse(body) as ReadonlyArray<any>)
      const raised = yield* leaks.pipe(Effect.delay("5 millis"), Effect.repeat({ until: (all) => all.length > 0 }))
      assert.deepInclude(raised[0], { reason: "overdue", state: "raised", resource: "connection" })
      yield* gate.open
      yield* Fiber.join(holder)
      yield* Fiber.join(waiter)
      const { at, from, subjects } = decode(
        ContentionReport.ContentionReport,
        (yield* ask({ path: "/api/contention" })).body
      )
      assert.isAbove(at, from)
      assert.deepInclude(subjects[0], { kind: "pool", name: "connection", waiting: 0 })
      assert.isAbove(subjects[0]!.contended, 0)
      assert.isAtLeast(subjects[0]!.waited.count, 1)
      const { body } = yield* ask({ path: "/metrics" })
      assert.match(body, /^chronovyan_pool_borrows_total\{.*"connection"\} 2$/m)
    }).pipe(
      Effect.timeout("10 seconds"),
      TimeFrame.run({ name: "test" }),
      Effect.provide(
        Inspector.layer({ name: "test", announce: false }).pipe(
          Layer.provide([
            Contention.layer({ interval: "5 millis" }),
            LeakDetector.layer({ interval: "5 millis", hold: "20 millis", log: false }),
            Metrics.layer()
          ]),
          Layer.provideMerge(ResourceManager.layer()),
          Layer.provideMerge(Logger.layer([]))
        )
      )
    ))

  it.live("tells those who listen what happens, and the manager nothing when nobody does", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const first = yield* listen
        const second = yield* listen
        assert.strictEqual(first.response.headers["content-type"], "text/event-stream; charset=utf-8")
        // The first one who listens starts it, which takes a moment.
        yield* ResourceManager.use(Connection, () => Effect.void).pipe(
          Effect.delay("1 millis"),
          Effect.forever,
          Effect.forkScoped
        )
        for (const { next } of [first, second].map((one) => ({ next: (tag: string) => one.next(tag) }))) {
          const { data, event } = yield* next("Allocated")
          assert.strictEqual(event, "resource")
          const decoded = Schema.decodeUnknownSync(ResourceEvent.ResourceEvent)(data)
          assert.deepInclude(decoded, { _tag: "Allocated", resource: "connection", frame: "test" })
        }
      }).pipe(Effect.scoped)
    }).pipe(inspected()))

  it.live("sends a page that may run its own scripts and ask this program, and nothing else", () =>
    Effect.gen(function*() {
      const { body, headers, status } = yield* ask({ path: "/" })
      assert.strictEqual(status, 200)
      assert.strictEqual(headers["content-type"], "text/html; charset=utf-8")
      assert.match(body, /^<!doctype html>/i)
      const policy = headers["content-security-policy"]!
      for (const part of ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
        assert.include(policy, part)
      }
      assert.notInclude(policy, "unsafe")
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
      assert.isUndefined(headers["access-control-allow-origin"])
      assert.strictEqual(yield* statusOf({ path: "/", method: "HEAD" }), 200)
    }).pipe(inspected()))

  it.live("refuses what it does not know, with the reason as JSON", () =>
    Effect.gen(function*() {
      const { body, status } = yield* ask({ path: "/api/secrets" })
      assert.strictEqual(status, 404)
      assert.deepStrictEqual(
        decode(Protocol.Refused, body),
        new Protocol.Refused({ status: 404, message: "There is no such thing here" })
      )
      assert.strictEqual(yield* statusOf({ path: "/../package.json" }), 404)
      assert.strictEqual(yield* statusOf({ path: "//api/info" }), 404)
      assert.strictEqual(yield* statusOf({ path: "/api/info?x=1" }), 200)
      const wrong = yield* ask({ path: "/api/info", method: "POST" })
      assert.deepInclude(wrong, { status: 405 })
      assert.strictEqual(wrong.headers.allow, "GET, HEAD")
      assert.strictEqual(yield* statusOf({ path: "/api/control" }), 405)
    }).pipe(inspected()))

  it.live("answers 500 and goes on when a source dies", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* statusOf({ path: "/metrics" }), 500)
      assert.strictEqual(yield* statusOf({ path: "/api/info" }), 200)
    }).pipe(inspected(), Effect.provideService(Source.Metrics, { text: Effect.die("no metrics") })))
})

describe("Where a program is inspected", () => {
  it.live("is a free port of this machine if nothing else is said, and closes with the layer", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        Inspector.layer({ name: "test", announce: false }).pipe(Layer.provide(ResourceManager.layer())),
        scope
      )
      const address = yield* Effect.provideContext(Inspector.address, context)
      assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.strictEqual((yield* askAt(address)).status, 200)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(askAt(address))))
    }))

  it.live("does not wait for those who are connected when it closes, and tells listeners the end", () =>
    Effect.gen(function*() {
      const { listening, scope } = yield* Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(
          Inspector.layer({ name: "test", announce: false }).pipe(Layer.provide(ResourceManager.layer())),
          scope
        )
        return { scope, listening: yield* Effect.provideContext(listen, context) }
      })
      yield* Effect.timeout(Scope.close(scope, Exit.void), "1 second")
      yield* listening.over
      assert.isTrue(listening.response.complete)
    }).pipe(Effect.scoped))

  it.live("can be a unix socket, which only its user can open", () =>
    Effect.gen(function*() {
      const path = join(yield* temporary, "socket")
      const options = { socket: path }
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* Inspector.address, `unix:${path}`)
        assert.strictEqual(statSync(path).mode & 0o777, 0o600)
        assert.strictEqual(yield* statusOf({}), 200)
        assert.strictEqual(yield* statusOf({ headers: { host: "evil.example" } }), 421)
        const second = yield* Effect.flip(Effect.void.pipe(inspected(options)))
        assert.include(second.message, "something else listens there")
        assert.strictEqual(yield* statusOf({}), 200)
      }).pipe(inspected(options))
      assert.isUndefined(statSync(path, { throwIfNoEntry: false }))
    }).pipe(Effect.scoped))

  it.live("is a typed error when it is taken", () =>
    Effect.gen(function*() {
      const port = yield* Effect.callback<number>((resume) => {
        const server = createServer().listen(0, "127.0.0.1", () => {
          resume(Effect.succeed((server.address() as { port: number }).port))
        })
        server.unref()
      })
      const error = yield* Effect.flip(Effect.void.pipe(inspected({ port })))
      assert.strictEqual(error._tag, "ListenError")
      assert.strictEqual(
        error.message,
        `The inspector can not listen on http://127.0.0.1:${port}: something else listens there`
      )
    }))

  it.live("needs a token when others can connect, and a token that is worth the name", () =>
    Effect.gen(function*() {
      const outcomes = [{ host: "0.0.0.0" }, { host: "::" }, { host: "10.0.0.1" }, { token: "short" }]
      for (const options of outcomes) {
        const exit = yield* Effect.exit(Effect.void.pipe(inspected(options)))
        assert.isTrue(Exit.hasDies(exit), JSON.stringify(options))
      }
    }))

  it.live("can be all addresses with a token: hosts are then given as addresses, or are allowed", () =>
    Effect.gen(function*() {
      const authorization = "Bearer a-token-of-16-characters"
      assert.match(yield* Inspector.address, /^http:\/\/127\.0\.0\.1:/)
      for (const [host, status] of [["10.1.2.3:80", 200], ["Inside.example", 200], ["evil.example", 421]] as const) {
        assert.strictEqual(yield* statusOf({ headers: { host, authorization } }), status, host)
      }
      assert.strictEqual(yield* statusOf({}), 401)
    }).pipe(
      inspected({
        host: "0.0.0.0",
        token: Redacted.make("a-token-of-16-characters"),
        allowedHosts: ["inside.example"]
      })
    ))

  it.live("is written down for the command while it listens, where nobody else can read it", () =>
    Effect.gen(function*() {
      const path = join(yield* temporary, "run")
      yield* Effect.acquireRelease(
        Effect.sync(() => process.env["CHRONOVYAN_RUNTIME_DIR"] = path),
        () => Effect.sync(() => delete process.env["CHRONOVYAN_RUNTIME_DIR"])
      )
      yield* Effect.gen(function*() {
        const [file] = readdirSync(path)
        const written = decode(Protocol.Registration, readFileSync(join(path, file!), "utf8"))
        assert.deepInclude(written, {
          name: "test",
          pid: process.pid,
          protocol: 1,
          token: false,
          address: yield* Inspector.address
        })
        assert.strictEqual(statSync(path).mode & 0o777, 0o700)
        assert.strictEqual(statSync(join(path, file!)).mode & 0o777, 0o600)
      }).pipe(inspected({ announce: true }))
      assert.deepStrictEqual(readdirSync(path), [])

      // What is not a directory of this user alone is left alone.
      rmSync(path, { recursive: true })
      writeFileSync(path, "")
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* statusOf({}), 200)
      }).pipe(inspected({ announce: true }))
      assert.strictEqual(readFileSync(path, "utf8"), "")
    }).pipe(Effect.scoped))
})

describe("Control", () => {
  it.live("is off by default", () =>
    Effect.gen(function*() {
      yield* ResourcePool.make(Connection, { max: 1 })
      const { body, status } = yield* control({ _tag: "Resize", pool: "connection", max: 2 })
      assert.strictEqual(status, 403)
      assert.strictEqual(decode(Protocol.Refused, body).message, "This program does not allow control")
      assert.strictEqual((yield* ResourceManager.snapshot).pools[0]!.max, 1)
    }).pipe(inspected()))

  it.live("resizes, retires and drains a pool", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Connection, { max: 1 })
      yield* ResourcePool.use(pool, () => Effect.void)

      const resized = yield* control({ _tag: "Resize", pool: "connection", min: 1, max: 3 })
      assert.strictEqual(resized.status, 200)
      assert.strictEqual(
        decode(Protocol.Done, resized.body).message,
        `The pool "connection" has at least 1 and at most 3 items now`
      )
      assert.deepInclude(yield* ResourcePool.stats(pool), { min: 1, max: 3 })

      const { counts: before } = yield* ResourcePool.stats(pool)
      assert.strictEqual((yield* control({ _tag: "Retire", resource: "connection" })).status, 200)
      const { counts: after } = yield* ResourcePool.stats(pool)
      assert.strictEqual(after.closed - before.closed, 1)

      const drained = yield* control({ _tag: "Drain", pool: "connection" })
      assert.deepInclude(drained, { status: 200 })
      assert.strictEqual((yield* ResourcePool.stats(pool)).state, "closed")
      assert.strictEqual((yield* control({ _tag: "Drain", pool: "connection" })).status, 404)
    }).pipe(inspected({ control: true })))

  it.effect("answers after five seconds that a drain goes on", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Connection, { max: 1 })
      const gate = yield* Latch.make()
      const holder = yield* Effect.forkChild(ResourcePool.use(pool, () => gate.await), { startImmediately: true })
      const asking = yield* Effect.forkChild(control({ _tag: "Drain", pool: "connection" }), { startImmediately: true })
      while ((yield* ResourcePool.stats(pool)).state === "open") yield* Effect.promise(() => new Promise(setImmediate))
      yield* TestClock.adjust("5 seconds")
      const { body, status } = yield* Fiber.join(asking)
      assert.strictEqual(status, 202)
      assert.strictEqual(
        decode(Protocol.Done, body).message,
        `The pool "connection" is draining: 1 in use, 0 waiting; it closes when they are done`
      )
      yield* gate.open
      yield* Fiber.join(holder)
      while ((yield* ResourcePool.stats(pool)).state !== "closed") yield* Effect.yieldNow
    }).pipe(inspected({ control: true })))

  it.live("retires the values of a shared or persistent definition", () =>
    Effect.gen(function*() {
      let made = 0
      const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.sync(() => ++made) })
      assert.strictEqual(yield* ResourceManager.use(Settings, Effect.succeed), 1)
      assert.strictEqual((yield* control({ _tag: "Retire", resource: "settings" })).status, 200)
      assert.strictEqual(yield* ResourceManager.use(Settings, Effect.succeed), 2)
      assert.strictEqual((yield* control({ _tag: "Retire", resource: "nothing" })).status, 404)
    }).pipe(inspected({ control: true })))

  it.live("has to be told which pool when several have the name", () =>
    Effect.gen(function*() {
      const first = yield* ResourcePool.make(Connection, { max: 1 })
      const second = yield* ResourcePool.make(Connection, { max: 1 })
      const { body, status } = yield* control({ _tag: "Resize", pool: "connection", max: 2 })
      assert.strictEqual(status, 409)
      const ids = (yield* ResourceManager.snapshot).pools.map(({ frameId }) => frameId)
      assert.include(body, ids.join(", "))
      assert.strictEqual(
        (yield* control({ _tag: "Resize", pool: "connection", max: 2, frameId: ids[1] })).status,
        200
      )
      assert.strictEqual((yield* ResourcePool.stats(first)).max, 1)
      assert.strictEqual((yield* ResourcePool.stats(second)).max, 2)
      assert.strictEqual((yield* control({ _tag: "Drain", pool: "connection", frameId: 9999 })).status, 404)
    }).pipe(inspected({ control: true })))

  it.live("changes nothing when what is asked makes no sense", () =>
    Effect.gen(function*() {
      yield* ResourcePool.make(Connection, { min: 1, max: 2 })
      const senseless = [
        { _tag: "Resize", pool: "connection" },
        { _tag: "Resize", pool: "connection", max: 0 },
        { _tag: "Resize", pool: "connection", min: 3 },
        { _tag: "Resize", pool: "connection", max: 1.5 },
        { _tag: "Resize", pool: "connection", max: "4" },
        { _tag: "Drain", pool: "connection", timeout: -1 },
        { _tag: "Explode", pool: "connection" },
        { pool: "connection" },
        [],
        null,
        "{",
        ""
      ]
      for (const asked of senseless) {
        assert.strictEqual((yield* control(asked)).status, 400, JSON.stringify(asked))
      }
      const { pools: [pool] } = yield* ResourceManager.snapshot
      assert.deepInclude(pool, { min: 1, max: 2, state: "open" })
    }).pipe(inspected({ control: true })))
})

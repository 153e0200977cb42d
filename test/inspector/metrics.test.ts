import { ResourceDefinition, ResourceManager, ResourcePool, type Snapshot, TimeFrame } from "@chronovyan/core"
import { Inspector, LeakDetector, Metrics, Source } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Metric, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpMetrics, OtlpSerialization } from "effect/observability"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { catalog, type Instrument, prometheusName } from "../../packages/inspector/src/internal/metricCatalog.ts"
import { settle, start } from "../core/fixtures.ts"
import { busy, measured } from "./metricsProgram.ts"
import { parse, valueOf } from "./prometheus.ts"
import { askAt } from "./support.ts"

const families = Effect.map(Metrics.text, parse)

const connections = { connections: ["postgres"] }

const Thing = ResourceDefinition.temporal("thing", { acquire: () => Effect.succeed({}) })

/** What the collectors of the program are given. */
const series = Effect.map(
  Metric.snapshot,
  (snapshot) => new Map(snapshot.map((one) => [`${one.id} ${JSON.stringify(one.attributes)}`, one]))
)

const typeOf: Record<Instrument["kind"], string> = {
  counter: "counter",
  updown: "gauge",
  gauge: "gauge",
  histogram: "histogram"
}

const sum = <A>(all: ReadonlyArray<A>, of: (one: A) => number) => all.reduce((total, one) => total + of(one), 0)

describe("metrics", () => {
  it.effect("tell of a pool of connections what OpenTelemetry wants to know, in seconds", () =>
    Effect.gen(function*() {
      yield* busy
      const found = yield* families
      const pool = { db_client_connection_pool_name: "postgres" }
      const value = (name: string, labels = {}) =>
        valueOf(found, `db_client_connection_${name}`, { ...pool, ...labels })
      assert.strictEqual(value("count", { db_client_connection_state: "idle" }), 2)
      assert.strictEqual(value("count", { db_client_connection_state: "used" }), 0)
      assert.strictEqual(value("idle_max"), 2)
      assert.strictEqual(value("idle_min"), 0)
      assert.strictEqual(value("max"), 2)
      assert.strictEqual(value("pending_requests"), 0)
      assert.strictEqual(value("timeouts_total"), 0)
      // Two were made in 200 ms each; those two waited for that, and the third one for a second more.
      assert.strictEqual(value("create_time_seconds_count"), 2)
      assert.strictEqual(value("create_time_seconds_sum"), 0.4)
      assert.strictEqual(value("wait_time_seconds_count"), 3)
      assert.strictEqual(value("wait_time_seconds_sum"), 1.6)
      assert.strictEqual(value("use_time_seconds_count"), 3)
      assert.strictEqual(value("use_time_seconds_sum"), 3)
      assert.isUndefined(valueOf(found, "chronovyan_pool_count", { chronovyan_pool_name: "postgres" }))
      assert.strictEqual(valueOf(found, "chronovyan_pool_borrows_total", { chronovyan_pool_name: "postgres" }), 3)
    }).pipe(measured(connections)))

  it.effect("tell the same of other pools, and of the pools of keys together", () =>
    Effect.gen(function*() {
      yield* busy
      const found = yield* families
      const value = (pool: string, name: string, labels = {}) =>
        valueOf(found, `chronovyan_pool_${name}`, { chronovyan_pool_name: pool, ...labels })
      assert.strictEqual(value("worker", "count", { chronovyan_pool_state: "used" }), 1)
      assert.strictEqual(value("worker", "count", { chronovyan_pool_state: "idle" }), 0)
      assert.strictEqual(value("worker", "idle_min"), 1)
      assert.strictEqual(value("worker", "max"), 2)
      assert.strictEqual(value("tenant", "count", { chronovyan_pool_state: "used" }), 2)
      assert.strictEqual(value("tenant", "max"), 2)
      assert.strictEqual(value("tenant(blue)", "max"), undefined)
    }).pipe(measured(connections)))

  it.effect("tell who waits, for how long, and in vain", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { max: 1, acquireTimeout: "3 seconds" })
      const value = (name: string, labels = {}) =>
        Effect.map(families, (found) => valueOf(found, `chronovyan_pool_${name}`, labels))
      const holder = yield* start(ResourcePool.use(pool, () => Effect.never))
      yield* settle
      const waiters = yield* Effect.forEach([1, 2, 3], () =>
        start(Effect.exit(ResourcePool.use(pool, () => Effect.void))))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* value("pending_requests"), 3)
      assert.strictEqual(yield* value("oldest_wait_seconds"), 2)
      yield* Fiber.interrupt(waiters[0]!)
      assert.strictEqual(yield* value("refusals_total", { chronovyan_reason: "cancelled" }), 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* value("pending_requests"), 0)
      assert.strictEqual(yield* value("oldest_wait_seconds"), 0)
      assert.strictEqual(yield* value("timeouts_total"), 2)
      yield* Fiber.interrupt(holder)
      assert.strictEqual(yield* value("use_time_seconds_sum"), 3)
    }).pipe(measured()))

  it.effect("sum up to what a snapshot says", () =>
    Effect.gen(function*() {
      yield* busy
      const found = yield* families
      const snapshot: Snapshot.Snapshot = yield* ResourceManager.snapshot
      const own = snapshot.resources.filter(({ kind }) => kind !== "pool")
      const total = (name: string, labels = {}) => valueOf(found, `chronovyan_${name}`, labels)
      assert.strictEqual(total("allocation_count"), sum(own, ({ live }) => live))
      assert.strictEqual(total("allocation_acquire_time_seconds_count"), sum(own, ({ acquired }) => acquired))
      assert.strictEqual(
        total("allocation_acquire_time_seconds_sum"),
        sum(own, ({ acquireTotal }) => acquireTotal) / 1000
      )
      assert.strictEqual(total("allocation_hold_time_seconds_count"), sum(own, ({ released }) => released))
      assert.strictEqual(total("allocation_hold_time_seconds_sum"), sum(own, ({ holdTotal }) => holdTotal) / 1000)
      assert.strictEqual(total("allocation_failures_total"), sum(own, ({ failed }) => failed))
      assert.strictEqual(total("allocation_failures_total"), 1)
      assert.strictEqual(
        total("allocation_cost", { chronovyan_unit: "memory" }),
        sum(snapshot.allocations, ({ cost }) => cost.memory ?? 0)
      )
      assert.strictEqual(
        total("pool_borrows_total"),
        sum(snapshot.pools, ({ counts }) => counts!.borrowed)
      )
      const frames = snapshot.frames.filter(({ id }) =>
        ![...snapshot.pools, ...snapshot.values].some(({ frameId }) => frameId === id)
      )
      assert.strictEqual(total("frame_count"), frames.length)
      const budget = { chronovyan_frame_name: "server", chronovyan_unit: "memory", chronovyan_budget_kind: "capacity" }
      assert.strictEqual(total("budget_used", budget), 300)
      assert.strictEqual(total("budget_limit", budget), 1000)
      assert.strictEqual(total("budget_pending_requests", budget), 0)
      assert.isUndefined(total("budget_limit", { chronovyan_frame_name: "manager" }))
      assert.strictEqual(total("shared_count", { chronovyan_shared_state: "live" }), 2)
      assert.strictEqual(total("shared_users"), 2)
    }).pipe(measured(connections)))

  it.effect("that only rise do so when pools close and come again under the same name", () =>
    Effect.gen(function*() {
      const rising = Effect.map(families, (found) => ({
        borrows: valueOf(found, "chronovyan_pool_borrows_total")!,
        used: valueOf(found, "chronovyan_pool_use_time_seconds_sum")!,
        max: valueOf(found, "chronovyan_pool_max")!
      }))
      const told: Array<Effect.Success<typeof rising>> = []
      for (let round = 0; round < 3; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const pool = yield* ResourcePool.make(Thing, { max: 4 })
          const user = yield* start(ResourcePool.use(pool, () => Effect.sleep("1 second")))
          yield* settle
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(user)
          told.push(yield* rising)
        }))
        told.push(yield* rising)
      }
      assert.deepStrictEqual(told, [
        { borrows: 1, used: 1, max: 4 },
        { borrows: 1, used: 1, max: 0 },
        { borrows: 2, used: 2, max: 4 },
        { borrows: 2, used: 2, max: 0 },
        { borrows: 3, used: 3, max: 4 },
        { borrows: 3, used: 3, max: 0 }
      ])
    }).pipe(measured()))

  it.effect("of more names than that are told together, and sums stay what they are", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 8; n++) {
        const Numbered = ResourceDefinition.temporal(`thing ${n}`, { acquire: () => Effect.succeed(n) })
        yield* ResourceManager.allocate(Numbered)
        yield* ResourcePool.make(Numbered, { max: n + 1 })
      }
      const found = yield* families
      const of = (label: string, name: string) =>
        found.get(name)!.samples.map(({ labels, value }) => [labels[label], value])
      assert.deepStrictEqual(of("chronovyan_resource_name", "chronovyan_allocation_count"), [
        ["thing 0", 1],
        ["thing 1", 1],
        ["thing 2", 1],
        ["other", 5]
      ])
      assert.deepStrictEqual(of("chronovyan_pool_name", "chronovyan_pool_max"), [
        ["thing 0", 1],
        ["thing 1", 2],
        ["thing 2", 3],
        ["other", 4 + 5 + 6 + 7 + 8]
      ])
    }).pipe(measured({ maxNames: 3 })))

  it.effect("count leaks by their reasons, those that there are and those that there were", () =>
    Effect.gen(function*() {
      const holder = yield* start(
        Effect.andThen(ResourceManager.allocate(Thing), Effect.never).pipe(TimeFrame.run({ name: "holder" }))
      )
      const value = (name: string) =>
        Effect.map(families, (found) => valueOf(found, `chronovyan_leak_${name}`, { chronovyan_reason: "overdue" }))
      assert.strictEqual(yield* value("count"), 0)
      assert.strictEqual(yield* value("raised_total"), 0)
      yield* TestClock.adjust("20 seconds")
      yield* settle
      assert.strictEqual(yield* value("count"), 1)
      assert.strictEqual(yield* value("raised_total"), 1)
      yield* Fiber.interrupt(holder)
      yield* LeakDetector.look
      yield* settle
      assert.strictEqual(yield* value("count"), 0)
      assert.strictEqual(yield* value("raised_total"), 1)
    }).pipe(measured({}, { level: "presence", holds: { thing: "5 seconds" } })))

  it.effect("tell the leaks of before while a source of leaks does not answer at once", () =>
    Effect.gen(function*() {
      yield* ResourceManager.allocate(Thing)
      const found = yield* families
      assert.strictEqual(valueOf(found, "chronovyan_leak_count"), 0)
      assert.strictEqual(valueOf(found, "chronovyan_allocation_count"), 1)
    }).pipe(
      TimeFrame.run({ name: "server" }),
      Effect.provide(
        Metrics.layer().pipe(
          Layer.provide(
            Layer.succeed(Source.Leaks, {
              level: "presence",
              reports: Effect.as(Effect.yieldNow, []),
              changes: Stream.never
            })
          ),
          Layer.provideMerge(ResourceManager.layer())
        )
      ),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))

  it.effect("are in the registry of the program, one snapshot for each time that it is read", () =>
    Effect.gen(function*() {
      const count = Effect.map(
        series,
        (all) => [...all.values()].filter(({ id }) => id === "chronovyan.allocation.count").map(({ state }) => state)
      )
      // What is new is found out by the first who reads.
      const first = yield* ResourceManager.allocate(Thing)
      yield* count
      assert.deepStrictEqual(yield* count, [{ count: 1, incremental: false }])
      yield* ResourceManager.allocate(Thing)
      assert.deepStrictEqual(yield* count, [{ count: 2, incremental: false }])
      yield* Metrics.text
      yield* first.release
      assert.deepStrictEqual(yield* count, [{ count: 1, incremental: false }])
    }).pipe(measured()))

  it.effect("are gone from the registry when the layer is closed", () =>
    Effect.gen(function*() {
      const registry: Metric.MetricRegistry = new Map()
      yield* Metric.update(Metric.counter("orders"), 1).pipe(Effect.provideService(Metric.MetricRegistry, registry))
      yield* busy.pipe(
        Effect.andThen(Metrics.text),
        Effect.andThen(Effect.sync(() => assert.isAbove(registry.size, 10))),
        TimeFrame.run({ name: "server" }),
        Effect.provide(Metrics.layer().pipe(Layer.provideMerge(ResourceManager.layer()))),
        Effect.provideService(Metric.MetricRegistry, registry)
      )
      assert.deepStrictEqual([...registry.values()].map(({ id }) => id), ["orders"])
    }))

  it.effect("of several managers differ by the attributes that they are given", () =>
    Effect.gen(function*() {
      const registry: Metric.MetricRegistry = new Map()
      const manager = (shop: string) =>
        Layer.build(Metrics.layer({ attributes: { shop } }).pipe(Layer.provideMerge(ResourceManager.layer())))
      const [one] = yield* Effect.forEach(["Rome", "Oslo"], manager).pipe(
        Effect.provideService(Metric.MetricRegistry, registry)
      )
      const found = parse(yield* Context.get(one!, Metrics.Metrics).text)
      assert.strictEqual(valueOf(found, "chronovyan_frame_count", { shop: "Rome" }), 1)
      assert.strictEqual(valueOf(found, "chronovyan_frame_count", { shop: "Oslo" }), 1)
    }).pipe(Effect.scoped))

  it.effect("can not be told with a limit of no names", () =>
    Effect.gen(function*() {
      for (const maxNames of [0, -1, 1.5, NaN]) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Metrics.layer({ maxNames })))).pipe(
          Effect.provide(ResourceManager.layer())
        )
        assert.match(String(exit), /maxNames of metrics has to be a whole number from 1 on/)
      }
    }))
})

describe("the text for Prometheus", () => {
  it.effect("tells each metric as it is called, with its kind and no other labels", () =>
    Effect.gen(function*() {
      yield* busy
      const found = yield* families
      for (const instrument of catalog) {
        const family = found.get(prometheusName(instrument))
        assert.isDefined(family, instrument.id)
        assert.strictEqual(family.type, typeOf[instrument.kind], instrument.id)
        assert.strictEqual(family.help, instrument.description)
        for (const { labels, name } of family.samples) {
          const { le, ...others } = labels
          assert.strictEqual(le, name.endsWith("_bucket") ? "+Inf" : undefined)
          assert.sameMembers(Object.keys(others), instrument.attributes.map((name) => name.replaceAll(".", "_")))
        }
      }
    }).pipe(measured(connections, {})))

  it.effect("escapes what names have in them", () =>
    Effect.gen(function*() {
      const names = ["a \"quoted\" one", "back\\slash\\n", "two\nlines", "ends in \\", "ünïcödé 🐘", "{a=\"b\"} 1"]
      for (const name of names) {
        yield* ResourcePool.make(Thing, { max: 1, name })
      }
      const found = yield* families
      assert.sameMembers(
        found.get("chronovyan_pool_max")!.samples.map(({ labels }) => labels.chronovyan_pool_name),
        names
      )
    }).pipe(measured()))

  it.effect("tells the metrics of the program, too, as Effect does", () =>
    Effect.gen(function*() {
      yield* Metric.update(Metric.counter("orders", { attributes: { unit: "s", shop: "Rome" } }), 3)
      const found = yield* families
      assert.strictEqual(found.get("orders")?.type, "counter")
      assert.strictEqual(valueOf(found, "orders", { shop: "Rome" }), 3)
    }).pipe(measured()))

  it.live("is what an inspector answers", () =>
    Effect.gen(function*() {
      const { body, headers, status } = yield* askAt(yield* Inspector.address, { path: "/metrics" })
      assert.strictEqual(status, 200)
      assert.match(headers["content-type"] ?? "", /^text\/plain; version=0\.0\.4/)
      assert.strictEqual(valueOf(parse(body), "chronovyan_frame_count", { chronovyan_frame_name: "server" }), 1)
      const { text } = yield* Source.Metrics
      assert.strictEqual(yield* text, yield* Metrics.text)
    }).pipe(Effect.provide(Inspector.layer({ name: "test", announce: false })), measured()))
})

/** Takes what is posted. */
const collector = Effect.acquireRelease(
  Effect.callback<{ readonly server: Server; readonly url: string; readonly bodies: Array<any> }>((resume) => {
    const bodies: Array<any> = []
    const server = createServer((request, response) => {
      const parts: Array<Buffer> = []
      request.on("data", (part: Buffer) => parts.push(part))
      request.on("end", () => {
        const body = Buffer.concat(parts)
        bodies.push(request.headers["content-type"] === "application/json" ? JSON.parse(body.toString()) : body)
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      })
    }).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ server, url: `http://127.0.0.1:${port}/v1/metrics`, bodies }))
    })
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
)

const exporting = (
  url: string,
  temporality?: "cumulative" | "delta",
  serialization = OtlpSerialization.layerJson
) =>
  Effect.provide(
    Metrics.layerOtlp({ url, temporality, resource: { serviceName: "shop" } }).pipe(
      Layer.provide([FetchHttpClient.layer, serialization])
    )
  )

const flush = Effect.flatMap(OtlpExporter.Flusher, ({ flush }) => flush)

const metricsIn = (body: any): Map<string, any> =>
  new Map(body.resourceMetrics[0].scopeMetrics[0].metrics.map((metric: any) => [metric.name, metric]))

const pointsOf = (metric: any): Array<any> => (metric.sum ?? metric.gauge ?? metric.histogram).dataPoints

describe("an exporter of OTLP", () => {
  it.effect("posts them by their names, with their kinds, units and attributes, as they are now", () =>
    Effect.gen(function*() {
      const { bodies, url } = yield* collector
      yield* Effect.gen(function*() {
        yield* busy
        yield* flush
        const found = metricsIn(bodies[0])
        for (const { attributes, description, id, kind, unit } of catalog) {
          const metric = found.get(id)
          assert.isDefined(metric, id)
          assert.deepInclude(metric, { unit, description })
          if (kind === "gauge") assert.isDefined(metric.gauge)
          if (kind === "counter" || kind === "updown") {
            assert.deepInclude(metric.sum, { aggregationTemporality: 2, isMonotonic: kind === "counter" })
          }
          if (kind === "histogram") assert.strictEqual(metric.histogram.aggregationTemporality, 2)
          for (const point of pointsOf(metric)) {
            assert.sameMembers(point.attributes.map(({ key }: any) => key), attributes as Array<string>)
          }
        }
        const [point] = pointsOf(found.get("db.client.connection.wait_time"))
        // Nobody knows the least.
        const { startTimeUnixNano, timeUnixNano } = point
        assert.deepStrictEqual(point, {
          startTimeUnixNano,
          timeUnixNano,
          attributes: [{ key: "db.client.connection.pool.name", value: { stringValue: "postgres" } }],
          count: 3,
          sum: 1.6,
          max: 1.2,
          bucketCounts: [3],
          explicitBounds: []
        })
      }).pipe(exporting(url), measured(connections, {}))
    }).pipe(Effect.scoped))

  it.effect("posts what has changed since, when it is told to", () =>
    Effect.gen(function*() {
      const { bodies, url } = yield* collector
      yield* Effect.gen(function*() {
        const pool = yield* ResourcePool.make(Thing, { max: 1 })
        for (const times of [1, 3]) {
          yield* Effect.repeat(ResourcePool.use(pool, () => Effect.void), { times: times - 1 })
          yield* flush
        }
        const borrows = bodies.map((body) => pointsOf(metricsIn(body).get("chronovyan.pool.borrows"))[0].asDouble)
        const used = bodies.map((body) => pointsOf(metricsIn(body).get("chronovyan.pool.use_time"))[0].count)
        const size = bodies.map((body) =>
          pointsOf(metricsIn(body).get("chronovyan.pool.create_time"))[0].bucketCounts[0]
        )
        assert.deepStrictEqual({ borrows, used, size }, { borrows: [1, 3], used: [1, 3], size: [1, 0] })
      }).pipe(exporting(url, "delta"), measured())
    }).pipe(Effect.scoped))

  it.effect("posts them as protobuf, too", () =>
    Effect.gen(function*() {
      const { bodies, url } = yield* collector
      yield* Effect.andThen(busy, flush).pipe(
        exporting(url, "cumulative", OtlpSerialization.layerProtobuf),
        measured(connections)
      )
      const text = bodies[0].toString("latin1")
      for (const told of ["db.client.connection.wait_time", "chronovyan.budget.used", "postgres"]) {
        assert.include(text, told)
      }
    }).pipe(Effect.scoped))

  it.effect("of Effect's own finds them in the registry, with the unit as an attribute", () =>
    Effect.gen(function*() {
      const { bodies, url } = yield* collector
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing)
        yield* flush
        yield* ResourceManager.allocate(Thing)
        yield* flush
        const [before, after] = bodies.map((body) => metricsIn(body).get("chronovyan.allocation.count"))
        assert.isUndefined(before)
        const [point] = pointsOf(after)
        assert.strictEqual(point.asDouble, 2)
        assert.strictEqual(after.unit, "{allocation}")
        assert.include(point.attributes.map(({ key }: any) => key), "unit")
        const [spread] = pointsOf(metricsIn(bodies[1]).get("chronovyan.allocation.acquire_time"))
        assert.deepInclude(spread, { count: 2, min: "NaN", max: 0, bucketCounts: [2], explicitBounds: [] })
      }).pipe(
        Effect.provide(
          OtlpMetrics.layer({ url, resource: { serviceName: "shop" } }).pipe(
            Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson])
          )
        ),
        measured()
      )
    }).pipe(Effect.scoped))

  it.effect("posts once more when the program ends, before the manager does", () =>
    Effect.gen(function*() {
      const { bodies, url } = yield* collector
      yield* ResourceManager.allocate(Thing).pipe(exporting(url), measured())
      assert.strictEqual(bodies.length, 1)
      assert.strictEqual(pointsOf(metricsIn(bodies[0]).get("chronovyan.allocation.count"))[0].asDouble, 1)
    }).pipe(Effect.scoped))
})

describe("the catalog", () => {
  // https://opentelemetry.io/docs/specs/semconv/database/database-metrics/#connection-pools
  const conventions: Record<string, readonly [kind: Instrument["kind"], unit: string]> = {
    "db.client.connection.count": ["updown", "{connection}"],
    "db.client.connection.idle.max": ["updown", "{connection}"],
    "db.client.connection.idle.min": ["updown", "{connection}"],
    "db.client.connection.max": ["updown", "{connection}"],
    "db.client.connection.pending_requests": ["updown", "{request}"],
    "db.client.connection.timeouts": ["counter", "{timeout}"],
    "db.client.connection.create_time": ["histogram", "s"],
    "db.client.connection.wait_time": ["histogram", "s"],
    "db.client.connection.use_time": ["histogram", "s"]
  }

  it("has what the conventions of OpenTelemetry have, and the same for other pools", () => {
    const shape = (prefix: string) =>
      new Map(catalog.filter(({ id }) => id.startsWith(prefix)).map((one) => [one.id, one]))
    const connection = shape("db.client.connection.")
    const other = shape("chronovyan.pool.")
    assert.sameMembers([...connection.keys()], Object.keys(conventions))
    for (const [id, [kind, unit]] of Object.entries(conventions)) {
      const { attributes, ...instrument } = connection.get(id)!
      assert.deepInclude(instrument, { kind, unit })
      const state = id.endsWith(".count") ? ["db.client.connection.state"] : []
      assert.deepStrictEqual(attributes, ["db.client.connection.pool.name", ...state])
      const same = other.get(id.replace("db.client.connection", "chronovyan.pool"))
      assert.deepInclude(same, { kind, unit: unit.replace("connection", "item") })
    }
  })

  it("is what the documentation lists", () => {
    const page = readFileSync(join(import.meta.dirname, "../../packages/inspector/docs/metrics.md"), "utf8")
    const rows = [...page.matchAll(/^\| `((?:db|chronovyan)\..+?)` +\| (\w+) +\| `(.+?)` +\| (.+?) +\| (.+?) +\|$/gm)]
    const listed = new Map(rows.map(([, id, ...told]) => [id, told]))
    for (const { attributes, description, id, kind, unit } of catalog) {
      const row = listed.get(id)
      if (row === undefined) {
        // Told in a sentence: the same as of pools of connections.
        assert.property(conventions, id.replace("chronovyan.pool", "db.client.connection"))
        assert.include(page.replaceAll("\n", " "), `\`${id}\``)
      } else {
        assert.deepStrictEqual(row, [kind, unit, attributes.map((name) => `\`${name}\``).join(", "), description])
      }
    }
    assert.isEmpty([...listed.keys()].filter((id) => !catalog.some((one) => one.id === id)))
  })
})

describe("nothing listens to events", () => {
  it.effect("for the sake of metrics", () =>
    Effect.gen(function*() {
      const Told = ResourceDefinition.temporal("told", { acquire: () => Effect.succeed({}) })
      yield* Metrics.text
      yield* ResourceManager.allocate(Told)
      // Who listens from now on hears nothing of before: nothing was written down for anybody.
      const heard = yield* start(ResourceManager.events.pipe(Stream.take(1), Stream.runCollect))
      yield* ResourceManager.allocate(Thing)
      assert.deepStrictEqual((yield* Fiber.join(heard)).map((event) => "resource" in event && event.resource), [
        "thing"
      ])
    }).pipe(measured()))
})

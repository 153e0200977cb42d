import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Contention, type ContentionReport } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "../core/fixtures.ts"
import { Sized, Thing } from "./leaks.ts"

const watched = (options?: Contention.Options) =>
  Effect.provide(Contention.layer(options).pipe(Layer.provideMerge(ResourceManager.layer())))

const subjectOf = (name: string) => (report: ContentionReport.ContentionReport) => {
  const subject = report.subjects.find((subject) => subject.name === name)
  assert.isDefined(subject)
  return subject
}

const seen = (name: string) => Effect.map(Contention.report, subjectOf(name))

describe("a report on contention", () => {
  it.effect("says who holds a pool, who waits for whom, and what would help", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { max: 2 })
      const hold = (name: string, turns: number) =>
        ResourcePool.use(pool, () => Effect.sleep(4000)).pipe(
          Effect.repeat({ times: turns - 1 }),
          TimeFrame.run({ name }),
          start
        )
      const workers = yield* Effect.forEach(["report", "report", "report"], (name) => hold(name, 20))
      yield* TestClock.adjust("31 seconds")
      const report = yield* Contention.report
      yield* Fiber.interruptAll(workers)
      const { hint, sites, ...subject } = subjectOf("thing")(report)
      assert.deepInclude(subject, { kind: "pool", limit: 2, used: 2, waiting: 1, contended: 1 })
      assert.deepInclude(subject.held, { count: 14, total: 56_000, mean: 4000 })
      // Seen a second before its end, for the last time.
      assert.closeTo(subject.held.p50, 4000, 700)
      assert.closeTo(subject.waited.p50, subject.waited.mean, 700)
      assert.deepEqual(sites.map(({ holding, share, site }) => ({ holding, share, site })), [
        { site: "server/report", share: 1, holding: 2 }
      ])
      assert.match(
        hint,
        /^2 of 2 held by server\/report, median hold \d\.\d s, 1 waits for up to [23]\.0 s: see what server\/report does while/
      )
      assert.deepEqual(report.waits.map(({ holder, resource, waiter }) => ({ holder, resource, waiter })), [
        { waiter: "server/report", resource: "thing", holder: "server/report" }
      ])
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  for (const detail of ["snapshots", "events"] as const) {
    it.effect(`tells how holds and waits are spread, by ${detail}`, () =>
      Effect.gen(function*() {
        const pool = yield* ResourcePool.make(Thing, { max: 3 })
        const holds: Array<number> = []
        const waits: Array<number> = []
        const worker = Effect.gen(function*() {
          while (true) {
            yield* Effect.sleep(Math.round(1000 * (yield* Random.next)))
            const hold = Math.round(1 - 400 * Math.log(1 - (yield* Random.next)))
            const from = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
            yield* ResourcePool.use(pool, () =>
              Effect.gen(function*() {
                const wait = (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - from
                if (wait > 0) waits.push(wait)
                yield* Effect.sleep(hold)
                holds.push(hold)
              }))
          }
        })
        const workers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => start(worker))
        yield* TestClock.adjust("10 minutes")
        yield* Fiber.interruptAll(workers)
        const { contended, held, waited } = yield* seen("thing")
        assert.isAbove(contended, 0.2)
        const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length
        for (const [spread, values] of [[held, holds], [waited, waits]] as const) {
          const sorted = values.toSorted((a, b) => a - b)
          // Pools count waits of no time at all, and those that are interrupted in the end.
          assert.closeTo(spread.count, values.length, 20)
          assert.closeTo(spread.mean, mean(values), 10)
          for (const [part, value] of [[0.5, spread.p50], [0.9, spread.p90], [0.99, spread.p99]] as const) {
            // Shorter ones than a second are not seen one by one.
            const exact = sorted[Math.floor(part * sorted.length)]!
            const expected = detail === "events" || exact > 1200 ? exact : mean(values)
            assert.closeTo(value, expected, (detail === "events" ? 0.06 : 0.3) * expected, `${part}`)
          }
        }
      }).pipe(
        TimeFrame.run({ name: "server" }),
        Random.withSeed("spread"),
        watched({ window: "1 hour", detail })
      ))
  }

  it.effect("says who uses up a budget", () =>
    Effect.gen(function*() {
      const large = yield* ResourceManager.allocate(Sized, 900).pipe(
        Effect.andThen(Effect.never),
        TimeFrame.run({ name: "import" }),
        start
      )
      yield* ResourceManager.use(Sized, 300, () => Effect.void).pipe(TimeFrame.run({ name: "query" }), start)
      yield* TestClock.adjust("20 seconds")
      const { hint, ...subject } = yield* seen("memory")
      assert.deepInclude(subject, { kind: "budget", frame: "server", limit: 1000, used: 900, waiting: 1, contended: 1 })
      assert.match(
        hint,
        /^900 of 1,000 in use by server\/import, 1 waits for up to 20\.0 s: let server\/import hold less/
      )
      assert.deepEqual(JSON.parse(JSON.stringify((yield* Contention.report).waits)), [
        { waiter: "server/query", resource: "memory", holder: "server/import", waited: 20_000 }
      ])
      yield* Fiber.interrupt(large)
      yield* TestClock.adjust("2 minutes")
      const after = yield* seen("memory")
      assert.deepInclude(after, { waiting: 0, contended: 0, hint: "" })
    }).pipe(
      TimeFrame.run({ name: "server", budget: { memory: 1000 }, exhausted: "wait" }),
      watched()
    ))

  it.effect("says that somebody waits for a turn on a shared value", () =>
    Effect.gen(function*() {
      const Document = ResourceDefinition.shared("document", {
        access: "readWrite",
        acquire: () => Effect.succeed({ text: "" })
      })
      const document = yield* ResourceManager.allocate(Document)
      yield* start(document.write(() => Effect.never))
      yield* start(document.read(() => Effect.void))
      yield* TestClock.adjust("10 seconds")
      const { hint, ...subject } = yield* seen("document")
      assert.deepInclude(subject, { kind: "shared", used: 1, waiting: 1, contended: 1 })
      assert.match(hint, /^1 in use/)
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("says nothing where nobody waits", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { max: 2 })
      yield* ResourcePool.use(pool, () => Effect.sleep(10)).pipe(start)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* seen("thing"), { waiting: 0, contended: 0, hint: "" })
    }).pipe(TimeFrame.run({ name: "server" }), watched()))

  it.effect("is collected for as long as somebody wants it, without a layer", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make(Thing, { max: 1 })
      const workers = yield* Effect.forEach([1, 2], () =>
        start(Effect.forever(ResourcePool.use(pool, () => Effect.sleep(100)))))
      const collecting = yield* start(Contention.collect("10 seconds"))
      yield* TestClock.adjust("10 seconds")
      const { contended, held, hint } = subjectOf("thing")(yield* Fiber.join(collecting))
      yield* Fiber.interruptAll(workers)
      assert.closeTo(held.count, 100, 10)
      assert.strictEqual(held.max, 100)
      assert.strictEqual(contended, 1)
      assert.match(
        hint,
        /(9|10)(\.\d)? borrows a second of 100 ms each keep (1|0\.9) busy all the time: raise max above that/
      )
    }).pipe(TimeFrame.run({ name: "server" }), Effect.provide(ResourceManager.layer())))
})

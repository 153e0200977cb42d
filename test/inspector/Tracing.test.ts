import { ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Tracing } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, type Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "../core/fixtures.ts"

const Slow = ResourceDefinition.temporal("slow", {
  params: Schema.Int,
  acquire: (millis) =>
    Effect.andThen(Effect.sleep(millis), millis === 13 ? Effect.fail("unlucky") : Effect.succeed(millis))
})

/** Runs the body, and tells the spans that were made meanwhile. */
const traced = <A, E>(
  body: Effect.Effect<A, E, ResourceManager.ResourceManager | TimeFrame.TimeFrame | Scope.Scope>,
  options?: Tracing.Options
) =>
  Effect.gen(function*() {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    yield* body.pipe(
      Effect.andThen(settle),
      Effect.scoped,
      TimeFrame.run({ name: "server" }),
      Effect.provide(
        Tracing.layer(options).pipe(
          Layer.provide(Layer.succeed(Tracer.Tracer, tracer)),
          Layer.provideMerge(ResourceManager.layer())
        )
      )
    )
    return spans
  })

const told = ({ name, status }: Tracer.NativeSpan) =>
  status._tag === "Ended"
    ? [name, status.startTime / 1_000_000n, status.endTime / 1_000_000n, status.exit._tag]
    : [name, "not ended"]

describe("spans", () => {
  it.effect("tell of acquisitions and of waits, when they began and ended, and how", () =>
    Effect.gen(function*() {
      const spans = yield* traced(Effect.gen(function*() {
        const pool = yield* ResourcePool.make(Slow, { max: 1, params: 20 })
        const borrow = start(ResourcePool.use(pool, () => Effect.sleep(100)))
        yield* borrow
        yield* borrow
        yield* settle
        yield* TestClock.adjust(20)
        yield* settle
        yield* TestClock.adjust(200)
        yield* start(Effect.exit(ResourceManager.allocate(Slow, 13)))
        yield* TestClock.adjust(13)
      }))
      assert.deepStrictEqual(spans.map(told), [
        ["acquire slow", 0n, 20n, "Success"],
        ["wait for slow", 0n, 20n, "Success"],
        ["wait for slow", 0n, 120n, "Success"],
        ["acquire slow", 220n, 233n, "Failure"]
      ])
      assert.strictEqual(spans[2]!.attributes.get("chronovyan.resource.name"), "slow")
      assert.strictEqual(spans[2]!.attributes.get("chronovyan.frame.path"), "server")
    }))

  it.effect("leave out what took less than the minimum", () =>
    Effect.gen(function*() {
      const acquire = Effect.gen(function*() {
        for (const millis of [0, 1, 5, 10]) {
          yield* start(ResourceManager.allocate(Slow, millis))
          yield* TestClock.adjust(millis)
        }
      })
      const count = (options?: Tracing.Options) => Effect.map(traced(acquire, options), (spans) => spans.length)
      assert.strictEqual(yield* count(), 3)
      assert.strictEqual(yield* count({ minimum: 5 }), 2)
      assert.strictEqual(yield* count({ minimum: 0 }), 4)
    }))

  it.effect("belong to the span that the program knows to be that of the frame", () =>
    Effect.gen(function*() {
      const parent = Tracer.externalSpan({ spanId: "request", traceId: "trace" })
      const acquire = Effect.andThen(start(ResourceManager.allocate(Slow, 5)), TestClock.adjust(5))
      const [span] = yield* traced(acquire, { parent: ({ frame }) => frame === "server" ? parent : undefined })
      assert.strictEqual(span!.traceId, "trace")
      const [root] = yield* traced(acquire, { parent: () => undefined })
      assert.strictEqual(root!.parent._tag, "None")
    }))

  it.effect("can not have a minimum that is negative", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(traced(Effect.void, { minimum: -1 }))
      assert.match(String(exit), /The minimum of a span must not be negative/)
    }))
})

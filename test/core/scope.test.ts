import { ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Layer, Scope } from "effect"
import { failureOf, makeLog, managed } from "./fixtures.ts"

describe("What Effect scopes", () => {
  it.effect("joins the frame: scoped fibers, forked scopes, layers and pools of finalizers", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const Service = Context.Service<string>("test/Service")
      const layer = Layer.effect(
        Service,
        Effect.acquireRelease(Effect.as(say("+layer"), "service"), () => say("-layer"))
      )
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Thing, "a")
        yield* Effect.forkScoped(Effect.onInterrupt(Effect.never, () => say("-fiber")), { startImmediately: true })
        const done = yield* Effect.forkScoped(Effect.void, { startImmediately: true })
        yield* Fiber.join(done)
        const scope = yield* Scope.fork(yield* Effect.scope)
        yield* Scope.addFinalizer(scope, say("-forked"))
        const early = yield* Scope.fork(yield* Effect.scope)
        yield* Scope.addFinalizer(early, say("-early"))
        yield* Scope.close(early, Exit.void)
        const context = yield* Layer.build(layer)
        assert.strictEqual(Context.get(context, Service), "service")
        yield* Effect.onInterrupt(Effect.never, () => say("-in")).pipe(
          Effect.forkIn(yield* Effect.scope, { startImmediately: true })
        )
        yield* ResourceManager.allocate(Thing, "b")
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, [
        "+a",
        "-early",
        "+layer",
        "+b",
        "-b",
        "-in",
        "-layer",
        "-forked",
        "-fiber",
        "-a"
      ])
    }).pipe(managed()))

  it.effect("in a scope of its own inside a frame ends with that scope, while allocations stay with the frame", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      yield* Effect.gen(function*() {
        yield* Effect.gen(function*() {
          yield* Effect.addFinalizer(() => say("-scope"))
          yield* ResourceManager.allocate(Thing, "a")
        }).pipe(Effect.scoped)
        lines.push("after the scope")
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+a", "-scope", "after the scope", "-a"])
    }).pipe(managed()))

  it.effect("does not end under a frame whose body still runs on a scoped fiber: the body is interrupted first", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      yield* Effect.gen(function*() {
        const ready = yield* Latch.make()
        yield* ResourceManager.allocate(Thing, "inner").pipe(
          Effect.andThen(ready.open),
          Effect.andThen(Effect.onInterrupt(Effect.never, () => say("body interrupted"))),
          TimeFrame.run({ name: "worker" }),
          Effect.forkScoped
        )
        yield* ready.await
      }).pipe(TimeFrame.run({ name: "server" }))
      assert.deepStrictEqual(lines, ["+inner", "body interrupted", "-inner"])
    }).pipe(managed()))
})

describe("TimeFrame.make", () => {
  it.effect("opens a frame that ends with the current scope and passes its exit on", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const exit = yield* Effect.gen(function*() {
        const frame = yield* TimeFrame.make({ name: "frame" })
        yield* ResourceManager.allocate(Thing, "a").pipe(TimeFrame.provide(frame))
        yield* Effect.void.pipe(TimeFrame.provide(frame))
        lines.push("still open")
        return yield* Effect.fail("no")
      }).pipe(Effect.scoped, Effect.exit)
      assert.strictEqual(failureOf(exit), "no")
      assert.deepStrictEqual(lines, ["+a", "still open", "-a"])
    }).pipe(managed()))

  it.effect("leaves nothing in the scope when the frame is closed early, time and again", () =>
    Effect.gen(function*() {
      const frame = yield* TimeFrame.current
      for (let index = 0; index < 100; index++) {
        yield* TimeFrame.close(yield* TimeFrame.make({ name: "inner" }))
      }
      const { state } = frame as unknown as Scope.Scope
      assert.strictEqual(state._tag === "Open" ? [...state.finalizers!.keys()].length : 0, 0)
    }).pipe(TimeFrame.run({ name: "outer" }), managed()))
})

import { ResourceDefinition, ResourceEvent, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Diagnostics } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as DiagnosticsChannel from "node:diagnostics_channel"
import { settle } from "../core/fixtures.ts"

const Thing = ResourceDefinition.temporal("thing", { acquire: () => Effect.succeed({}) })

const publishing = (options?: Diagnostics.Options) =>
  Effect.provide(Diagnostics.layer(options).pipe(Layer.provideMerge(ResourceManager.layer())))

/** Subscribes until the scope closes. */
const subscribed = (name: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const messages: Array<unknown> = []
        const hear = (message: unknown) => void messages.push(message)
        DiagnosticsChannel.subscribe(name, hear)
        return { messages, hear }
      }),
      ({ hear }) => Effect.sync(() => DiagnosticsChannel.unsubscribe(name, hear))
    ),
    ({ messages }) => messages
  )

const allocate = Effect.andThen(ResourceManager.allocate(Thing), settle).pipe(TimeFrame.run({ name: "request" }))

describe("channels", () => {
  it("there is one of each event", () => {
    assert.lengthOf(Diagnostics.channels, ResourceEvent.ResourceEvent.members.length)
    assert.include(Diagnostics.channels, "chronovyan:allocated")
    assert.include(Diagnostics.channels, "chronovyan:frame-opened")
    assert.include(Diagnostics.channels, "chronovyan:body-left-behind")
  })

  it.effect("tell those who subscribed what happens, as events have it", () =>
    Effect.gen(function*() {
      const allocated = yield* subscribed("chronovyan:allocated")
      const ended = yield* subscribed("chronovyan:frame-ended")
      yield* Effect.andThen(allocate, settle).pipe(publishing())
      assert.lengthOf(allocated, 1)
      assert.deepInclude(allocated[0], { _tag: "Allocated", resource: "thing", frame: "request", share: false })
      assert.isTrue(Schema.is(ResourceEvent.ResourceEvent)(allocated[0]))
      assert.deepInclude(ended[0], { _tag: "FrameEnded", frame: "request" })
    }).pipe(Effect.scoped))

  it.effect("tell those who come later, as soon as they are noticed, until they leave", () =>
    Effect.gen(function*() {
      yield* allocate
      const heard = yield* Effect.scoped(Effect.gen(function*() {
        const messages = yield* subscribed("chronovyan:allocated")
        yield* allocate
        assert.lengthOf(messages, 0)
        yield* TestClock.adjust("1 second")
        yield* allocate
        yield* settle
        return messages
      }))
      assert.lengthOf(heard, 1)
      yield* allocate
      yield* settle
      assert.lengthOf(heard, 1)
      yield* TestClock.adjust("1 second")
      yield* allocate
      const again = yield* Effect.scoped(Effect.gen(function*() {
        const messages = yield* subscribed("chronovyan:allocated")
        yield* TestClock.adjust("1 second")
        yield* allocate
        yield* settle
        return messages
      }))
      assert.lengthOf(again, 1)
    }).pipe(publishing()))

  it.effect("can not be looked at without a pause", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(publishing({ interval: 0 })(Effect.void))
      assert.match(String(exit), /The interval of diagnostics must be at least 1 millisecond: 0/)
    }))
})

import { ResourceManager } from "@chronovyan/core"
import { describe, expect, it, make, strict } from "@chronovyan/testing/vitest"
import { Context, Effect, Latch, Layer, Scope } from "effect"

const nothing = Effect.addFinalizer(() => Effect.void)

const forget = Effect.fn("forget")(function*() {
  yield* Scope.provide(nothing, yield* Scope.make())
})

class Held extends Context.Service<Held, string>()("Held") {
  static layer = Layer.effect(Held, Effect.as(nothing, "held"))
}

const leakyPermit = {
  setup: Effect.sync(() => ({ taken: 0 })),
  body: (world: { taken: number }) =>
    Effect.gen(function*() {
      yield* Effect.sync(() => world.taken++)
      yield* Effect.yieldNow
      yield* Effect.sync(() => world.taken--)
    }),
  check: (world: { taken: number }) => (world.taken === 0 ? [] : [`${world.taken} taken`])
}

describe("it", () => {
  it.clean("passes: its own scope is closed first", () => nothing)
  it.clean("fails: a scope", forget)
  it.clean.each([1, 2])("fails: each %i", forget)
  it.clean.skip("skipped", forget)
  it.clean.fails("passes: is meant to fail", forget)
  it.effect("passes: it is not checked", forget)
  it.clean("fails: with its own failure", () => Effect.andThen(forget(), Effect.die(new Error("its own"))))
  it.clean("passes: the context comes through", ({ task }) =>
    Effect.sync(() => expect(task.name).toContain("comes through")))
  it.layer(Held.layer)((it) => {
    it.clean("passes: what a layer has open", () => Effect.asVoid(Held))
    it.clean("fails: in a layer", () => Effect.andThen(Held, forget()))
  })
})

describe("it.sweep", () => {
  it.sweep("fails: a permit", leakyPermit)
  it.sweep("passes: with fewer modes", leakyPermit, { modes: ["yield"] })
  it.sweep.skip("skipped", leakyPermit)
  it.sweep.fails("passes: is meant to fail", leakyPermit)
})

describe("strict", () => {
  const it = strict
  it.effect("fails: a scope", forget)
  it.live("fails: a fiber", () => Effect.forkDetach(Effect.never))
  it.leaky("passes: on purpose", forget)
  it.layer(Held.layer)("named", (it) => {
    it.effect("fails: in a layer", () => Effect.andThen(Held, forget()))
    it.layer(Layer.empty)((it) => {
      it.effect("fails: in a layer in a layer", () => Effect.andThen(Held, forget()))
    })
  })
})

describe.concurrent("strict, concurrent", () => {
  const holding = Latch.makeUnsafe()
  const forgotten = Latch.makeUnsafe()
  strict.live(
    "passes: holds while the other forgets",
    () => Effect.scoped(Effect.andThen(nothing, Effect.andThen(holding.open, forgotten.await)))
  )
  strict.live(
    "fails: forgets while the other holds",
    () => Effect.ensuring(Effect.andThen(holding.await, forget()), forgotten.open)
  )
})

describe("make", () => {
  const it = make({ check: "all", ignore: (leak) => leak.kind === "scope" && leak.who === "forget" })
  it.effect("passes: what is ignored", forget)
  it.effect("fails: what is not", () => Effect.forkDetach(Effect.never))
})

describe("toHoldNothing", () => {
  it.effect("fails: a scope", () =>
    Effect.gen(function*() {
      yield* nothing
      const scope = yield* Effect.scope
      yield* Effect.promise(() => expect(scope).toHoldNothing())
    }))
  it.effect("passes: a manager", () =>
    Effect.gen(function*() {
      const manager = yield* ResourceManager.ResourceManager
      yield* Effect.promise(() => expect(manager).toHoldNothing())
    }).pipe(Effect.provide(ResourceManager.layer())))
})

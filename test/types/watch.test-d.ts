/* oxlint-disable vitest/expect-expect -- a @ts-expect-error asserts as well */
// @effect-diagnostics floatingEffect:off
import { CallSite, ResourceEvent, ResourceManager, Snapshot } from "@chronovyan/core"
import { Effect, Scope } from "effect"
import { describe, expectTypeOf, test } from "vitest"

describe("CallSite.sample", () => {
  test("ends with a scope, and needs nothing else", () => {
    expectTypeOf(CallSite.sample({ every: 128 })).toEqualTypeOf<Effect.Effect<void, never, Scope.Scope>>()
    expectTypeOf(CallSite.sample()).toEqualTypeOf<Effect.Effect<void, never, Scope.Scope>>()
    // @ts-expect-error: a number
    void CallSite.sample({ every: "128" })
  })
})

describe("ResourceManager.trackHandles", () => {
  test("ends with a scope, and is for the manager at hand", () => {
    expectTypeOf(ResourceManager.trackHandles({ every: 2 })).toEqualTypeOf<
      Effect.Effect<void, never, ResourceManager.ResourceManager | Scope.Scope>
    >()
  })

  test("is heard of among the events, and in snapshots", () => {
    type Collected = Extract<ResourceEvent.ResourceEvent, { readonly _tag: "HandleCollected" }>
    expectTypeOf<Collected["held"]>().toEqualTypeOf<number>()
    expectTypeOf<Snapshot.AllocationState["collected"]>().toEqualTypeOf<boolean | undefined>()
    expectTypeOf<Snapshot.AllocationState["abandoned"]>().toEqualTypeOf<boolean | undefined>()
    expectTypeOf<Snapshot.FrameState["abandoned"]>().toEqualTypeOf<boolean | undefined>()
  })
})

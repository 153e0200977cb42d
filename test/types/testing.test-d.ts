import { Leaks } from "@chronovyan/testing"
import type { Sweep } from "@chronovyan/testing"
import { expect, it, make, strict } from "@chronovyan/testing/vitest"
import { Context, Effect, Layer } from "effect"
import type { Exit, Scope } from "effect"
import { describe, expectTypeOf, test } from "vitest"

class Service extends Context.Service<Service, string>()("Service") {}

const effect = Effect.gen(function*() {
  yield* Effect.scope
  if ((yield* Service) === "") return yield* Effect.fail("empty" as const)
  return 1
})

describe("Leaks", () => {
  test("track keeps value, error and requirements", () => {
    const tracked = Leaks.track(effect)
    expectTypeOf(tracked).toEqualTypeOf<Effect.Effect<Leaks.Tracked<number, "empty">, never, Service | Scope.Scope>>()
    expectTypeOf(effect.pipe(Leaks.track({ settle: 1 }))).toEqualTypeOf(tracked)
    expectTypeOf<Effect.Success<typeof tracked>["exit"]>().toEqualTypeOf<Exit.Exit<number, "empty">>()
  })

  test("check adds its failure", () => {
    const checked = Leaks.check(effect)
    expectTypeOf(checked).toEqualTypeOf<
      Effect.Effect<number, "empty" | Leaks.LeakFailure, Service | Scope.Scope>
    >()
    expectTypeOf(effect.pipe(Leaks.check())).toEqualTypeOf(checked)
  })

  test("a leak is told by its kind", () => {
    expectTypeOf<Leaks.Leak["kind"]>().toEqualTypeOf<"scope" | "fiber" | "frame" | "allocation">()
    expectTypeOf<Extract<Leaks.Leak, { kind: "frame" }>>().toEqualTypeOf<Leaks.FrameLeak>()
  })
})

describe("it", () => {
  test("clean takes a scope, and only the services that there are", () => {
    it.clean("a scope", () => Effect.scope)
    type Clean = Parameters<typeof it.clean>[1]
    expectTypeOf<() => typeof Effect.scope>().toExtend<Clean>()
    expectTypeOf<() => Effect.Effect<string, never, Service>>().not.toExtend<Clean>()
    it.clean.each([1])("each %i", (n, { task }) => {
      expectTypeOf(n).toEqualTypeOf<number>()
      expectTypeOf(task.name).toEqualTypeOf<string>()
      return Effect.void
    })
  })

  test("a layer gives its services to the tests in it, and to those in a layer inside", () => {
    it.layer(Layer.succeed(Service, ""))((it) => {
      it.effect("effect", () => Service)
      it.clean("clean", () => Service)
      it.leaky("leaky", () => Service)
      it.layer(Layer.empty)("inside", (it) => {
        it.clean("clean", () => Service)
        expectTypeOf(it).not.toHaveProperty("live")
      })
    })
  })

  test("sweep infers the world, and takes no name besides that of the test", () => {
    it.sweep(
      "a counter",
      {
        setup: Effect.succeed({ count: 0 }),
        body: (world) => {
          expectTypeOf(world).toEqualTypeOf<{ count: number }>()
          return Effect.succeed("done")
        },
        check: (world, exit) => {
          expectTypeOf(world.count).toEqualTypeOf<number>()
          expectTypeOf(exit).toEqualTypeOf<Exit.Exit<string>>()
          return []
        }
      },
      { modes: ["turn"] },
      10_000
    )
    expectTypeOf<Parameters<typeof it.sweep>[2]>().toEqualTypeOf<Sweep.Options | undefined>()
  })

  test("fixtures reach the tests", () => {
    const own = make({ check: "all" }, it.extend("port", () => 3000))
    own.effect("effect", ({ port }) => Effect.succeed(expectTypeOf(port).toEqualTypeOf<number>()))
    own.clean("clean", ({ port }) => Effect.succeed(expectTypeOf(port).toEqualTypeOf<number>()))
  })

  test("strict is an it", () => {
    expectTypeOf(strict).toEqualTypeOf(it)
  })
})

test("toHoldNothing has to be awaited", () => {
  expectTypeOf(expect(1).toHoldNothing()).toEqualTypeOf<Promise<void>>()
  expectTypeOf(expect(1).not.toHoldNothing()).toEqualTypeOf<Promise<void>>()
})

/**
 * The tests of `@effect/vitest`, and with them tests that fail when they leave something open, sweeps as tests, and a
 * matcher for what is held. Needs `vitest` and `@effect/vitest`.
 *
 * It is not in the index of the package, as it can be loaded only where Vitest is installed.
 */
import * as EffectVitest from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as V from "vitest"
import * as Explore from "./Explore.ts"
import { holdings } from "./internal/holdings.ts"
import * as Leaks from "./Leaks.ts"
import * as Sweep from "./Sweep.ts"

export * from "@effect/vitest"

type Tester<R, X> = EffectVitest.Vitest.Tester<R, X>

type LayerOptions = {
  readonly concurrent?: boolean
  readonly memoMap?: Layer.MemoMap
  readonly timeout?: Duration.Input
  readonly excludeTestServices?: boolean
}

/** A function that registers a test, with what Vitest can be told of one. */
export type Modified<Register> = Register & {
  readonly skip: Register
  readonly only: Register
  readonly fails: Register
  readonly skipIf: (condition: unknown) => Register
  readonly runIf: (condition: unknown) => Register
}

/** Registers a sweep as a test. */
export type SweepTest = <World, A, E>(
  name: string,
  scenario: Omit<Sweep.Scenario<World, A, E>, "name">,
  options?: Sweep.Options,
  timeout?: number | V.TestOptions
) => void

/** Registers an exploration as a test. */
export type ExploreTest = <World>(
  name: string,
  scenario: Omit<Explore.Scenario<World>, "name">,
  options?: Explore.Options,
  timeout?: number | V.TestOptions
) => void

/** Registers the tests that share a layer, in a suite of their own if it has a name. */
export interface LayerSuite<R, ExtraContext = {}> {
  (f: (it: LayerMethods<R, ExtraContext>) => void): void
  (name: string, f: (it: LayerMethods<R, ExtraContext>) => void): void
}

/** What there is besides the methods of `@effect/vitest`. */
export interface Additions<R = never, ExtraContext = {}> {
  /**
   * As `it.effect`, but the test fails with a `LeakFailure` when it leaves anything open: a scope, a fiber, a frame, an
   * allocation. The scope of the test is closed first.
   */
  readonly clean: EffectVitest.Vitest.Tester<R | Scope.Scope, ExtraContext>
  /** As `it.effect`, never checked: for what leaves something open on purpose, where the other tests are checked. */
  readonly leaky: EffectVitest.Vitest.Tester<R | Scope.Scope, ExtraContext>
  /** A test that sweeps a scenario, which goes by the name of the test, and fails with its `SweepFailure`. */
  readonly sweep: Modified<SweepTest>
  /** A test that explores a scenario, which goes by the name of the test, and fails with its `ExploreFailure`. */
  readonly explore: Modified<ExploreTest>
  /** Shares a layer among tests. What the layer has open is not left open by any of them. */
  readonly layer: <R2, E>(layer: Layer.Layer<R2, E, R>, options?: LayerOptions) => LayerSuite<R | R2, ExtraContext>
}

/** What the tests of a layer are registered with. */
export type LayerMethods<R = never, ExtraContext = {}> =
  & Additions<R, ExtraContext>
  & EffectVitest.Vitest.MethodsNonLive<R, ExtraContext>

/** `it`, with all that it has. */
export type Methods<ExtraContext = {}> =
  & Additions<never, ExtraContext>
  & EffectVitest.Vitest.Methods<never, ExtraContext>

/** Which tests are checked, and how. */
export interface Options extends Leaks.Options {
  /**
   * `"clean"`: only those of `it.clean`, the default. `"all"`: also those of `it.effect` and `it.live`, and of those that
   * a layer gives; not those of `it.leaky`.
   */
  readonly check?: "clean" | "all" | undefined
}

/** Vitest learns the fixtures that a test asks for from its source. */
const likeSource = <F extends Function>(source: Function, f: F): F =>
  Object.defineProperty(f, "toString", { value: () => source.toString() })

const checked = <R, X>(tester: Tester<R, X>, options: Options): Tester<R, X> => {
  type Self = (...args: Array<any>) => Effect.Effect<any, any, any>
  const wrap = (self: Self): Self =>
    likeSource(self, (...args) => Leaks.check(Effect.scoped(Effect.suspend(() => self(...args))), options))
  const register = (test: Function) => (name: string, self: Self, timeout?: unknown) => test(name, wrap(self), timeout)
  const wrapped = Object.assign(register(tester), {
    skip: register(tester.skip),
    only: register(tester.only),
    fails: register(tester.fails),
    skipIf: (condition: unknown) => register(tester.skipIf(condition)),
    runIf: (condition: unknown) => register(tester.runIf(condition)),
    each: (cases: ReadonlyArray<unknown>) => register(tester.each(cases)),
    prop: (name: string, arbitraries: any, self: Self, timeout?: any) =>
      tester.prop(name, arbitraries, wrap(self), timeout)
  })
  return wrapped as unknown as Tester<R, X>
}

/**
 * Makes of an effect that asserts something a function that registers it as a test, with `skip`, `only` and the like.
 * Time is real: what is asserted brings its own.
 */
const asserting = <Subject, Options>(
  live: EffectVitest.Vitest.Tester<Scope.Scope, any>,
  assertion: (name: string, subject: Subject, options: Options | undefined) => Effect.Effect<unknown, unknown>
) => {
  type Register = (name: string, subject: Subject, options?: Options, timeout?: number | V.TestOptions) => void
  const register = (test: EffectVitest.Vitest.Test<Scope.Scope, any>): Register => (name, subject, options, timeout) =>
    test(name, () => assertion(name, subject, options), timeout)
  const modified: Modified<Register> = Object.assign(register(live), {
    skip: register(live.skip),
    only: register(live.only),
    fails: register(live.fails),
    skipIf: (condition: unknown) => register(live.skipIf(condition)),
    runIf: (condition: unknown) => register(live.runIf(condition))
  })
  return modified
}

type AnyMethods = EffectVitest.Vitest.MethodsNonLive<any, any> & {
  readonly live?: EffectVitest.Vitest.Tester<Scope.Scope, any>
}

/** The methods of `@effect/vitest` that are given, and what there is besides. `live` is not among those of a layer. */
const extend = (methods: AnyMethods, live: EffectVitest.Vitest.Tester<Scope.Scope, any>, options: Options): any => {
  const clean = checked(methods.effect, options)
  const isAll = options.check === "all"
  const overrides: Record<PropertyKey, unknown> = {
    clean,
    leaky: methods.effect,
    effect: isAll ? clean : methods.effect,
    sweep: asserting(
      live,
      (name, subject: Omit<Sweep.Scenario<any, any, any>, "name">, options?: Sweep.Options) =>
        Sweep.assert({ ...subject, name }, options)
    ),
    explore: asserting(
      live,
      (name, subject: Omit<Explore.Scenario<any>, "name">, options?: Explore.Options) =>
        Explore.assert({ ...subject, name }, options)
    ),
    layer: (layer: Layer.Layer<any, any, any>, layerOptions?: LayerOptions) => {
      const suite = methods.layer(layer, layerOptions as any)
      return (...args: [f: Function] | [name: string, f: Function]) => {
        const f = args[args.length - 1] as Function
        const within = (inner: AnyMethods) => f(extend(inner, live, options))
        return args.length === 1 ? suite(within) : suite(args[0] as string, within)
      }
    }
  }
  if (methods.live !== undefined) overrides["live"] = isAll ? checked(live, options) : live
  return new Proxy(methods, {
    get: (target, property, receiver) =>
      Object.hasOwn(overrides, property) ? overrides[property] : Reflect.get(target, property, receiver)
  })
}

/**
 * Makes an `it` of one's own: one that checks all tests, waits longer for what comes to an end late, or has the fixtures
 * of another `test` of Vitest.
 *
 * @example
 * ```ts
 * import { make } from "@chronovyan/testing/vitest"
 *
 * export const it = make({ check: "all", wait: "1 second", ignore: (leak) => leak.kind === "fiber" })
 * ```
 */
export const make = <ExtraContext = {}>(
  options: Options = {},
  test: V.TestAPI<ExtraContext> = V.it as unknown as V.TestAPI<ExtraContext>
): Methods<ExtraContext> => {
  const methods = EffectVitest.makeMethods(test)
  return extend(methods as unknown as AnyMethods, methods.live, options)
}

/** That of `@effect/vitest`, with `it.clean`, `it.leaky`, `it.sweep` and `it.explore`. What it had already is as it was. */
export const it: Methods = make()

/**
 * An `it` whose tests are all checked: `import { strict as it } from "@chronovyan/testing/vitest"` does it for a file, and
 * `const it = strict` for a suite. `strict.leaky` is the way out for a single test.
 */
export const strict: Methods = make({ check: "all" })

declare module "vitest" {
  interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> {
    /**
     * Passes when nothing is held: by a resource manager, apart from what is its own, such as persistent values and idle
     * items of a pool; by a scope or a time frame; by a `ScriptedResource`; or by anything that has a `check()` or
     * `findings` in words. It has to be awaited.
     */
    toHoldNothing(): Promise<void>
  }
}

V.expect.extend({
  async toHoldNothing(received: unknown) {
    const asked = holdings(received)
    if (asked === undefined) {
      throw new TypeError(
        "toHoldNothing is for a resource manager, a scope, a frame, a scripted resource, or what has check() or findings"
      )
    }
    const found = await Effect.runPromise(asked)
    return {
      pass: found.length === 0,
      message: () =>
        found.length === 0
          ? "expected something to be held, but nothing is"
          : ["expected nothing to be held, but there is:", ...found.map((line) => `  ${line}`)].join("\n")
    }
  }
})

/**
 * A Scope with a name, a parent, a deadline and a budget. Whatever is allocated inside ends with it, last in, first out,
 * whether its body succeeded, failed, died, was interrupted or ran out of time.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Cost from "./Cost.ts"
import * as Deadline from "./Deadline.ts"
import { late, OnLate } from "./internal/exhaustion.ts"
import { Frame, nearest, TypeId } from "./internal/frame.ts"
import type { FrameOptions } from "./internal/frame.ts"
import { RateLedger, unlimited } from "./internal/ledger.ts"
import * as Limits from "./internal/limits.ts"
import * as internalManager from "./internal/manager.ts"
import type { Admission as AdmissionPolicy } from "./internal/recent.ts"
import * as internal from "./internal/run.ts"
import { FrameClosed } from "./ResourceError.ts"
import type { BudgetExceeded, DeadlineExceeded, WouldDeadlock } from "./ResourceError.ts"

/**
 * A time frame, and as a requirement: something that has to run inside one.
 */
export interface TimeFrame {
  readonly [TypeId]: typeof TypeId
  readonly name: string
  /** The names from the outermost frame to this one: `"server/request/query"`. */
  readonly path: string
}

/**
 * The frame that an effect runs in.
 */
export const TimeFrame: Context.Service<TimeFrame, TimeFrame> = Context.Service<TimeFrame>("@chronovyan/core/TimeFrame")

/**
 * What a frame can be given.
 */
export interface Options {
  /** Shown in paths, errors, snapshots and events. */
  readonly name: string
  /** How long the body may take. The effective deadline is the earlier of its own and its parent's. Default: none. */
  readonly timeout?: Duration.Input
  /** Limits by unit, for this frame and those inside it together. Default: only those of the frames outside. */
  readonly budget?: Limits.Budget
  /**
   * A share of the capacities outside that is sure: they are charged for it when the frame opens, which fails with
   * `BudgetExceeded` if they have too little left, and then only for what goes beyond it. What nobody uses goes back when
   * the frame has closed. A rate can not be reserved. Default: nothing; the frame takes as it goes.
   */
  readonly reserve?: Cost.Cost
  /**
   * What allocations inside do when a budget has too little left: fail at once, wait for as long as it takes, or for so
   * long at most. First come, first served; what can never fit fails at once. Default: as in the frame outside; the
   * manager's fails. See `Budget.wait` for a single call.
   */
  readonly exhausted?: "fail" | "wait" | { readonly wait: Duration.Input }
  /**
   * Those who wait inside the frame for a budget outside take turns with other tenants, by `weight`, however many they
   * are. Frames of one name are one tenant. Default: everybody takes turns with everybody else.
   */
  readonly tenant?: string
  /**
   * How much a turn of the tenant is worth: with 2 it gets twice what one with 1 gets (default 1). A frame with a weight
   * and no tenant is a tenant by its name.
   */
  readonly weight?: number
  /**
   * Refuses early, with `DeadlineExceeded` of the phase `admission`, what is expected to take longer than the frame has
   * left: an acquisition, or a wait for a pool or a budget, from the recent past of that definition, pool or budget.
   * Default: as in the frame outside; the manager's refuses nothing early. See {@link withAdmission} for a single call.
   */
  readonly admission?: boolean | Admission
  /**
   * How long the releases may take when the frame closes, and the body to wind up after its deadline; then the frame
   * ends without them. Default: that of the frame outside; the manager's is 30 seconds.
   */
  readonly gracePeriod?: Duration.Input
}

/**
 * When something is refused early.
 */
export interface Admission {
  /** How many have to be known before anything is refused. Default: 5; floor: 1. */
  readonly minimumSamples?: number
  /**
   * How many mean deviations longer than the mean something is taken to last: more refuses what might come too late, less,
   * also below 0, only what surely would. Default: 0.
   */
  readonly deviations?: number
  /**
   * How long nothing may be heard of something before one is let through all the same, to find out whether it still takes
   * that long. Default: 1 second.
   */
  readonly probeEvery?: Duration.Input
}

/** Only a frame with a timeout of its own, or one that refuses early, can fail with it. */
type Timeout<O> = ("timeout" extends keyof O ? DeadlineExceeded : never) | Admitted<O>

/** Only where something is refused early. */
type Admitted<O> = "admission" extends keyof O ? [O["admission"]] extends [false] ? never : DeadlineExceeded : never

/** Only where somebody waits for a budget can that be for ever. */
type Exhausted<O> = O extends { readonly exhausted: infer X } ? X extends "fail" ? never : WouldDeadlock : never

/** Only a frame with a share of its own can be refused one. */
type Reserve<O> = "reserve" extends keyof O ? BudgetExceeded : never

/** No other options than those there are: a misspelled one would be no option at all. */
type Known<O> = { readonly [K in Exclude<keyof O, keyof Options>]: never }

/**
 * Runs an effect in a frame of its own. Inside, `Scope` is the frame's, so what Effect itself scopes joins it.
 *
 * At the deadline the body is interrupted and the frame fails with `DeadlineExceeded`. A body that is stuck in an
 * acquisition or a release that ignores interruption is left behind at once, any other after the grace period.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.succeed("done").pipe(
 *   TimeFrame.run({ name: "request", timeout: "250 millis", budget: { memory: 64 * 1024 * 1024 } }),
 *   Effect.provide(ResourceManager.layer())
 * )
 * ```
 */
export const run: {
  <const O extends Options>(
    options: O & Known<O>
  ): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<
    A,
    E | Timeout<O> | Reserve<O> | Exhausted<O>,
    Exclude<R, TimeFrame | Scope.Scope> | internalManager.Manager
  >
  <A, E, R, const O extends Options>(
    self: Effect.Effect<A, E, R>,
    options: O & Known<O>
  ): Effect.Effect<
    A,
    E | Timeout<O> | Reserve<O> | Exhausted<O>,
    Exclude<R, TimeFrame | Scope.Scope> | internalManager.Manager
  >
} = dual(2, (self: Effect.Effect<any, any, any>, options: Options) => {
  const decoded = decode(options)
  return Effect.withFiber((fiber) => internal.run(self, TimeFrame, around(fiber.context), decoded, fiber))
})

/**
 * Lets allocations inside the effect be refused early, as with the option `admission` of {@link run}; `false`: they are
 * not, where those around may be. Where there is no deadline nothing is refused.
 *
 * @example
 * ```ts
 * import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const Model = ResourceDefinition.temporal("model", { acquire: () => Effect.delay(Effect.succeed("large"), "2 seconds") })
 *
 * const answer = ResourceManager.use(Model, (model) => Effect.succeed(`by the ${model} model`)).pipe(
 *   TimeFrame.withAdmission({ deviations: 1 }),
 *   Effect.catchTag("DeadlineExceeded", () => Effect.succeed("by the small model"))
 * )
 *
 * const program = answer.pipe(
 *   TimeFrame.run({ name: "request", timeout: "1 second" }),
 *   Effect.provide(ResourceManager.layer())
 * )
 * ```
 */
export const withAdmission: {
  <const O extends boolean | Admission = true>(
    admission?: O & KnownAdmission<O>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Admitted<{ readonly admission: O }>, R>
  <A, E, R, const O extends boolean | Admission = true>(
    self: Effect.Effect<A, E, R>,
    admission?: O & KnownAdmission<O>
  ): Effect.Effect<A, E | Admitted<{ readonly admission: O }>, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  (self: Effect.Effect<any, any, any>, admission: boolean | Admission = true) => {
    const policy = admissionOf(admission)
    late.isSaid = true
    return Effect.provideService(self, OnLate, policy)
  }
)

/** A misspelled one would be no option at all. */
type KnownAdmission<O> = O extends boolean ? unknown : { readonly [K in Exclude<keyof O, keyof Admission>]: never }

/**
 * The frame that the effect runs in.
 */
export const current: Effect.Effect<TimeFrame, never, TimeFrame> = TimeFrame

/**
 * The path of the frame that the effect runs in.
 */
export const path: Effect.Effect<string, never, TimeFrame> = Effect.map(TimeFrame, (frame) => frame.path)

/**
 * What is left until the deadline, never negative; `Duration.infinity` when there is none.
 */
export const remaining: Effect.Effect<Duration.Duration, never, TimeFrame> = Effect.map(TimeFrame, (self) => {
  const frame = self as Frame
  return Deadline.remaining(frame.deadline, frame.registry.timers.now())
})

/**
 * Opens a frame that ends with the current `Scope`, for programs that enter and leave it in different places: see
 * {@link provide} and {@link close}. It has no deadline of its own; {@link run} can have one.
 */
export const make = (
  options: Omit<Options, "timeout" | "reserve">
): Effect.Effect<TimeFrame, never, internalManager.Manager | Scope.Scope> => {
  const decoded = decode(options)
  return Effect.uninterruptible(Effect.withFiber((fiber) => {
    const parent = nearest(around(fiber.context), (frame) => frame.phase === "open")
    const frame = new Frame(parent, parent.registry, decoded, fiber.context)
    frame.context = internal.inFrame(fiber.context, TimeFrame, frame)
    frame.maker = new WeakRef(fiber)
    frame.open()
    const outer = Context.getUnsafe(fiber.context, Scope.Scope)
    // The scope of the frame around it ends it anyway.
    if (outer === parent) return Effect.succeed(frame)
    // Closed ahead of its time, the frame leaves nothing in the scope that it was made in.
    const scope = Scope.forkUnsafe(outer)
    frame.whenClosed(() => Scope.closeUnsafe(scope, frame.exit))
    const closing = Scope.addFinalizerExit(scope, (exit) => internal.closeFrame(frame, exit) ?? Effect.void)
    return Effect.as(closing, frame)
  }))
}

/**
 * What a running frame gets more of.
 */
export interface Extension {
  /** How long its body may take from now on, if that is later than its deadline; never later than the deadline outside. */
  readonly timeout?: Duration.Input
  /** By how much its own limits rise, by unit. Those of the frames outside stay as they are. */
  readonly budget?: Cost.Cost
}

/**
 * Gives a running frame more time, or more of a budget, within what the frames outside have. A deadline that it does not
 * have, and a unit that it does not limit, stay as they are. A frame inside that would have ended with this one goes on with
 * it; one with an earlier deadline keeps that. Fails when the frame is not open any more.
 */
export const extend: {
  (extension: Extension): (frame: TimeFrame) => Effect.Effect<void, FrameClosed>
  (frame: TimeFrame, extension: Extension): Effect.Effect<void, FrameClosed>
} = dual(
  2,
  (self: TimeFrame, { budget, timeout }: Extension) =>
    Effect.suspend((): Effect.Effect<void, FrameClosed> => {
      const frame = self as Frame
      if (frame.phase !== "open") return Exit.fail(new FrameClosed({ frame: frame.path, resource: "more" }))
      const more = Cost.assert(budget ?? Cost.zero, frame.name)
      if (timeout !== undefined) frame.extend(millis("timeout", timeout))
      for (const unit of Object.keys(more)) {
        const ledger = frame.ledgers.get(unit)
        if (ledger?.owner !== frame || ledger instanceof RateLedger || ledger.limit === unlimited) continue
        ledger.limitTo(Math.min(unlimited - 1, ledger.limit + more[unit]!))
        ledger.waiting?.serve()
      }
      return Exit.void
    })
)

/**
 * Runs an effect inside a frame that is open already; it stays open.
 */
export const provide: {
  (frame: TimeFrame): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, TimeFrame | Scope.Scope>>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    frame: TimeFrame
  ): Effect.Effect<A, E, Exclude<R, TimeFrame | Scope.Scope>>
} = dual(2, (self: Effect.Effect<any, any, any>, frame: TimeFrame) => internal.visit(self, TimeFrame, frame as Frame))

/**
 * Closes a frame ahead of its time. A body that runs in it on another fiber is interrupted first. Returns when all it
 * owned has been released, or left behind after the grace period; so does every other close of it under way. A release
 * must not close the frame that it belongs to.
 */
export const close = (frame: TimeFrame, exit: Exit.Exit<unknown, unknown> = Exit.void): Effect.Effect<void> =>
  Effect.suspend(() => internal.closeFromOutside(frame as Frame, exit))

/** The frame that a new one goes into: the current one, if it belongs to the manager of the context, or the manager's. */
const around = (context: Context.Context<never>): Frame => {
  const manager = Context.getUnsafe(context as Context.Context<internalManager.Manager>, internalManager.Manager)
  const frame = Context.getOrUndefined(context, TimeFrame) as Frame | undefined
  const root = internalManager.rootOf(manager)
  return frame !== undefined && frame.root === root ? frame : root
}

const decode = (options: Options): FrameOptions => {
  if (typeof options.name !== "string" || options.name === "") {
    throw new TypeError("A time frame needs a name that is not empty")
  }
  return {
    name: options.name,
    timeout: options.timeout === undefined ? Infinity : millis("timeout", options.timeout),
    budget: options.budget === undefined ? undefined : Limits.validate(options.budget),
    reserve: options.reserve === undefined ? undefined : reserveOf(options.reserve, options),
    patience: options.exhausted === undefined ? undefined : patienceOf(options.exhausted),
    turn: turnOf(options),
    admission: options.admission === undefined ? undefined : admissionOf(options.admission),
    gracePeriod: options.gracePeriod === undefined ? undefined : millis("gracePeriod", options.gracePeriod)
  }
}

const reserveOf = (reserve: Cost.Cost, { budget, name }: Options): Cost.Cost => {
  for (const unit of Object.keys(reserve)) {
    if (typeof budget?.[unit] === "object") {
      throw new TypeError(`The frame "${name}" can not reserve "${unit}": that is a rate, not a capacity`)
    }
  }
  return Cost.assert(reserve, name)
}

const patienceOf = (exhausted: NonNullable<Options["exhausted"]>): number => {
  if (exhausted === "fail") return 0
  return exhausted === "wait" ? Infinity : millis("wait", exhausted.wait)
}

const admissionOf = (admission: boolean | Admission): AdmissionPolicy | null => {
  if (admission === false) return null
  const { deviations = 0, minimumSamples = 5, probeEvery = "1 second" } = admission === true ? {} : admission
  if (!Number.isFinite(deviations)) throw new TypeError(`The deviations of an admission must be finite: ${deviations}`)
  if (!(minimumSamples >= 1)) {
    throw new TypeError(`The minimumSamples of an admission must be a number from 1 on: ${minimumSamples}`)
  }
  return { deviations, minimumSamples, probeEvery: millis("probeEvery", probeEvery) }
}

const turnOf = ({ name, tenant, weight }: Options): FrameOptions["turn"] => {
  if (weight === undefined) return tenant === undefined ? undefined : { tenant, weight: 1 }
  if (!(weight > 0 && weight < Infinity)) {
    throw new TypeError(`The weight of the frame "${name}" must be a number above 0: ${weight}`)
  }
  return { tenant: tenant ?? name, weight }
}

/** A wrong duration is a mistake in the program and throws. */
const millis = (name: string, input: Duration.Input): number => {
  const duration = Duration.fromInput(input)
  const value = Option.isSome(duration) ? Duration.toMillis(duration.value) : NaN
  if (!(value >= 0)) {
    throw new TypeError(`The ${name} of a frame must be a duration that is not negative: ${String(input)}`)
  }
  return value
}

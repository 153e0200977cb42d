import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { find } from "./findLeaks.ts"
import { describe as describeLeak } from "./leak.ts"
import { ControlledScheduler } from "./scheduler.ts"
import type { AnyFiber, Director } from "./scheduler.ts"
import { makeRandom, VirtualClock } from "./services.ts"
import { Watch } from "./watch.ts"

/** What is wrong, in words; empty when all is well. */
export type Findings = ReadonlyArray<string>

/** Answers findings, at once or as an effect. */
export type Answer = Findings | Effect.Effect<Findings>

/** What a scenario may say of how it is run. */
export interface Limits {
  /** A run that does more than this is reported as endless (default 10,000). */
  readonly maxOperations?: number | undefined
  /** How much virtual time may pass after the body has ended, for what still sleeps (default 1 minute). */
  readonly settle?: Duration.Input | undefined
  /**
   * How long, in real time, a run may stand still because it waits for something outside, such as a promise. Without
   * it the event loop gets ten turns.
   */
  readonly patience?: Duration.Input | undefined
}

/** What a run does: the scenario of one tool or another. */
export interface Plan<World> extends Limits {
  readonly name: string
  readonly setup: Effect.Effect<World, never, Scope.Scope>
  /** Is every continuation an operation of its own? */
  readonly isFine: boolean
  /** Is anything that is left open when the world is closed a finding? */
  readonly watches: boolean
  /** Starts the fibers whose end is waited for, now or as tasks. */
  readonly start: (run: Run<World>, world: World) => void
  readonly check: (world: World, run: Run<World>, running: ReadonlyArray<AnyFiber>) => Answer
  readonly afterClose: ((world: World) => Answer) | undefined
}

/** How far a run came. */
export type Ending = "ended" | "stuck" | "endless"

/** Enough turns for a chain of promises that wait for nothing but each other. */
const eventLoopTurns = 10

const defaultMaxOperations = 10_000

const isTask = (answer: Answer): answer is Effect.Effect<Findings> => Effect.isEffect(answer)

export const describeDefect = (cause: Cause.Cause<unknown>): string => {
  // A failure beside it is not what it died of.
  const died = cause.reasons.find((reason) => reason._tag === "Die")
  const defect = died === undefined ? Cause.squash(cause) : died.defect
  return defect instanceof Error ? `${defect.name}: ${defect.message}` : String(defect)
}

/** What goes on between two turns of the event loop; answers when it is over. */
type Steps<A> = Generator<void, A, void>

/**
 * ```
 * setup -> bodies ----------------> settle -> check -> close the scope -> afterClose -> bury
 *           | the director decides,   sleepers due in time
 *           | and may interrupt
 *           `-> stuck or endless: neither check nor afterClose, everything is interrupted
 * ```
 */
export class Run<World> {
  readonly clock = new VirtualClock()
  readonly scheduler: ControlledScheduler
  readonly context: Context.Context<never>
  readonly findings: Array<string> = []
  /** Those whose end is waited for; not there until they are started. */
  bodies: Array<AnyFiber | undefined> = []
  names: ReadonlyArray<string> = []
  /** Those that may be interrupted, by their place. */
  targets: ReadonlyArray<number> = []
  /** Bodies that had not ended when nothing could go on any more. */
  unended: ReadonlyArray<number> = []
  /** What tells one state of the world from another. */
  state: (() => unknown) | undefined = undefined
  /** Must hold whenever a fiber stops. */
  invariant: (() => Findings) | undefined = undefined
  /** Told when the clock has moved, before anybody wakes. */
  onClock: ((now: number) => void) | undefined = undefined
  /** Operations until all bodies had ended. */
  operations = 0
  /** Something came from outside: a promise, a timer, I/O. */
  outside = false
  private readonly base: Context.Context<never>
  /** Sees what is left open. */
  private readonly watch: Watch | undefined
  private readonly scope = Scope.makeUnsafe()
  private readonly plan: Plan<World>
  private readonly director: Director
  /** Whether to listen to the event loop before the clock is moved. */
  private readonly listen: boolean
  private readonly patience: number | undefined
  private ofSetup: ReadonlySet<AnyFiber> = new Set()

  constructor(plan: Plan<World>, director: Director, base: Context.Context<never>, listen: boolean) {
    this.plan = plan
    this.director = director
    this.listen = listen
    this.patience = plan.patience === undefined ? undefined : Duration.toMillis(plan.patience)
    this.scheduler = new ControlledScheduler(plan.maxOperations ?? defaultMaxOperations, plan.isFine)
    const context = base.pipe(
      Context.add(Scheduler.Scheduler, this.scheduler),
      Context.add(Scheduler.PreventSchedulerYield, false),
      Context.add(Clock.Clock, this.clock),
      Context.add(Random.Random, makeRandom())
    )
    this.watch = plan.watches ? new Watch(context) : undefined
    this.context = this.watch === undefined ? context : Context.add(context, Scheduler.Scheduler, this.watch)
    this.base = base
  }

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect)
  }

  /** The whole run. */
  *execute(): Steps<Ending> {
    const { plan, scheduler } = this
    const made = yield* this.finish(Scope.provide(plan.setup, this.scope))
    if (made === undefined) throw new Error(`The setup of "${plan.name}" never ends`)
    if (Exit.isFailure(made)) throw Cause.squash(made.cause)
    const world = made.value
    // What the setup has started in the background comes to rest first; it belongs to the world, not to the bodies.
    scheduler.drain()
    if (scheduler.exhausted) throw new Error(`The setup of "${plan.name}" never comes to rest`)
    this.ofSetup = new Set(scheduler.seen.keys())
    this.background = Array.from(this.ofSetup).filter(isRunning)

    const ending = yield* this.perform(world)
    const running = this.started().filter(isRunning)
    if (ending === "ended") yield* this.ask(() => plan.check(world, this, running), "the check")
    else yield* this.bury(running)
    const closed = yield* this.finish(Scope.close(this.scope, Exit.void))
    if (ending === "ended") {
      if (closed === undefined) this.findings.push("stuck: the scope of the setup can not be closed")
      else if (Exit.isFailure(closed)) {
        this.findings.push(`closing the scope of the setup died: ${describeDefect(closed.cause)}`)
      } else {
        if (plan.afterClose !== undefined) yield* this.ask(() => plan.afterClose!(world), "the check after closing")
        if (this.watch !== undefined) yield* this.lookForLeaks(this.watch)
      }
    }
    this.watch?.end()
    yield* this.bury([...this.ofSetup, ...scheduler.seen.keys()])
    scheduler.over = true
    return ending
  }

  /** Runs the bodies up to their end and past it. */
  private *perform(world: World): Steps<Ending> {
    const { plan, scheduler } = this
    scheduler.begin(this.director)
    plan.start(this, world)
    const ended = yield* this.drive(() => this.hasEnded, Number.POSITIVE_INFINITY)
    this.operations = scheduler.steps
    if (!ended) {
      this.unended = this.bodies.flatMap((body, index) => body === undefined || isRunning(body) ? [index] : [])
      return scheduler.exhausted ? "endless" : "stuck"
    }
    const horizon = this.clock.now + Duration.toMillis(plan.settle ?? "1 minute")
    yield* this.settle(horizon, () => this.started().some(isRunning))
    return scheduler.exhausted ? "endless" : "ended"
  }

  /** A fiber as a reader knows it. */
  nameOf(ordinal: number): string {
    const name = this.names[ordinal]
    if (name !== undefined) return name
    const fibers = Array.from(this.scheduler.seen.values())
    const parent = fibers.find((seen) => seen.ordinal === ordinal)?.parent
    const siblings = fibers.filter((seen) => seen.parent === parent && seen.ordinal >= this.names.length)
    const number = 1 + siblings.findIndex((seen) => seen.ordinal === ordinal)
    return `${parent === undefined ? "setup" : this.nameOf(parent)}/${number}`
  }

  /** What must hold does not: whatever comes later tells nothing new. */
  checkInvariant(): void {
    const { invariant } = this
    if (invariant === undefined || this.findings.length > 0) return
    this.findings.push(...invariant())
  }

  get hasEnded(): boolean {
    return this.bodies.every((body) => body !== undefined && !isRunning(body))
  }

  /**
   * Lets everything go on until `done`, or until nothing can: first the tasks, then the event loop if it is listened
   * to, then the next sleeper that is due by the horizon. The answer is whether it came to an end.
   */
  private *drive(done: () => boolean, horizon: number): Steps<boolean> {
    while (true) {
      this.scheduler.drain()
      if (done()) return true
      if (this.scheduler.exhausted) return false
      if (!this.listen && this.wake(horizon)) continue
      if (!(yield* this.awaitOutside(true)) && !this.wake(horizon)) return false
    }
  }

  /** As `drive`, for what need not come to an end: nobody waits in real time for a fiber that may be asleep for good. */
  private *settle(horizon: number, patient: () => boolean): Steps<void> {
    while (true) {
      this.scheduler.drain()
      if (this.scheduler.exhausted) return
      if (this.listen && (yield* this.awaitOutside(patient()))) continue
      if (!this.wake(horizon)) return
    }
  }

  /** Do the bodies run, or what they have left behind? */
  get isWatched(): boolean {
    return this.scheduler.isCounting
  }

  /** Wakes the next sleeper that is due by then. */
  private wake(horizon: number): boolean {
    const before = this.clock.now
    const woken = this.clock.wakeNext(horizon, (now) => {
      if (now !== before && this.isWatched) this.onClock?.(now)
    })
    if (woken) this.scheduler.turned()
    return woken
  }

  /** Gives the event loop its turns; answers whether anything came of it. */
  private *awaitOutside(patient: boolean): Steps<boolean> {
    const { scheduler } = this
    const before = scheduler.steps
    const until = this.patience === undefined || !patient ? 0 : Date.now() + this.patience
    for (let left = eventLoopTurns;; left--) {
      if (scheduler.steps !== before || !scheduler.idle) {
        this.outside = true
        scheduler.turned()
        return true
      }
      if (left <= 0 && Date.now() >= until) return false
      yield
    }
  }

  /** Runs something that is not under test to its end; `undefined` when it has none. */
  private *finish<A, E>(effect: Effect.Effect<A, E>): Steps<Exit.Exit<A, E> | undefined> {
    this.scheduler.end()
    const fiber = this.fork(effect)
    const done = () => fiber.pollUnsafe() !== undefined
    if (!done()) yield* this.drive(done, Number.POSITIVE_INFINITY)
    return fiber.pollUnsafe()
  }

  private *ask(question: () => Answer, name: string): Steps<void> {
    const exit = yield* this.finish(Effect.suspend(() => {
      const answer = question()
      return isTask(answer) ? answer : Effect.succeed(answer)
    }))
    if (exit === undefined) this.findings.push(`${name} never ended: it waits for something that does not come`)
    else if (Exit.isFailure(exit)) this.findings.push(`${name} died: ${describeDefect(exit.cause)}`)
    else this.findings.push(...exit.value)
  }

  /** What is open now that the world is closed. */
  private *lookForLeaks(watch: Watch): Steps<void> {
    const looking = Effect.runForkWith(this.base)(find(watch, Context.empty()))
    while (isRunning(looking)) yield
    const exit = looking.pollUnsafe()!
    if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
    for (const leak of exit.value) {
      const fiber = leak.kind === "fiber" ? this.started().find(({ id }) => id === leak.id) : undefined
      const seen = fiber === undefined ? undefined : this.scheduler.seen.get(fiber)
      this.findings.push(seen === undefined ? describeLeak(leak) : `${this.nameOf(seen.ordinal)} is still running`)
    }
  }

  /** Fibers of the setup that had not ended when the bodies began. */
  background: ReadonlyArray<AnyFiber> = []

  /** The fibers that the bodies have started, these included. */
  started(): Array<AnyFiber> {
    return Array.from(this.scheduler.seen.keys()).filter((fiber) => !this.ofSetup.has(fiber))
  }

  /** Nothing of a run lives on: what has been left behind is interrupted, so that its finalizers run. */
  private *bury(fibers: ReadonlyArray<AnyFiber>): Steps<void> {
    const left = fibers.filter(isRunning)
    if (left.length === 0) return
    this.scheduler.end()
    for (const fiber of left) fiber.interruptUnsafe()
    const horizon = this.clock.now + Duration.toMillis(Duration.minutes(1))
    yield* this.settle(horizon, () => left.some(isRunning))
  }
}

export const isRunning = (fiber: AnyFiber): boolean => fiber.pollUnsafe() === undefined

/** Goes through steps that may wait for the event loop. This fiber yields for that, so its scheduler must be a real one. */
export const goThrough = <A>(steps: Steps<A>): Effect.Effect<A> =>
  Effect.suspend(() => {
    const { done, value } = steps.next()
    return done === true ? Effect.succeed(value) : Effect.flatMap(Effect.yieldNow, () => goThrough(steps))
  })

import { Allocation, Budget, Cost, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Arbitrary, Clock, Effect, Exit, Fiber, Layer, Queue, Schema, Scope, TxRef } from "effect"
import type { Context } from "effect"
import { TestClock } from "effect/testing"
import { BudgetBooks, isExcluded, pathOf } from "./budgetModelBooks.ts"
import type { Limits, Request } from "./budgetModelBooks.ts"
import { failureOf } from "./fixtures.ts"
import { counting, Meant, unmeant } from "./sweepWorld.ts"

// A failure shrinks to the first one; what is listed twice comes twice as often.
const kinds = [
  "nothing",
  "allocate",
  "open",
  "use",
  "release",
  "advance",
  "allocate",
  "end",
  "use",
  "allocateAll",
  "transfer",
  "interrupt",
  "open",
  "allocate",
  "nested",
  "extend",
  "advance",
  "close",
  "release",
  "use",
  "move"
] as const

/** One step. The numbers choose among what there is at that moment, so that a shorter run is a valid one as well. */
export interface Command {
  readonly do: typeof kinds[number]
  readonly a: number
  readonly b: number
  readonly c: number
}

const upTo = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

const command = Arbitrary.map(
  Arbitrary.all({ kind: upTo(kinds.length - 1), a: upTo(15), b: upTo(15), c: upTo(15) }),
  ({ a, b, c, kind }): Command => ({ do: kinds[kind]!, a, b, c })
)

export const commands: Arbitrary.Arbitrary<ReadonlyArray<Command>> = Arbitrary.array(command, {
  minLength: 50,
  maxLength: 70
})

interface Params {
  readonly request: Request
  readonly cost: Cost.Cost
  readonly acquire: "ok" | "fails" | "dies" | "slow"
  readonly release: "ok" | "slow" | "dies"
}

interface OpenFrame {
  readonly frame: TimeFrame.TimeFrame
  readonly jobs: Queue.Queue<Effect.Effect<boolean, never, any>>
}

type Program = Effect.Effect<unknown, unknown, any>

const acquires = ["ok", "ok", "ok", "slow", "ok", "fails", "ok", "dies"] as const
const releases = ["ok", "ok", "slow", "ok", "ok", "dies"] as const
const settle = Effect.forEach([1, 2, 3], () => Effect.yieldNow, { discard: true })
const rootLimits: Limits = { u: 12, r: Budget.rate(20, "1 second", 10) }

/** Runs commands on many fibers at once, and checks the books after each of them. */
class Driver {
  readonly books = new BudgetBooks(rootLimits)
  readonly fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  readonly scope = Scope.makeUnsafe()
  readonly clock: Clock.Clock
  readonly library = { sleeping: 0 }
  context: Context.Context<ResourceManager.ResourceManager> = undefined as never
  private readonly held: Array<Allocation.Handle> = []
  private frames: Array<OpenFrame> = []
  private names = 0

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  /** What has been asked so far, and how many of those had to wait. */
  get asked() {
    return this.books.asked
  }

  // What is allocated.

  private acquire({ acquire, cost, request }: Params): Effect.Effect<Params["cost"], string> {
    this.books.granted(request, cost, this.now)
    switch (acquire) {
      case "ok":
        return Effect.succeed(cost)
      case "slow":
        return Effect.as(Effect.sleep("30 millis"), cost)
      case "fails":
        return Effect.fail("refused")
      case "dies":
        return Effect.die(new Meant("acquire"))
    }
  }

  private readonly recipe = {
    params: Schema.Any,
    cost: ({ cost, request }: Params) => {
      this.books.asks(request)
      return cost
    }
  }

  private readonly Scoped = ResourceDefinition.temporal("scoped", {
    ...this.recipe,
    acquire: (params: Params) => this.acquire(params)
  })

  private readonly Plain = ResourceDefinition.temporal("plain", {
    ...this.recipe,
    acquire: (params: Params) =>
      Effect.map(this.acquire(params), () => {
        this.books.values++
        return params
      }),
    release: ({ release }: Params) => {
      const close = Effect.sync(() => this.books.values--)
      if (release === "slow") return Effect.andThen(Effect.sleep("20 millis"), close)
      return release === "dies" ? Effect.andThen(close, Effect.die(new Meant("release"))) : close
    }
  })

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** One to three of each of some units. */
  private costOf(b: number, c: number): Cost.Cost {
    const amount = 1 + b % 3
    if (isExcluded.units) return { [["u", "u", "v", "r"][c % 4]!]: amount }
    return {
      ...(c % 4 === 3 ? {} : { u: amount }),
      ...(c & 4 ? { v: 1 + c % 3 } : {}),
      ...(c & 8 ? { r: amount } : {})
    }
  }

  private params(request: Request, cost: Cost.Cost, b: number, c: number): Params {
    return { request, cost, acquire: acquires[(b + c) % 8]!, release: releases[(b + 2 * c) % 6]! }
  }

  private definition(b: number) {
    return b & 1 ? this.Plain : this.Scoped
  }

  /** How long that call waits, and the call as it says so. */
  private ask(open: OpenFrame, cost: Cost.Cost, how: number, call: (request: Request) => Program): Program {
    const mode = how % 8
    const path = open.frame.path
    const patience = mode === 1 ? Infinity : mode === 2 ? 50 : mode === 3 ? 0 : this.books.patienceIn(path)
    const request: Request = { path, cost, patience, state: "new" }
    const program = Effect.onExit(
      call(request),
      (exit) => Effect.sync(() => this.books.ended(request, failureOf(exit)))
    )
    if (mode === 1) return Budget.wait(program)
    if (mode === 2) return Budget.wait(program, { timeout: "50 millis" })
    return mode === 3 ? Budget.failFast(program) : program
  }

  private use(open: OpenFrame, b: number, c: number, how: number, body: Program): Program {
    const cost = this.costOf(b, c)
    return this.ask(
      open,
      cost,
      how,
      (request) => ResourceManager.use(this.definition(b), this.params(request, cost, b, c), () => body)
    )
  }

  // Where it runs.

  private note(program: Program): Program {
    return Effect.uninterruptibleMask((restore) =>
      Effect.map(Effect.exit(restore(program)), (exit) => {
        const defect = unmeant(exit)
        if (defect !== undefined) this.books.troubles.push(defect)
      })
    )
  }

  private fork(program: Program): Effect.Effect<void> {
    return Effect.map(
      Effect.forkDetach(Effect.provideContext(this.note(program), this.context as never) as Effect.Effect<void>, {
        startImmediately: true
      }),
      (fiber) => void this.fibers.push(fiber)
    )
  }

  /** On the fiber of the body, or on one of its own. */
  private inside({ frame, jobs }: OpenFrame, how: number, program: Program): Effect.Effect<void> {
    if (how % 4 > 0) return this.fork(TimeFrame.provide(program, frame))
    return Effect.sync(() => void Queue.offerUnsafe(jobs, Effect.as(this.note(program), true) as never))
  }

  private pick<T>(from: ReadonlyArray<T>, at: number): T | undefined {
    return from.length === 0 ? undefined : from[at % from.length]
  }

  private openFrame(a: number, b: number, c: number): Effect.Effect<void> {
    const parent = this.pick(this.frames, a)
    if (parent !== undefined && parent.frame.path.split("/").length >= 4) return Effect.void
    const name = `f${this.names++}`
    const budget = {
      ...(b & 1 ? { u: 1 + (a + c) % 8 } : {}),
      ...(b & 2 ? { v: 1 + c % 6 } : {}),
      ...(b % 5 === 4 ? { r: Budget.rate(5 + c, "1 second", 3 + a % 4) } : {})
    }
    const reserve = (a + b) % 3 === 0 ? { ...(c & 1 ? { u: 1 + b % 3 } : {}), ...(c & 2 ? { v: 1 + a % 2 } : {}) } : {}
    const exhausted = ([undefined, "wait", "wait", { wait: 40 }, "fail", undefined] as const)[(b + 3 * c) % 6]
    const options: TimeFrame.Options = {
      name,
      ...(b % 4 === 3 ? {} : { budget }),
      ...(Object.keys(reserve).length > 0 ? { reserve } : {}),
      ...(exhausted === undefined ? {} : { exhausted }),
      ...(c % 3 === 0 ? {} : { tenant: `t${c % 3}`, weight: 1 + a % 3 }),
      ...((a + c) % 4 === 0 ? { timeout: 20 + 25 * b } : {}),
      ...(a % 4 === 2 ? { gracePeriod: 10 * c } : {})
    }
    const body = Effect.flatMap(TimeFrame.TimeFrame, (frame) => {
      const jobs = Effect.runSync(Queue.unbounded<Effect.Effect<boolean, never, any>>())
      const open = { frame, jobs }
      this.frames.push(open)
      const next: Program = Effect.flatMap(Effect.flatten(Queue.take(jobs)), (goesOn) => goesOn ? next : Effect.void)
      const leave = Effect.sync(() => void (this.frames = this.frames.filter((one) => one !== open)))
      return Effect.ensuring(next, leave)
    })
    this.books.frames.set(name, { limits: options.budget ?? {}, reserve: options.reserve ?? {}, exhausted })
    const run = TimeFrame.run(body, options) as Program
    return parent === undefined ? this.fork(run) : this.inside(parent, c, run)
  }

  private extend({ frame }: OpenFrame, b: number, c: number): Program {
    const budget: Cost.Cost = { ...(b & 1 ? { u: 1 + c % 3 } : {}), ...(b & 2 ? { v: c % 3 } : {}) }
    return Effect.map(
      TimeFrame.extend(frame, { ...(c & 1 ? { timeout: 20 * (1 + b) } : {}), budget }),
      () => this.books.extended(pathOf(frame.path).at(-1)!, budget)
    )
  }

  /** Of a limit: at once, in a transaction that takes its time, or when there is that much left. */
  private move(from: OpenFrame, b: number, c: number): Effect.Effect<void> {
    const to = this.pick(this.frames, b)!
    const unit = c & 1 ? "u" : "v"
    const [one, other] = [from, to].map(({ frame }) => pathOf(frame.path).at(-1)!) as [string, string]
    if (!this.books.isMovable(one, unit) || !this.books.isMovable(other, unit)) return Effect.void
    const amount = 1 + c % 3
    // The commit writes it into the books as well.
    const moved = TxRef.makeUnsafe(false)
    const write = () => this.books.moved(one, other, unit, amount)
    Object.defineProperty(moved, "value", { get: () => false, set: write })
    const move = Effect.andThen(TxRef.set(moved, true), Budget.move({ unit, amount, from: from.frame, to: to.frame }))
    if (c < 6) return this.fork(Effect.tx(move))
    const slow = Effect.andThen(move, Effect.sleep(3 * b))
    if (c < 11) return this.fork(Effect.tx(slow))
    const isEnough = Effect.map(
      Budget.standing(unit, from.frame),
      ({ available, waiting }) => available >= amount && waiting === 0
    )
    return this.fork(Effect.tx(Effect.flatMap(isEnough, (yes) => yes ? slow : Effect.txRetry)))
  }

  private perform({ a, b, c, do: how }: Command): Effect.Effect<void> {
    switch (how) {
      case "open":
        return this.openFrame(a, b, c)
      case "advance":
        return TestClock.adjust(a < 12 ? 1 + 5 * b : 100 + 50 * b)
      case "interrupt":
        return Effect.sync(() =>
          this.pick(this.fibers.filter((fiber) => fiber.pollUnsafe() === undefined), a)?.interruptUnsafe()
        )
      case "release": {
        const at = a % (this.held.length || 1)
        const [one] = this.held.splice(at, 1)
        return one === undefined ? Effect.void : this.fork(one.release)
      }
    }
    const open = this.pick(this.frames, a)
    if (open === undefined) return Effect.void
    switch (how) {
      case "end":
        return Effect.sync(() => void (b < 8 && Queue.offerUnsafe(open.jobs, Effect.succeed(false))))
      case "close":
        return b < 8 ? this.fork(TimeFrame.close(open.frame)) : Effect.void
      case "transfer": {
        const one = this.pick(this.held, b)
        return one === undefined ? Effect.void : this.fork(Allocation.transfer(one, open.frame))
      }
      case "move":
        return this.move(open, b, c)
      case "extend":
        return this.fork(this.extend(open, b, c))
      case "allocate": {
        const cost = this.costOf(b, c)
        const allocate = this.ask(
          open,
          cost,
          a + c,
          (request) => ResourceManager.allocate(this.definition(b), this.params(request, cost, b, c))
        )
        return this.inside(open, c, Effect.map(allocate, (handle) => this.held.push(handle as Allocation.Handle)))
      }
      case "allocateAll": {
        const first = this.costOf(b, c)
        const second: Cost.Cost = isExcluded.units ? {} : { u: 1 + c % 2 }
        const cost = Cost.sum([first, second])
        const all = this.ask(open, cost, b, (request) =>
          ResourceManager.allocateAll([
            [this.definition(c), this.params(request, first, a, c)],
            [this.definition(b), this.params(request, second, b, a)]
          ]))
        return this.inside(
          open,
          b,
          Effect.map(all, (handles) => this.held.push(...handles as Array<Allocation.Handle>))
        )
      }
      case "use":
        return this.inside(open, b, this.use(open, b, c, a + b, Effect.sleep(8 * c)))
      case "nested": {
        // What the outer call says of waiting holds for the inner one, too.
        const inner = Effect.andThen(Effect.sleep(2 * a), this.use(open, c, a, a + b, Effect.sleep(4 * b)))
        return this.inside(open, b, this.use(open, b, c, a + b, inner))
      }
    }
    return Effect.void
  }

  readonly run = (command: Command): Effect.Effect<ReadonlyArray<string>> =>
    Effect.gen({ self: this }, function*() {
      yield* this.perform(command)
      yield* settle
      return yield* this.check
    })

  private readonly check = Effect.suspend(() =>
    Effect.map(
      Effect.provideContext(ResourceManager.snapshot, this.context),
      (snapshot) => this.books.compare(snapshot)
    )
  )

  /** Ends all frames, and then the manager, or the manager alone; nothing must be left. */
  finish(managerFirst: boolean): Effect.Effect<ReadonlyArray<string>> {
    return Effect.gen({ self: this }, function*() {
      const wrong: Array<string> = []
      const close = Effect.ignoreCause(Scope.close(this.scope, Exit.void))
      if (managerFirst) yield* this.fork(close)
      else for (const { frame } of this.frames) if (!frame.path.includes("/")) yield* this.fork(TimeFrame.close(frame))
      yield* TestClock.adjust("1 minute")
      yield* settle
      wrong.push(...yield* this.check)
      if (!managerFirst) yield* this.fork(close)
      yield* TestClock.adjust("1 minute")
      yield* settle
      const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, this.context)
      for (const one of snapshot.allocations) wrong.push(`${one.resource} of "${one.frame}" is left`)
      for (const frame of snapshot.frames.slice(1)) wrong.push(`the frame "${frame.path}" is left`)
      for (const { unit, used } of snapshot.frames[0]!.budgets) if (used > 0) wrong.push(`${used} of ${unit} are left`)
      const running = this.fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length
      if (running > 0) wrong.push(`${running} fibers still run`)
      if (this.library.sleeping > 0) wrong.push(`${this.library.sleeping} timers are left`)
      return wrong
    })
  }
}

export type { Driver }

export const makeDriver: Effect.Effect<Driver> = Effect.gen(function*() {
  const driver = new Driver(yield* Clock.clockWith(Effect.succeed))
  const layer = ResourceManager.layer({ budget: rootLimits, gracePeriod: 200 })
  driver.context = yield* Layer.buildWithScope(layer, driver.scope).pipe(
    Effect.provideService(Clock.Clock, counting(driver.clock, driver.library))
  )
  // There is somewhere to begin.
  yield* driver.run({ do: "open", a: 1, b: 1, c: 5 })
  yield* driver.run({ do: "open", a: 1, b: 2, c: 4 })
  return driver
})

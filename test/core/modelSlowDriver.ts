import { Allocation, ResourceManager, TimeFrame } from "@chronovyan/core"
import type { Snapshot } from "@chronovyan/core"
import { Clock, Effect, Exit, Fiber, Layer, Queue, Scope } from "effect"
import type { Context } from "effect"
import { TestClock } from "effect/testing"
import { commandsOf } from "./modelCommands.ts"
import type { Command as CommandOf } from "./modelCommands.ts"
import { paramsOf, SlowWorld } from "./modelSlowWorld.ts"
import type { Value } from "./modelSlowWorld.ts"
import { booksOf, counting } from "./sweepWorld.ts"

// A failure shrinks to the first one.
const kinds = [
  "nothing",
  "allocate",
  "run",
  "make",
  "allocate",
  "release",
  "transfer",
  "allocate",
  "end",
  "close",
  "interrupt",
  "retire",
  "advance",
  "use",
  "advance",
  "allocateAll",
  "turn",
  "run",
  "advance",
  "allocate"
] as const
export type Command = CommandOf<typeof kinds[number]>
export const commands = commandsOf(kinds)

type Program<R = ResourceManager.ResourceManager> = Effect.Effect<unknown, unknown, R>
type Inside = Program<ResourceManager.ResourceManager | TimeFrame.TimeFrame | Scope.Scope>

interface OpenFrame {
  readonly frame: TimeFrame.TimeFrame
  /** What the body does next, on its own fiber; false ends it. Absent for a frame of `TimeFrame.make`. */
  readonly jobs: Queue.Queue<Effect.Effect<boolean, never, any>> | undefined
  readonly gracePeriod: number
}

/** A run with a deadline: when the caller has its answer at the latest. */
interface Bound {
  readonly name: string
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly until: number
}

interface Held {
  readonly handle: Allocation.Handle
  readonly value: Value | undefined
}

const rootGracePeriod = 200
const settle = Effect.forEach([1, 2, 3], () => Effect.yieldNow, { discard: true })

/** Runs commands on many fibers at once, and checks after each of them what holds whatever goes on. */
export class SlowDriver {
  readonly world = new SlowWorld()
  readonly fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  readonly frames: Array<OpenFrame> = []
  readonly bounds: Array<Bound> = []
  readonly held: Array<Held> = []
  readonly scope = Scope.makeUnsafe()
  /** Of the frames that are made outside of others. */
  readonly frameScope = Scope.makeUnsafe()
  readonly clock: Clock.Clock
  context: Context.Context<ResourceManager.ResourceManager> = undefined as never
  private names = 0

  constructor(clock: Clock.Clock) {
    this.clock = counting(clock, this.world)
  }

  private pick<T>(from: ReadonlyArray<T>, at: number): T | undefined {
    return from.length === 0 ? undefined : from[at % from.length]
  }

  /** Mostly a young one. */
  private pickFrame(at: number): OpenFrame | undefined {
    return this.frames.at(at < 12 ? -1 - at % Math.min(4, this.frames.length || 1) : at % (this.frames.length || 1))
  }

  private observe(program: Inside): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.map(Effect.exit(restore(program)), (exit) => this.world.note(exit))
    ) as Effect.Effect<void>
  }

  private fork(program: Inside): Effect.Effect<Fiber.Fiber<unknown, unknown>> {
    return Effect.map(
      Effect.forkDetach(
        Effect.provideService(
          Effect.provideContext(this.observe(program), this.context as never),
          Clock.Clock,
          this.clock
        ),
        { startImmediately: true }
      ),
      (fiber) => {
        this.fibers.push(fiber)
        return fiber
      }
    )
  }

  /** At once, in the middle of something else, or a little later. */
  private when(how: number, program: Inside): Inside {
    if (how % 4 === 1) return Effect.andThen(this.world.bell, program)
    if (how % 8 === 2) return Effect.andThen(Effect.yieldNow, program)
    return how % 8 === 6 ? Effect.delay(program, how * 3) : program
  }

  /** On the fiber of the body, or on one of its own. */
  private inside({ frame, jobs }: OpenFrame, how: number, program: Inside): Effect.Effect<void> {
    if (jobs === undefined || how % 3 === 0) {
      return Effect.asVoid(this.fork(TimeFrame.provide(program, frame) as Inside))
    }
    return Effect.sync(() => Queue.offerUnsafe(jobs, Effect.as(this.observe(program), true)))
  }

  readonly run = (command: Command): Effect.Effect<ReadonlyArray<string>> =>
    Effect.gen({ self: this }, function*() {
      yield* this.perform(command)
      yield* settle
      return yield* this.check
    })

  private perform({ a, b, c, do: how }: Command): Effect.Effect<void> {
    const open = this.pickFrame(a)
    const one = this.pick(this.held, a)
    switch (how) {
      case "run":
      case "make":
        return this.open(a, b, c, how)
      case "advance":
        return TestClock.adjust(a < 13 ? 1 + 3 * b : 100 + 400 * b)
      case "interrupt":
        return Effect.sync(() => {
          this.pick(this.fibers.filter((fiber) => fiber.pollUnsafe() === undefined), a)?.interruptUnsafe()
        })
      case "retire": {
        const definition = this.pick([...this.world.shares, this.world.turns], a)!
        return Effect.asVoid(this.fork(this.when(b, ResourceManager.retire(definition as never))))
      }
      case "release":
        return one === undefined ? Effect.void : Effect.asVoid(this.fork(this.when(b, one.handle.release)))
      case "turn": {
        const turn = this.world.turn(b % 3 === 0, 5 * c)
        const again = this.pick(this.held.filter(({ handle }) => handle.resource === "turns"), a)?.handle as any
        const program = b & 4 && again !== undefined
          ? again[b % 3 === 0 ? "write" : "read"]((one: { value: Value }) => turn(one.value))
          : ResourceManager.use(
            this.world.turns,
            { ...paramsOf(b % 4, c), key: 0 },
            (handle) =>
              Effect.andThen(
                this.keep(handle, undefined),
                handle[b % 3 === 0 ? "write" : "read"]((one) => turn(one.value))
              )
          )
        return open === undefined ? Effect.void : this.inside(open, c, this.when(a, program))
      }
    }
    if (open === undefined) return Effect.void
    switch (how) {
      case "end":
        return Effect.sync(() => open.jobs !== undefined && Queue.offerUnsafe(open.jobs, Effect.succeed(false)))
      case "close": {
        const closing = this.when(c, TimeFrame.close(open.frame))
        const from = c & 1 ? this.pickFrame(b) : undefined
        const first = from === undefined ? this.fork(closing) : this.inside(from, 1, closing)
        return b & 1 ? Effect.andThen(first, this.fork(TimeFrame.close(open.frame))) : Effect.asVoid(first)
      }
      case "transfer":
        return one === undefined
          ? Effect.void
          : Effect.asVoid(this.fork(this.when(b, Allocation.transfer(one.handle, open.frame))))
      case "allocate":
        return this.inside(open, c, this.when(a + b, this.allocate(b, c)))
      case "use": {
        const [definition, params] = this.request(b, c)
        const body = ({ value }: { value: Value }) =>
          Effect.suspend(() => {
            if (value.ending > 0 && !this.world.isClosing) this.world.troubles.push(`${value.resource} comes released`)
            return Effect.sleep(4 * c)
          })
        return this.inside(open, c, this.when(a, ResourceManager.use(definition, params, body)))
      }
      case "allocateAll": {
        const requests = [this.request(b, c), this.request(b + 3, a), this.request(c, b)]
        const all = Effect.flatMap(
          ResourceManager.allocateAll(requests.slice(0, 2 + c % 2)),
          (handles) => Effect.forEach(handles, (handle) => this.keep(handle, handle))
        )
        return this.inside(open, c, this.when(a, all))
      }
    }
    return Effect.void
  }

  private request(b: number, c: number) {
    const definitions = [...this.world.temporals, ...this.world.shares]
    const params = paramsOf(b, c)
    // The first few make up most of the values that are shared.
    return [this.pick(definitions, b + c)!, (b + c) % 5 < 2 ? { ...params, key: 0 } : params] as const
  }

  private allocate(b: number, c: number): Inside {
    const [definition, params] = this.request(b, c)
    return Effect.flatMap(ResourceManager.allocate(definition, params), (handle) => this.keep(handle, handle))
  }

  private keep(handle: Allocation.Handle, direct: Allocation.Allocation<{ value: Value }> | undefined) {
    return Effect.sync(() => {
      const value = direct?.isLive === true ? direct.value.value : undefined
      if (direct === undefined || value !== undefined) this.held.push({ handle, value })
    })
  }

  private open(a: number, b: number, c: number, how: "run" | "make"): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const parent = a % 3 === 0 ? undefined : this.pickFrame(a)
      const name = `f${this.names++}`
      const gracePeriod = [undefined, 20, 100, 0][b % 4]
      const timeout = how === "run" && b & 4 ? 1 + c * 13 : undefined
      const budget = { ...(b & 8 ? { u: 1 + c % 6 } : {}), ...(a & 2 ? { v: 1 + c % 5 } : {}) }
      const options = { name, budget, ...(gracePeriod === undefined ? {} : { gracePeriod }) }
      const inherited = gracePeriod ?? parent?.gracePeriod ?? rootGracePeriod
      if (how === "make") {
        const made = Effect.map(TimeFrame.make(options), (frame) => {
          this.frames.push({ frame, jobs: undefined, gracePeriod: inherited })
        })
        yield* parent === undefined || c & 1
          ? this.fork(
            Scope.provide(
              parent === undefined ? made : Effect.provideService(made, TimeFrame.TimeFrame, parent.frame),
              this.frameScope
            )
          )
          : this.inside(parent, 0, made)
        return
      }
      const jobs = yield* Queue.unbounded<Effect.Effect<boolean, never, any>>()
      const body = Effect.gen({ self: this }, function*() {
        const frame = yield* TimeFrame.current
        this.frames.push({ frame, jobs, gracePeriod: inherited })
        while (yield* Effect.flatten(Queue.take(jobs)));
      })
      const program: Inside = timeout === undefined
        ? TimeFrame.run(body, options)
        : TimeFrame.run(body, { ...options, timeout })
      if (parent !== undefined && c % 3 !== 0) return yield* this.inside(parent, 1, program)
      const now = this.clock.currentTimeMillisUnsafe()
      const fiber = yield* this.fork(
        parent === undefined ? program : TimeFrame.provide(program, parent.frame) as Inside
      )
      // One whose parent has closed goes into a frame outside, and inherits from there.
      const longest = gracePeriod ?? Math.max(inherited, rootGracePeriod)
      if (timeout !== undefined) this.bounds.push({ name, fiber, until: now + timeout + longest })
    })
  }

  /** What holds at every moment. */
  readonly check: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() =>
    Effect.map(Effect.provideContext(ResourceManager.snapshot, this.context), (snapshot) => [
      ...this.world.troubles,
      ...booksOf(snapshot),
      ...this.framesIn(snapshot),
      ...this.allocationsIn(snapshot)
    ])
  )

  private framesIn(snapshot: Snapshot.Snapshot): Array<string> {
    const wrong: Array<string> = []
    const ids = new Set(snapshot.frames.map((frame) => frame.id))
    for (const frame of snapshot.frames) {
      if (frame.phase === "closed" && frame.parent !== null) wrong.push(`${frame.path} is closed and still there`)
      if (frame.parent !== null && !ids.has(frame.parent) && frame.phase !== "closing") {
        wrong.push(`${frame.path} is ${frame.phase} in a closed frame`)
      }
    }
    const isOver = this.world.isClosing && snapshot.frames[0]!.phase === "closed"
    if (isOver && this.running === 0 && snapshot.frames.length === 1 && this.world.library.sleeping > 0) {
      wrong.push(`${this.world.library.sleeping} timers of the closed manager still run`)
    }
    const now = this.clock.currentTimeMillisUnsafe()
    for (const { fiber, name, until } of this.bounds) {
      if (now > until && fiber.pollUnsafe() === undefined) wrong.push(`${name} still runs at ${now}, after ${until}`)
    }
    return wrong
  }

  private allocationsIn(snapshot: Snapshot.Snapshot): Array<string> {
    const wrong: Array<string> = []
    const [held, underWay, shares] = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()]
    const states = new Map(snapshot.allocations.map((one) => [one.id, one.state]))
    for (const { resource, share, state } of snapshot.allocations) {
      const isThere = state === "live" || state === "releasing"
      const count = isThere ? (share ? shares : held) : share ? undefined : underWay
      count?.set(resource, (count.get(resource) ?? 0) + 1)
    }
    for (const { acquired, highWaterMark, live, released, resource, shares: uses } of snapshot.resources) {
      if (acquired !== live + released) {
        wrong.push(`${resource}: ${acquired} acquired, ${live} live, ${released} released`)
      }
      if (live !== (held.get(resource) ?? 0)) wrong.push(`${resource}: ${live} live, ${held.get(resource)} held`)
      if (uses !== (shares.get(resource) ?? 0)) wrong.push(`${resource}: ${uses} shares, ${shares.get(resource)} held`)
      if (highWaterMark < live) wrong.push(`${resource}: ${live} live, the mark is at ${highWaterMark}`)
    }
    for (const { handle, value } of this.held) {
      const state = states.get(handle.id)
      // The end of the manager ends values that are shared over the heads of those who still use them.
      const agrees = handle.isLive === (state === "live") || (this.world.isClosing && !handle.isLive)
      if (!agrees) wrong.push(`${handle.resource} is live: ${handle.isLive}, but ${state}`)
      if (handle.isLive && value !== undefined && value.ending > 0 && !this.world.isClosing) {
        wrong.push(`${handle.resource} #${handle.id} is live, its value is released`)
      }
    }
    return [...wrong, ...this.world.compare(held, underWay)]
  }

  /** Lets everything end, the manager first or last; answers what is left. */
  readonly finish = (managerFirst: boolean): Effect.Effect<ReadonlyArray<string>> =>
    Effect.gen({ self: this }, function*() {
      if (managerFirst) {
        const closing = yield* this.closeManager
        yield* TestClock.adjust(rootGracePeriod)
        if (closing.pollUnsafe() === undefined) return ["the manager is not closed after its grace period"]
      }
      this.world.gate.openUnsafe()
      // What a body still has to do may open frames.
      for (let rounds = 0; rounds < 2 || (rounds < 40 && this.running > 0); rounds++) {
        this.world.ring()
        for (const { frame, jobs } of this.frames.toReversed()) {
          if (jobs === undefined) yield* this.fork(TimeFrame.close(frame))
          else Queue.offerUnsafe(jobs, Effect.succeed(false))
        }
        yield* TestClock.adjust("30 millis")
        const early = yield* this.check
        if (early.length > 0) return early
        yield* TestClock.adjust("1 hour")
        yield* settle
      }
      const found = yield* this.check
      if (!managerFirst) yield* this.closeManager
      yield* this.fork(Scope.close(this.frameScope, Exit.void))
      yield* TestClock.adjust("1 hour")
      yield* settle
      const wrong = [...found, ...yield* this.check]
      const snapshot = yield* Effect.provideContext(ResourceManager.snapshot, this.context)
      for (const one of snapshot.allocations) wrong.push(`${one.resource} of "${one.frame}" is ${one.state} in the end`)
      for (const frame of snapshot.frames.slice(1)) wrong.push(`the frame "${frame.path}" is ${frame.phase} in the end`)
      const open = this.world.values.filter((value) => value.closed !== 1).length
      if (open > 0) wrong.push(`${open} values are open in the end`)
      if (this.running > 0) wrong.push(`${this.running} fibers still run in the end`)
      if (this.world.sleeping > 0) wrong.push(`${this.world.sleeping} timers are left in the end`)
      return wrong
    })

  private get running(): number {
    return this.fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length
  }

  private readonly closeManager = Effect.suspend(() => {
    this.world.isClosing = true
    return this.fork(Effect.map(Effect.exit(Scope.close(this.scope, Exit.void)), (exit) => this.world.note(exit)))
  })
}

export const makeSlowDriver = Effect.gen(function*() {
  const driver = new SlowDriver(yield* Clock.clockWith(Effect.succeed))
  const layer = ResourceManager.layer({ budget: { u: 20 }, gracePeriod: rootGracePeriod })
  driver.context = yield* Layer.buildWithScope(layer, driver.scope).pipe(
    Effect.provideService(Clock.Clock, counting(driver.clock, driver.world.library))
  )
  // There is somewhere to begin.
  yield* driver.run({ do: "make", a: 0, b: 0, c: 0 })
  yield* driver.run({ do: "run", a: 0, b: 0, c: 0 })
  return driver
})

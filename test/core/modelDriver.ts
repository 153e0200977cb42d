import { Allocation, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Cause, Clock, Context, Data, Effect, Exit, Fiber, Latch, Layer, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Command } from "./modelCommands.ts"
import { idleTimeToLive, Model } from "./modelPure.ts"
import type { Amounts, FrameModel, HandleModel, Kind, Outcome, Recipe } from "./modelPure.ts"
import { booksOf, Meant } from "./sweepWorld.ts"

interface OpenFrame {
  readonly model: FrameModel
  readonly frame: TimeFrame.TimeFrame
  /** Absent for a frame of `TimeFrame.make`. */
  readonly fiber: Fiber.Fiber<unknown, unknown> | undefined
  readonly gate: Latch.Latch
}

interface Held {
  readonly model: HandleModel
  readonly handle: Allocation.Handle
}

const Params = Schema.Struct({
  key: Schema.Int,
  cost: Schema.Record(Schema.String, Schema.Int),
  acquire: Schema.Literals(["ok", "fails", "dies"]),
  dies: Schema.Boolean
})

/** The library and the model do not agree. */
export class Mismatch extends Data.TaggedError("Mismatch")<{ readonly message: string }> {}

const settle = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** Runs the same commands on the library and on the model, and compares after each. */
export class Driver {
  readonly model: Model
  readonly context: Context.Context<ResourceManager.ResourceManager>
  readonly scope: Scope.Closeable
  readonly frames: Array<OpenFrame> = []
  readonly held: Array<Held> = []
  readonly values: Array<{ closed: number }> = []
  readonly definitions: { readonly [K in Kind]: ResourceDefinition.ResourceDefinition<any, { closed: number }, string> }

  constructor(
    now: number,
    limits: Amounts,
    context: Context.Context<ResourceManager.ResourceManager>,
    scope: Scope.Closeable
  ) {
    this.model = new Model(now, limits)
    this.context = context
    this.scope = scope
    const recipe = {
      params: Params,
      cost: (params: typeof Params.Type) => params.cost,
      acquire: (params: typeof Params.Type) =>
        this.acquire(params.acquire).pipe(Effect.map((value) => ({ value, params }))),
      release: (one: { value: { closed: number }; params: typeof Params.Type }) =>
        Effect.suspend(() => {
          one.value.closed++
          return one.params.dies ? Effect.die(new Meant("release")) : Effect.void
        })
    }
    this.definitions = {
      temporal: ResourceDefinition.temporal("temporal", recipe),
      shared: ResourceDefinition.shared("shared", recipe),
      idle: ResourceDefinition.shared("idle", { ...recipe, idleTimeToLive }),
      persistent: ResourceDefinition.persistent("persistent", recipe)
    } as never
  }

  private acquire(how: "ok" | "fails" | "dies"): Effect.Effect<{ closed: number }, string> {
    if (how === "fails") return Effect.fail("refused")
    if (how === "dies") return Effect.die(new Meant("acquire"))
    return Effect.sync(() => {
      const value = { closed: 0 }
      this.values.push(value)
      return value
    })
  }

  private pick<T>(from: ReadonlyArray<T>, at: number): T | undefined {
    return from.length === 0 ? undefined : from[at % from.length]
  }

  /** Mostly an open one. */
  private pickFrame(at: number): OpenFrame | undefined {
    return this.pick(at < 12 ? this.frames.filter((one) => one.model.open) : this.frames, at)
  }

  readonly run = (command: Command): Effect.Effect<void, Mismatch> =>
    Effect.gen({ self: this }, function*() {
      const wrong = yield* Effect.provideContext(this.perform(command), this.context)
      if (wrong !== undefined) return yield* new Mismatch({ message: `${JSON.stringify(command)}: ${wrong}` })
      yield* settle
      const found = yield* Effect.provideContext(this.compare, this.context)
      if (found.length > 0) return yield* new Mismatch({ message: `${JSON.stringify(command)}: ${found.join("; ")}` })
    })

  private perform(command: Command): Effect.Effect<string | undefined, never, ResourceManager.ResourceManager> {
    const { a, b, c } = command
    switch (command.do) {
      case "nothing":
        return Effect.succeed(undefined)
      case "run":
      case "make":
        return this.open(command)
      case "end":
      case "interrupt": {
        const open = this.pickFrame(a)
        if (open === undefined) return Effect.succeed(undefined)
        const how = command.do
        const isOver = open.fiber?.pollUnsafe() !== undefined
        const died = this.model.close(open.model)
        return Effect.map(
          this.close(open, command.do === "interrupt"),
          (exit) => isOver ? undefined : agrees(exit, died, how)
        )
      }
      case "allocate":
        return this.allocate(command)
      case "release": {
        const one = this.pick(this.held, a)
        if (one === undefined) return Effect.succeed(undefined)
        const died = this.model.release(one.model)
        return Effect.map(Effect.exit(one.handle.release), (exit) => agrees(exit, died, "end"))
      }
      case "transfer": {
        const one = this.pick(this.held, a)
        const to = this.pickFrame(b)
        if (one === undefined || to === undefined) return Effect.succeed(undefined)
        const expected = this.model.transfer(one.model, to.model)
        return Effect.map(
          Effect.exit(Allocation.transfer(one.handle, to.frame)),
          (exit) => differs(outcomeOf(exit), expected)
        )
      }
      case "retire": {
        const kind = (["shared", "idle", "persistent"] as const)[c % 3]!
        const died = this.model.retire(kind)
        return Effect.map(
          Effect.exit(ResourceManager.retire(this.definitions[kind])),
          (exit) => agrees(exit, died, "end")
        )
      }
      case "advance":
        return Effect.gen({ self: this }, function*() {
          const ended = this.model.advance(1 + a * 20 + b)
          yield* TestClock.adjust(1 + a * 20 + b)
          for (const [model, died] of ended) {
            const { fiber } = this.frames.find((one) => one.model === model)!
            const exit = fiber!.pollUnsafe()
            if (exit === undefined) return `${model.name} has not ended at its deadline`
            const wrong = agrees(exit, died, "expire")
            if (wrong !== undefined) return `${model.name}: ${wrong}`
          }
          return undefined
        })
    }
  }

  private open({ a, b, c, do: how }: Command) {
    return Effect.gen({ self: this }, function*() {
      const { frame: parent, model: outer } = (a % 3 === 0 ? undefined : this.pickFrame(a)) ??
        { frame: undefined, model: this.model.root }
      const limits: Amounts = { ...(b & 1 ? { u: 1 + c % 6 } : {}), ...(b & 2 ? { v: 1 + c % 5 } : {}) }
      const timeout = how === "run" && b & 4 ? 1 + c * 37 : Infinity
      const name = `f${this.frames.length}`
      const model = this.model.openFrame(outer, name, limits, timeout, how === "make")
      const gate = Latch.makeUnsafe()
      const inside = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        parent === undefined ? effect : TimeFrame.provide(effect, parent) as Effect.Effect<A, E, R>
      if (how === "make") {
        const made = TimeFrame.make({ name, budget: limits })
        // The scope of its frame outside would do as well; this one shows that the tree alone is enough.
        const frame = yield* parent === undefined
          ? Scope.provide(made, this.scope)
          : TimeFrame.provide(made, parent)
        this.frames.push({ model, frame, fiber: undefined, gate })
        return undefined
      }
      let frame: TimeFrame.TimeFrame | undefined
      const body = Effect.andThen(
        Effect.map(TimeFrame.current, (current) => {
          frame = current
        }),
        gate.await
      )
      const options = { name, budget: limits, ...(timeout === Infinity ? {} : { timeout }) }
      const fiber = yield* Effect.forkDetach(inside(TimeFrame.run(body, options)), { startImmediately: true })
      if (frame === undefined) {
        // The deadline outside has passed: there is no time left to run in.
        return timeout !== Infinity && model.deadline <= this.model.now ? undefined : `${name} does not run`
      }
      this.frames.push({ model, frame, fiber, gate })
      return undefined
    })
  }

  private close({ fiber, frame, gate }: OpenFrame, interrupt: boolean): Effect.Effect<Exit.Exit<unknown, unknown>> {
    if (fiber === undefined) return Effect.exit(TimeFrame.close(frame))
    if (interrupt) return Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
    gate.openUnsafe()
    return Fiber.await(fiber)
  }

  private allocate({ a, b, c }: Command) {
    const open = this.pickFrame(a)
    if (open === undefined) return Effect.succeed(undefined)
    const { frame, model } = open
    const kind = (["temporal", "temporal", "shared", "idle", "persistent"] as const)[b % 5]!
    const key = kind === "temporal" ? 0 : c % 2
    const acquire = c % 11 === 7 ? "fails" : c % 11 === 8 ? "dies" : "ok"
    // What shared values are made from is given by their params.
    const cost = { u: 1 + c % 4, ...(c & 4 || kind !== "temporal" ? { v: c % 3 } : {}) }
    const params = { key, cost, acquire, dies: c % 5 === 4 } as const
    const expected = this.model.allocate(model, { ...params, kind, key: kind === "temporal" ? 0 : c } satisfies Recipe)
    return Effect.gen({ self: this }, function*() {
      const exit = yield* Effect.exit(
        TimeFrame.provide(ResourceManager.allocate(this.definitions[kind], { ...params, key: c }), frame)
      )
      if (Exit.isSuccess(exit)) {
        const handle = exit.value as Allocation.Handle
        const one = this.model.handles.at(-1)!
        if (expected === "ok") this.held.push({ model: one, handle })
      }
      return differs(outcomeOf(exit), expected)
    })
  }

  /** All that can be seen, against the model. */
  readonly compare = Effect.gen({ self: this }, function*() {
    const snapshot = yield* ResourceManager.snapshot
    const wrong = booksOf(snapshot)
    const open = new Set(snapshot.frames.map((frame) => frame.id))
    const valueFrames = new Set(snapshot.frames.filter(({ name }) => name in this.definitions))
    const names = snapshot.frames.filter((one) => one.parent !== null && !valueFrames.has(one)).map((one) => one.name)
    const expected = this.model.frames.filter((frame) => frame.open)
    if (names.sort().join() !== expected.map((frame) => frame.name).sort().join()) {
      wrong.push(`the frames ${names} are open instead of ${expected.map((frame) => frame.name)}`)
    }
    for (const frame of snapshot.frames) {
      if (frame.parent !== null && !open.has(frame.parent)) wrong.push(`${frame.path} is open in a closed frame`)
      const model = frame.parent === null ? this.model.root : expected.find(({ name }) => name === frame.name)
      for (const { unit, used } of model === undefined ? [] : frame.budgets) {
        const should = this.model.used(model!, unit as never)
        if (used !== should) wrong.push(`${unit} of "${frame.path}": ${used} instead of ${should} used`)
      }
    }
    const held = snapshot.allocations.map((one) => `${one.resource} ${one.share} ${one.frame.split("/").at(-1)}`).sort()
    const should = [
      ...this.model.handles.map((one) => `${one.kind} ${one.kind !== "temporal"} ${one.frame.name}`),
      ...this.model.values.map((one) => `${one.kind} false ${one.kind}`)
    ].sort()
    if (held.join() !== should.join()) wrong.push(`held is [${held}] instead of [${should}]`)
    for (const { handle, model } of this.held) {
      if (handle.isLive !== model.live) wrong.push(`${handle.resource} #${handle.id} is live: ${handle.isLive}`)
    }
    for (const { acquired, live, released, resource } of snapshot.resources) {
      if (acquired !== live + released) {
        wrong.push(`${resource}: ${acquired} acquired, ${live} live, ${released} released`)
      }
    }
    const closed = this.values.filter((value) => value.closed > 0).length
    const holding = this.model.values.length + this.model.handles.filter((one) => one.kind === "temporal").length
    if (this.values.length !== this.model.opened) wrong.push(`${this.values.length} opened`)
    if (this.values.length - closed !== holding) wrong.push(`${this.values.length - closed} values are open`)
    if (this.values.some((value) => value.closed > 1)) wrong.push("a value was closed twice")
    return wrong
  })

  /** Ends everything; answers what is left. */
  readonly finish = Effect.gen({ self: this }, function*() {
    for (const open of this.frames) {
      this.model.close(open.model)
      yield* Effect.exit(this.close(open, false))
    }
    const found = yield* Effect.provideContext(this.compare, this.context)
    yield* Effect.exit(Scope.close(this.scope, Exit.void))
    const open = this.values.filter((value) => value.closed !== 1).length
    return open === 0 ? found : [...found, `${open} values are open after the manager has closed`]
  })
}

export const makeDriver = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const now = yield* Clock.currentTimeMillis
  const context = yield* Layer.buildWithScope(ResourceManager.layer({ budget: { u: 12 } }), scope)
  return new Driver(now, { u: 12 }, context, scope)
})

const differs = (actual: string, expected: Outcome): string | undefined =>
  actual === expected ? undefined : `${actual} instead of ${expected}`

const outcomeOf = (exit: Exit.Exit<unknown, any>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const reason = exit.cause.reasons[0]!
  if (reason._tag !== "Fail") {
    return reason._tag === "Die" && reason.defect instanceof Meant
      ? "died"
      : Cause.pretty(exit.cause)
  }
  const error = reason.error
  if (error._tag !== "BudgetExceeded") return error._tag ?? error
  return `BudgetExceeded ${error.unit} of ${error.frame.split("/").at(-1)}: ${error.used} of ${error.limit}`
}

/** Does something end as it should? */
const agrees = (
  exit: Exit.Exit<unknown, any>,
  died: boolean,
  how: "end" | "interrupt" | "expire"
): string | undefined => {
  const reasons = Exit.isSuccess(exit) ? [] : exit.cause.reasons
  const dies = reasons.filter((reason) => reason._tag === "Die").map((reason) => reason.defect)
  const meant = dies.some((defect) => defect instanceof Meant)
  const tag = (error: any) => error?._tag === "DeadlineExceeded"
  const expired = reasons.some((reason) => reason._tag === "Fail" && tag(reason.error)) || dies.some(tag)
  if (how === "expire" && !expired) return "there is no DeadlineExceeded"
  if (meant !== died) return `a release died: ${meant} instead of ${died}`
  if (dies.some((defect) => !(defect instanceof Meant) && !tag(defect))) return Cause.pretty((exit as any).cause)
  return undefined
}

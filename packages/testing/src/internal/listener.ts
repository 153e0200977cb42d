import * as Context from "effect/Context"
import * as Logger from "effect/Logger"
import * as Tracer from "effect/Tracer"
import type { History } from "./history.ts"
import type { Run } from "./run.ts"
import type { AnyFiber } from "./scheduler.ts"
import type { Steering } from "./steering.ts"
import { evaluateIn, kindOf } from "./trace.ts"
import type { Primitive, Trace } from "./trace.ts"

/** What the code under test can be heard by, when it is explored. */
export const Listening: Context.Reference<Listener | undefined> = Context.Reference<Listener | undefined>(
  "@chronovyan/testing/Explore/Listening",
  { defaultValue: () => undefined }
)

/** Thousands of runs log nothing. */
const silence: ReadonlySet<Logger.Logger<unknown, any>> = new Set()

/** Hears what goes on in a run. */
export class Listener {
  readonly history: History
  run: Run<any> | undefined = undefined
  private readonly steering: Steering
  private readonly trace: Trace | undefined

  constructor(history: History, steering: Steering, trace: Trace | undefined) {
    this.history = history
    this.steering = steering
    this.trace = trace
  }

  /** The context with this in it. Each single step is heard only when somebody wants to know. */
  listenIn(base: Context.Context<never>): Context.Context<never> {
    const { steering, trace } = this
    const context = base.pipe(Context.add(Listening, this), Context.add(Logger.CurrentLoggers, this.loggers()))
    if (steering.crossings === undefined && trace === undefined) return context
    return Context.add(context, Tracer.Tracer, {
      span: (options) => new Tracer.NativeSpan(options),
      context: (primitive: any, fiber) => {
        this.hear(primitive, fiber as AnyFiber)
        return evaluateIn(primitive, fiber)
      }
    })
  }

  nameOf(fiber: AnyFiber): string {
    return this.run!.nameOf(this.run!.scheduler.seen.get(fiber)!.ordinal)
  }

  private loggers(): ReadonlySet<Logger.Logger<unknown, any>> {
    if (this.trace === undefined) return silence
    return new Set([
      Logger.make(({ fiber, message }) =>
        this.note(fiber, `logs: ${Array.isArray(message) ? message.join(" ") : String(message)}`)
      )
    ])
  }

  private hear(primitive: Primitive, fiber: AnyFiber): void {
    this.steering.saw(kindOf(primitive))
    if (this.trace === undefined || this.run?.isWatched !== true) return
    const seen = this.run.scheduler.seen.get(fiber)
    if (seen !== undefined) this.trace.step(seen, primitive, () => this.run!.isWatched)
  }

  note(fiber: AnyFiber, text: string): void {
    const seen = this.run?.isWatched === true ? this.run.scheduler.seen.get(fiber) : undefined
    if (seen !== undefined) this.trace?.note(seen.ordinal, text)
  }
}

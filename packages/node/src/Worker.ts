/**
 * A thread that does one task after another.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { access } from "node:fs/promises"
import * as Threads from "node:worker_threads"
import { reasonOf } from "./internal/params.ts"

/**
 * A thread could not be started, or could not finish its task. `reason` is one of
 *
 * - `Start`: there is no such script, or its options do not fit
 * - `Send`: the message can not be cloned or transferred; the thread goes on
 * - `Reply`: its reply could not be read; the thread was ended
 * - `Crash`: something was thrown in the thread and nobody caught it
 * - `Exit`: the thread ended by itself before it replied, with `exitCode`
 * - `Released`: the worker was released before it replied
 */
export class WorkerError extends Schema.TaggedError<WorkerError>()("WorkerError", {
  reason: Schema.Literals(["Start", "Send", "Reply", "Crash", "Exit", "Released"]),
  url: Schema.String,
  exitCode: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const why = this.cause === undefined ? "" : `: ${reasonOf(this.cause)}`
    switch (this.reason) {
      case "Start":
        return `Could not start a thread with ${this.url}${why}. Pass a file URL (new URL("./worker.js", ` +
          `import.meta.url)) or an absolute path`
      case "Send":
        return `Could not send the message to ${this.url}${why}. Send only what structuredClone can copy`
      case "Reply":
        return `Could not read the reply of ${this.url}${why}. Reply only with what structuredClone can copy`
      case "Crash":
        return `The thread of ${this.url} crashed in its task${why}. Catch it in the script, and reply with the failure`
      case "Exit":
        return `The thread of ${this.url} ended with exit code ${this.exitCode} without a reply. The script has to ` +
          `listen to "message" of parentPort, and must not exit`
      case "Released":
        return `The worker of ${this.url} was released before its task was done. Await the task within its frame`
    }
  }
}

/**
 * What a {@link Worker} offers.
 */
export interface WorkerThread {
  /**
   * Sends a message to the thread and waits for its reply. Tasks wait for each other, first come, first served.
   *
   * Interrupting it ends the thread, so the work stops at once and its reply reaches nobody; the next task starts a new
   * thread. So does the task after one that crashed.
   */
  readonly run: <A = unknown>(
    message: unknown,
    options?: {
      /** What is moved to the thread instead of being copied. */
      readonly transfer?: ReadonlyArray<Threads.Transferable>
    }
  ) => Effect.Effect<A, WorkerError>
  /** Node's own object, of the thread there is at the moment. What it posts outside of a task is seen only here. */
  readonly raw: Threads.Worker
}

const Params = Schema.Struct({
  url: Schema.Union([Schema.NonEmptyString, Schema.instanceOf(URL)]),
  workerData: Schema.optionalKey(Schema.Unknown),
  name: Schema.optionalKey(Schema.String),
  execArgv: Schema.optionalKey(Schema.Array(Schema.String)),
  env: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  resourceLimits: Schema.optionalKey(Schema.Struct({
    maxOldGenerationSizeMb: Schema.optionalKey(Schema.Number),
    maxYoungGenerationSizeMb: Schema.optionalKey(Schema.Number),
    codeRangeSizeMb: Schema.optionalKey(Schema.Number),
    stackSizeMb: Schema.optionalKey(Schema.Number)
  }))
})

/**
 * A thread of `node:worker_threads`. It costs 1 of `workers`.
 *
 * - `url`: the script: a URL of `file:` or `data:`, an absolute path, or one that begins with `./` and starts where the
 *   process runs
 * - `workerData`, `name`, `execArgv`, `env`, `resourceLimits` (megabytes): as Node takes them, all optional
 *
 * The script answers each message with exactly one: `parentPort.on("message", (n) => parentPort.postMessage(n * 2))`.
 *
 * The release ends the thread, also in the middle of a task or an endless loop, and returns when it is gone.
 *
 * Fails with {@link WorkerError} of the reason `Start`. A script that throws while it is loaded fails its first task.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { Worker } from "@chronovyan/node"
 * import { Effect } from "effect"
 *
 * const script = `
 *   import { parentPort } from "node:worker_threads"
 *   parentPort.on("message", (n) => parentPort.postMessage(n * 2))
 * `
 *
 * const program = ResourceManager.use(
 *   Worker,
 *   { url: new URL(`data:text/javascript,${encodeURIComponent(script)}`) },
 *   (worker) => worker.run<number>(21)
 * ).pipe(TimeFrame.run({ name: "example", budget: { workers: 4 } }), Effect.provide(ResourceManager.layer()))
 *
 * console.log(await Effect.runPromise(program)) // 42
 * ```
 */
export const Worker = ResourceDefinition.temporal("worker", {
  params: Params,
  cost: () => ({ workers: 1 }),
  acquire: (params) =>
    Effect.acquireRelease(Effect.sync(() => new Slot(params)), (slot) => slot.end).pipe(
      Effect.tap((slot) => slot.start),
      Effect.map((slot): WorkerThread => slot)
    )
})

/**
 * The place of one thread at a time.
 *
 * ```text
 *   empty ──start──▶ running ──crash, exit──▶ empty
 *                       └──task interrupted or failed: stop──▶ empty
 *   any ──release──▶ ended
 * ```
 */
class Slot implements WorkerThread {
  private readonly params: (typeof Params)["Type"]
  private readonly url: string
  private readonly turns = Semaphore.makeUnsafe(1)
  private thread: Threads.Worker | undefined = undefined
  private latest: Threads.Worker | undefined = undefined
  private released = false

  constructor(params: (typeof Params)["Type"]) {
    this.params = params
    this.url = String(params.url)
  }

  get raw(): Threads.Worker {
    return this.latest!
  }

  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    this.released = true
    return this.stop
  })

  /** Returns when the thread is gone. */
  private readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    const { thread } = this
    return thread === undefined ? Effect.void : Effect.promise(() => thread.terminate())
  })

  readonly start: Effect.Effect<void, WorkerError> = Effect.suspend(() =>
    Effect.andThen(
      this.checkScript,
      Effect.callback<void, WorkerError>((resume) => {
        if (this.released) return resume(Effect.fail(this.error("Released")))
        let thread: Threads.Worker
        try {
          thread = this.spawn()
        } catch (cause) {
          return resume(Effect.fail(this.error("Start", cause)))
        }
        this.thread = this.latest = thread
        thread.once("exit", (exitCode) => {
          this.thread = undefined
          resume(Effect.fail(this.gone(exitCode)))
        })
        // Without a listener, a crash between two tasks would end the process.
        thread.on("error", (cause) => resume(Effect.fail(this.error("Start", cause))))
        thread.once("online", () => resume(Effect.void))
      })
    )
  )

  /** A thread is online before Node looks for its script. */
  private readonly checkScript: Effect.Effect<void, WorkerError> = Effect.tryPromise({
    try: async () => {
      const location = locate(this.params.url)
      if (typeof location === "string" || location.protocol === "file:") await access(location)
    },
    catch: (cause) => this.error("Start", cause)
  })

  private spawn(): Threads.Worker {
    const { env, execArgv, name, resourceLimits, url, workerData } = this.params
    return new Threads.Worker(locate(url), {
      workerData,
      ...(name === undefined ? {} : { name }),
      ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
      ...(env === undefined ? {} : { env }),
      ...(resourceLimits === undefined ? {} : { resourceLimits })
    })
  }

  readonly run = <A = unknown>(
    message: unknown,
    options?: { readonly transfer?: ReadonlyArray<Threads.Transferable> }
  ): Effect.Effect<A, WorkerError> => {
    const task = Effect.suspend((): Effect.Effect<unknown, WorkerError> => {
      if (this.released) return Effect.fail(this.error("Released"))
      const { thread } = this
      return thread === undefined
        ? Effect.andThen(this.start, task)
        : this.ask(thread, message, options?.transfer ?? [])
    })
    // Without its thread, whatever a task still does or says is of no consequence for the next one.
    const guarded = Effect.onExit(
      task,
      (exit) => Exit.isSuccess(exit) || isRefusedMessage(exit) ? Effect.void : this.stop
    )
    return this.turns.withPermits(1)(guarded) as Effect.Effect<A, WorkerError>
  }

  private ask(
    thread: Threads.Worker,
    message: unknown,
    transfer: ReadonlyArray<Threads.Transferable>
  ): Effect.Effect<unknown, WorkerError> {
    return Effect.callback<unknown, WorkerError>((resume) => {
      const settle = (effect: Effect.Effect<unknown, WorkerError>): void => {
        unlisten()
        resume(effect)
      }
      const onMessage = (reply: unknown): void => settle(Effect.succeed(reply))
      const onMessageError = (cause: unknown): void => settle(Effect.fail(this.error("Reply", cause)))
      const onError = (cause: unknown): void => settle(Effect.fail(this.error("Crash", cause)))
      const onExit = (exitCode: number): void => settle(Effect.fail(this.gone(exitCode)))
      const unlisten = (): void => {
        thread.off("message", onMessage).off("messageerror", onMessageError).off("error", onError).off("exit", onExit)
      }
      thread.on("message", onMessage).on("messageerror", onMessageError).on("error", onError).on("exit", onExit)
      try {
        thread.postMessage(message, transfer)
      } catch (cause) {
        settle(Effect.fail(this.error("Send", cause)))
      }
      return Effect.sync(unlisten)
    })
  }

  private gone(exitCode: number): WorkerError {
    return this.released ? this.error("Released") : this.error("Exit", undefined, exitCode)
  }

  private error(reason: WorkerError["reason"], cause?: unknown, exitCode?: number): WorkerError {
    return new WorkerError({
      reason,
      url: this.url,
      ...(cause === undefined ? {} : { cause }),
      ...(exitCode === undefined ? {} : { exitCode })
    })
  }
}

/** `import.meta.resolve` gives URLs as strings, which Node would take for paths. */
const locate = (url: string | URL): string | URL =>
  typeof url === "string" && /^(file|data):/.test(url) ? new URL(url) : url

/** The thread has not seen the message, so it can go on. */
const isRefusedMessage = (exit: Exit.Exit<unknown, WorkerError>): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.every((reason) => reason._tag === "Fail" && reason.error.reason === "Send")

/**
 * A running program.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Node from "node:child_process"
import type { Readable } from "node:stream"
import { atExit } from "./internal/atExit.ts"
import { codeOf, DurationInput, reasonOf } from "./internal/params.ts"
import { hasGroups, isGroupRunning, signalGroup } from "./internal/processGroup.ts"
import { fromReadable } from "./internal/readable.ts"

/**
 * The program could not be started.
 */
export class SpawnError extends Schema.TaggedError<SpawnError>()("SpawnError", {
  command: Schema.String,
  cwd: Schema.optionalKey(Schema.String),
  /** The code of the system, `ENOENT` or `EACCES` for instance. */
  code: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const advice = this.code === "ENOENT"
      ? `There is no such command in PATH${this.cwd === undefined ? "" : `, or no directory ${this.cwd}`}`
      : this.code === "EACCES"
      ? "It must be a file that this user may execute"
      : "Check the command, its arguments and its environment"
    return `Could not start "${this.command}": ${reasonOf(this.cause)}. ${advice}`
  }
}

/**
 * The process did not exit, it was killed: by its release, or from elsewhere.
 */
export class KilledBySignal extends Schema.TaggedError<KilledBySignal>()("KilledBySignal", {
  command: Schema.String,
  pid: Schema.Int,
  signal: Schema.String
}) {
  override get message(): string {
    return `"${this.command}" (process ${this.pid}) was killed by ${this.signal} and has no exit code. Unless that was ` +
      `its release, look for who killed it; the system itself does when memory runs out`
  }
}

/**
 * What the process writes could not be read.
 */
export class OutputError extends Schema.TaggedError<OutputError>()("OutputError", {
  command: Schema.String,
  stream: Schema.Literals(["stdout", "stderr"]),
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Could not read the ${this.stream} of "${this.command}": ${reasonOf(this.cause)}. What was read so far is ` +
      `all there is; start it again`
  }
}

/**
 * What a {@link ChildProcess} offers.
 */
export interface RunningProcess {
  readonly pid: number
  /** What it writes, once: a second reader gets what the first has left. Empty unless it is a pipe. */
  readonly stdout: Stream.Stream<Uint8Array, OutputError>
  /** As `stdout`. */
  readonly stderr: Stream.Stream<Uint8Array, OutputError>
  /** Waits until it has exited. Can be run any number of times. */
  readonly exitCode: Effect.Effect<number, KilledBySignal>
  /** Node's own object; its `stdin` is there for writing when that is a pipe. */
  readonly raw: Node.ChildProcess
}

const Stdio = Schema.Literals(["pipe", "ignore", "inherit"])

const Params = Schema.Struct({
  command: Schema.NonEmptyString,
  args: Schema.optionalKey(Schema.Array(Schema.String)),
  cwd: Schema.optionalKey(Schema.String),
  env: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  gracePeriod: Schema.optionalKey(DurationInput),
  stdin: Schema.optionalKey(Stdio),
  stdout: Schema.optionalKey(Stdio),
  stderr: Schema.optionalKey(Stdio)
})

/**
 * A program that runs beside this one. It costs 1 of `processes`; what it starts in turn is not counted.
 *
 * - `command`, `args`: a program and its arguments, without a shell; default: no arguments
 * - `cwd`: where it runs; default: where this process does
 * - `env`: all of its environment; default: that of this process
 * - `gracePeriod`: how long it may take to end after SIGTERM; default: 5 seconds
 * - `stdin`, `stdout`, `stderr`: `"pipe"`, `"ignore"` or `"inherit"`; default: `stdin` is ignored, the others are pipes
 *
 * The release sends SIGTERM to the process and everything it has started, and SIGKILL to what is left after the grace
 * period; it returns when they are gone. A frame waits for its own grace period only: give it a longer one than this.
 * If this process exits without releasing, they get SIGKILL at once.
 *
 * The process leads a group of its own, so a Ctrl-C in the terminal does not reach it, and what it starts ends with it
 * unless that leaves the group, as daemons do. On Windows there are no groups: only the process itself is ended.
 *
 * A pipe that nobody reads fills up, and then the process waits: read `stdout` and `stderr`, or ignore them.
 *
 * Fails with {@link SpawnError}.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { ChildProcess } from "@chronovyan/node"
 * import { Effect, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { value: child } = yield* ResourceManager.allocate(ChildProcess, {
 *     command: process.execPath,
 *     args: ["--version"]
 *   })
 *   const version = yield* child.stdout.pipe(Stream.decodeText, Stream.mkString)
 *   return { version, exitCode: yield* child.exitCode }
 * }).pipe(TimeFrame.run({ name: "example" }), Effect.provide(ResourceManager.layer()))
 *
 * console.log(await Effect.runPromise(program))
 * ```
 */
export const ChildProcess = ResourceDefinition.temporal("child_process", {
  params: Params,
  cost: () => ({ processes: 1 }),
  acquire: (params) => Effect.map(Effect.acquireRelease(spawn(params), end), (running): RunningProcess => running)
})

/**
 * ```text
 *   running ──exits──▶ exited, others of its group still run ──▶ gone
 *      └───────────────exits, nobody else is left──────────────────▲
 * ```
 */
class Running implements RunningProcess {
  readonly command: string
  readonly gracePeriod: Duration.Input
  readonly raw: Node.ChildProcess
  readonly pid: number
  readonly stdout: Stream.Stream<Uint8Array, OutputError>
  readonly stderr: Stream.Stream<Uint8Array, OutputError>
  /** No longer kills it at the exit of this process. */
  readonly forget: () => void
  private gone = false

  constructor(params: (typeof Params)["Type"], raw: Node.ChildProcess) {
    this.command = params.command
    this.gracePeriod = params.gracePeriod ?? "5 seconds"
    this.raw = raw
    this.pid = raw.pid!
    this.stdout = this.output("stdout", raw.stdout)
    this.stderr = this.output("stderr", raw.stderr)
    this.forget = atExit.add(() => this.signal("SIGKILL"))
    // At once: the number of a group that is empty may go to a stranger.
    raw.once("exit", () => {
      if (!this.isRunning) this.forget()
    })
  }

  private output(stream: "stdout" | "stderr", readable: Readable | null): Stream.Stream<Uint8Array, OutputError> {
    return readable === null
      ? Stream.empty
      : fromReadable(readable, (cause) => new OutputError({ command: this.command, stream, cause }))
  }

  get hasExited(): boolean {
    return this.raw.exitCode !== null || this.raw.signalCode !== null
  }

  /** Is there anybody to be ended? */
  get isRunning(): boolean {
    if (!this.gone) this.gone = this.hasExited && !(hasGroups && isGroupRunning(this.pid))
    return !this.gone
  }

  readonly exited: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.hasExited) return resume(Effect.void)
    const done = () => resume(Effect.void)
    this.raw.once("exit", done)
    return Effect.sync(() => this.raw.off("exit", done))
  })

  readonly exitCode: Effect.Effect<number, KilledBySignal> = Effect.flatMap(
    Effect.suspend(() => this.exited),
    () =>
      this.raw.exitCode === null
        ? Effect.fail(new KilledBySignal({ command: this.command, pid: this.pid, signal: this.raw.signalCode! }))
        : Effect.succeed(this.raw.exitCode)
  )

  signal(signal: NodeJS.Signals): void {
    if (hasGroups) signalGroup(this.pid, signal)
    else this.raw.kill(signal)
  }
}

const ignore = (): void => {}

const closePipes = (child: Node.ChildProcess): void => {
  for (const stream of child.stdio) stream?.destroy()
}

const spawn = (params: (typeof Params)["Type"]): Effect.Effect<Running, SpawnError> =>
  Effect.callback((resume) => {
    const { args = [], command, cwd, env, stderr = "pipe", stdin = "ignore", stdout = "pipe" } = params
    const refuse = (cause: unknown): void => {
      const code = codeOf(cause)
      resume(Effect.fail(
        new SpawnError({
          command,
          cause,
          ...(cwd === undefined ? {} : { cwd }),
          ...(code === undefined ? {} : { code })
        })
      ))
    }
    let child: Node.ChildProcess
    try {
      child = Node.spawn(command, args, {
        detached: hasGroups,
        stdio: [stdin, stdout, stderr],
        windowsHide: true,
        ...(cwd === undefined ? {} : { cwd }),
        ...(env === undefined ? {} : { env })
      })
    } catch (cause) {
      return refuse(cause)
    }
    // An error of a pipe that nobody listens to would end this process; who reads is told.
    for (const emitter of [child, ...child.stdio]) emitter?.on("error", ignore)
    if (child.pid !== undefined) return resume(Effect.succeed(new Running(params, child)))
    child.once("error", (cause) => {
      closePipes(child)
      refuse(cause)
    })
  })

/** How often to look whether a group is empty, of which nobody tells. */
const interval = "20 millis"

const end = (child: Running): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!child.isRunning) return Effect.void
    child.signal("SIGTERM")
    // On a fiber of its own, so that it can be cut short here, and nobody else can: the rest has to follow.
    return gone(child).pipe(
      Effect.timeoutOption(child.gracePeriod),
      Effect.interruptible,
      Effect.forkDetach,
      Effect.flatMap(Fiber.await),
      Effect.andThen(kill(child))
    )
  }).pipe(
    Effect.andThen(Effect.sync(() => {
      child.forget()
      closePipes(child.raw)
    }))
  )

const kill = (child: Running): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!child.isRunning) return Effect.void
    child.signal("SIGKILL")
    return gone(child)
  })

const gone = (child: Running): Effect.Effect<void> =>
  Effect.andThen(
    child.exited,
    Effect.suspend((): Effect.Effect<void> =>
      child.isRunning ? Effect.andThen(Effect.sleep(interval), gone(child)) : Effect.void
    )
  )

import { ResourceManager } from "@chronovyan/core"
import { ChildProcess, KilledBySignal, SpawnError } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { readFileSync } from "node:fs"
import { freshDirectory } from "./holders.ts"
import { descriptorsOf, framed, interruptLaterAndLater, isRunning } from "./support.ts"

/** A program in JavaScript. */
const node = (script: string) => ({ command: process.execPath, args: ["-e", script] })

const text = <E>(stream: Stream.Stream<Uint8Array, E>) => stream.pipe(Stream.decodeText, Stream.mkString)

/** The first line that a process writes; the rest stays for the next reader. */
const firstLine = <E>(stream: Stream.Stream<Uint8Array, E>) =>
  stream.pipe(Stream.decodeText, Stream.splitLines, Stream.take(1), Stream.mkString)

const running = (pid: number) => Effect.promise(() => isRunning(pid))

const children = () =>
  readFileSync(`/proc/self/task/${process.pid}/children`, "latin1").trim().split(" ").filter(Boolean)

describe("A child process", () => {
  it.live("runs a command with its arguments, and tells what it writes and its exit code", () =>
    Effect.gen(function*() {
      const script = `console.log("out"); console.error("err"); process.exitCode = 3`
      const { value: child } = yield* ResourceManager.allocate(ChildProcess, node(script))
      const told = yield* Effect.all([text(child.stdout), text(child.stderr), child.exitCode], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(told, ["out\n", "err\n", 3])
      assert.strictEqual(yield* child.exitCode, 3)
      assert.strictEqual(yield* text(child.stdout), "")
    }).pipe(framed()))

  it.live("has the directory and the environment that are asked for", () =>
    Effect.gen(function*() {
      const cwd = yield* freshDirectory
      const { value: child } = yield* ResourceManager.allocate(ChildProcess, {
        ...node(`console.log(process.cwd(), JSON.stringify(process.env))`),
        cwd,
        env: { ONLY: "this" }
      })
      assert.strictEqual(yield* text(child.stdout), `${cwd} {"ONLY":"this"}\n`)
    }).pipe(framed()))

  it.live("reads what is written to its pipe, and nothing when there is none", () =>
    Effect.gen(function*() {
      const { value: silent } = yield* ResourceManager.allocate(ChildProcess, { command: "cat" })
      assert.strictEqual(yield* text(silent.stdout), "")
      const { value: cat } = yield* ResourceManager.allocate(ChildProcess, { command: "cat", stdin: "pipe" })
      cat.raw.stdin!.end("hello")
      assert.strictEqual(yield* text(cat.stdout), "hello")
      const { value: ignored } = yield* ResourceManager.allocate(ChildProcess, {
        ...node("console.log(1)"),
        stdout: "ignore"
      })
      assert.strictEqual(yield* text(ignored.stdout), "")
    }).pipe(framed()))

  it.live("can be read in parts, and a reader can be interrupted while there is nothing to read", () =>
    Effect.gen(function*() {
      const { value: cat } = yield* ResourceManager.allocate(ChildProcess, { command: "cat", stdin: "pipe" })
      const reader = yield* Effect.forkChild(firstLine(cat.stdout), { startImmediately: true })
      yield* Fiber.interrupt(reader)
      cat.raw.stdin!.write("one\n")
      assert.strictEqual(yield* firstLine(cat.stdout), "one")
      cat.raw.stdin!.end("two\n")
      assert.strictEqual(yield* text(cat.stdout), "two\n")
      assert.strictEqual(cat.raw.stdout!.listenerCount("readable"), 0)
    }).pipe(framed()))

  it.live("gives more than a pipe holds", () =>
    Effect.gen(function*() {
      const script = `process.stdout.write("x".repeat(4_000_000))`
      const { value: child } = yield* ResourceManager.allocate(ChildProcess, node(script))
      assert.strictEqual((yield* text(child.stdout)).length, 4_000_000)
    }).pipe(framed()))

  it.live("is gone when its frame has ended, or when it is released early, with its descriptors", () =>
    Effect.gen(function*() {
      const before = descriptorsOf("").length
      const pid = yield* Effect.gen(function*() {
        const early = yield* ResourceManager.allocate(ChildProcess, node("setInterval(() => {}, 1e9)"))
        const late = yield* ResourceManager.allocate(ChildProcess, { command: "sleep", args: ["1000"] })
        const { exitCode, pid } = early.value
        yield* early.release
        assert.isFalse(yield* running(pid))
        const error = yield* Effect.flip(exitCode)
        assert(error instanceof KilledBySignal)
        assert.strictEqual(error.signal, "SIGTERM")
        assert.isTrue(yield* running(late.value.pid))
        return late.value.pid
      }).pipe(framed())
      assert.isFalse(yield* running(pid))
      assert.deepStrictEqual(children(), [])
      assert.isAtMost(descriptorsOf("").length, before)
    }))

  it.live("has its time to end by itself", () =>
    Effect.gen(function*() {
      const script = `process.on("SIGTERM", () => setImmediate(() => process.exit(4))); setInterval(() => {}, 1e9)
        console.log("ready")`
      const { release, value: child } = yield* ResourceManager.allocate(ChildProcess, node(script))
      yield* firstLine(child.stdout)
      yield* release
      assert.strictEqual(yield* child.exitCode, 4)
    }).pipe(framed()))

  it.live("that ignores SIGTERM is killed after the grace period, and not before", () =>
    Effect.gen(function*() {
      const { release, value: child } = yield* ResourceManager.allocate(ChildProcess, {
        ...node(`process.on("SIGTERM", () => console.log("no")); setInterval(() => {}, 1e9); console.log("ready")`),
        gracePeriod: "100 millis"
      })
      yield* firstLine(child.stdout)
      const start = performance.now()
      yield* release
      assert.isAtLeast(performance.now() - start, 95)
      assert.strictEqual((yield* Effect.flip(child.exitCode)).signal, "SIGKILL")
    }).pipe(framed()))

  it.live("takes what it has started with it, also when it has exited itself, and what ignores SIGTERM", () =>
    Effect.gen(function*() {
      const nested = `process.on("SIGTERM", () => {}); setInterval(() => {}, 1e9); console.log(process.pid)`
      for (const exits of [false, true]) {
        const script = `
          const child = require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(nested)}], {
            stdio: ["ignore", "pipe", "ignore"]
          })
          child.stdout.once("data", (pid) => {
            require("fs").writeSync(1, pid)
            if (${exits}) process.exit(0)
          })`
        const { release, value: child } = yield* ResourceManager.allocate(ChildProcess, {
          ...node(script),
          gracePeriod: "50 millis"
        })
        const pid = Number(yield* firstLine(child.stdout))
        if (exits) assert.strictEqual(yield* child.exitCode, 0)
        assert.isTrue(yield* running(pid))
        yield* release
        assert.isFalse(yield* running(pid))
      }
    }).pipe(framed()))

  it.live("is killed after its grace period even when the one who releases it is interrupted", () =>
    Effect.gen(function*() {
      const { release, value: child } = yield* ResourceManager.allocate(ChildProcess, {
        ...node(`process.on("SIGTERM", () => console.log("no")); setInterval(() => {}, 1e9); console.log("ready")`),
        gracePeriod: "50 millis"
      })
      yield* firstLine(child.stdout)
      const releasing = yield* Effect.forkChild(release, { startImmediately: true })
      yield* Fiber.interrupt(releasing)
      assert.isFalse(yield* running(child.pid))
      assert.strictEqual((yield* Effect.flip(child.exitCode)).signal, "SIGKILL")
    }).pipe(framed()))

  it.live("gives back its pipes even when a daemon that it has started still holds them", () =>
    Effect.gen(function*() {
      const { release, value: child } = yield* ResourceManager.allocate(ChildProcess, {
        command: "sh",
        // It tells its number once it has left the group.
        args: ["-c", "setsid sh -c 'echo $$; exec sleep 1000' &"]
      })
      const daemon = Number(yield* firstLine(child.stdout))
      yield* Effect.addFinalizer(() => Effect.sync(() => process.kill(daemon, "SIGKILL")))
      yield* child.exitCode
      const before = descriptorsOf("socket:").length
      yield* release
      assert.strictEqual(descriptorsOf("socket:").length, before - 2)
      assert.isTrue(yield* running(daemon))
      assert.strictEqual(yield* text(child.stdout), "")
    }).pipe(framed()))

  it.live("that has exited already is released at once", () =>
    Effect.gen(function*() {
      const { value: child } = yield* ResourceManager.allocate(ChildProcess, { command: "true" })
      assert.strictEqual(yield* child.exitCode, 0)
    }).pipe(framed()))

  it.live("that is killed from elsewhere says by which signal", () =>
    Effect.gen(function*() {
      const { value: child } = yield* ResourceManager.allocate(ChildProcess, { command: "sleep", args: ["1000"] })
      const exit = yield* Effect.forkChild(Effect.flip(child.exitCode), { startImmediately: true })
      process.kill(child.pid, "SIGKILL")
      const error = yield* Fiber.join(exit)
      assert.deepStrictEqual([error.signal, error.pid, error.command], ["SIGKILL", child.pid, "sleep"])
      assert.include(error.message, "SIGKILL")
    }).pipe(framed()))

  it.live("that can not be started is a typed error, leaves nothing, and costs nothing", () =>
    Effect.gen(function*() {
      const before = descriptorsOf("").length
      const directory = yield* freshDirectory
      const refused = [
        [{ command: "no-such-command" }, "ENOENT"],
        [{ command: "true", cwd: `${directory}/missing` }, "ENOENT"],
        [{ command: directory }, "EACCES"],
        [{ command: "true", args: ["nul \0 inside"] }, "ERR_INVALID_ARG_VALUE"]
      ] as const
      for (const [params, code] of refused) {
        const error = yield* Effect.flip(ResourceManager.allocate(ChildProcess, params))
        assert(error instanceof SpawnError)
        assert.strictEqual(error.code, code)
        assert.include(error.message, params.command)
      }
      const error = yield* Effect.flip(ResourceManager.allocate(ChildProcess, { command: "" }))
      assert.strictEqual(error._tag, "InvalidParams")
      assert.isAtMost(descriptorsOf("").length, before)
      yield* ResourceManager.allocate(ChildProcess, { command: "true" })
      const exceeded = yield* Effect.flip(ResourceManager.allocate(ChildProcess, { command: "true" }))
      assert(exceeded._tag === "BudgetExceeded")
      assert.strictEqual(exceeded.unit, "processes")
    }).pipe(framed({ processes: 1 })))

  it.live("is not left behind, whenever its acquisition is interrupted", () =>
    Effect.gen(function*() {
      yield* interruptLaterAndLater(
        ResourceManager.allocate(ChildProcess, { command: "sleep", args: ["1000"] }),
        () => assert.deepStrictEqual(children(), [])
      )
    }))
})

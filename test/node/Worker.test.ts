import { ResourceManager, TimeFrame } from "@chronovyan/core"
import { Worker, WorkerError } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { once } from "node:events"
import { MessageChannel } from "node:worker_threads"
import { framed, interruptLaterAndLater, threads } from "./support.ts"

const url = new URL("./fixtures/worker.ts", import.meta.url)

const inline = (script: string) => new URL(`data:text/javascript,${encodeURIComponent(script)}`)

/** A port for a task, which tells when the task has begun. */
const makeSignal = () => {
  const { port1, port2 } = new MessageChannel()
  const begun = Effect.promise(() => once(port1, "message"))
  return { task: { started: port2 }, options: { transfer: [port2] }, begun }
}

/** Node starts some threads of its own with the first worker, and keeps them. */
const warm = Effect.andThen(
  framed()(ResourceManager.use(Worker, { url }, (worker) => worker.run({ do: "echo" }))),
  Effect.sync(threads)
)

describe("A worker", () => {
  it.live("replies to one task after another", () =>
    Effect.gen(function*() {
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url })
      for (const value of [1, "two", { three: [3n, new Date(0)] }, undefined]) {
        assert.deepStrictEqual(yield* worker.run({ do: "echo", value }), value)
      }
    }).pipe(framed()))

  it.live("gives each of several tasks at once its own reply", () =>
    Effect.gen(function*() {
      const { run } = (yield* ResourceManager.allocate(Worker, { url })).value
      const values = Array.from({ length: 50 }, (_, index) => index)
      const replies = yield* Effect.forEach(values, (value) => run({ do: "echo", value }), { concurrency: "unbounded" })
      assert.deepStrictEqual(replies, values)
    }).pipe(framed()))

  it.live("gets its data and its options, and what is transferred", () =>
    Effect.gen(function*() {
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url, workerData: { answer: 42 }, name: "w" })
      assert.deepStrictEqual(yield* worker.run({ do: "data" }), { answer: 42 })
      const moved = new ArrayBuffer(8)
      assert.strictEqual(yield* worker.run({ do: "length", value: moved }, { transfer: [moved] }), 8)
      assert.strictEqual(moved.byteLength, 0)
    }).pipe(framed()))

  it.live("takes a path and a URL in a string", () =>
    Effect.gen(function*() {
      for (const location of [url.pathname, url.href]) {
        const reply = ResourceManager.use(Worker, { url: location }, (worker) => worker.run({ do: "echo", value: 1 }))
        assert.strictEqual(yield* reply, 1)
      }
    }).pipe(framed()))

  it.live("ends with its frame, and when it is released early", () =>
    Effect.gen(function*() {
      const before = yield* warm
      yield* Effect.gen(function*() {
        const early = yield* ResourceManager.allocate(Worker, { url })
        yield* ResourceManager.allocate(Worker, { url })
        assert.strictEqual(threads(), before + 2)
        const { raw } = early.value
        yield* early.release
        assert.strictEqual(raw.threadId, -1)
        assert.strictEqual(threads(), before + 1)
      }).pipe(framed())
      assert.strictEqual(threads(), before)
    }))

  it.live("ends in the middle of an endless loop, and its task is told that it was released", () =>
    Effect.gen(function*() {
      const before = yield* warm
      const { begun, options, task: signal } = makeSignal()
      const allocation = yield* ResourceManager.allocate(Worker, { url })
      const { value: worker } = allocation
      const spinning = yield* Effect.forkChild(Effect.flip(worker.run({ do: "spin", ...signal }, options)))
      const waiting = yield* Effect.forkChild(Effect.flip(worker.run({ do: "echo" })))
      yield* begun
      yield* allocation.release
      assert.strictEqual(threads(), before)
      for (const task of [spinning, waiting]) assert.strictEqual((yield* Fiber.join(task)).reason, "Released")
      assert.strictEqual((yield* Effect.flip(worker.run({ do: "echo" }))).reason, "Released")
      assert.strictEqual(threads(), before)
    }).pipe(framed()))

  it.live("costs one worker", () =>
    Effect.gen(function*() {
      const first = yield* ResourceManager.allocate(Worker, { url })
      const error = yield* Effect.flip(ResourceManager.allocate(Worker, { url }))
      assert(error._tag === "BudgetExceeded")
      assert.strictEqual(error.unit, "workers")
      yield* first.release
      yield* ResourceManager.allocate(Worker, { url })
    }).pipe(framed({ workers: 1 })))

  it.live("that can not be started is a typed error, and leaves no thread", () =>
    Effect.gen(function*() {
      const before = yield* warm
      const refused = [
        { url: new URL("./missing.ts", import.meta.url) },
        { url: "/missing.ts" },
        { url: "missing.ts" },
        { url: "file://%" },
        { url: new URL("https://example.org/worker.js") },
        { url, workerData: () => {} },
        { url, execArgv: ["--no-such-flag"] }
      ]
      for (const params of refused) {
        const error = yield* Effect.flip(ResourceManager.allocate(Worker, params))
        assert(error instanceof WorkerError)
        assert.strictEqual(error.reason, "Start")
        assert.include(error.message, "Could not start a thread")
      }
      assert.strictEqual(threads(), before)
    }).pipe(framed({ workers: 1 })))

  it.live("leaves no thread, whenever its acquisition is interrupted", () =>
    Effect.gen(function*() {
      const before = yield* warm
      const interrupted = yield* interruptLaterAndLater(
        ResourceManager.allocate(Worker, { url }),
        () => assert.strictEqual(threads(), before)
      )
      assert.isAbove(interrupted, 2)
    }))
})

describe("A task of a worker", () => {
  it.live("that throws, rejects or exits fails with a typed error, and the next one has a new thread", () =>
    Effect.gen(function*() {
      const before = yield* warm
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url })
      const failing = [
        ["throw", "Crash", /the task went wrong/],
        ["reject", "Crash", /the promise went wrong/],
        ["exit", "Exit", /exit code 7/]
      ] as const
      for (const [task, reason, message] of failing) {
        const first = yield* worker.run<number>({ do: "thread" })
        const error = yield* Effect.flip(worker.run({ do: task }))
        assert.strictEqual(error.reason, reason)
        assert.match(error.message, message)
        assert.strictEqual(threads(), before)
        assert.isAbove(yield* worker.run<number>({ do: "thread" }), first)
      }
    }).pipe(framed()))

  it.live("whose message can not be cloned fails, and the thread goes on", () =>
    Effect.gen(function*() {
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url })
      const thread = yield* worker.run({ do: "thread" })
      const error = yield* Effect.flip(worker.run({ do: "echo", value: () => {} }))
      assert.strictEqual(error.reason, "Send")
      assert.strictEqual(yield* worker.run({ do: "thread" }), thread)
    }).pipe(framed()))

  it.live("that is interrupted stops at once, and the next one gets its own reply", () =>
    Effect.gen(function*() {
      const before = yield* warm
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url })
      for (const task of ["spin", "quiet"] as const) {
        const { begun, options, task: signal } = makeSignal()
        const running = yield* Effect.forkChild(worker.run({ do: task, ...signal }, options))
        yield* begun
        const next = yield* Effect.forkChild(worker.run({ do: "echo", value: "mine" }))
        yield* Fiber.interrupt(running)
        assert.strictEqual(yield* Fiber.join(next), "mine")
        assert.strictEqual(threads(), before + 1)
      }
    }).pipe(framed()))

  it.live("that is interrupted just when its reply comes leaves no reply for the next one", () =>
    Effect.gen(function*() {
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url })
      for (let late = 0; late < 20; late++) {
        yield* worker.run({ do: "echo" })
        const replied = new Promise<void>((resolve) => worker.raw.once("message", () => resolve()))
        const running = yield* Effect.forkChild(worker.run({ do: "echo", value: "stale" }))
        yield* late % 2 === 0 ? Effect.promise(() => replied) : Effect.yieldNow
        yield* Fiber.interrupt(running)
        assert.strictEqual(yield* worker.run({ do: "echo", value: late }), late)
      }
    }).pipe(framed()))

  it.live("that waits for its turn can be interrupted without harm to the one before it", () =>
    Effect.gen(function*() {
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url })
      const thread = yield* worker.run({ do: "thread" })
      const running = yield* Effect.forkChild(worker.run({ do: "thread" }))
      const waiting = yield* Effect.forkChild(worker.run({ do: "echo" }))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* Fiber.join(running), thread)
    }).pipe(framed()))

  it.live("ends with the deadline of its frame", () =>
    Effect.gen(function*() {
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url })
      const error = yield* worker.run({ do: "spin" }).pipe(
        TimeFrame.run({ name: "task", timeout: "20 millis" }),
        Effect.flip
      )
      assert.strictEqual(error._tag, "DeadlineExceeded")
      assert.strictEqual(yield* worker.run({ do: "echo", value: 1 }), 1)
    }).pipe(framed()))

  it.live("of a script that throws while it is loaded, or listens to nothing, fails", () =>
    Effect.gen(function*() {
      for (const [script, reason] of [["throw new Error('no')", "Crash"], ["", "Exit"]] as const) {
        const task = ResourceManager.use(Worker, { url: inline(script) }, (worker) => Effect.flip(worker.run(1)))
        assert.strictEqual((yield* task).reason, reason)
      }
    }).pipe(framed()))

  it.live("is not disturbed by a crash between two tasks", () =>
    Effect.gen(function*() {
      const script = inline(`
        import { parentPort } from "node:worker_threads"
        parentPort.on("message", (value) => {
          parentPort.postMessage(value)
          if (value === "crash later") setImmediate(() => { throw new Error("later") })
        })
      `)
      const { value: worker } = yield* ResourceManager.allocate(Worker, { url: script })
      yield* worker.run("crash later")
      yield* Effect.promise(() => new Promise((resolve) => worker.raw.once("exit", resolve)))
      assert.strictEqual(yield* worker.run("next"), "next")
    }).pipe(framed()))
})

import { sweep } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readdirSync } from "node:fs"
import { freshDirectory, holder } from "./holders.ts"
import { isRunning } from "./support.ts"

describe("Temporary paths are gone when their process", () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    it.live(`dies of ${signal}, which it still does`, () =>
      Effect.gen(function*() {
        const directory = yield* freshDirectory
        const { kill, paths } = yield* holder(directory, "wait")
        assert.deepStrictEqual(paths.map((path) => existsSync(path)), [true, true])
        assert.deepStrictEqual(yield* kill(signal), { code: null, signal })
        assert.deepStrictEqual(readdirSync(directory), [])
      }).pipe(Effect.scoped))
  }

  it.live("ends normally", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const { child, exited } = yield* holder(directory, "wait")
      child.stdin.end()
      assert.deepInclude(yield* exited, { code: 0 })
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.scoped))

  it.live("calls process.exit, with the exit code that it gave", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const { exited } = yield* holder(directory, "exit")
      assert.deepInclude(yield* exited, { code: 3 })
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.scoped))

  it.live("dies of an error that nobody caught", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const { errors, exited } = yield* holder(directory, "throw")
      assert.deepInclude(yield* exited, { code: 1 })
      assert.include(errors.join(""), "nobody catches this")
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.scoped))

  it.live("handles the signal itself: they are there as long as it does, and gone when it has exited", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const { kill, next } = yield* holder(directory, "handle")
      assert.deepStrictEqual(yield* kill("SIGTERM"), { code: 5, signal: null as never })
      assert.deepStrictEqual(yield* next, { handled: [true, true] })
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.scoped))

  it.live("has another library that cleans up after a signal: both do, and the process dies of it", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const { kill } = yield* holder(directory, "passive")
      assert.deepStrictEqual(yield* kill("SIGTERM"), { code: null, signal: "SIGTERM" })
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.scoped))
})

describe("After SIGKILL", () => {
  it.live("what the dead process left is swept, and what a living one owns stays", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const living = yield* holder(directory, "wait")
      const killed = yield* holder(directory, "wait")
      yield* killed.kill("SIGKILL")
      assert.deepStrictEqual(killed.paths.map((path) => existsSync(path)), [true, true])
      assert.sameMembers([...(yield* sweep(directory))], [...killed.paths])
      assert.deepStrictEqual(living.paths.map((path) => existsSync(path)), [true, true])
    }).pipe(Effect.scoped))

  it.live("the next process that needs a temporary path sweeps by itself", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const killed = yield* holder(directory, "wait")
      yield* killed.kill("SIGKILL")
      const next = yield* holder(directory, "wait")
      assert.deepStrictEqual(killed.paths.map((path) => existsSync(path)), [false, false])
      assert.deepStrictEqual(next.paths.map((path) => existsSync(path)), [true, true])
    }).pipe(Effect.scoped))
})

describe("A child process", () => {
  it.live("does not outlive a process that dies of a signal", () =>
    Effect.gen(function*() {
      const { childPid, kill } = yield* holder(yield* freshDirectory, "child")
      assert.isTrue(yield* Effect.promise(() => isRunning(childPid!)))
      yield* kill("SIGTERM")
      yield* Effect.promise(async () => {
        while (await isRunning(childPid!)) await new Promise((resolve) => setImmediate(resolve))
      })
    }).pipe(Effect.scoped))
})

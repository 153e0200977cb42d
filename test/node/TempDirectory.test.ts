import { ResourceManager } from "@chronovyan/core"
import { sweep, TempDirectory, TempFile, TempPathError } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, isAbsolute, join } from "node:path"
import { freshDirectory } from "./holders.ts"
import { framed, interruptLaterAndLater } from "./support.ts"

const isRoot = process.getuid?.() === 0
const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const
const listeners = () => [...signals, "exit"].map((event) => process.listenerCount(event))

for (const [kind, Temp] of [["directory", TempDirectory], ["file", TempFile]] as const) {
  describe(`A temporary ${kind}`, () => {
    it.live("is new, empty, and closed to other users", () =>
      Effect.gen(function*() {
        const { value: path } = yield* ResourceManager.allocate(Temp)
        const stats = lstatSync(path)
        assert.isTrue(isAbsolute(path))
        assert.strictEqual(dirname(path), tmpdir())
        assert.strictEqual(stats.mode & 0o077, 0)
        if (kind === "directory") assert.deepStrictEqual(readdirSync(path), [])
        else assert.strictEqual(stats.size, 0)
      }).pipe(framed()))

    it.live("is made where the params say, with their prefix, and never twice with one name", () =>
      Effect.gen(function*() {
        const directory = yield* freshDirectory
        const params = { directory, prefix: "mine-" }
        const first = yield* ResourceManager.allocate(Temp, params)
        const second = yield* ResourceManager.allocate(Temp, params)
        assert.notStrictEqual(first.value, second.value)
        for (const { value } of [first, second]) {
          assert.strictEqual(dirname(value), directory)
          assert.isTrue(basename(value).startsWith("mine-"))
        }
      }).pipe(framed()))

    it.live("is gone when its frame has ended, or when it is released early", () =>
      Effect.gen(function*() {
        const directory = yield* freshDirectory
        yield* Effect.gen(function*() {
          const early = yield* ResourceManager.allocate(Temp, { directory })
          yield* ResourceManager.allocate(Temp, { directory })
          assert.lengthOf(readdirSync(directory), 2)
          const path = early.value
          yield* early.release
          assert.isFalse(existsSync(path))
          assert.lengthOf(readdirSync(directory), 1)
        }).pipe(framed())
        assert.deepStrictEqual(readdirSync(directory), [])
      }).pipe(framed()))

    it.live("may be gone before its release", () =>
      Effect.gen(function*() {
        const { release, value } = yield* ResourceManager.allocate(TempDirectory)
        yield* ResourceManager.use(Temp, { directory: value }, () => release)
      }).pipe(framed()))

    it.live("that can not be made is a typed error and leaves nothing, also no handlers", () =>
      Effect.gen(function*() {
        const directory = yield* freshDirectory
        const before = listeners()
        const error = yield* Effect.flip(ResourceManager.allocate(Temp, { directory: join(directory, "missing") }))
        assert(error instanceof TempPathError)
        assert.strictEqual(error.operation, "create")
        assert.include(error.message, "that exists and can be written to")
        assert.deepStrictEqual(readdirSync(directory), [])
        assert.deepStrictEqual(listeners(), before)
      }).pipe(framed()))

    it.live("refuses a prefix that would lead elsewhere", () =>
      Effect.gen(function*() {
        for (const prefix of ["../", "a/b", "a\\b", "a\0b"]) {
          const error = yield* Effect.flip(ResourceManager.allocate(Temp, { prefix }))
          assert.strictEqual(error._tag, "InvalidParams")
        }
      }).pipe(framed()))

    it.live("leaves nothing, whenever its acquisition is interrupted", () =>
      Effect.gen(function*() {
        const directory = yield* freshDirectory
        const before = listeners()
        const interrupted = yield* interruptLaterAndLater(ResourceManager.allocate(Temp, { directory }), () => {
          assert.deepStrictEqual(readdirSync(directory), [])
          assert.deepStrictEqual(listeners(), before)
        })
        assert.isAbove(interrupted, 1)
      }).pipe(framed()))
  })
}

describe("A temporary directory", () => {
  it.live("is removed with all that is in it, read-only directories and links to elsewhere included", () =>
    Effect.gen(function*() {
      const elsewhere = yield* freshDirectory
      writeFileSync(join(elsewhere, "precious"), "")
      yield* ResourceManager.use(TempDirectory, undefined, (path) =>
        Effect.sync(() => {
          mkdirSync(join(path, "a", "b"), { recursive: true })
          writeFileSync(join(path, "a", "b", "file"), "")
          symlinkSync(elsewhere, join(path, "a", "link"))
          chmodSync(join(path, "a", "b"), 0o500)
          chmodSync(join(path, "a"), 0o500)
        }))
      assert.deepStrictEqual(readdirSync(elsewhere), ["precious"])
    }).pipe(framed()))

  it.live("has signal handlers only while something temporary lives", () =>
    Effect.gen(function*() {
      const before = listeners()
      const first = yield* ResourceManager.allocate(TempDirectory)
      const second = yield* ResourceManager.allocate(TempFile)
      assert.deepStrictEqual(listeners(), before.map((count) => count + 1))
      yield* first.release
      assert.deepStrictEqual(listeners(), before.map((count) => count + 1))
      yield* second.release
      assert.deepStrictEqual(listeners(), before)
    }).pipe(Effect.scoped, framed()))
})

describe("A sweep", () => {
  /** A name as a process with the same number would have made it before this one started. */
  const ofAnEarlierProcess = (path: string) => path.replace(/-[0-9a-z]+-([0-9a-f]{12})$/, "-1-$1")

  it.live("answers what it has removed: files, directories, and links without what they lead to", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const elsewhere = yield* freshDirectory
      writeFileSync(join(elsewhere, "precious"), "")
      const names: Array<string> = []
      for (
        const make of [
          mkdirSync,
          (path: string) => writeFileSync(path, ""),
          (path: string) => symlinkSync(elsewhere, path)
        ]
      ) {
        const path = yield* ResourceManager.use(
          TempFile,
          { directory },
          (path) => Effect.succeed(ofAnEarlierProcess(path))
        )
        make(path)
        names.push(path)
      }
      assert.sameMembers([...(yield* sweep(directory))], names)
      assert.deepStrictEqual(readdirSync(directory), [])
      assert.deepStrictEqual(readdirSync(elsewhere), ["precious"])
      assert.deepStrictEqual(yield* sweep(directory), [])
    }).pipe(framed()))

  it.live("leaves what this process owns, what another container owns, and names that only look similar", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const { value: own } = yield* ResourceManager.allocate(TempDirectory, { directory })
      const dead = ofAnEarlierProcess(own)
      const names = [
        own,
        dead.replace(/chronovyan-[0-9a-f]{8}/, "chronovyan-00000000"),
        `${dead}.txt`,
        dead.replace("chronovyan", "chronicle")
      ].map((path) => basename(path))
      for (const name of names) mkdirSync(join(directory, name), { recursive: true })
      assert.deepStrictEqual(yield* sweep(directory), [])
      assert.sameMembers(readdirSync(directory), names)
    }).pipe(framed()))

  it.live.skipIf(!isRoot)("leaves what belongs to another user", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const path = yield* ResourceManager.use(
        TempFile,
        { directory },
        (path) => Effect.succeed(ofAnEarlierProcess(path))
      )
      mkdirSync(path)
      chownSync(path, 12345, 12345)
      assert.deepStrictEqual(yield* sweep(directory), [])
      assert.isTrue(existsSync(path))
    }).pipe(framed()))

  it.live("of a directory that is not there removes nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sweep(join(yield* freshDirectory, "missing")), [])
    }).pipe(framed()))

  it.live("comes with the first acquisition in a directory, and only with the first", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const { value: here } = yield* ResourceManager.allocate(TempDirectory)
      const first = join(directory, ofAnEarlierProcess(basename(here)))
      mkdirSync(first)
      yield* ResourceManager.allocate(TempDirectory, { directory })
      assert.isFalse(existsSync(first))
      mkdirSync(first)
      yield* ResourceManager.allocate(TempDirectory, { directory })
      assert.isTrue(existsSync(first))
    }).pipe(framed()))
})

import { ResourceManager } from "@chronovyan/core"
import { FileHandle, FileOpenError, NotRegularFile } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { freshDirectory } from "./holders.ts"
import { descriptorsOf, framed, interruptLaterAndLater } from "./support.ts"

const contentFile = Effect.map(freshDirectory, (directory) => {
  const path = join(directory, "file")
  writeFileSync(path, "content")
  return path
})

describe("A file handle", () => {
  it.live("reads by default", () =>
    Effect.gen(function*() {
      const { value: file } = yield* ResourceManager.allocate(FileHandle, { path: yield* contentFile })
      assert.strictEqual(yield* Effect.promise(() => file.readFile("utf8")), "content")
      const error = yield* Effect.flip(Effect.tryPromise(() => file.write("more")))
      assert.match(String(error.cause), /EBADF|EPERM/)
    }).pipe(framed()))

  it.live("is closed with its frame, and when it is released early", () =>
    Effect.gen(function*() {
      const path = yield* contentFile
      yield* Effect.gen(function*() {
        const early = yield* ResourceManager.allocate(FileHandle, { path })
        yield* ResourceManager.allocate(FileHandle, { path })
        assert.lengthOf(descriptorsOf(path), 2)
        yield* early.release
        assert.lengthOf(descriptorsOf(path), 1)
      }).pipe(framed())
      assert.deepStrictEqual(descriptorsOf(path), [])
    }))

  it.live("may have been closed by its user", () =>
    Effect.gen(function*() {
      const path = yield* contentFile
      yield* ResourceManager.use(FileHandle, { path }, (file) => Effect.promise(() => file.close()))
      assert.deepStrictEqual(descriptorsOf(path), [])
    }).pipe(framed()))

  it.live("costs one descriptor", () =>
    Effect.gen(function*() {
      const path = yield* contentFile
      const first = yield* ResourceManager.allocate(FileHandle, { path })
      const error = yield* Effect.flip(ResourceManager.allocate(FileHandle, { path }))
      assert(error._tag === "BudgetExceeded")
      assert.strictEqual(error.unit, "descriptors")
      yield* first.release
      yield* ResourceManager.allocate(FileHandle, { path })
    }).pipe(framed({ descriptors: 1 })))

  it.live("writes with the flags and the mode that are asked for", () =>
    Effect.gen(function*() {
      const path = join(yield* freshDirectory, "new")
      const write = (flags: "wx" | "a" | "w", text: string) =>
        ResourceManager.use(FileHandle, { path, flags, mode: 0o600 }, (file) => Effect.promise(() => file.write(text)))
      yield* write("wx", "one")
      yield* write("a", "two")
      assert.strictEqual(readFileSync(path, "utf8"), "onetwo")
      assert.strictEqual(statSync(path).mode & 0o777, 0o600)
      yield* write("w", "three")
      assert.strictEqual(readFileSync(path, "utf8"), "three")
      const error = yield* Effect.flip(write("wx", "four"))
      assert(error._tag === "FileOpenError")
      assert.strictEqual(error.code, "EEXIST")
    }).pipe(framed()))

  it.live("opens a name that is not valid UTF-8 by its bytes", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const path = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0x66, 0xff, 0xfe])])
      yield* ResourceManager.use(FileHandle, { path, flags: "wx" }, (file) => Effect.promise(() => file.write("bytes")))
      for (const bytes of [path, new Uint8Array(path)]) {
        const text = yield* ResourceManager.use(
          FileHandle,
          { path: bytes, regularOnly: true },
          (file) => Effect.promise(() => file.readFile("utf8"))
        )
        assert.strictEqual(text, "bytes")
      }
    }).pipe(framed()))

  it.live("that can not be opened is a typed error, and costs nothing", () =>
    Effect.gen(function*() {
      const path = join(yield* freshDirectory, "missing")
      for (const regularOnly of [false, true]) {
        const error = yield* Effect.flip(ResourceManager.allocate(FileHandle, { path, regularOnly }))
        assert(error instanceof FileOpenError)
        assert.deepStrictEqual([error.code, error.path, error.flags], ["ENOENT", path, "r"])
        assert.include(error.message, path)
      }
    }).pipe(framed({ descriptors: 1 })))

  it.live("refuses flags and modes that do not exist", () =>
    Effect.gen(function*() {
      const path = yield* contentFile
      for (const params of [{ path, flags: "z" as "r" }, { path, mode: -1 }, { path: "" }]) {
        const error = yield* Effect.flip(ResourceManager.allocate(FileHandle, params))
        assert.strictEqual(error._tag, "InvalidParams")
      }
    }).pipe(framed()))

  it.live("leaves nothing open, whenever its acquisition is interrupted", () =>
    Effect.gen(function*() {
      const path = yield* contentFile
      for (const regularOnly of [false, true]) {
        const interrupted = yield* interruptLaterAndLater(
          ResourceManager.allocate(FileHandle, { path, regularOnly }),
          () => assert.deepStrictEqual(descriptorsOf(path), [])
        )
        assert.isAbove(interrupted, 1)
      }
    }))
})

describe("A file handle that must be a regular file", () => {
  it.live("reads and writes one, with the same flags", () =>
    Effect.gen(function*() {
      const path = join(yield* freshDirectory, "new")
      const open = (flags: "wx" | "a" | "w+" | "r+" | "r" | "as") =>
        ResourceManager.use(FileHandle, { path, flags, regularOnly: true, mode: 0o640 }, (file) =>
          Effect.promise(async () => {
            if (flags !== "r") {
              await file.write(flags)
            }
            return flags === "r" ? await file.readFile("utf8") : ""
          }))
      yield* open("wx")
      assert.strictEqual(statSync(path).mode & 0o777, 0o640)
      yield* open("a")
      yield* open("as")
      assert.strictEqual(yield* open("r"), "wxaas")
      yield* open("r+")
      assert.strictEqual(yield* open("r"), "r+aas")
      yield* open("w+")
      assert.strictEqual(yield* open("r"), "w+")
      assert.strictEqual((yield* Effect.flip(open("wx")))._tag, "FileOpenError")
    }).pipe(framed()))

  it.live("refuses pipes, sockets, devices, directories and symbolic links, without waiting for them", () =>
    Effect.gen(function*() {
      const directory = yield* freshDirectory
      const at = (name: string) => join(directory, name)
      execFileSync("mkfifo", [at("pipe")])
      writeFileSync(at("file"), "content")
      symlinkSync(at("file"), at("link"))
      mkdirSync(at("directory"))
      const server = createServer()
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => server.listen(at("socket"), resolve))),
        () => Effect.sync(() => server.close())
      )
      const expected = [
        [at("pipe"), "pipe"],
        [at("socket"), "socket"],
        [at("directory"), "directory"],
        [at("link"), "symbolic link"],
        ["/dev/null", "device"]
      ] as const
      for (const [path, kind] of expected) {
        for (const flags of ["r", "w", "a+"] as const) {
          const error = yield* Effect.flip(ResourceManager.allocate(FileHandle, { path, flags, regularOnly: true }))
          assert(error instanceof NotRegularFile, `${path} with ${flags}: ${String(error)}`)
          assert.strictEqual(error.kind, kind)
          assert.include(error.message, path)
        }
      }
      assert.strictEqual(readFileSync(at("file"), "utf8"), "content")
      assert.deepStrictEqual(descriptorsOf(at("")).filter((target) => !target.includes("socket")), [])
    }).pipe(framed({ descriptors: 1 })))
})

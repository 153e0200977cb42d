import { ResourceManager, TimeFrame } from "@chronovyan/core"
import { SqliteDatabase, SqliteOpenError } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { freshDirectory } from "./holders.ts"
import { descriptorsOf, framed, interruptLaterAndLater } from "./support.ts"

const freshPath = Effect.map(freshDirectory, (directory) => join(directory, "test.db"))

const fill = (path: string) =>
  ResourceManager.use(SqliteDatabase, { path }, (database) =>
    Effect.sync(() => {
      database.exec("CREATE TABLE words (word TEXT PRIMARY KEY); INSERT INTO words VALUES ('one')")
    }))

describe("A SQLite database", () => {
  it.live("is one connection for all frames, and outlives them, until it is retired", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const params = { path, readOnly: false }
      const open = (name: string) =>
        ResourceManager.use(
          SqliteDatabase,
          name === "first" ? { path } : params,
          (database) => Effect.succeed(database)
        )
          .pipe(TimeFrame.run({ name }))
      const first = yield* open("first")
      assert.strictEqual(yield* open("second"), first)
      assert.strictEqual(
        yield* ResourceManager.use(SqliteDatabase, { path: relative(process.cwd(), path) }, Effect.succeed),
        first
      )
      first.exec("CREATE TABLE words (word TEXT)")
      assert.lengthOf(descriptorsOf(path), 3)
      yield* ResourceManager.retire(SqliteDatabase, params)
      assert.deepStrictEqual(descriptorsOf(path), [])
      assert.throws(() => first.exec("SELECT 1"), /not open/)
      assert.notStrictEqual(yield* open("third"), first)
    }).pipe(framed()))

  it.live("ends with the manager, with its log written back into the file", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* fill(path).pipe(framed())
      assert.deepStrictEqual(descriptorsOf(path), [])
      assert.deepStrictEqual(readdirSync(join(path, "..")), ["test.db"])
      const words = ResourceManager.use(SqliteDatabase, { path }, (database) =>
        Effect.sync(() =>
          database.prepare("SELECT word FROM words").all().map(({ word }) => word)
        ))
      assert.deepStrictEqual(yield* words.pipe(framed()), ["one"])
    }))

  it.live("that is released early by one frame stays open for the others", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const first = yield* ResourceManager.allocate(SqliteDatabase, { path })
      const second = yield* ResourceManager.allocate(SqliteDatabase, { path })
      yield* first.release
      assert.throws(() => first.value, /has been released/)
      second.value.exec("CREATE TABLE words (word TEXT)")
    }).pipe(framed()))

  it.live("is in WAL mode, enforces foreign keys and waits for locks", () =>
    Effect.gen(function*() {
      const { value: database } = yield* ResourceManager.allocate(SqliteDatabase, { path: yield* freshPath })
      const pragma = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]
      assert.strictEqual(pragma("journal_mode"), "wal")
      assert.strictEqual(pragma("foreign_keys"), 1)
      assert.strictEqual(pragma("busy_timeout"), 5000)
    }).pipe(framed()))

  it.live("writes its log back also when another connection is open, and rolls back what was not committed", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* fill(path)
      const reader = yield* ResourceManager.allocate(SqliteDatabase, { path, readOnly: true })
      const count = () => Object.values(reader.value.prepare("SELECT count(*) FROM words").get()!)[0]
      yield* ResourceManager.use(
        SqliteDatabase,
        { path },
        (database) => Effect.sync(() => database.exec("BEGIN; INSERT INTO words VALUES ('two')"))
      )
      yield* ResourceManager.retire(SqliteDatabase, { path })
      assert.strictEqual(count(), 1)
    }).pipe(framed()))

  it.live("may have been closed by its user", () =>
    ResourceManager.use(SqliteDatabase, { path: ":memory:" }, (database) => Effect.sync(() => database.close()))
      .pipe(framed()))

  it.live("that is read only does not write", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* fill(path)
      const { value: database } = yield* ResourceManager.allocate(SqliteDatabase, { path, readOnly: true })
      assert.lengthOf(database.prepare("SELECT * FROM words").all(), 1)
      assert.throws(() => database.exec("DELETE FROM words"), /readonly/)
    }).pipe(framed()))

  it.live("costs the manager three descriptors, and none in memory", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* ResourceManager.allocate(SqliteDatabase, { path: ":memory:" })
      yield* ResourceManager.allocate(SqliteDatabase, { path })
      const error = yield* Effect.flip(ResourceManager.allocate(SqliteDatabase, { path, readOnly: true }))
      assert(error._tag === "BudgetExceeded")
      assert.deepStrictEqual([error.unit, error.used], ["descriptors", 3])
    }).pipe(
      TimeFrame.run({ name: "test" }),
      Effect.provide(ResourceManager.layer({ budget: { descriptors: 5 } })),
      Effect.scoped
    ))

  it.live("that can not be opened is a typed error, leaves nothing open, and costs nothing", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const directory = join(path, "..")
      mkdirSync(join(directory, "directory"))
      writeFileSync(join(directory, "text"), "this is no database, but it is long enough to look like one ".repeat(20))
      const refused = [
        { path: join(directory, "missing", "test.db") },
        { path: join(directory, "directory") },
        { path: join(directory, "text") },
        { path: join(directory, "text"), readOnly: true },
        { path: "/proc/version" },
        { path, readOnly: true }
      ]
      for (const params of refused) {
        const error = yield* Effect.flip(ResourceManager.allocate(SqliteDatabase, params))
        assert(error instanceof SqliteOpenError, params.path)
        assert.strictEqual(error.path, params.path)
        assert.match(error.message, /must/)
        assert.deepStrictEqual(descriptorsOf(params.path), [])
      }
      assert.isFalse(existsSync(path))
    }).pipe(
      TimeFrame.run({ name: "test" }),
      Effect.provide(ResourceManager.layer({ budget: { descriptors: 3 } })),
      Effect.scoped
    ))

  it.live("is not left open, whenever its acquisition is interrupted", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* interruptLaterAndLater(
        ResourceManager.allocate(SqliteDatabase, { path }),
        () => assert.deepStrictEqual(descriptorsOf(path), [])
      )
    }))

  it.live("is not loaded by an import of the package alone", () =>
    Effect.sync(() => {
      const script = `
        const { SqliteDatabase } = await import("@chronovyan/node")
        if (SqliteDatabase === undefined || process.moduleLoadList.includes("NativeModule sqlite")) process.exit(1)
      `
      const source = new URL("./fixtures/source.ts", import.meta.url).pathname
      execFileSync(process.execPath, ["--import", source, "--input-type=module", "-e", script], { stdio: "pipe" })
    }))
})

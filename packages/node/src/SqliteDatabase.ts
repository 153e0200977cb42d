/**
 * A SQLite database, open once for everybody who uses it.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { accessSync, constants } from "node:fs"
import { resolve } from "node:path"
import type * as Sqlite from "node:sqlite"
import { codeOf, reasonOf } from "./internal/params.ts"

/**
 * The database could not be opened.
 */
export class SqliteOpenError extends Schema.TaggedError<SqliteOpenError>()("SqliteOpenError", {
  path: Schema.String,
  readOnly: Schema.Boolean,
  /** The code of the system or of Node, `EACCES` or `ERR_SQLITE_ERROR` for instance. */
  code: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const advice = this.code === "ERR_UNKNOWN_BUILTIN_MODULE"
      ? "This Node has no SQLite: use 22.13 or later, or start 22.12 with --experimental-sqlite"
      : this.readOnly
      ? "It must exist and be a database"
      : "Its directory must exist, both must be writable, and a file that is there must be a database; to read only, " +
        `pass "readOnly: true"`
    return `Could not open the database ${this.path}: ${reasonOf(this.cause)}. ${advice}`
  }
}

/** How long a statement waits for the lock of another connection, in milliseconds. */
const busyTimeout = 5000

const memory = ":memory:"

/** One file is one value, however its path is written. */
const Path = Schema.NonEmptyString.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transform({
      decode: (path: string) => path === memory ? path : resolve(path),
      encode: (path: string) => path
    })
  )
)

interface Connection {
  readonly path: string
  readonly readOnly: boolean
}

const connection = {
  params: Schema.Struct({
    path: Path,
    readOnly: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false)))
  }),
  cost: ({ path }: Connection) => ({ descriptors: path === memory ? 0 : 3 }),
  acquire: ({ path, readOnly }: Connection) => {
    const refuse = (cause: unknown) => {
      const code = codeOf(cause)
      return new SqliteOpenError({ path, readOnly, cause, ...(code === undefined ? {} : { code }) })
    }
    return Effect.tryPromise({ try: () => import("node:sqlite"), catch: refuse }).pipe(
      Effect.flatMap((sqlite) =>
        Effect.acquireRelease(
          Effect.try({ try: () => open(sqlite, path, readOnly), catch: refuse }),
          (database) => Effect.sync(() => close(database))
        )
      )
    )
  }
}

/**
 * A `DatabaseSync` of `node:sqlite`, persistent: everybody who asks for the same file with the same `readOnly` gets the
 * same connection. It ends with `ResourceManager.retire`, or with the manager.
 *
 * - `path`: the file, made if it does not exist; `":memory:"` for one that exists only as long as the connection
 * - `readOnly`: never write; default: false
 *
 * It is in WAL mode, enforces foreign keys, and waits up to 5 seconds for the locks of other connections. Statements run
 * on this thread and block it, so keep them short. It costs 3 `descriptors` (the file, its log and its index), none in
 * memory.
 *
 * The release closes it; the log goes back into the file. A transaction that is open then is rolled back.
 *
 * Fails with {@link SqliteOpenError}. Node's module is loaded on first use: versions of Node that call it experimental
 * print their warning then, not when this package is imported.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { SqliteDatabase } from "@chronovyan/node"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { value: database } = yield* ResourceManager.allocate(SqliteDatabase, { path: ":memory:" })
 *   return database.prepare("SELECT 1 + 1 AS sum").get()?.["sum"]
 * }).pipe(TimeFrame.run({ name: "example" }), Effect.provide(ResourceManager.layer()))
 *
 * console.log(await Effect.runPromise(program)) // 2
 * ```
 */
export const SqliteDatabase = ResourceDefinition.persistent("sqlite_database", connection)

/**
 * A connection of one's own to the same file: like {@link SqliteDatabase} in all else, but a fresh `DatabaseSync` each time
 * that it is allocated, or one of a `ResourcePool`. Several of them read at once, and wait for each other to write.
 *
 * @example
 * ```ts
 * import { ResourcePool } from "@chronovyan/core"
 * import { SqliteConnection } from "@chronovyan/node"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const pool = yield* ResourcePool.make(SqliteConnection, { params: { path: ":memory:" }, max: 4 })
 *   return yield* ResourcePool.use(pool, (database) => Effect.sync(() => database.prepare("SELECT 1 AS one").get()))
 * }))
 * ```
 */
export const SqliteConnection = ResourceDefinition.temporal("sqlite_connection", connection)

const open = (sqlite: typeof Sqlite, path: string, readOnly: boolean): Sqlite.DatabaseSync => {
  const database = new sqlite.DatabaseSync(path, { readOnly, enableForeignKeyConstraints: true })
  try {
    database.exec(`PRAGMA busy_timeout = ${busyTimeout}`)
    if (readOnly) {
      // Reads the header: only now it turns out whether it is a database.
      database.exec("PRAGMA schema_version")
    } else if (path !== memory) {
      const mode = database.prepare("PRAGMA journal_mode = WAL").get()?.["journal_mode"]
      if (mode !== "wal") throw new Error(`the journal mode is "${String(mode)}", not "wal"`)
      // SQLite falls back to reading where it may not write, and says so at the first write only.
      accessSync(path, constants.W_OK)
    }
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

const close = (database: Sqlite.DatabaseSync): void => {
  try {
    // The last connection does this by closing; where there are others, do what is possible without waiting for them.
    database.exec("PRAGMA wal_checkpoint(PASSIVE)")
  } catch {
    // A transaction is open, or its user has closed it.
  }
  try {
    database.close()
  } catch (cause) {
    if (codeOf(cause) !== "ERR_INVALID_STATE") throw cause
  }
}

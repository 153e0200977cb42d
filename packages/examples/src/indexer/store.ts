/**
 * The index: a SQLite database. It is persistent: frames come and go, it stays until it is retired.
 */
import { ResourceManager } from "@chronovyan/core"
import { SqliteDatabase, TempDirectory } from "@chronovyan/node"
import { Effect, Option, Schema } from "effect"
import { realpath } from "node:fs/promises"
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import * as display from "./display.ts"
import type { Indexed } from "./index-file.ts"
import * as Name from "./name.ts"

/** The database can not be written. */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Can not write the database ${this.path}: ${display.reasonOf(this.cause)}`
  }
}

/** Says whose file it is: a database of somebody else is left alone. */
const applicationId = 0x6368726f

const schema = `
  PRAGMA application_id = ${applicationId};
  DROP TABLE IF EXISTS files;
  DROP TABLE IF EXISTS errors;
  CREATE TABLE files (
    path   BLOB NOT NULL,     -- relative to the directory, as the bytes that it is
    size   INTEGER NOT NULL,
    lines  INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    words  INTEGER,           -- distinct words; NULL for a file that is not text
    exact  INTEGER NOT NULL,  -- 0 where the number of words is an estimate
    millis REAL NOT NULL
  ) STRICT;
  CREATE INDEX files_by_content ON files (sha256);
  CREATE TABLE errors (path BLOB NOT NULL, reason TEXT NOT NULL) STRICT;`

/** How many rows go into one transaction. */
const batch = 500

/** Opens the database for the frame that this runs in: the one at `path`, or one that is removed at the end. */
export const open = Effect.fnUntraced(function*(path: Option.Option<string>) {
  const file = Option.isSome(path)
    ? path.value
    : join((yield* ResourceManager.allocate(TempDirectory, { prefix: "chronovyan-indexer-" })).value, "index.sqlite")
  const params = { path: file }
  // Ends last in, first out: our use of the database, the database itself, the directory that it is in.
  yield* Effect.addFinalizer(() => Effect.ignore(ResourceManager.retire(SqliteDatabase, params)))
  const database = yield* ResourceManager.allocate(SqliteDatabase, params).pipe(
    Effect.mapError((error) => new StoreError({ path: file, cause: "cause" in error ? error.cause : error }))
  )
  const store = yield* Effect.try({
    try: () => new Store(file, database.value),
    catch: (cause) => new StoreError({ path: file, cause })
  })
  // Whatever ends the run, what has been found so far is kept.
  yield* Effect.addFinalizer(() => Effect.ignore(store.commit))
  return store
})

export class Store {
  readonly path: string
  private readonly database: DatabaseSync
  private readonly insertFile
  private readonly insertError
  private rows = 0

  constructor(path: string, database: DatabaseSync) {
    this.path = path
    this.database = database
    const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()!
    const id = database.prepare("PRAGMA application_id").get()!["application_id"]
    if (tables !== 0 && id !== applicationId) throw new Error("it is a database of another program")
    database.exec(schema)
    this.insertFile = database.prepare("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)")
    this.insertError = database.prepare("INSERT INTO errors VALUES (?, ?)")
  }

  readonly addFile = (file: Indexed) =>
    this.write(() => {
      const { exact, lines, millis, path, sha256, size, words } = file
      this.insertFile.run(path, size, lines, sha256, words, Number(exact), millis)
    })

  readonly addError = (path: Name.Name, reason: string) => this.write(() => this.insertError.run(path, reason))

  /** Ends the transaction that is under way, if there is one. */
  readonly commit = Effect.suspend(() => this.rows === 0 ? Effect.void : this.attempt(() => this.endBatch()))

  /** Is it a file of this database? An index of itself would change while it is read. */
  readonly owns = Effect.map(Effect.promise(() => canonical(this.path)), (path) => {
    const own = ["", "-journal", "-wal", "-shm"].map((suffix) => Buffer.concat([path, Buffer.from(suffix)]))
    return (name: Name.Name) => own.some((file) => file.equals(name))
  })

  /** The rows that a query answers: whoever asks knows its columns. */
  query<Row>(sql: string, ...params: ReadonlyArray<number | Uint8Array>): Array<Row> {
    return this.database.prepare(sql).all(...params) as Array<Row>
  }

  private write(insert: () => unknown) {
    return this.attempt(() => {
      if (this.rows++ === 0) this.database.exec("BEGIN")
      insert()
      if (this.rows === batch) this.endBatch()
    })
  }

  private endBatch(): void {
    this.rows = 0
    this.database.exec("COMMIT")
  }

  private attempt(write: () => void) {
    return Effect.try({ try: write, catch: (cause) => new StoreError({ path: this.path, cause }) })
  }
}

/** The path without links; one in memory has none. */
const canonical = (path: string): Promise<Buffer> =>
  realpath(path, { encoding: "buffer" }).catch(() => Buffer.from(path))

/**
 * Paths that are gone when their allocation ends, when the process ends, or at the latest when the next process comes.
 * Owned by `TempDirectory`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { rmSync } from "node:fs"
import { chmod, lstat, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { atExit } from "./atExit.ts"
import { isLeftBehind, makeName } from "./owner.ts"
import { codeOf, optional, reasonOf } from "./params.ts"

/**
 * A temporary path could not be made, or not be removed. A release that can not remove its path dies with it.
 */
export class TempPathError extends Schema.TaggedError<TempPathError>()("TempPathError", {
  operation: Schema.Literals(["create", "remove"]),
  /** The path that was to be made or removed. */
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return this.operation === "create"
      ? `Could not make ${this.path}: ${reasonOf(this.cause)}. Pass a "directory" that exists and can be written to`
      : `Could not remove ${this.path}: ${reasonOf(this.cause)}. It is tried again when the process exits; look for ` +
        `what still writes there, or who else owns a part of it`
  }
}

export const TempParams = optional(Schema.Struct({
  prefix: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[^/\\\0]*$/))),
  directory: Schema.optionalKey(Schema.NonEmptyString)
}))

const removal = { recursive: true, force: true, maxRetries: 3, retryDelay: 20 } as const

const removeTree = async (path: string): Promise<void> => {
  try {
    await rm(path, removal)
  } catch (cause) {
    const code = codeOf(cause)
    if (code !== "EACCES" && code !== "EPERM") throw cause
    // Directories without the right to write keep what is in them: package caches come that way.
    await makeWritable(path)
    await rm(path, removal)
  }
}

const makeWritable = async (directory: string): Promise<void> => {
  await chmod(directory, 0o700)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(directory, entry.name))
  }
}

/**
 * Removes what processes that were killed left in a directory: the temporary paths of this package whose process is
 * gone. Answers the paths that it removed. Whatever belongs to a living process, to another user, to another container
 * or to another machine stays, and so does what can not be removed.
 *
 * `TempDirectory` and `TempFile` do this themselves, once for each directory.
 *
 * @param directory default: the one of the system, `os.tmpdir()`
 */
export const sweep = (directory: string = tmpdir()): Effect.Effect<ReadonlyArray<string>> =>
  Effect.flatMap(
    Effect.promise(() => readdir(directory).catch(() => [])),
    (names) =>
      Effect.map(
        Effect.forEach(
          names.filter(isLeftBehind).map((name) => join(directory, name)),
          (path) => Effect.map(Effect.promise(() => removeOwn(path)), (removed) => removed ? [path] : [])
        ),
        (paths) => paths.flat()
      )
  )

const removeOwn = async (path: string): Promise<boolean> => {
  try {
    // Anybody can leave a name that looks like ours in a directory that all share.
    if (process.getuid !== undefined && (await lstat(path)).uid !== process.getuid()) return false
    await removeTree(path)
    return true
  } catch {
    return false
  }
}

/** Directories that were swept, or are being swept. */
const swept = new Set<string>()

const sweepOnce = (directory: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (swept.has(directory)) return Effect.void
    swept.add(directory)
    return Effect.asVoid(Effect.onInterrupt(sweep(directory), () => Effect.sync(() => swept.delete(directory))))
  })

/** Makes a path that ends with the scope; `create` must fail if there is something already. */
export const makeTemporary = (
  params: (typeof TempParams)["Type"],
  create: (path: string) => Promise<unknown>
): Effect.Effect<string, TempPathError, Scope.Scope> =>
  Effect.suspend(() => {
    const directory = resolve(params?.directory ?? tmpdir())
    const made = Effect.suspend(() => {
      const path = join(directory, makeName(params?.prefix ?? ""))
      const forget = atExit.add(() => rmSync(path, removal))
      return Effect.tryPromise({
        try: () => create(path),
        catch: (cause) => {
          forget()
          return new TempPathError({ operation: "create", path, cause })
        }
      }).pipe(Effect.as({ path, forget }))
    })
    return Effect.acquireRelease(made, remove).pipe(
      Effect.map(({ path }) => path),
      (path) => Effect.andThen(sweepOnce(directory), path)
    )
  })

const remove = ({ forget, path }: { readonly path: string; readonly forget: () => void }): Effect.Effect<void> =>
  Effect.tryPromise({
    try: () => removeTree(path),
    catch: (cause) => new TempPathError({ operation: "remove", path, cause })
  }).pipe(Effect.andThen(Effect.sync(forget)), Effect.orDie)

/**
 * An open file.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { constants } from "node:fs"
import type { Stats } from "node:fs"
import * as FileSystem from "node:fs/promises"
import { codeOf, reasonOf } from "./internal/params.ts"

/**
 * The file could not be opened.
 */
export class FileOpenError extends Schema.TaggedError<FileOpenError>()("FileOpenError", {
  path: Schema.String,
  flags: Schema.String,
  /** The code of the system, `ENOENT`, `EACCES` or `EEXIST` for instance. */
  code: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const advice = this.code === "ENOENT"
      ? `Check the path, or use the flags "w" or "a" to make the file`
      : this.code === "EEXIST"
      ? `It exists already: leave out the "x", or take another name`
      : this.code === "EMFILE" || this.code === "ENFILE"
      ? `Too many files are open: a budget of "descriptors" refuses earlier and says who holds them`
      : `Check the path and the rights on it`
    return `Could not open ${this.path} with "${this.flags}": ${reasonOf(this.cause)}. ${advice}`
  }
}

/**
 * There is something at that path, but no regular file.
 */
export class NotRegularFile extends Schema.TaggedError<NotRegularFile>()("NotRegularFile", {
  path: Schema.String,
  kind: Schema.Literals(["directory", "symbolic link", "pipe", "socket", "device", "other"])
}) {
  override get message(): string {
    return `${this.path} is not a regular file (${this.kind}). Pass the path of one, or leave out "regularOnly"`
  }
}

const Flags = Schema.Literals(
  ["r", "r+", "rs", "rs+", "w", "wx", "w+", "wx+", "a", "ax", "a+", "ax+", "as", "as+"]
)

/**
 * An open `FileHandle` of `node:fs/promises`. It costs 1 of `descriptors`.
 *
 * - `path`: a string, or bytes for a name that is not valid UTF-8
 * - `flags`: as for `fs.open`; default: `"r"`
 * - `mode`: the rights of a file that is made, before the umask; default: `0o666`
 * - `regularOnly`: refuse everything but a regular file, also a symbolic link as the last part of the path. It does not
 *   wait for the other end of a pipe, and does not touch a device. Default: false
 *
 * The release closes it, once the operations under way are done. Without `regularOnly`, opening a pipe waits for its
 * other end, and can not be interrupted.
 *
 * Fails with {@link FileOpenError} and, if `regularOnly` is on, {@link NotRegularFile}.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { FileHandle } from "@chronovyan/node"
 * import { Effect } from "effect"
 *
 * const program = ResourceManager.use(
 *   FileHandle,
 *   { path: process.execPath, regularOnly: true },
 *   (file) => Effect.promise(() => file.stat())
 * ).pipe(TimeFrame.run({ name: "example", budget: { descriptors: 8 } }), Effect.provide(ResourceManager.layer()))
 *
 * console.log((await Effect.runPromise(program)).size)
 * ```
 */
export const FileHandle = ResourceDefinition.temporal("file_handle", {
  params: Schema.Struct({
    path: Schema.Union([Schema.NonEmptyString, Schema.Uint8Array]),
    flags: Schema.optionalKey(Flags),
    mode: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0o7777 }))),
    regularOnly: Schema.optionalKey(Schema.Boolean)
  }),
  cost: () => ({ descriptors: 1 }),
  acquire: ({ flags = "r", mode = 0o666, path: input, regularOnly = false }) => {
    const path = typeof input === "string" ? input : Buffer.from(input.buffer, input.byteOffset, input.byteLength)
    const opened = regularOnly ? () => openRegular(path, flags, mode) : () => FileSystem.open(path, flags, mode)
    return Effect.tryPromise({
      try: opened,
      catch: (cause) => {
        if (cause instanceof NotRegularFile) return cause
        const code = codeOf(cause)
        return new FileOpenError({ path: path.toString(), flags, cause, ...(code === undefined ? {} : { code }) })
      }
    })
  },
  release: (file) => Effect.promise(() => file.close())
})

const openRegular = async (
  path: string | Buffer,
  flags: (typeof Flags)["Type"],
  mode: number
): Promise<FileSystem.FileHandle> => {
  // Opening a device can do something by itself, so what is no file is not opened.
  const before = await FileSystem.lstat(path).catch((cause: unknown) => {
    if (codeOf(cause) === "ENOENT") return undefined
    throw cause
  })
  if (before !== undefined) refuseIrregular(path, before)
  // Between the two it may have become something else: then it does not block, and is closed again.
  const file = await FileSystem.open(path, bitsOf(flags) | unblocked, mode)
    .catch((cause: unknown) => {
      if (codeOf(cause) === "ELOOP") throw new NotRegularFile({ path: path.toString(), kind: "symbolic link" })
      if (codeOf(cause) === "ENXIO") throw new NotRegularFile({ path: path.toString(), kind: "other" })
      throw cause
    })
  try {
    refuseIrregular(path, await file.stat())
    return file
  } catch (cause) {
    await file.close()
    throw cause
  }
}

/** Not on Windows. */
const unblocked = (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

const bitsOf = (flags: (typeof Flags)["Type"]): number => {
  const access = flags.includes("+")
    ? constants.O_RDWR
    : flags.startsWith("r")
    ? constants.O_RDONLY
    : constants.O_WRONLY
  const making = flags.startsWith("w")
    ? constants.O_CREAT | constants.O_TRUNC
    : flags.startsWith("a")
    ? constants.O_CREAT | constants.O_APPEND
    : 0
  return access | making | (flags.includes("x") ? constants.O_EXCL : 0) | (flags.includes("s") ? constants.O_SYNC : 0)
}

const refuseIrregular = (path: string | Buffer, stats: Stats): void => {
  if (stats.isFile()) return
  const kind = stats.isDirectory()
    ? "directory"
    : stats.isSymbolicLink()
    ? "symbolic link"
    : stats.isFIFO()
    ? "pipe"
    : stats.isSocket()
    ? "socket"
    : stats.isCharacterDevice() || stats.isBlockDevice()
    ? "device"
    : "other"
  throw new NotRegularFile({ path: path.toString(), kind })
}

/**
 * A file that is gone when its allocation ends, however that comes about.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import { writeFile } from "node:fs/promises"
import { makeTemporary, TempParams } from "./internal/temporary.ts"

/**
 * A new, empty file that only this user can read and write. The value is its absolute path; it is not open.
 *
 * - `prefix`: what its name begins with, without slashes; default: nothing
 * - `directory`: where it is made; default: that of the system, `os.tmpdir()`
 *
 * It ends the way a `TempDirectory` does: with its allocation, with the process, or when the next process comes. Fails
 * with `TempPathError`.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { TempFile } from "@chronovyan/node"
 * import { Effect } from "effect"
 * import { appendFile } from "node:fs/promises"
 *
 * const program = ResourceManager.use(
 *   TempFile,
 *   { prefix: "journal-" },
 *   (path) => Effect.promise(() => appendFile(path, "first line\n"))
 * ).pipe(TimeFrame.run({ name: "example" }), Effect.provide(ResourceManager.layer()))
 *
 * await Effect.runPromise(program)
 * ```
 */
export const TempFile = ResourceDefinition.temporal("temp_file", {
  params: TempParams,
  acquire: (params) => makeTemporary(params, (path) => writeFile(path, "", { flag: "wx", mode: 0o600 }))
})

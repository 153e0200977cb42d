/**
 * A directory that is gone when its allocation ends, however that comes about.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import { mkdir } from "node:fs/promises"
import { makeTemporary, TempParams } from "./internal/temporary.ts"

export { sweep, TempPathError } from "./internal/temporary.ts"

/**
 * A new, empty directory that only this user can enter. The value is its absolute path.
 *
 * - `prefix`: what its name begins with, without slashes; default: nothing
 * - `directory`: where it is made; default: that of the system, `os.tmpdir()`
 *
 * The release removes it with all that is in it. So does the end of the process: when it exits, and when it dies of
 * SIGTERM, SIGINT or SIGHUP. Handlers for these signals exist only as long as something temporary does. They leave the
 * signal to the program's own handlers, if it has any, and otherwise the process still dies of it. What a process that
 * was killed with SIGKILL leaves behind is removed by the next one: see {@link sweep}.
 *
 * It belongs to this process. A child that has to outlive it needs a directory of its own.
 *
 * Fails with {@link TempPathError}.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { TempDirectory } from "@chronovyan/node"
 * import { Effect } from "effect"
 * import { writeFile } from "node:fs/promises"
 *
 * const program = Effect.gen(function*() {
 *   const directory = yield* ResourceManager.allocate(TempDirectory, { prefix: "build-" })
 *   yield* Effect.promise(() => writeFile(`${directory.value}/output.txt`, "done"))
 * }).pipe(TimeFrame.run({ name: "example" }), Effect.provide(ResourceManager.layer()))
 *
 * await Effect.runPromise(program)
 * ```
 */
export const TempDirectory = ResourceDefinition.temporal("temp_directory", {
  params: TempParams,
  acquire: (params) => makeTemporary(params, (path) => mkdir(path, { mode: 0o700 }))
})

// Runs the TypeScript compiler that carries Effect's diagnostics, and plain TypeScript where it has no build.
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

const resolve = createRequire(import.meta.url).resolve
const typescript = resolve("typescript/package.json")

const effectCompiler = () => {
  try {
    const version = JSON.parse(readFileSync(typescript, "utf8")).version
    const directory = dirname(resolve(`@effect/tsgo-${process.platform}-${process.arch}/package.json`))
    const file = join(directory, "artifacts", "typescript", version, process.platform === "win32" ? "tsc.exe" : "tsc")
    return existsSync(file) ? [file] : undefined
  } catch {
    return undefined
  }
}

const plainCompiler = () => {
  console.warn("@effect/tsgo has no build for this machine: Effect's own diagnostics are left out.")
  return [process.execPath, join(dirname(typescript), "bin", "tsc")]
}

const [command, ...args] = effectCompiler() ?? plainCompiler()
const result = spawnSync(command, [...args, ...process.argv.slice(2)], { stdio: "inherit" })
if (result.error) console.error(result.error.message)
process.exit(result.status ?? 1)

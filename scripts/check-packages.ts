/**
 * Checks the published packages as a user gets them: packs them, lints the tarballs, installs them in a new project
 * in a temporary folder, and compiles and runs test/consumer/main.ts there.
 */
import { execFile } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { promisify } from "node:util"

const execute = promisify(execFile)
const root = resolve(import.meta.dirname, "..")
const bin = join(root, "node_modules", ".bin")

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, unknown>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

const manifestIn = (directory: string): Manifest => JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))

const outputOf = (error: unknown): string => {
  const { message, stderr, stdout } = error as { message: string; stdout?: string; stderr?: string }
  return `${stdout ?? ""}${stderr ?? ""}`.trim() || message
}

const failures: Array<string> = []

const step = async <A>(what: string, run: () => Promise<A>): Promise<A | undefined> => {
  const start = Date.now()
  try {
    const result = await run()
    console.log(`  ok      ${what} (${((Date.now() - start) / 1000).toFixed(1)} s)`)
    return result
  } catch (error) {
    failures.push(what)
    console.log(`  FAILED  ${what}\n${outputOf(error).replace(/^/gm, "          ")}`)
    return undefined
  }
}

const published = globSync("packages/*", { cwd: root })
  .map((directory) => join(root, directory))
  .filter((directory) => existsSync(join(directory, "package.json")) && manifestIn(directory).private !== true)
  .toSorted()

const temporary = mkdtempSync(join(tmpdir(), "chronovyan-packages-"))
const consumer = join(temporary, "consumer")

/** The compiler leaves the output of a source file that is gone: such a module must not be published. */
const prune = (directory: string): void => {
  for (const file of globSync("dist/**/*.{js,d.ts,js.map,d.ts.map}", { cwd: directory })) {
    const source = file.replace(/^dist/, "src").replace(/\.(js|d\.ts)(\.map)?$/, ".ts")
    if (!existsSync(join(directory, source))) rmSync(join(directory, file))
  }
}

const pack = (directory: string): Promise<string | undefined> =>
  step(`pack ${manifestIn(directory).name}`, async () => {
    const { stdout } = await execute("npm", ["pack", "--json", "--pack-destination", temporary], { cwd: directory })
    const [packed]: [{ filename: string; files: ReadonlyArray<{ path: string }> }] = JSON.parse(stdout)
    const paths = packed.files.map(({ path }) => path)
    const parts = ["LICENSE", "README.md", "dist/index.js", "dist/index.d.ts", "dist/index.js.map", "src/index.ts"]
    if (existsSync(join(directory, "page"))) parts.push("dist/page/index.html")
    const missing = parts.filter((path) => !paths.includes(path))
    if (missing.length > 0) throw new Error(`missing in the package: ${missing.join(", ")}`)
    if (paths.some((path) => path.endsWith(".tsbuildinfo"))) throw new Error("build info must not be published")
    return join(temporary, packed.filename)
  })

/** Every public subpath must load, and the internals must not. */
const probe = (): string =>
  published.flatMap((directory) => {
    const { name, peerDependenciesMeta } = manifestIn(directory)
    // A module that is named after an optional peer is there, but loads only where that is installed.
    const load = (module: string): string =>
      peerDependenciesMeta?.[module]?.optional === true
        ? `await (await import("node:fs/promises")).access(new URL(import.meta.resolve("${name}/${module}")))`
        : `await import("${name}/${module}")`
    const modules = globSync("*.ts", { cwd: join(directory, "src") }).map((file) => file.replace(/\.ts$/, ""))
    const internals = globSync("internal/*.ts", { cwd: join(directory, "src") }).map((file) =>
      file.replace(/\.ts$/, "")
    )
    return [
      `await import("${name}")`,
      ...modules.filter((module) => module !== "index").map(load),
      ...["index", "internal/any", ...internals].map((module) =>
        `await import("${name}/${module}").then(` +
        `() => { throw new Error("${name}/${module} can be imported") },` +
        `(error) => { if (error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error })`
      )
    ]
  }).join("\n")

const install = async (tarballs: ReadonlyArray<string>): Promise<true> => {
  mkdirSync(consumer)
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ private: true, type: "module" }))
  const { devDependencies } = manifestIn(root)
  await execute("npm", [
    "install",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    ...tarballs,
    `effect@${devDependencies?.["effect"]}`,
    `@types/node@${devDependencies?.["@types/node"]}`
  ], { cwd: consumer })
  return true
}

const compile = async (): Promise<void> => {
  copyFileSync(join(root, "test", "consumer", "main.ts"), join(consumer, "main.ts"))
  writeFileSync(
    join(consumer, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        // The declarations themselves are checked, as a user without skipLibCheck would
        skipLibCheck: false,
        types: ["node"],
        outDir: "out"
      },
      files: ["main.ts"]
    })
  )
  await execute(join(bin, "tsc"), ["-p", "."], { cwd: consumer })
}

const run = async (): Promise<void> => {
  writeFileSync(join(consumer, "probe.mjs"), probe())
  await execute(process.execPath, ["probe.mjs"], { cwd: consumer })
  await execute(process.execPath, [join("out", "main.js")], { cwd: consumer })
}

try {
  console.log("The published packages:")
  published.forEach(prune)
  const packed = await Promise.all(published.map(pack))
  const tarballs = packed.filter((tarball) => tarball !== undefined)
  const lint = async (): Promise<void> => {
    for (const tarball of tarballs) {
      const file = tarball.slice(dirname(tarball).length + 1)
      await step(`publint ${file}`, () => execute(join(bin, "publint"), [tarball, "--strict"]))
      await step(
        `attw ${file}`,
        () => execute(join(bin, "attw"), [tarball, "--profile", "esm-only", "--format", "ascii", "--no-emoji"])
      )
    }
  }
  const consume = async (): Promise<void> => {
    if (tarballs.length < published.length) return
    const installed = await step("install them in a new project", () => install(tarballs))
    if (installed === undefined) return
    await step("compile test/consumer/main.ts against them", compile)
    await step("load every public module, no internal one, and run the program", run)
  }
  await Promise.all([lint(), consume()])
} finally {
  rmSync(temporary, { recursive: true, force: true })
}

if (failures.length > 0) {
  console.error(`\nFailed: ${failures.join(", ")}`)
  process.exit(1)
}

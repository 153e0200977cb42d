/**
 * Every `ts` block of the documentation is a program: it compiles, and it ends with exit code 0.
 *
 * A block marked ```ts no-run is compiled only. The programs are written to `generated/`, each on the lines it has in
 * its page, so that the compiler and the stack traces name the right line.
 */
import { execFile } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve, sep } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"

const root = resolve(import.meta.dirname, "../..")
const generated = join(import.meta.dirname, "generated")

interface Example {
  readonly page: string
  readonly line: number
  readonly runs: boolean
  readonly file: string
  readonly code: string
}

const examplesIn = (page: string): ReadonlyArray<Example> => {
  const text = readFileSync(join(root, page), "utf8")
  return [...text.matchAll(/^```ts( no-run)?[ \t]*\n(.*?)^```[ \t]*$/gms)].map((match) => {
    const line = text.slice(0, match.index).split("\n").length
    return {
      page,
      line,
      runs: match[1] === undefined,
      file: `${page.replaceAll("/", "_").replace(/\.md$/, "")}_${line}.ts`,
      code: "\n".repeat(line) + match[2]
    }
  })
}

const examples = globSync(["README.md", "packages/*/README.md", "packages/*/docs/**/*.md"], { cwd: root })
  .map((page) => page.split(sep).join("/"))
  .toSorted()
  .flatMap(examplesIn)

const run = (
  args: ReadonlyArray<string>,
  timeout: number
): Promise<{ readonly ok: boolean; readonly output: string }> =>
  new Promise((done) => {
    const env = { ...process.env, NODE_COMPILE_CACHE: join(root, "node_modules/.cache/chronovyan/compiled") }
    execFile(process.execPath, args, { cwd: root, env, timeout }, (error, stdout, stderr) => {
      done({ ok: error === null, output: `${stdout}${stderr}${error?.killed ? `\nstopped after ${timeout} ms` : ""}` })
    })
  })

beforeAll(() => {
  rmSync(generated, { recursive: true, force: true })
  mkdirSync(generated, { recursive: true })
  for (const { code, file } of examples) writeFileSync(join(generated, file), code)
  const tsconfig = {
    extends: "../../tsconfig.json",
    compilerOptions: {
      rootDir: "../../..",
      tsBuildInfoFile: "../../../node_modules/.cache/chronovyan/examples.tsbuildinfo",
      noUnusedLocals: false
    },
    include: ["*.ts"],
    exclude: [],
    references: ["core", "node", "inspector", "testing"].map((name) => ({ path: `../../../packages/${name}` }))
  }
  writeFileSync(join(generated, "tsconfig.json"), JSON.stringify(tsconfig, null, 2))
})

describe("the examples in the documentation", () => {
  // This builds the packages too, and the programs below import what it builds
  test("compile", { timeout: 60_000 }, async () => {
    if (examples.length === 0) return
    const { ok, output } = await run(["scripts/tsc.js", "-b", generated], 60_000)
    expect(ok, output).toBe(true)
  })

  describe.concurrent("run", () => {
    for (const { file, line, page } of examples.filter(({ runs }) => runs)) {
      test(`${page}, line ${line}`, { timeout: 30_000 }, async () => {
        const { ok, output } = await run([join(generated, file)], 25_000)
        expect(ok, output).toBe(true)
      })
    }
  })
})

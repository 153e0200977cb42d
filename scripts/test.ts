/**
 * `npm test`: runs every check to its end, also when an earlier one failed, and says at the end which of them failed.
 *
 * Writes the counts to node_modules/.cache/chronovyan/test.json. A step without tests of its own counts as one.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const bin = join(root, "node_modules", ".bin")
const cache = join(root, "node_modules", ".cache", "chronovyan")
const report = join(cache, "vitest.json")

interface Counts {
  readonly passed: number
  readonly failed: number
}

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: ReadonlyArray<{
    readonly status: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string }>
  }>
}

interface Step {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly again: string
  readonly count?: (ok: boolean) => Counts
}

const countReport = (ok: boolean): Counts => {
  try {
    const { numFailedTests, numPassedTests, testResults }: Report = JSON.parse(readFileSync(report, "utf8"))
    // A file that does not load has no tests to count
    const broken = testResults.filter((file) =>
      file.status === "failed" && !file.assertionResults.some(({ status }) =>
        status === "failed"
      )
    ).length
    const failed = numFailedTests + broken
    return { passed: numPassedTests, failed: ok || failed > 0 ? failed : 1 }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

const steps: ReadonlyArray<Step> = [
  { name: "types", command: process.execPath, args: ["scripts/tsc.js", "-b"], again: "npm run check" },
  { name: "page", command: process.execPath, args: ["scripts/page.ts"], again: "node scripts/page.ts" },
  { name: "lint", command: join(bin, "oxlint"), args: ["--deny-warnings"], again: "npm run lint" },
  { name: "format", command: join(bin, "dprint"), args: ["check"], again: "npm run format" },
  {
    name: "tests",
    command: join(bin, "vitest"),
    args: ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    again: "npx vitest run",
    count: countReport
  },
  {
    name: "packages",
    command: process.execPath,
    args: ["scripts/check-packages.ts"],
    again: "npm run check:packages"
  }
]

mkdirSync(cache, { recursive: true })
rmSync(report, { force: true })
rmSync(join(cache, "test.json"), { force: true })

let passed = 0
let failed = 0
const summary: Array<string> = []

for (const { again, args, command, count, name } of steps) {
  console.log(`\n== ${name}`)
  const start = Date.now()
  const { error, status } = spawnSync(command, args, { cwd: root, stdio: "inherit" })
  if (error !== undefined) console.error(error.message)
  const ok = status === 0
  const counts = count === undefined ? { passed: ok ? 1 : 0, failed: ok ? 0 : 1 } : count(ok)
  passed += counts.passed
  failed += counts.failed
  const seconds = ((Date.now() - start) / 1000).toFixed(1).padStart(6)
  summary.push(`  ${ok ? "ok    " : "FAILED"} ${name.padEnd(10)}${seconds} s${ok ? "" : `   again: ${again}`}`)
}

writeFileSync(join(cache, "test.json"), JSON.stringify({ passed, failed }))
console.log(`\n${summary.join("\n")}\n`)
process.exit(failed === 0 ? 0 : 1)

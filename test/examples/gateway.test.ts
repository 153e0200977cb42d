/**
 * The gateway, as a user runs it: a process of its own, whose clock need not wait.
 */
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"

const root = resolve(import.meta.dirname, "../..")
const main = join(root, "packages/examples/src/gateway/main.ts")

const run = (): Promise<string> =>
  new Promise((done, fail) => {
    const env = { ...process.env, NODE_COMPILE_CACHE: join(root, "node_modules/.cache/chronovyan/compiled") }
    execFile(process.execPath, [main], { cwd: root, env, timeout: 20_000 }, (error, stdout, stderr) => {
      if (error === null && stderr === "") done(stdout)
      else fail(new Error(`${stdout}${stderr}${error?.killed ? "\nstopped after 20 seconds" : ""}`))
    })
  })

let output: string

/** The cells of a tenant's row. */
const row = (tenant: string) => {
  const line = output.split("\n").find((line) => line.startsWith(`${tenant} `))!
  const [, weight, asked, served, tokens, median, longest, refused] = line.split(/ {2,}/)
  const [count, sum] = [Number(served), Number(tokens)]
  const waits = { median: parseFloat(median!), longest: parseFloat(longest!) }
  return { weight: Number(weight), asked: Number(asked), served: count, tokens: sum, ...waits, refused: refused! }
}

/** How many were refused for that reason. */
const refused = (tenant: string, reason: string): number =>
  Number(new RegExp(`(\\d+) ${reason}`).exec(row(tenant).refused)?.[1] ?? 0)

/** The message of the first one that was refused for that reason. */
const message = (reason: string): string => {
  const from = output.indexOf(`The first that was ${reason}:\n`)
  return from === -1 ? "" : output.slice(from).split("\n\n")[0]!
}

describe("the gateway", () => {
  beforeAll(async () => {
    output = await run()
  }, 25_000)

  test("answers everybody", () => {
    for (const tenant of ["chat", "search", "reports", "nightly"]) {
      const { asked, served } = row(tenant)
      const reasons = ["too late for tokens", "too late for calls", "too large"]
      expect(reasons.reduce((sum, reason) => sum + refused(tenant, reason), served), tenant).toBe(asked)
    }
  })

  test("keeps those who ask for little from waiting for those who ask for all", () => {
    for (const tenant of ["chat", "search"]) {
      expect(row(tenant).median, tenant).toBeLessThan(1)
      expect(refused(tenant, "too late for tokens"), tenant).toBe(0)
    }
    expect(row("nightly").median).toBeGreaterThan(10)
  })

  test("gives twice the weight twice the calls", () => {
    expect(row("reports").weight / row("nightly").weight).toBe(2)
    const [, reports, nightly] = /^Calls from second 10 to 90: .*reports (\d+), nightly (\d+)$/m.exec(output)!
    expect(Number(reports) / Number(nightly)).toBeCloseTo(2, 0)
    expect(Number(nightly)).toBeGreaterThan(15)
  })

  test("takes no more tokens than the rate has", () => {
    const tokens = ["chat", "search", "reports", "nightly"].reduce((sum, tenant) => sum + row(tenant).tokens, 0)
    // Two minutes, the last ones to wait, and the burst.
    expect(tokens).toBeLessThanOrEqual((120 + 20) * 1_000 + 6_000)
    expect(tokens).toBeGreaterThan(100_000)
  })

  test("says who is in the way, and what can never fit", () => {
    const late = message("too late for calls")
    expect(late).toMatch(/"call" in gateway\/\w+ needs 1 of "calls", but gateway has 0 of 8 left/)
    expect(late).toMatch(
      /after waiting 20000 ms. Held by:\n( {2}- 1 of "calls" in "call" by gateway\/\w+ for \d+ ms\n)+/
    )
    expect(message("too late for tokens")).toMatch(
      /has \d+ of 6000 left.* Enough is back in \d+ ms, but those who wait come first/
    )
    expect(message("too large")).toMatch(/needs 200000 of "tokens".* It can never fit/)
  })

  test("does the same each time, and as its page says", async () => {
    expect(await run()).toBe(output)
    const page = readFileSync(join(root, "packages/core/docs/budgets.md"), "utf8")
    for (const line of output.split("\n")) expect(page).toContain(line)
  })
})

import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { ScriptedResource } from "@chronovyan/testing"
import { expect, it, strict } from "@chronovyan/testing/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { execFile } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { beforeAll, describe, test } from "vitest"

const root = resolve(import.meta.dirname, "../..")
const fixture = join(import.meta.dirname, "vitestFixture")
const cache = join(root, "node_modules/.cache/chronovyan")

interface Ran {
  readonly fullName: string
  readonly status: string
  readonly failureMessages: ReadonlyArray<string>
}

interface Report {
  readonly testResults: ReadonlyArray<{ readonly message: string; readonly assertionResults: ReadonlyArray<Ran> }>
}

/** Runs the fixtures of a folder in a Vitest of their own. */
const runIn = (folder: string, name: string): Promise<ReadonlyArray<Ran>> =>
  new Promise((done, failed) => {
    const env: NodeJS.ProcessEnv = { ...process.env, FIXTURE_ROOT: folder }
    for (const name of Object.keys(env)) if (name.startsWith("VITEST")) delete env[name]
    const report = join(cache, `${name}.json`)
    rmSync(report, { force: true })
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
    const config = join(fixture, "vitest.config.ts")
    const args = [vitest, "run", "--config", config, "--reporter=json", `--outputFile.json=${report}`]
    execFile(process.execPath, args, { cwd: root, env, timeout: 50_000 }, (_, stdout, stderr) => {
      if (!existsSync(report)) return failed(new Error(`${stdout}\n${stderr}`))
      const { testResults }: Report = JSON.parse(readFileSync(report, "utf8"))
      const broken = testResults.filter(({ assertionResults }) => assertionResults.length === 0)
      if (broken.length > 0) return failed(new Error(broken.map(({ message }) => message).join("\n")))
      done(testResults.flatMap(({ assertionResults }) => assertionResults))
    })
  })

const Connection = ResourceDefinition.temporal("connection", {
  acquire: () => Effect.succeed({}),
  release: () => Effect.void
})

const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.succeed({}) })

describe("the tests of a file", () => {
  let tests: ReadonlyArray<Ran> = []
  const messageOf = (name: string) => tests.find(({ fullName }) => fullName === name)?.failureMessages.join("\n") ?? ""

  beforeAll(async () => {
    tests = await runIn(fixture, "vitest-fixture")
  }, 60_000)

  test("pass, fail and are skipped as they are meant to", () => {
    expect(tests.length).toBeGreaterThan(20)
    const wrong = tests.filter(({ fullName, status }) => {
      const meant = fullName.includes("passes") ? "passed" : fullName.includes("fails:") ? "failed" : "skipped"
      return status !== meant
    })
    expect(wrong).toEqual([])
  })

  test("say what is left open, and by whom", () => {
    expect(messageOf("it fails: a scope")).toMatch(
      /something is left open:\n {2}a scope is open that was first used in "forget" \(.*tests\.fixture\.ts.*\), 1 finalizer/
    )
    expect(messageOf("strict fails: a fiber")).toMatch(/fiber #\d+ is still running/)
    expect(messageOf("strict named fails: in a layer")).toContain("\"forget\"")
  })

  test("fail with their own failure before what they leave open", () => {
    expect(messageOf("it fails: with its own failure")).toMatch(/^Error: its own/)
  })

  test("say what a sweep has found", () => {
    expect(messageOf("it.sweep fails: a permit")).toMatch(
      /of \d+ runs of "fails: a permit" went wrong\n {2}interrupted at operation .*: 1 taken/
    )
  })

  test("say what is held", () => {
    expect(messageOf("toHoldNothing fails: a scope")).toContain(
      "expected nothing to be held, but there is:\n  1 finalizer"
    )
  })
})

describe("the examples of the page", () => {
  test("are tests that pass", { timeout: 60_000 }, async () => {
    const page = readFileSync(join(root, "packages/testing/docs/vitest.md"), "utf8")
    const folder = join(cache, "vitest-page")
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const blocks = [...page.matchAll(/^```ts no-run\n(.*?)^```$/gms)]
    expect(blocks.length).toBeGreaterThan(0)
    blocks.forEach(([, code], index) => writeFileSync(join(folder, `${index}.fixture.ts`), code!))
    const ran = await runIn(folder, "vitest-page")
    expect(ran.length).toBeGreaterThanOrEqual(blocks.length)
    expect(ran.filter(({ status }) => status !== "passed" && status !== "skipped")).toEqual([])
  })
})

describe("toHoldNothing", () => {
  /** What the matcher says; empty when it has nothing against it. */
  const refusal = (value: unknown) =>
    Effect.promise(() => expect(value).toHoldNothing().then(() => "", (error: Error) => error.message))

  strict.effect("takes a scope, and counts finalizers and fibers", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      expect(yield* refusal(scope)).toBe("")
      yield* Scope.addFinalizer(scope, Effect.void)
      yield* Effect.forkIn(Effect.never, yield* Scope.fork(scope))
      expect(yield* refusal(scope)).toBe("expected nothing to be held, but there is:\n  1 finalizer\n  1 fiber")
      yield* Scope.close(scope, Exit.void)
      expect(yield* refusal(scope)).toBe("")
    }))

  strict.effect(
    "takes a manager, and names frames and allocations but not what is its own",
    () =>
      Effect.gen(function*() {
        const manager = yield* ResourceManager.ResourceManager
        const work = Effect.gen(function*() {
          yield* ResourceManager.allocate(Settings)
          yield* ResourceManager.allocate(Connection)
          return yield* Effect.never
        }).pipe(TimeFrame.run({ name: "request" }))
        const fiber = yield* Effect.forkChild(work, { startImmediately: true })
        yield* Effect.yieldNow
        expect(yield* refusal(manager)).toBe([
          "expected nothing to be held, but there is:",
          "  the frame \"request\" is still open",
          "  \"settings\" is still held in the frame \"request\"",
          "  \"connection\" is still held in the frame \"request\""
        ].join("\n"))
        yield* Fiber.interrupt(fiber)
        expect(yield* refusal(manager)).toBe("")
      }).pipe(Effect.provide(ResourceManager.layer()))
  )

  strict.effect("takes a frame, and names what is in it", () =>
    Effect.gen(function*() {
      const frame = yield* TimeFrame.current
      expect(yield* refusal(frame)).toBe("")
      yield* ResourceManager.allocate(Connection)
      expect(yield* refusal(frame)).toContain("  \"connection\" is still held in the frame \"request\"")
    }).pipe(TimeFrame.run({ name: "request" }), Effect.provide(ResourceManager.layer())))

  it.effect("takes a scripted resource", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make()
      expect(yield* refusal(resource)).toBe("")
      yield* ScriptedResource.acquire(resource)
      expect(yield* refusal(resource)).toContain("expected nothing to be held")
    }))

  it.effect("takes anything that has findings or a check", () =>
    Effect.gen(function*() {
      expect(yield* refusal({ findings: [] })).toBe("")
      expect(yield* refusal({ findings: ["a door"] })).toContain("  a door")
      expect(yield* refusal({ check: () => ["a door"] })).toContain("  a door")
      expect(yield* refusal({ check: () => Effect.succeed(["a door"]) })).toContain("  a door")
    }))

  it("refuses what it knows nothing of", async () => {
    await expect(expect(1).toHoldNothing()).rejects.toThrow(/^toHoldNothing is for/)
    await expect(expect({}).toHoldNothing()).rejects.toThrow(TypeError)
  })

  it("can be turned round", async () => {
    await expect({ findings: ["a door"] }).not.toHoldNothing()
    await expect(expect({ findings: [] }).not.toHoldNothing()).rejects.toThrow("expected something to be held")
  })
})

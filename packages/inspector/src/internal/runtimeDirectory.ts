/**
 * Where programs write down that they can be inspected: one small file each, in a directory that only their user can read.
 * The command looks there. Owned by `Inspector`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir, userInfo } from "node:os"
import { join } from "node:path"
import { Registration } from "../Protocol.ts"

/** `CHRONOVYAN_RUNTIME_DIR`, or what the system has for it. */
export const directory = (): string => {
  const { CHRONOVYAN_RUNTIME_DIR, XDG_RUNTIME_DIR } = process.env
  if (CHRONOVYAN_RUNTIME_DIR) return CHRONOVYAN_RUNTIME_DIR
  return XDG_RUNTIME_DIR ? join(XDG_RUNTIME_DIR, "chronovyan") : join(tmpdir(), `chronovyan-${userInfo().uid}`)
}

/** Somebody else's directory of that name would be a trap. */
const complaintAbout = (path: string): string | undefined => {
  const facts = lstatSync(path)
  if (!facts.isDirectory()) return `${path} is not a directory`
  if (process.getuid === undefined) return undefined
  if (facts.uid !== process.getuid()) return `${path} belongs to another user`
  return (facts.mode & 0o077) === 0 ? undefined : `${path} can be read by others: its mode has to be 0700`
}

const encode = Schema.encodeSync(Schema.toCodecJson(Registration))
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Registration))

let written = 0

/** Writes it down until the scope closes or the process exits. What prevents that is a warning, no more. */
export const announce = (registration: Registration): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const path = directory()
    const file = join(path, `${process.pid}-${written++}.json`)
    const remove = () => {
      try {
        rmSync(file, { force: true })
      } catch {
        // It was never written.
      }
    }
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        process.off("exit", remove)
        remove()
      })
    )
    const complaint = yield* Effect.sync(() => {
      try {
        mkdirSync(path, { recursive: true, mode: 0o700 })
        const complaint = complaintAbout(path)
        if (complaint !== undefined) return complaint
        process.on("exit", remove)
        writeFileSync(`${file}.new`, JSON.stringify(encode(registration)), { mode: 0o600 })
        renameSync(`${file}.new`, file)
        return undefined
      } catch (error) {
        return (error as Error).message
      }
    })
    if (complaint !== undefined) {
      yield* Effect.logWarning(`The command "chronovyan" has to be told the address of this program: ${complaint}`)
    }
  })

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH"
  }
}

/** What is too large was not written by a program of ours. */
const largest = 64 * 1024

const read = (file: string): Registration | undefined => {
  try {
    const facts = lstatSync(file)
    if (!facts.isFile() || facts.size > largest) return undefined
    return Option.getOrUndefined(decode(readFileSync(file, "utf8")))
  } catch {
    return undefined
  }
}

/** What is written down by processes that are alive; what others left behind is removed. */
export const list = (): ReadonlyArray<Registration> => {
  const path = directory()
  const found: Array<Registration> = []
  let files: ReadonlyArray<string> = []
  try {
    if (complaintAbout(path) === undefined) files = readdirSync(path)
  } catch {
    return []
  }
  for (const name of files) {
    const pid = Number(/^(\d+)-\d+\.json$/.exec(name)?.[1])
    if (!(pid > 0)) continue
    const file = join(path, name)
    if (!isAlive(pid)) {
      rmSync(file, { force: true })
      continue
    }
    const registration = read(file)
    if (registration !== undefined && registration.pid === pid) found.push(registration)
  }
  return found.sort((a, b) => a.startedAt - b.startedAt || a.pid - b.pid)
}

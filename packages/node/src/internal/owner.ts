/**
 * Which process owns a temporary path, written into its name, so that what a killed process left behind can be told from
 * what a living one still uses.
 *
 * ```text
 *   build-chronovyan-3fa9c17e-2s4-1k2j3h4-9b1d0c5e7f2a
 *   prefix            realm    pid start   random
 * ```
 *
 * A process number means something only in its realm: one boot of one machine, and one namespace of process numbers,
 * since two containers can share a directory. Start tells a process from a later one with the same number.
 */
import { createHash, randomBytes } from "node:crypto"
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"

const pattern = /chronovyan-([0-9a-f]{8})-([0-9a-z]+)-([0-9a-z]+)-[0-9a-f]{12}$/

/** What a file of /proc says, or nothing where there is no such thing. */
const tryRead = (read: () => string): string => {
  try {
    return read().trim()
  } catch {
    return ""
  }
}

/** In ticks since the boot; "0" where the system does not tell. */
const startOf = (pid: number): string => {
  const stat = tryRead(() => readFileSync(`/proc/${pid}/stat`, "latin1"))
  // The name of the program comes second, in parentheses, and may hold anything.
  const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
  return start === undefined ? "0" : Number(start).toString(36)
}

const describeSelf = () => {
  const boot = tryRead(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1"))
  const namespace = tryRead(() => readlinkSync("/proc/self/ns/pid"))
  const realm = createHash("sha256").update(`${hostname()} ${boot} ${namespace}`).digest("hex").slice(0, 8)
  return { realm, start: startOf(process.pid) }
}

let self: { readonly realm: string; readonly start: string } | undefined

/** A new name that says that this process owns it. */
export const makeName = (prefix: string): string => {
  self ??= describeSelf()
  const random = randomBytes(6).toString("hex")
  return `${prefix}chronovyan-${self.realm}-${process.pid.toString(36)}-${self.start}-${random}`
}

/** Is this a name made by a process that is known to be dead? In doubt it is not. */
export const isLeftBehind = (name: string): boolean => {
  const [, realm, pidText, start] = pattern.exec(name) ?? []
  if (realm === undefined || pidText === undefined || start === undefined) return false
  self ??= describeSelf()
  if (realm !== self.realm) return false
  const pid = parseInt(pidText, 36)
  if (!isRunning(pid)) return true
  const actual = startOf(pid)
  return start !== "0" && actual !== "0" && actual !== start
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code !== "ESRCH"
  }
}

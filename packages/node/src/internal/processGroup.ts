/**
 * A process and everything that it has started, as far as the system keeps them together. Owned by `ChildProcess`.
 */
import { readdirSync, readFileSync } from "node:fs"

/** There are no process groups on Windows. */
export const hasGroups = process.platform !== "win32"

/** Sends a signal to a group; false when there is nobody left in it. */
export const signalGroup = (leader: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    process.kill(-leader, signal)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

/**
 * Does anybody in the group still run? A process that has ended stays in its group until its parent has asked for its
 * exit code, and that may be never: orphans go to process 1, which in many containers is a program that does not ask.
 */
export const isGroupRunning = (leader: number): boolean => {
  if (!signalGroup(leader, 0)) return false
  if (process.platform !== "linux") return true
  try {
    return readdirSync("/proc").some((name) => /^\d+$/.test(name) && isRunningIn(leader, name))
  } catch {
    return true
  }
}

const isRunningIn = (leader: number, pid: string): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    // After the name of the program, in parentheses: its state, its parent, its group.
    const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return group === String(leader) && state !== "Z" && state !== "X"
  } catch {
    return false
  }
}

/**
 * What has to be undone when the process ends without having released it.
 *
 * ```text
 *   idle ──first undo added──▶ installed ──last undo removed──▶ idle
 *                                 │ exit, or a signal that nobody else handles: undo everything
 *                                 ▼
 *                                idle ──the same signal again, which now ends the process
 * ```
 *
 * A signal that the program handles itself is left to it: its releases may still be under way, and the exit of the
 * process undoes what is left after them. Nothing of this runs when the process is killed with SIGKILL.
 */

/** Synchronous: a process that exits waits for nothing. */
export type Undo = () => void

const signals: ReadonlyArray<NodeJS.Signals> = ["SIGTERM", "SIGINT", "SIGHUP"]

class AtExit {
  private readonly undos = new Set<Undo>()

  /** Answers how to remove it again; that is safe to repeat. */
  add(undo: Undo): () => void {
    if (this.undos.size === 0) this.install()
    this.undos.add(undo)
    return () => {
      if (this.undos.delete(undo) && this.undos.size === 0) this.uninstall()
    }
  }

  private install(): void {
    process.on("exit", this.onExit)
    // First in line: a handler that is installed `once` would be gone from the list by the time it has run.
    for (const signal of signals) process.prependListener(signal, this.onSignal)
  }

  private uninstall(): void {
    process.off("exit", this.onExit)
    for (const signal of signals) process.off(signal, this.onSignal)
  }

  private readonly onExit = (): void => {
    const undos = Array.from(this.undos).reverse()
    this.undos.clear()
    this.uninstall()
    for (const undo of undos) {
      try {
        undo()
      } catch {
        // The others have to have their turn, and there is nobody left to tell.
      }
    }
  }

  private readonly onSignal = (signal: NodeJS.Signals): void => {
    if (process.listenerCount(signal) - 1 > passive()) return
    this.onExit()
    process.kill(process.pid, signal)
  }
}

/**
 * How many listeners for a signal only clean up as well. Those of `signal-exit`, which many packages use, wait for all
 * others to be gone before they let the process die: two that wait for each other would swallow the signal.
 */
const passive = (): number => {
  const emitters = [
    (globalThis as Record<symbol, unknown>)[Symbol.for("signal-exit emitter")],
    (process as unknown as Record<string, unknown>)["__signal_exit_emitter__"]
  ] as ReadonlyArray<{ readonly count?: unknown } | undefined>
  return emitters.reduce((sum, emitter) => typeof emitter?.count === "number" ? sum + emitter.count : sum, 0)
}

/** One for all copies of this package in a process: two of them would take each other for the program's own handler. */
const key = Symbol.for("@chronovyan/node/AtExit")

const shared = globalThis as unknown as { [key]?: AtExit }

export const atExit: AtExit = shared[key] ??= new AtExit()

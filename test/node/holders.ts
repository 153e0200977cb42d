import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

/** A directory for a test, not made by what is tested. */
export const freshDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "test-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const fixture = (name: string) => new URL(`./fixtures/${name}`, import.meta.url).pathname

/** A process of its own that holds temporary paths; see `fixtures/holder.ts`. It is killed with the scope. */
export const holder = (directory: string, mode: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = spawn(
        process.execPath,
        ["--import", fixture("source.ts"), fixture("holder.ts"), directory, mode],
        { stdio: ["pipe", "pipe", "pipe"] }
      )
      const errors: Array<string> = []
      child.stderr.setEncoding("utf8").on("data", (text: string) => errors.push(text))
      const exited = once(child, "exit").then(([code, signal]) => ({
        code: code as number | null,
        signal: signal as string
      }))
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
      const next = async () => {
        const line = await lines.next()
        if (line.done === true) throw new Error(`the holder ended: ${errors.join("")}`)
        return JSON.parse(line.value)
      }
      const { child: pid, paths } = await next() as { readonly paths: ReadonlyArray<string>; readonly child?: number }
      return {
        paths,
        childPid: pid,
        next: Effect.promise(next),
        errors,
        exited: Effect.promise(() => exited),
        kill: (signal: NodeJS.Signals) =>
          Effect.andThen(Effect.sync(() => child.kill(signal)), Effect.promise(() => exited)),
        child
      }
    }),
    ({ child, exited }) =>
      Effect.suspend(() => {
        child.kill("SIGKILL")
        return exited
      })
  )

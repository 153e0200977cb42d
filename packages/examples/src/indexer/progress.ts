/**
 * Shows how far the run is: a bar on a terminal, a plain line now and then otherwise. It goes to the standard error, so
 * that the report has the standard output to itself.
 */
import { Clock, Effect, Schedule } from "effect"
import * as display from "./display.ts"

export interface Progress {
  files: number
  bytes: number
  errors: number
  readonly skipped: { link: number; pipe: number; socket: number; device: number }
  /** How many files there are, as far as they have been counted. */
  found: number
  /** Are all of them counted? */
  counted: boolean
}

export const make = (): Progress => ({
  files: 0,
  bytes: 0,
  errors: 0,
  skipped: { link: 0, pipe: 0, socket: 0, device: 0 },
  found: 0,
  counted: false
})

export const isTerminal = process.stderr.isTTY === true

/** Goes on until the frame ends; then the bar is gone. */
export const show = (progress: Progress) =>
  Effect.gen(function*() {
    const startedAt = yield* Clock.currentTimeMillis
    const seconds = Effect.map(Clock.currentTimeMillis, (now) => (now - startedAt) / 1000)
    if (isTerminal) yield* Effect.addFinalizer(() => write("\r\x1b[K\x1b[?25h"))
    const draw = isTerminal
      ? Effect.flatMap(seconds, (seconds) => write(`\r\x1b[?25l${bar(progress, seconds)}\x1b[K`))
      : Effect.flatMap(seconds, (seconds) => write(`${facts(progress, seconds)}\n`))
    yield* Effect.forkScoped(Effect.schedule(draw, Schedule.spaced(isTerminal ? "100 millis" : "2 seconds")))
  })

const write = (text: string) => Effect.sync(() => process.stderr.write(text))

const facts = ({ bytes, errors, files }: Progress, seconds: number): string =>
  `${display.counted(files, "file")}, ${display.bytes(bytes)}, ${display.bytes(Math.round(bytes / seconds))}/s` +
  (errors === 0 ? "" : `, ${display.counted(errors, "error")}`)

const width = 30

const bar = (progress: Progress, seconds: number): string => {
  const { counted, files, errors, found } = progress
  const part = Math.min(1, (files + errors) / Math.max(found, 1))
  const full = counted ? Math.round(part * width) : 0
  const percent = counted ? `${Math.floor(part * 100)} %`.padStart(5) : "  ..."
  const line = `${"█".repeat(full)}${"░".repeat(width - full)} ${percent}  ${facts(progress, seconds)}`
  return line.slice(0, (process.stderr.columns ?? 80) - 1)
}

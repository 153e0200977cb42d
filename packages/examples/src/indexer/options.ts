/**
 * What can be said on the command line.
 */
import { ByteSize, Duration, Option } from "effect"
import { Argument, Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { type Limits, smallestMemory } from "./plan.ts"

export interface Options extends Limits {
  readonly directory: string
  readonly timeout: Duration.Duration
  readonly database: Option.Option<string>
  readonly json: boolean
  readonly inspect: boolean
}

/** `1048576`, `1MiB`, `1.5 MB`. */
const parseBytes = (text: string): Option.Option<number> =>
  ByteSize.fromString(/^\d+$/.test(text) ? `${text}B` : text).pipe(
    Option.map(Number),
    Option.filter(Number.isSafeInteger)
  )

const unitNames = { ms: "millis", s: "seconds", m: "minutes", h: "hours" }

/** `30`, `30s`, `500ms`, `2 minutes`. */
const parseTimeout = (text: string): Option.Option<Duration.Duration> => {
  const short = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(text)
  const long = short === null ? text : `${short[1]} ${unitNames[(short[2] ?? "s") as keyof typeof unitNames]}`
  return Duration.fromInput(long as Duration.Input).pipe(Option.filter((timeout) => Duration.toMillis(timeout) >= 1))
}

const count = (name: string, minimum: number, maximum: number) =>
  Flag.Int(name).pipe(
    Flag.filter((n) => n >= minimum && n <= maximum, () => `a whole number from ${minimum} to ${maximum}`)
  )

export const parameters = {
  directory: Argument.String("DIR").pipe(
    Argument.withDescription("The directory to index (default: the node_modules of this repository)"),
    Argument.withDefault(fileURLToPath(new URL("../../../../node_modules", import.meta.url)))
  ),
  memory: Flag.String("memory").pipe(
    Flag.withMetavar("size"),
    Flag.withDescription("Memory for the contents of files (default: 32MiB)"),
    Flag.filterMap(parseBytes, () => "a size in bytes, or with a unit: 8MiB, 500kB"),
    Flag.filter((bytes) => bytes >= smallestMemory, () => `at least ${smallestMemory / 1024}KiB`),
    Flag.withDefault(32 * 1024 * 1024)
  ),
  files: count("files", 2, 4096).pipe(
    Flag.withDescription("Files and directories open at once, at least 2: one of each (default: 32)"),
    Flag.withDefault(32)
  ),
  workers: count("workers", 1, 256).pipe(
    Flag.withDescription("Worker threads (default: one for each core)"),
    Flag.withDefault(availableParallelism())
  ),
  timeout: Flag.String("timeout").pipe(
    Flag.withMetavar("duration"),
    Flag.withDescription("How long one file may take: 500ms, 2m (default: 30s)"),
    Flag.filterMap(parseTimeout, () => "a duration of at least 1ms: 30s, 500ms, 2m"),
    Flag.withDefault(Duration.seconds(30))
  ),
  database: Flag.String("database").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("Keep the index in this SQLite file (default: a temporary one)"),
    Flag.filter((path) => path !== "", () => "the path of a file"),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the report as one JSON document"),
    Flag.withDefault(false)
  ),
  inspect: Flag.Boolean("inspect").pipe(
    Flag.withDescription("Let others look at what the run holds, and print where"),
    Flag.withDefault(false)
  )
}

/**
 * The options of the detector, checked. Owned by `LeakDetector`.
 */
import * as Duration from "effect/Duration"
import type * as LeakDetector from "../LeakDetector.ts"

export interface Config {
  readonly level: LeakDetector.Level
  readonly every: number
  readonly interval: number
  readonly settle: number
  readonly releaseAfter: number
  /** Fixed, by definition. */
  readonly holds: ReadonlyMap<string, number>
  /** Fixed, for all others; `undefined`: learned. */
  readonly hold: number | undefined
  readonly factor: number
  readonly floor: number
  readonly samples: number
  readonly memory: number
  readonly window: number
  readonly windows: number
  readonly minimum: number
  readonly ignored: ReadonlySet<string>
  readonly limit: number
}

export const configOf = (options: LeakDetector.Options): Config => {
  const interval = millis("interval", options.interval ?? "5 seconds", 1)
  const learned = options.learned ?? {}
  const growth = options.growth ?? {}
  return {
    level: options.level ?? "presence",
    every: options.level === "full" ? 1 : whole("every", options.every ?? 64),
    interval,
    settle: millis("settle", options.settle ?? "10 seconds", 0),
    releaseAfter: millis("releaseAfter", options.releaseAfter ?? "1 minute", 0),
    holds: new Map(
      Object.entries(options.holds ?? {}).map(([name, hold]) => [name, millis(`hold of ${name}`, hold, 0)])
    ),
    hold: options.hold === undefined ? undefined : millis("hold", options.hold, 0),
    factor: atLeast("learned.factor", learned.factor ?? 5, 1),
    // What is shorter than the interval can not be told apart.
    floor: Math.max(2 * interval, millis("learned.floor", learned.floor ?? "1 minute", 0)),
    samples: whole("learned.samples", learned.samples ?? 20),
    memory: millis("learned.memory", learned.memory ?? "1 hour", 1),
    window: Math.max(interval, millis("growth.window", growth.window ?? "1 minute", 1)),
    windows: Math.max(3, whole("growth.windows", growth.windows ?? 10)),
    minimum: whole("growth.minimum", growth.minimum ?? 10),
    ignored: new Set(options.ignore),
    limit: whole("limit", options.limit ?? 10)
  }
}

const millis = (name: string, duration: Duration.Input, least: number): number =>
  atLeast(name, Duration.toMillis(Duration.fromInputUnsafe(duration)), least)

const whole = (name: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new TypeError(`The ${name} of a leak detector must be a whole number of at least 1: ${String(value)}`)
}

const atLeast = (name: string, value: number, least: number): number => {
  if (value >= least) return value
  throw new TypeError(`The ${name} of a leak detector must be at least ${least}: ${String(value)}`)
}

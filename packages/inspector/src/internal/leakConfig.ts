/**
 * The options of the detector, and how they are checked. Owned by `LeakDetector`.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { LeakReport } from "../LeakReport.ts"
import type { Info } from "../Protocol.ts"

/**
 * How closely is looked.
 *
 * - `off`: not at all, at no cost.
 * - `presence`: at all that is held, by definition and frame; call sites as far as they are known anyway.
 * - `sampled`: besides, at the call site of one allocation in `every`, and whether its handle is dropped.
 * - `full`: at those of all of them. That costs microseconds for each: for tests, and for the last days of a hunt.
 */
export type Level = Info["level"]

/**
 * What a detector can be given.
 */
export interface Options {
  /** Default: `"presence"`. */
  readonly level?: Level | undefined
  /** At the level `sampled`: one in so many. Default: 64. */
  readonly every?: number | undefined
  /** How often is looked. Default: 5 seconds. */
  readonly interval?: Duration.Input | undefined
  /** How long allocations of a definition, or borrows from a pool, may be held, by name. `Duration.infinity`: for ever. */
  readonly holds?: Readonly<Record<string, Duration.Input>> | undefined
  /** How long all others may be held. Default: it is learned from how long those before were held. */
  readonly hold?: Duration.Input | undefined
  /** How that is learned, for each definition in each kind of frame. */
  readonly learned?: {
    /** How many times longer than the longest of late something may be held. Default: 5; floor: 1. */
    readonly factor?: number | undefined
    /** How long it may be held in any case. Default: 1 minute; floor: 2 intervals. */
    readonly floor?: Duration.Input | undefined
    /** How many have to come back before something is expected of the next ones. Default: 20. */
    readonly samples?: number | undefined
    /** For how long it is remembered how long something was held. Default: 1 hour. */
    readonly memory?: Duration.Input | undefined
  } | undefined
  /** How growth is looked for. */
  readonly growth?: {
    /** Default: 1 minute; floor: 1 interval. */
    readonly window?: Duration.Input | undefined
    /** For so many windows it has to go on. Default: 10; floor: 3. */
    readonly windows?: number | undefined
    /** By so many there have to be more of them at the end. Default: 10. */
    readonly minimum?: number | undefined
  } | undefined
  /** How long releases, and the closing of frames, may take. Default: 1 minute. */
  readonly releaseAfter?: Duration.Input | undefined
  /** How long something has to look collected, abandoned or orphaned before it is told of. Default: 10 seconds. */
  readonly settle?: Duration.Input | undefined
  /**
   * At the levels `sampled` and `full`: which of those are told of whose handles were collected. `"lost"`: those that were
   * dropped again and again in one frame, or by a fiber that has ended when the frame had been open for some time (the
   * `floor`). Who uses a value until its frame ends has no use for the handle, so a single one is no sign of anything.
   * `"all"`: all of them. Default: `"lost"`.
   */
  readonly collected?: "lost" | "all" | undefined
  /** Definitions, pools and frames of which nothing is told, by name. Default: none. */
  readonly ignore?: ReadonlyArray<string> | undefined
  /** How many of one definition are told of at once, for one reason. Default: 10. */
  readonly limit?: number | undefined
  /** Are reports logged, as warnings, and what came home as information? Default: `true`. */
  readonly log?: boolean | undefined
  /** Is run with each report, one after another. What it dies of is logged. Default: nothing. */
  readonly onReport?: ((report: LeakReport) => Effect.Effect<unknown>) | undefined
}

export interface Config {
  readonly level: Level
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
  readonly collected: "lost" | "all"
  readonly ignored: ReadonlySet<string>
  readonly limit: number
}

export const configOf = (options: Options): Config => {
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
    collected: options.collected ?? "lost",
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

/**
 * Where the inspector gets from what a snapshot does not tell: leaks, contention and metrics. Each is a hook with a quiet
 * default; the layers of the modules that find these things out set them.
 */
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ContentionReport } from "./ContentionReport.ts"
import { contentionOf } from "./internal/contentionOf.ts"
import type { LeakReport } from "./LeakReport.ts"
import type { Info } from "./Protocol.ts"

/** Tells of leaks. */
export interface LeakSource {
  /** How closely is looked. */
  readonly level: Info["level"]
  /** Those that are raised and not taken back. */
  readonly reports: Effect.Effect<ReadonlyArray<LeakReport>>
  /** Those that are raised and taken back from now on. */
  readonly changes: Stream.Stream<LeakReport>
}

/** Tells where programs wait. */
export interface ContentionSource {
  readonly report: Effect.Effect<ContentionReport, never, ResourceManager.ResourceManager>
}

/** Tells numbers. */
export interface MetricsSource {
  /** In the text format of Prometheus. */
  readonly text: Effect.Effect<string>
}

/** Leaks. Default: nobody looks for them. */
export const Leaks: Context.Reference<LeakSource> = Context.Reference<LeakSource>(
  "@chronovyan/inspector/Source/Leaks",
  { defaultValue: () => ({ level: "off", reports: Effect.succeed([]), changes: Stream.never }) }
)

/** Contention. Default: what one snapshot tells, which is who holds and how many wait, and nothing of the past. */
export const Contention: Context.Reference<ContentionSource> = Context.Reference<ContentionSource>(
  "@chronovyan/inspector/Source/Contention",
  { defaultValue: () => ({ report: Effect.map(ResourceManager.snapshot, contentionOf) }) }
)

/** Metrics. Default: none. */
export const Metrics: Context.Reference<MetricsSource> = Context.Reference<MetricsSource>(
  "@chronovyan/inspector/Source/Metrics",
  { defaultValue: () => ({ text: Effect.succeed("") }) }
)

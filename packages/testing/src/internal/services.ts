import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Random from "effect/Random"

interface Sleeper {
  readonly deadline: number
  readonly wake: () => void
}

/** A clock that stands still until `wakeNext` moves it to the next deadline. */
export class VirtualClock implements Clock.Clock {
  now = 0
  /** Latest first, so that the next one to wake is popped; equal deadlines wake in the order they came. */
  private readonly sleepers: Array<Sleeper> = []

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  currentTimeMillisUnsafe(): number {
    return this.now
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.round(this.now * 1_000_000))
  }

  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback((resume) => {
      const sleeper: Sleeper = { deadline: this.now + millis, wake: () => resume(Effect.void) }
      const index = this.sleepers.findIndex((other) => other.deadline <= sleeper.deadline)
      this.sleepers.splice(index === -1 ? this.sleepers.length : index, 0, sleeper)
      return Effect.sync(() => {
        const index = this.sleepers.indexOf(sleeper)
        if (index !== -1) this.sleepers.splice(index, 1)
      })
    })
  }

  /** What time it is, and who wakes when. */
  get agenda(): string {
    return `${this.now}/${this.sleepers.map(({ deadline }) => deadline).join()}`
  }

  /** Wakes the next sleeper that is due by then, and tells what time it is before; `false` if there is none. */
  wakeNext(horizon: number, tell: (now: number) => void): boolean {
    const next = this.sleepers.at(-1)
    if (next === undefined || next.deadline > horizon) return false
    this.sleepers.pop()
    this.now = next.deadline
    tell(this.now)
    next.wake()
    return true
  }
}

/** Random numbers from 0 to 1, the same for the same seed (mulberry32). */
export const makeRandomFrom = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** The same random numbers in every run. */
export const makeRandom = (): Random.Random => {
  const nextDoubleUnsafe = makeRandomFrom(0x9e3779b9)
  return {
    nextDoubleUnsafe,
    nextIntUnsafe: () => Math.floor((nextDoubleUnsafe() * 2 - 1) * Number.MAX_SAFE_INTEGER)
  }
}

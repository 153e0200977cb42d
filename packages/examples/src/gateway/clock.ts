/**
 * A clock that need not wait: as soon as nobody has anything left to do, it is the moment for which somebody sleeps next.
 * Two minutes of traffic go by in a fraction of a second, and every run is the same.
 */
import { Clock, Duration, Effect } from "effect"

/** So many turns of Node's event loop without a change, and everybody sleeps. */
const quietTurns = 16

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export const make = (): Clock.Clock => {
  /** By the moment they wake at, and for one moment by who came first. */
  const sleepers: Array<Sleeper> = []
  let now = 0
  let isWatching = false

  const watch = (turns: number): void => {
    if (turns > 0) {
      setImmediate(() => watch(turns - 1))
      return
    }
    const next = sleepers.shift()
    isWatching = next !== undefined
    if (next === undefined) return
    now = next.at
    next.wake()
    while (sleepers[0]?.at === now) sleepers.shift()!.wake()
    watch(quietTurns)
  }

  const sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.callback((resume) => {
      const at = now + Math.max(0, Duration.toMillis(duration))
      const sleeper = { at, wake: () => resume(Effect.void) }
      const place = sleepers.findIndex((other) => other.at > at)
      sleepers.splice(place === -1 ? sleepers.length : place, 0, sleeper)
      if (!isWatching) {
        isWatching = true
        watch(quietTurns)
      }
      return Effect.sync(() => {
        const place = sleepers.indexOf(sleeper)
        if (place !== -1) sleepers.splice(place, 1)
      })
    })

  const millis = () => now
  const nanos = () => BigInt(Math.round(now * 1e6))
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep
  }
}

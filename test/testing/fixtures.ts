import { Sweep } from "@chronovyan/testing"
import { Effect, TxSemaphore } from "effect"

/** Counts what is live: one more with each acquire, one less with each release. */
export const makeThings = () => {
  const things = { live: 0 }
  return {
    things,
    acquire: Effect.sync(() => {
      things.live++
    }),
    release: Effect.sync(() => {
      things.live--
    })
  }
}

export const noneLive = ({ things }: { readonly things: { readonly live: number } }) =>
  things.live === 0 ? [] : [`${things.live} live`]

export const leakyPermit = Sweep.make({
  name: "TxSemaphore.withPermit",
  setup: TxSemaphore.make(2),
  body: (semaphore) => TxSemaphore.withPermit(semaphore, Effect.void),
  check: (semaphore) =>
    Effect.map(TxSemaphore.available(semaphore), (free) => (free === 2 ? [] : [`${2 - free} permit lost`]))
})

export const findingsOf = (report: Sweep.Report) => new Set(report.failures.flatMap((failure) => failure.findings))

/**
 * Lets others look at a run, and tells where, on the standard error.
 */
import { Contention, Inspector, LeakDetector } from "@chronovyan/inspector"
import { Console, Effect, Layer } from "effect"

const tell = Effect.flatMap(
  Inspector.address,
  (address) => Console.error(`This run can be looked at in a browser at ${address}, and with: npx chronovyan top`)
)

export const layer = Layer.effectDiscard(tell).pipe(
  Layer.provide(Inspector.layer({ name: "indexer" })),
  Layer.provide([Contention.layer(), LeakDetector.layer({ interval: "1 second", log: false })])
)

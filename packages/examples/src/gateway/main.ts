/**
 * Plays two minutes of traffic through a gateway to a language model, and tells who was served, who waited, and why the
 * others were refused.
 */
import { Clock, Console, Effect } from "effect"
import * as FastClock from "./clock.ts"
import * as Gateway from "./gateway.ts"
import { toText } from "./report.ts"
import { requests, tenants } from "./traffic.ts"

const program = Gateway.run(requests).pipe(
  Effect.flatMap((outcomes) => Console.log(toText(tenants, outcomes))),
  // Without this it takes the two minutes.
  Effect.provideService(Clock.Clock, FastClock.make())
)

await Effect.runPromise(program)

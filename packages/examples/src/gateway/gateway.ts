/**
 * A gateway to a language model, for several tenants: so many tokens a minute, so many calls at once, and nobody waits
 * longer than is of use.
 */
import { Budget, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import type { ResourceError } from "@chronovyan/core"
import { Clock, Effect, Schema } from "effect"
import type { Request } from "./traffic.ts"

/** How it went with one request. Times are milliseconds. */
export type Outcome =
  | { readonly _tag: "Served"; readonly request: Request; readonly waited: number }
  | { readonly _tag: "Refused"; readonly request: Request; readonly error: ResourceError.ResourceError }

/** What the provider of the model sells. */
export const limits = {
  tokens: Budget.rate(60_000, "1 minute", 6_000),
  calls: 8
}

/** How long a call may wait for its turn. */
export const patience = "20 seconds"

/** One call of the model: it takes its tokens for good, and one of the calls until it has ended. */
const Call = ResourceDefinition.temporal("call", {
  params: Schema.Int, // tokens
  cost: (tokens) => ({ tokens, calls: 1 }),
  acquire: () => Effect.succeed({ complete: ({ takes }: Request) => Effect.sleep(takes * 1000) })
})

/** Each request has a frame of its own; those of one tenant take turns with those of the others. */
const serve = (request: Request) =>
  Effect.gen(function*() {
    const asked = yield* Clock.currentTimeMillis
    return yield* ResourceManager.use(Call, request.tokens, (model) =>
      Effect.gen(function*() {
        const waited = (yield* Clock.currentTimeMillis) - asked
        yield* model.complete(request)
        return { _tag: "Served", request, waited } satisfies Outcome
      }))
  }).pipe(
    TimeFrame.run({
      name: request.tenant.name,
      tenant: request.tenant.name,
      weight: request.tenant.weight,
      exhausted: { wait: patience }
    }),
    Effect.catch((error) => Effect.succeed<Outcome>({ _tag: "Refused", request, error }))
  )

/** Serves each request at its time; ends when all have been answered. */
export const run = (requests: ReadonlyArray<Request>) =>
  Effect.forEach(requests, (request) => Effect.delay(serve(request), request.at * 1000), {
    concurrency: "unbounded"
  }).pipe(
    TimeFrame.run({ name: "gateway", budget: limits }),
    Effect.provide(ResourceManager.layer())
  )

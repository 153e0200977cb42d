/**
 * What is answered to what. Owned by `Inspector`.
 */
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import type { ServerResponse } from "node:http"
import { ContentionReport } from "../ContentionReport.ts"
import { LeakReport } from "../LeakReport.ts"
import { Control, Done, Info, Refused } from "../Protocol.ts"
import type { ContentionSource, LeakSource, MetricsSource } from "../Source.ts"
import type { Access, Denial } from "./access.ts"
import { perform } from "./control.ts"
import type { Listeners } from "./listeners.ts"
import type { Page } from "./page.ts"

export interface EndpointOptions {
  readonly info: Info
  readonly access: Access
  readonly listeners: Listeners
  readonly page: Page
  readonly leaks: LeakSource
  readonly contention: ContentionSource
  readonly metrics: MetricsSource
  /** How many requests may be under way at once, besides those that listen. */
  readonly mostRequests: number
}

type Response = HttpServerResponse.HttpServerResponse
type Answer = Effect.Effect<Response, Refused, ResourceManager.ResourceManager>

/** What is sent to the program is short. */
const longestBody = ByteSize.kibibytes(16)

const always = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

const respond = (status: number, body: string | Uint8Array, contentType: string, headers = {}): Response => {
  const options = { status, headers: Headers.fromInput({ ...always, ...headers }), contentType }
  return typeof body === "string"
    ? HttpServerResponse.text(body, options)
    : HttpServerResponse.uint8Array(body, options)
}

const json = "application/json"

const encodeRefused = Schema.encodeSync(Schema.toCodecJson(Refused))
const encodeDone = Schema.encodeSync(Schema.toCodecJson(Done))
const encodeInfo = Schema.encodeSync(Schema.toCodecJson(Info))
const encodeLeaks = Schema.encodeSync(Schema.toCodecJson(Schema.Array(LeakReport)))
const encodeContention = Schema.encodeSync(Schema.toCodecJson(ContentionReport))
const decodeControl = Schema.decodeUnknownEffect(Schema.fromJsonString(Control))

const refused = ({ message, status }: Denial, headers = {}): Response =>
  respond(status, JSON.stringify(encodeRefused(new Refused({ status, message }))), json, headers)

/** Looking may take a tenth of the program's time: what was expensive to find out is told for a while. */
const share = 10
const longest = 1000

const rarely = <R>(make: Effect.Effect<string, never, R>): Effect.Effect<Uint8Array, never, R> => {
  let until = -Infinity
  let latest: Uint8Array = new Uint8Array()
  return Effect.suspend(() => {
    const begun = performance.now()
    if (begun < until) return Effect.succeed(latest)
    return Effect.map(make, (text) => {
      latest = Buffer.from(text)
      const done = performance.now()
      until = done + Math.min(longest, (done - begun) * share)
      return latest
    })
  })
}

interface Route {
  readonly method: "GET" | "POST"
  readonly answer: (request: HttpServerRequest.HttpServerRequest) => Answer
}

const get = (answer: Answer): Route => ({ method: "GET", answer: () => answer })

const told = (text: Effect.Effect<string, never, ResourceManager.ResourceManager>, contentType = json): Route =>
  get(Effect.map(rarely(text), (body) => respond(200, body, contentType)))

const bodyOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<string, Refused> =>
  Effect.mapError(
    Effect.provideService(request.text, HttpIncomingMessage.MaxBodySize, longestBody),
    (error) =>
      error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
        ? tooLarge
        : new Refused({ status: 400, message: "What was sent could not be read to its end" })
  )

const tooLarge = new Refused({ status: 413, message: `At most ${ByteSize.format(longestBody)} can be sent` })

const control = (isAllowed: boolean): Route => ({
  method: "POST",
  answer: Effect.fnUntraced(function*(request) {
    if (!isAllowed) return yield* new Refused({ status: 403, message: "This program does not allow control" })
    if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
      return yield* new Refused({ status: 415, message: "The content-type has to be application/json" })
    }
    if (Number(request.headers["content-length"] ?? 0) > Number(longestBody)) return yield* tooLarge
    const body = yield* bodyOf(request)
    const asked = yield* Effect.mapError(
      decodeControl(body),
      (error) => new Refused({ status: 400, message: `This can not be asked: ${error.message.slice(0, 1000)}` })
    )
    const { done, goesOn } = yield* perform(asked)
    return respond(goesOn ? 202 : 200, JSON.stringify(encodeDone(done)), json)
  })
})

const eventsHeaders = { ...always, "content-type": "text/event-stream; charset=utf-8" }

const events = (listeners: Listeners): Route => ({
  method: "GET",
  answer: (request) => {
    if (request.method === "HEAD") return Effect.succeed(respond(200, "", eventsHeaders["content-type"]))
    if (listeners.isFull) return Effect.fail(new Refused({ status: 503, message: "Too many listen already" }))
    const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
    response.writeHead(200, eventsHeaders)
    return Effect.as(listeners.listen(response), HttpServerResponse.empty())
  }
})

/** Answers one request, whatever it is. */
export const make = (
  options: EndpointOptions
): Effect.Effect<Response, never, ResourceManager.ResourceManager | HttpServerRequest.HttpServerRequest> => {
  const { access, contention, info, leaks, listeners, metrics, mostRequests, page } = options
  const routes = new Map<string, Route>([
    [
      "/",
      get(Effect.sync(() => {
        const policy = { "content-security-policy": page.policy }
        return respond(200, page.html, "text/html; charset=utf-8", policy)
      }))
    ],
    ["/api/info", told(Effect.sync(() => JSON.stringify(encodeInfo(info))))],
    // A snapshot is plain data, which is as the schema has it: only a reader has to decode it.
    ["/api/snapshot", told(Effect.map(ResourceManager.snapshot, (snapshot) => JSON.stringify(snapshot)))],
    ["/api/contention", told(Effect.map(contention.report, (report) => JSON.stringify(encodeContention(report))))],
    ["/api/leaks", told(Effect.map(leaks.reports, (reports) => JSON.stringify(encodeLeaks(reports))))],
    ["/api/events", events(listeners)],
    ["/metrics", told(metrics.text, "text/plain; version=0.0.4; charset=utf-8")],
    ["/api/control", control(info.control)]
  ])
  let underWay = 0

  return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const { headers, method } = request
    const path = request.url.split("?", 1)[0]!
    const asking = { headers, path }
    const denial = access.check(asking) ?? access.checkToken(asking)
    if (denial !== undefined) {
      return Effect.succeed(refused(denial, denial.status === 401 ? { "www-authenticate": "Bearer" } : {}))
    }
    const route = routes.get(path)
    if (route === undefined) return Effect.succeed(refused({ status: 404, message: "There is no such thing here" }))
    if (method !== route.method && !(method === "HEAD" && route.method === "GET")) {
      const allow = route.method === "GET" ? "GET, HEAD" : route.method
      return Effect.succeed(refused({ status: 405, message: `This is asked for with ${route.method}` }, { allow }))
    }
    const isListening = path === "/api/events"
    if (!isListening) {
      if (underWay >= mostRequests) return Effect.succeed(refused({ status: 503, message: "Too many ask at once" }))
      underWay++
      // What has been answered counts until it has been read.
      const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
      if (response.destroyed) underWay--
      else response.once("close", () => underWay--)
    }
    // A handler can not be interrupted unless it says so; who has gone away needs no answer.
    return Effect.catchCause(Effect.interruptible(route.answer(request)), (cause) => {
      if (Cause.hasInterrupts(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      const error = Cause.squash(cause)
      if (error instanceof Refused) return Effect.succeed(refused(error))
      return Effect.as(
        Effect.logError("The inspector could not answer", cause),
        refused({ status: 500, message: "The program could not answer: its log says why" })
      )
    })
  })
}

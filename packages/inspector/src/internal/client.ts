/**
 * Asks a program that is inspected. Owned by the command.
 */
import { Snapshot } from "@chronovyan/core/Snapshot"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { request } from "node:http"
import type { RequestOptions } from "node:http"
import { ContentionReport } from "../ContentionReport.ts"
import { LeakReport } from "../LeakReport.ts"
import { Control, Done, Info, Refused } from "../Protocol.ts"
import * as Address from "./address.ts"
import { Trouble } from "./trouble.ts"

/** Which program, and what it wants to hear. */
export interface Target {
  readonly address: string
  readonly token: string | undefined
  /** How long to wait for an answer, in milliseconds. Default: 15 seconds. */
  readonly timeout?: number
}

interface Answer {
  readonly status: number
  readonly body: string
}

/** What is longer than that is no answer of ours. */
const longest = 256 * 1024 * 1024

const placeOf = ({ address }: Target): RequestOptions | undefined => {
  const at = Address.parse(address)
  if (at === undefined) return undefined
  return at._tag === "Unix" ? { socketPath: at.path } : { host: at.host, port: at.port }
}

const unreachable = (text: string) => new Trouble({ kind: "unreachable", text })

const send = (target: Target, path: string, body?: string): Effect.Effect<Answer, Trouble> =>
  Effect.callback((resume) => {
    const place = placeOf(target)
    if (place === undefined) {
      const text = `"${target.address}" is no address: give host:port, or the path of a socket`
      return resume(Effect.fail(new Trouble({ kind: "usage", text })))
    }
    const headers: Record<string, string> = {}
    if (target.token !== undefined) headers["authorization"] = `Bearer ${target.token}`
    if (body !== undefined) headers["content-type"] = "application/json"
    const { address, timeout = 15_000 } = target
    const options = { ...place, path, method: body === undefined ? "GET" : "POST", headers, agent: false, timeout }
    const failed = (error: NodeJS.ErrnoException) => {
      const text = error.code === "ECONNREFUSED" || error.code === "ENOENT"
        ? `Nothing listens at ${address}: does the program still run?`
        : `The program at ${address} can not be asked: ${error.message}`
      resume(Effect.fail(unreachable(text)))
    }
    const asking = request(options, (response) => {
      const chunks: Array<Buffer> = []
      let size = 0
      response.on("data", (chunk: Buffer) => {
        size += chunk.length
        if (size > longest) asking.destroy(new Error("the answer does not end"))
        else chunks.push(chunk)
      })
      response.on("error", failed)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode!, body: Buffer.concat(chunks).toString() }))
      )
    })
    asking.on("timeout", () => asking.destroy(new Error(`there is no answer within ${timeout / 1000} seconds`)))
    asking.on("error", failed)
    asking.end(body)
    return Effect.sync(() => asking.destroy())
  })

const decodeRefused = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.toCodecJson(Refused)))

const foreign = (target: Target) =>
  unreachable(`What answers at ${target.address} is no inspector, or one of another version`)

const troubleOf = (target: Target, answer: Answer): Trouble => {
  const refused = Option.getOrUndefined(decodeRefused(answer.body))
  if (refused === undefined) return foreign(target)
  if (refused.status === 401) {
    return new Trouble({
      kind: "token",
      text: target.token === undefined
        ? `The program at ${target.address} needs a token: give it with --token, or in CHRONOVYAN_TOKEN`
        : `The program at ${target.address} has another token`
    })
  }
  return new Trouble({ kind: "refused", text: refused.message })
}

const get = <A>(schema: Schema.ConstraintDecoder<A>, path: string) => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(schema as Schema.Codec<A>)))
  return Effect.fnUntraced(function*(target: Target) {
    const answer = yield* send(target, path)
    if (answer.status !== 200) return yield* troubleOf(target, answer)
    return yield* Effect.mapError(decode(answer.body), () => foreign(target))
  })
}

export const info = get(Info, "/api/info")
export const snapshot = get(Snapshot, "/api/snapshot")
export const contention = get(ContentionReport, "/api/contention")
export const leaks = get(Schema.Array(LeakReport), "/api/leaks")

const encodeControl = Schema.encodeSync(Schema.fromJsonString(Control))
const decodeDone = Schema.decodeUnknownEffect(Schema.fromJsonString(Done))

export const control = Effect.fnUntraced(function*(target: Target, asked: Control) {
  const answer = yield* send(target, "/api/control", encodeControl(asked))
  if (answer.status === 200 || answer.status === 202) {
    return yield* Effect.mapError(decodeDone(answer.body), () => foreign(target))
  }
  const trouble = troubleOf(target, answer)
  if (answer.status !== 403 || trouble.kind !== "refused") return yield* trouble
  return yield* new Trouble({
    kind: "control",
    text: `The program at ${target.address} does not allow control: its inspector has to be given "control: true"`
  })
})

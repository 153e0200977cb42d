/**
 * A program that is inspected, and clients of all kinds.
 */
import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Inspector } from "@chronovyan/inspector"
import { Effect, Layer, Logger } from "effect"
import { type IncomingMessage, request } from "node:http"
import { connect, type Socket } from "node:net"

export const Connection = ResourceDefinition.temporal("connection", { acquire: () => Effect.succeed({}) })

/** Runs the body in a program that is inspected, and in a frame. */
export const inspected = (options: Partial<Inspector.Options> = {}) => <A, E, R>(body: Effect.Effect<A, E, R>) =>
  body.pipe(
    TimeFrame.run({ name: "test" }),
    Effect.provide(
      Inspector.layer({ name: "test", announce: false, ...options }).pipe(
        Layer.provideMerge(ResourceManager.layer()),
        Layer.provideMerge(Logger.layer([]))
      )
    )
  )

export interface Asked {
  readonly path?: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

export interface Told {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  readonly body: string
}

const placeOf = (address: string) => {
  if (address.startsWith("unix:")) return { socketPath: address.slice("unix:".length) }
  const { hostname, port } = new URL(address)
  return { host: hostname, port: Number(port) }
}

/** Asks where `address` is, whatever that takes. */
export const askAt = (address: string, { body, headers = {}, method = "GET", path = "/api/info" }: Asked = {}) =>
  Effect.callback<Told>((resume) => {
    const asking = request({ ...placeOf(address), path, method, headers, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (text: string) => body += text)
      response.on(
        "close",
        () => resume(Effect.succeed({ status: response.statusCode!, headers: response.headers, body }))
      )
    })
    asking.on("error", (error) => resume(Effect.die(error)))
    asking.end(body)
    return Effect.sync(() => asking.destroy())
  })

export const ask = (asked?: Asked) => Effect.flatMap(Inspector.address, (address) => askAt(address, asked))

export const statusOf = (asked: Asked) => Effect.map(ask(asked), ({ status }) => status)

/** Asks for control, with JSON. */
export const control = (asked: unknown, headers = {}) =>
  ask({
    path: "/api/control",
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof asked === "string" ? asked : JSON.stringify(asked)
  })

/** A connection that sends what it is told, and nothing else. */
export const dial = Effect.flatMap(Inspector.address, (address) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const { host, port } = placeOf(address)
      const socket = connect({ host: host!, port: port! }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  ))

/** What is answered until the connection is closed. */
export const answered = (socket: Socket) =>
  Effect.callback<string>((resume) => {
    let text = ""
    socket.setEncoding("utf8").on("data", (more: string) => text += more)
    socket.once("close", () => resume(Effect.succeed(text)))
  })

export interface Message {
  readonly event: string
  readonly data: any
}

/** Listens to events. */
export class Listening {
  readonly status: number
  readonly response: IncomingMessage
  private readonly messages: Array<Message> = []
  private told: (() => void) | undefined
  isOver = false

  constructor(response: IncomingMessage) {
    this.response = response
    this.status = response.statusCode!
    let rest = ""
    response.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n\n")
      rest = parts.pop()!
      for (const part of parts) this.hear(part)
    })
    response.on("close", () => {
      this.isOver = true
      this.told?.()
    })
    response.on("error", () => {})
  }

  private hear(part: string): void {
    const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? []
    if (event === undefined) return
    this.messages.push({ event, data: JSON.parse(data!) })
    this.told?.()
  }

  /** The next message of the tag; those before it are skipped. */
  next(tag: string): Effect.Effect<Message> {
    return Effect.callback<Message>((resume) => {
      const look = () => {
        for (let message = this.messages.shift(); message !== undefined; message = this.messages.shift()) {
          if (message.data._tag !== tag && message.event !== tag) continue
          this.told = undefined
          return resume(Effect.succeed(message))
        }
        if (this.isOver) resume(Effect.die(new Error(`The stream ended without ${tag}`)))
      }
      this.told = look
      look()
    })
  }

  get over(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.told = () => this.isOver && resume(Effect.void)
      this.told()
    })
  }
}

export const listen = Effect.flatMap(Inspector.address, (address) =>
  Effect.acquireRelease(
    Effect.callback<Listening>((resume) => {
      const asking = request({ ...placeOf(address), path: "/api/events", agent: false }, (response) => {
        resume(Effect.succeed(new Listening(response)))
      })
      asking.on("error", (error) => resume(Effect.die(error)))
      asking.end()
    }),
    ({ response }) => Effect.sync(() => response.destroy())
  ))

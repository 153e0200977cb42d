/**
 * What listens: bounded in time and number whoever connects, and nothing that keeps the process alive or waits for a
 * client. Owned by `Inspector`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { chmodSync, lstatSync, unlinkSync } from "node:fs"
import { createServer } from "node:http"
import type { RequestListener, Server } from "node:http"
import { connect } from "node:net"
import type { ListenOptions, Socket } from "node:net"
import * as Address from "./address.ts"

export interface ListeningOptions {
  /** Port 0 is any that is free. */
  readonly at: Address.Address
  /** How many connections there may be. */
  readonly mostConnections: number
  /** How long it may take to send a request, in milliseconds. */
  readonly requestTimeout: number
  /** How long an answer may wait to be read, in milliseconds. */
  readonly readTimeout: number
}

/** Stuck clients have that long to read the last of it, in milliseconds. */
const farewell = 500

/** Listens until the scope closes; fails with what the system says. Answers where. */
export const listen = (
  options: ListeningOptions,
  answer: RequestListener
): Effect.Effect<Address.Address, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const { at } = options
    if (at._tag === "Unix") yield* removeStale(at.path)
    const sockets = new Set<Socket>()
    const server = make(options, sockets)
    server.on("request", answer)
    yield* Effect.addFinalizer(() => Effect.sync(() => close(server, sockets)))
    yield* open(server, at._tag === "Unix" ? { path: at.path } : { host: at.host, port: at.port, exclusive: true })
    server.unref()
    // What goes wrong later concerns single connections, which end by it.
    server.on("error", () => {})
    const bound = server.address()
    if (at._tag === "Tcp" && typeof bound === "object") return { ...at, port: bound!.port }
    if (at._tag === "Unix" && process.platform !== "win32") yield* Effect.sync(() => chmodSync(at.path, 0o600))
    return at
  })

const make = (options: ListeningOptions, sockets: Set<Socket>): Server => {
  const { mostConnections, readTimeout, requestTimeout } = options
  const server = createServer({
    headersTimeout: requestTimeout,
    requestTimeout,
    connectionsCheckingInterval: Math.max(50, requestTimeout / 4),
    keepAliveTimeout: 5000,
    maxHeaderSize: 16 * 1024
  })
  server.maxConnections = mostConnections
  server.maxHeadersCount = 100
  server.setTimeout(readTimeout)
  server.on("connection", (socket: Socket) => {
    socket.unref()
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  return server
}

const open = (server: Server, options: ListenOptions): Effect.Effect<void, unknown> =>
  Effect.callback((resume) => {
    const failed = (cause: unknown) => resume(Effect.fail(cause))
    server.once("error", failed)
    try {
      server.listen(options, () => {
        server.off("error", failed)
        resume(Effect.void)
      })
    } catch (cause) {
      failed(cause)
    }
  })

const close = (server: Server, sockets: Set<Socket>): void => {
  server.close()
  for (const socket of sockets) {
    socket.destroySoon()
    setTimeout(() => socket.destroy(), farewell).unref()
  }
}

/** The socket of a program that was killed is in the way of the next one. */
const removeStale = (path: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const done = () => resume(Effect.void)
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return done()
    const probe = connect(path)
    probe.once("connect", () => {
      probe.destroy()
      done()
    })
    probe.once("error", (error: NodeJS.ErrnoException) => {
      try {
        if (error.code === "ECONNREFUSED") unlinkSync(path)
      } catch {
        // To listen there says what is wrong.
      }
      done()
    })
  })

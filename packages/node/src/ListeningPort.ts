/**
 * A port that this process listens on.
 */
import * as ResourceDefinition from "@chronovyan/core/ResourceDefinition"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Net from "node:net"
import { codeOf, optional, reasonOf } from "./internal/params.ts"

/**
 * Somebody listens on that port already.
 */
export class PortInUse extends Schema.TaggedError<PortInUse>()("PortInUse", {
  port: Schema.Int,
  host: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Port ${this.port} of ${this.host} is in use. Stop who listens there, or pass another port; 0 takes any that ` +
      `is free`
  }
}

/**
 * It is not possible to listen there, for another reason than that the port is in use.
 */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  port: Schema.Int,
  host: Schema.String,
  /** The code of the system, `EACCES` or `EADDRNOTAVAIL` for instance. */
  code: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const advice = this.code === "EACCES"
      ? "Take a port above 1023, or give the process the right to it"
      : "The host has to be an address of this machine"
    return `Could not listen on port ${this.port} of ${this.host}: ${reasonOf(this.cause)}. ${advice}`
  }
}

/**
 * What a {@link ListeningPort} offers.
 */
export interface Listener {
  /** It listens already; add a listener for `connection`. */
  readonly server: Net.Server
  /** The port, also when 0 was asked for. */
  readonly port: number
  /** The address that it listens on. */
  readonly host: string
}

/**
 * A `net.Server` that listens. It costs 1 of `ports`; its connections are not counted.
 *
 * - `port`: from 0 to 65535; default: 0, any that is free
 * - `host`: an address of this machine or its name; default: `"127.0.0.1"`, so that only this machine can connect
 *
 * The release closes the listener and destroys the connections that are open. For HTTP, hand the connections on:
 * `server.on("connection", (socket) => httpServer.emit("connection", socket))`.
 *
 * Fails with {@link PortInUse} and {@link ListenError}.
 *
 * @example
 * ```ts
 * import { ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { ListeningPort } from "@chronovyan/node"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { value: listener } = yield* ResourceManager.allocate(ListeningPort)
 *   listener.server.on("connection", (socket) => socket.end("hello"))
 *   return listener.port
 * }).pipe(TimeFrame.run({ name: "example" }), Effect.provide(ResourceManager.layer()))
 *
 * console.log(await Effect.runPromise(program))
 * ```
 */
export const ListeningPort = ResourceDefinition.temporal("listening_port", {
  params: optional(Schema.Struct({
    port: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65535 }))),
    host: Schema.optionalKey(Schema.NonEmptyString)
  })),
  cost: () => ({ ports: 1 }),
  acquire: (params) =>
    Effect.map(
      Effect.acquireRelease(listen(params?.port ?? 0, params?.host ?? "127.0.0.1"), close),
      ({ host, port, server }): Listener => ({ server, port, host })
    )
})

interface Open extends Listener {
  readonly sockets: ReadonlySet<Net.Socket>
}

const listen = (port: number, host: string): Effect.Effect<Open, PortInUse | ListenError> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    const sockets = new Set<Net.Socket>()
    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
    })
    const onError = (cause: unknown): void => {
      const code = codeOf(cause)
      resume(Effect.fail(
        code === "EADDRINUSE"
          ? new PortInUse({ port, host, cause })
          : new ListenError({ port, host, cause, ...(code === undefined ? {} : { code }) })
      ))
    }
    server.once("error", onError)
    // In a cluster, a port that is not exclusive belongs to the primary process.
    server.listen({ port, host, exclusive: true }, () => {
      server.off("error", onError)
      const actual = server.address() as Net.AddressInfo
      resume(Effect.succeed({ server, port: actual.port, host: actual.address, sockets }))
    })
  })

/** A server that its user has closed already calls back with an error, which changes nothing. */
const close = ({ server, sockets }: Open): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
    for (const socket of sockets) socket.destroy()
  })

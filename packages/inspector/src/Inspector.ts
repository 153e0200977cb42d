/**
 * Lets a running program be looked at from outside: by the command `chronovyan`, by the page that the same endpoint serves,
 * and by any tool that speaks the protocol. Nothing listens unless the program asks for it with {@link layer}.
 */
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Access } from "./internal/access.ts"
import * as Address from "./internal/address.ts"
import * as Endpoint from "./internal/endpoint.ts"
import { listen } from "./internal/listen.ts"
import { Listeners } from "./internal/listeners.ts"
import * as Page from "./internal/page.ts"
import * as RuntimeDirectory from "./internal/runtimeDirectory.ts"
import { Info, Registration } from "./Protocol.ts"
import * as Source from "./Source.ts"

/** What an inspector can be given. */
export interface Options {
  /** What the program is called. */
  readonly name: string
  /** Where to listen. Default: 0, any that is free. */
  readonly port?: number | undefined
  /** The address to listen at. Default: `"127.0.0.1"`, where only this machine can connect; any other needs a `token`. */
  readonly host?: string | undefined
  /** The path of a unix socket to listen at, instead of a port. Only the user of the program can connect to it. */
  readonly socket?: string | undefined
  /** What who asks has to know, of at least 16 characters. Default: nothing, which is possible on this machine only. */
  readonly token?: string | Redacted.Redacted | undefined
  /** May pools be drained, resized and retired from outside? Default: `false`. */
  readonly control?: boolean | undefined
  /**
   * Names of hosts under which the program may be asked, besides those of this machine and of `host`: without that,
   * somebody else's name that points here could be used by their page. Default: none.
   */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** Is it written down where the command looks for programs of this user? Default: `true`. */
  readonly announce?: boolean | undefined
  /** How many may listen to events at once. Default: 1000. */
  readonly maxListeners?: number | undefined
  /** How long it may take to send a request. Default: 5 seconds. */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long an answer may wait to be read before its connection is cut. Default: 30 seconds. */
  readonly readTimeout?: Duration.Input | undefined
}

/** It can not listen there. */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  address: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const { code, message } = this.cause as NodeJS.ErrnoException
    const reason = code === "EADDRINUSE" ? "something else listens there" : message
    return `The inspector can not listen on ${this.address}: ${reason}`
  }
}

/** What listens, as a service. */
export class Inspector extends Context.Service<Inspector, {
  /** `http://127.0.0.1:1234`, or `unix:` and the path of the socket. */
  readonly address: string
}>()("@chronovyan/inspector/Inspector") {}

/** Where the program can be inspected. */
export const address: Effect.Effect<string, never, Inspector> = Effect.map(Inspector, ({ address }) => address)

/** How many bytes may wait for a listener that does not read. */
const unread = 256 * 1024

/** How many requests may be under way at once, besides those that listen. */
const mostRequests = 64

/**
 * Listens until the layer closes, and then no longer than that, whoever is connected. It does not keep the process alive.
 * Leaks, contention and metrics come from the references of `Source`, as they are when the layer is built.
 *
 * Fails with a {@link ListenError} when it can not listen. Without a token at an address that others can connect to it
 * dies.
 *
 * @example
 * ```ts
 * import { ResourceManager } from "@chronovyan/core"
 * import { Inspector } from "@chronovyan/inspector"
 * import { Layer } from "effect"
 *
 * const live = Inspector.layer({ name: "mailer" }).pipe(Layer.provideMerge(ResourceManager.layer()))
 * ```
 */
export const layer = (options: Options): Layer.Layer<Inspector, ListenError, ResourceManager.ResourceManager> =>
  Layer.effect(Inspector, make(options))

const make = Effect.fnUntraced(function*(options: Options) {
  const { allowedHosts = [], announce = true, control = false, maxListeners = 1000, name } = options
  const token = tokenOf(options)
  const at = placeOf(options)
  if (at._tag === "Tcp" && !Address.isLoopback(at.host) && token === undefined) {
    throw new TypeError(`To be inspected at ${Address.format(at)}, where others can connect, a token is needed`)
  }
  const clock = yield* Clock.Clock
  const leaks = yield* Source.Leaks
  const context = yield* Effect.context<ResourceManager.ResourceManager>()
  const startedAt = clock.currentTimeMillisUnsafe()
  const { pid, version: runtime } = process
  const listeners = new Listeners({
    most: maxListeners,
    unread,
    leaks,
    fork: Effect.runForkWith(context),
    now: () => clock.currentTimeMillisUnsafe()
  })
  const endpoint = Endpoint.make({
    info: new Info({ name, pid, protocol: 1, runtime, startedAt, control, level: leaks.level }),
    access: new Access({ host: at._tag === "Tcp" ? at.host : undefined, allowedHosts, token }),
    listeners,
    page: Page.load(),
    leaks,
    contention: yield* Source.Contention,
    metrics: yield* Source.Metrics,
    mostRequests
  })
  // Opened before all others, so that it closes last: then those who ask are gone.
  const scope = Scope.forkUnsafe(yield* Effect.scope, "parallel")
  const handler = yield* NodeHttpServer.makeHandler(endpoint, { scope }).pipe(
    // The program's traces tell what the program does.
    Effect.provideService(HttpMiddleware.TracerDisabledWhen, () => true)
  )
  const bound = yield* listen({
    at,
    mostConnections: maxListeners + 256,
    requestTimeout: millis(options.requestTimeout ?? "5 seconds"),
    readTimeout: millis(options.readTimeout ?? "30 seconds")
  }, handler).pipe(
    Effect.mapError((cause) => new ListenError({ address: Address.format(at), cause }))
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => listeners.close()))
  const address = Address.format(reachable(bound))
  if (announce) {
    yield* RuntimeDirectory.announce(
      new Registration({ name, pid, protocol: 1, address, token: token !== undefined, startedAt })
    )
  }
  return Inspector.of({ address })
})

const millis = (duration: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(duration))

const tokenOf = ({ token }: Options): string | undefined => {
  if (token === undefined) return undefined
  const text = Redacted.isRedacted(token) ? Redacted.value(token) : token
  if (!/^[\x21-\x7e]{16,}$/.test(text)) {
    throw new TypeError("The token has to have at least 16 characters, and nothing but visible ones of ASCII")
  }
  return text
}

const placeOf = ({ host = "127.0.0.1", port = 0, socket }: Options): Address.Address =>
  socket === undefined ? { _tag: "Tcp", host, port } : { _tag: "Unix", path: socket }

/** Who listens at all addresses is reached at that of this machine. */
const reachable = (at: Address.Address): Address.Address => {
  if (at._tag === "Unix") return at
  return { ...at, host: at.host === "0.0.0.0" ? "127.0.0.1" : at.host === "::" ? "::1" : at.host }
}

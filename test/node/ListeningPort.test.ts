import { ResourceManager } from "@chronovyan/core"
import { ListenError, ListeningPort, PortInUse } from "@chronovyan/node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { descriptorsOf, framed, interruptLaterAndLater } from "./support.ts"

/** The sockets of this process that listen, as the system counts them. */
const listening = () => {
  const own = new Set(descriptorsOf("socket:").map((target) => target.slice("socket:[".length, -1)))
  const rows = readFileSync("/proc/self/net/tcp", "latin1").trim().split("\n").map((row) => row.trim().split(/\s+/))
  return rows.filter(([, , , state, , , , , , inode]) => state === "0A" && own.has(inode!)).length
}

/** Binds a port without the library, and gives it back. */
const bind = (port: number) =>
  Effect.promise(async () => {
    const server = createServer().listen(port, "127.0.0.1")
    await once(server, "listening")
    server.close()
    await once(server, "close")
  })

describe("A listening port", () => {
  it.live("is a free one of this machine, when nothing else is asked for", () =>
    Effect.gen(function*() {
      const { value: { host, port, server } } = yield* ResourceManager.allocate(ListeningPort)
      assert.isTrue(server.listening)
      assert.isAbove(port, 0)
      assert.strictEqual(host, "127.0.0.1")
      server.on("connection", (socket) => socket.end("hello"))
      const answer = yield* Effect.promise(async () =>
        (await connect(port, host).setEncoding("utf8").toArray()).join("")
      )
      assert.strictEqual(answer, "hello")
    }).pipe(framed()))

  it.live("can be bound again when its frame has ended, or when it was released early", () =>
    Effect.gen(function*() {
      const before = listening()
      const port = yield* Effect.gen(function*() {
        const early = yield* ResourceManager.allocate(ListeningPort, {})
        const { port } = early.value
        yield* early.release
        assert.strictEqual(listening(), before)
        yield* bind(port)
        return (yield* ResourceManager.allocate(ListeningPort, { port })).value.port
      }).pipe(framed())
      assert.strictEqual(listening(), before)
      yield* bind(port)
    }))

  it.live("destroys its open connections with its release, also those that nobody reads", () =>
    Effect.gen(function*() {
      const { release, value: { port, server } } = yield* ResourceManager.allocate(ListeningPort)
      const accepted = once(server, "connection")
      const clients = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")]
      const closed = clients.map((client) =>
        new Promise((resolve) => client.on("error", () => {}).once("close", resolve))
      )
      yield* Effect.promise(() => accepted)
      yield* release
      yield* Effect.promise(() => Promise.all(closed))
      yield* bind(port)
    }).pipe(framed()))

  it.live("may have been closed by its user", () =>
    Effect.gen(function*() {
      yield* ResourceManager.use(ListeningPort, undefined, ({ server }) => Effect.sync(() => server.close()))
      yield* ResourceManager.use(ListeningPort, undefined, ({ server }) =>
        Effect.promise(async () => {
          server.close()
          await once(server, "close")
        }))
    }).pipe(framed()))

  it.live("that is in use is a typed error, and costs nothing", () =>
    Effect.gen(function*() {
      const first = yield* ResourceManager.allocate(ListeningPort)
      const { port } = first.value
      const before = listening()
      const error = yield* Effect.flip(ResourceManager.allocate(ListeningPort, { port }))
      assert(error instanceof PortInUse)
      assert.deepStrictEqual([error.port, error.host], [port, "127.0.0.1"])
      assert.include(error.message, `Port ${port} of 127.0.0.1 is in use`)
      assert.strictEqual(listening(), before)
      yield* ResourceManager.allocate(ListeningPort)
      const refused = yield* Effect.flip(ResourceManager.allocate(ListeningPort))
      assert(refused._tag === "BudgetExceeded")
      assert.strictEqual(refused.unit, "ports")
    }).pipe(framed({ ports: 2 })))

  it.live("on an address that is not of this machine is a typed error", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ResourceManager.allocate(ListeningPort, { host: "203.0.113.1" }))
      assert(error instanceof ListenError)
      assert.strictEqual(error.code, "EADDRNOTAVAIL")
    }).pipe(framed({ ports: 1 })))

  for (const port of [-1, 65536, 1.5]) {
    it.live(`of the number ${port} is refused as invalid`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ResourceManager.allocate(ListeningPort, { port }))
        assert.strictEqual(error._tag, "InvalidParams")
      }).pipe(framed()))
  }

  it.live("is not left behind, whenever its acquisition is interrupted", () =>
    Effect.gen(function*() {
      const before = listening()
      const sockets = descriptorsOf("socket:").length
      const interrupted = yield* interruptLaterAndLater(
        ResourceManager.allocate(ListeningPort),
        () => {
          assert.strictEqual(listening(), before)
          assert.strictEqual(descriptorsOf("socket:").length, sockets)
        }
      )
      assert.isAbove(interrupted, 0)
    }))
})

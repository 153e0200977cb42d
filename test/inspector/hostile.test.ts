/**
 * What the endpoint says to those who mean no good, or do not know better; the program goes on unharmed.
 */
import { ResourceDefinition, ResourceManager } from "@chronovyan/core"
import { Inspector } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { answered, ask, Connection, control, dial, inspected, listen, statusOf } from "./support.ts"

const token = "a-token-of-16-characters"

/** The program does its work, and answers those who ask as they should. */
const expectUnharmed = Effect.gen(function*() {
  yield* ResourceManager.use(Connection, () => Effect.void)
  assert.strictEqual(yield* statusOf({ headers: { authorization: `Bearer ${token}` } }), 200)
})

/** Sends this, and answers what comes back before the connection is closed. */
const send = (text: string) =>
  Effect.gen(function*() {
    const socket = yield* dial
    socket.write(text)
    return yield* answered(socket)
  }).pipe(Effect.scoped)

const statusLine = (text: string) => text.split("\r\n", 1)[0]

describe("Who does not know the token", () => {
  it.live("is told nothing but the page, on every path", () =>
    Effect.gen(function*() {
      const paths = ["info", "snapshot", "contention", "leaks", "events", "control", "secrets"]
      const wrong = ["", "Bearer", "Bearer wrong", `Bearer ${token}x`, `Basic ${token}`, token, `Bearer ${token} x`]
      for (const path of [...paths.map((path) => `/api/${path}`), "/metrics"]) {
        const { body, headers, status } = yield* ask({ path })
        assert.strictEqual(status, 401, path)
        assert.strictEqual(headers["www-authenticate"], "Bearer")
        assert.strictEqual(JSON.parse(body)._tag, "Refused")
      }
      for (const authorization of wrong) {
        assert.strictEqual(yield* statusOf({ headers: { authorization } }), 401, authorization)
      }
      assert.strictEqual(yield* statusOf({ path: `/api/info?token=${token}` }), 401)
      assert.strictEqual(yield* statusOf({ path: "/" }), 200)
      const resize = { _tag: "Resize", pool: "connection", max: 2 }
      assert.strictEqual((yield* control(resize)).status, 401)
      assert.strictEqual((yield* control(resize, { authorization: `bearer ${token}` })).status, 404)
      yield* expectUnharmed
    }).pipe(inspected({ token, control: true })))
})

describe("A page of somebody else", () => {
  it.live("can not ask under a name of its own that points here", () =>
    Effect.gen(function*() {
      const { host } = new URL(yield* Inspector.address)
      const port = host.split(":")[1]
      const good = [host, "localhost", `LOCALHOST:${port}`, "[::1]:80", "127.0.0.1", "127.1.2.3:9"]
      const bad = [
        "evil.example",
        `evil.example:${port}`,
        `localhost.evil.example:${port}`,
        `evil.localhost`,
        "127.0.0.1.evil.example",
        `127.0.0.1@evil.example`,
        "192.168.0.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "localhost:80:80",
        "localhost, evil.example",
        "2130706433"
      ]
      for (const host of good) assert.strictEqual(yield* statusOf({ headers: { host } }), 200, host)
      for (const host of bad) {
        for (const path of ["/", "/api/info", "/api/nothing"]) {
          assert.strictEqual(yield* statusOf({ path, headers: { host } }), 421, host)
        }
      }
      assert.include(statusLine(yield* send("GET /api/info HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")), "421")
      // HTTP/1.1 without a host is malformed; HTTP/1.0 may do without, and a target may name one as well.
      assert.include(statusLine(yield* send("GET /api/info HTTP/1.1\r\n\r\n")), "400")
      assert.include(statusLine(yield* send("GET /api/info HTTP/1.0\r\n\r\n")), "421")
      const absolute = `GET http://evil.example/api/info HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
      assert.include(statusLine(yield* send(absolute)), "421")
      yield* expectUnharmed
    }).pipe(inspected()))

  it.live("can not ask from its own origin, whatever it asks for", () =>
    Effect.gen(function*() {
      const address = yield* Inspector.address
      const { host, port } = new URL(address)
      const origins = [
        "http://evil.example",
        "null",
        "https://" + host,
        `http://localhost:${port}`,
        `http://127.0.0.1:${Number(port) + 1}`,
        `http://${host}.evil.example`,
        "file://",
        ""
      ]
      for (const origin of origins) {
        assert.strictEqual(yield* statusOf({ headers: { origin } }), 403, origin)
        assert.strictEqual((yield* control({ _tag: "Drain", pool: "connection" }, { origin })).status, 403, origin)
      }
      assert.strictEqual(yield* statusOf({ headers: { origin: address } }), 200)
      assert.strictEqual((yield* control({ _tag: "Drain", pool: "connection" }, { origin: address })).status, 404)
      yield* expectUnharmed
    }).pipe(inspected({ control: true })))

  it.live("can not ask the way that images and links do, but may link to the page", () =>
    Effect.gen(function*() {
      const from = (site: string, mode: string) => ({ "sec-fetch-site": site, "sec-fetch-mode": mode })
      for (const site of ["cross-site", "same-site"]) {
        for (const path of ["/api/events", "/api/snapshot", "/"]) {
          assert.strictEqual(yield* statusOf({ path, headers: from(site, "no-cors") }), 403)
        }
        assert.strictEqual(yield* statusOf({ path: "/api/snapshot", headers: from(site, "navigate") }), 403)
        assert.strictEqual(yield* statusOf({ path: "/", headers: from(site, "navigate") }), 200)
      }
      assert.strictEqual(yield* statusOf({ headers: from("same-origin", "cors") }), 200)
      assert.strictEqual(yield* statusOf({ headers: from("none", "navigate") }), 200)
    }).pipe(inspected()))

  it.live("is given no leave when it asks for it, and can not pass a form off as JSON", () =>
    Effect.gen(function*() {
      const address = yield* Inspector.address
      const preflight = { origin: "http://evil.example", "access-control-request-method": "POST" }
      const { headers, status } = yield* ask({ path: "/api/control", method: "OPTIONS", headers: preflight })
      assert.strictEqual(status, 403)
      assert.deepStrictEqual(Object.keys(headers).filter((name) => name.startsWith("access-control")), [])
      assert.strictEqual(
        yield* statusOf({ path: "/api/control", method: "OPTIONS", headers: { origin: address } }),
        405
      )
      const drain = { _tag: "Drain", pool: "connection" }
      const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"]
      for (const type of types) {
        assert.strictEqual((yield* control(drain, { "content-type": type })).status, 415, type)
      }
      assert.strictEqual((yield* control(drain, { "content-type": "application/json; charset=utf-8" })).status, 404)
    }).pipe(inspected({ control: true })))
})

describe("Who sends what can not be read", () => {
  it.live("is told that it is too large, however that is found out", () =>
    Effect.gen(function*() {
      const { host } = new URL(yield* Inspector.address)
      const large = JSON.stringify({ _tag: "Drain", pool: "x".repeat(16 * 1024) })
      assert.strictEqual((yield* control(large)).status, 413)
      assert.strictEqual((yield* control(large, { "transfer-encoding": "chunked" })).status, 413)
      // Announced only: nobody waits for it.
      const head = `POST /api/control HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`
      assert.include(statusLine(yield* send(`${head}Content-Length: 9999999999\r\n\r\n{`)), "413")
      assert.include(
        statusLine(yield* send(`GET / HTTP/1.1\r\nHost: ${host}\r\nX: ${"x".repeat(20_000)}\r\n\r\n`)),
        "431"
      )
      yield* expectUnharmed
    }).pipe(inspected({ control: true })))

  it.live("is told that it is malformed", () =>
    Effect.gen(function*() {
      const { host } = new URL(yield* Inspector.address)
      const bodies = ["{", "[".repeat(8000), `{"_tag":"Drain"`, "\u0000", `{"_tag":"Drain","pool":{}}`, `"Drain"`]
      for (const body of bodies) assert.strictEqual((yield* control(body)).status, 400, body.slice(0, 20))
      const head = `POST /api/control HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`
      const requests = [
        "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
        "nonsense\r\n\r\n",
        `${head}Content-Length: -1\r\n\r\n`,
        `${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        `${head}Transfer-Encoding: chunked\r\n\r\nzzz\r\n`
      ]
      for (const request of requests) assert.include(statusLine(yield* send(request)), "400", request.slice(-40))
      yield* expectUnharmed
    }).pipe(inspected({ control: true })))

  it.live("can not make it a proxy or another protocol", () =>
    Effect.gen(function*() {
      const { host } = new URL(yield* Inspector.address)
      const upgrade = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`
      assert.include(statusLine(yield* send(upgrade)), "200")
      assert.notInclude(yield* send(`CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n`), "200")
      yield* expectUnharmed
    }).pipe(inspected()))
})

describe("Who is slow", () => {
  it.live("to send a request is cut off, wherever it stops", () =>
    Effect.gen(function*() {
      const { host } = new URL(yield* Inspector.address)
      const head = `POST /api/control HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`
      const starts = [
        "",
        "P",
        head,
        `${head}Content-Length: 10\r\n\r\n{`,
        `${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}`
      ]
      const answers = yield* Effect.all(starts.map(send), { concurrency: "unbounded" })
      for (const [index, answer] of answers.entries()) {
        assert.include(statusLine(answer), "408", JSON.stringify(starts[index]!.slice(-20)))
      }
      yield* expectUnharmed
    }).pipe(inspected({ control: true, requestTimeout: 150 })))

  it.live("to send it bit by bit is cut off as well", () =>
    Effect.gen(function*() {
      const { host } = new URL(yield* Inspector.address)
      const socket = yield* dial
      const bits = setInterval(() => socket.write("X-Bit: 1\r\n"), 20)
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n`)
      assert.include(statusLine(yield* answered(socket)), "408")
      clearInterval(bits)
      yield* expectUnharmed
    }).pipe(Effect.scoped, inspected({ requestTimeout: 150 })))

  // What it is called is told with each event, so that what systems keep for those who read later is soon used up.
  const Long = ResourceDefinition.temporal("x".repeat(4000), { acquire: () => Effect.void })
  const work = ResourceManager.use(Long, () => Effect.void).pipe(Effect.repeat({ times: 200 }), Effect.delay(1))

  it.live(
    "to read is told how much it has missed, and holds up neither the program nor others",
    () =>
      Effect.gen(function*() {
        const slow = yield* listen
        const other = yield* listen
        slow.response.pause()
        let told = 0
        let dropped = 0
        // The other one hears all that the manager told, while more and more waits for the slow one.
        while (told < 40_000_000) {
          yield* work
          told += 400 * 4000
          dropped = Math.max(dropped, slow.response.socket.bytesRead)
          yield* other.next("Released")
        }
        slow.response.resume()
        yield* Effect.forkChild(Effect.forever(work))
        const { data } = yield* slow.next("EventsDropped")
        assert.isAbove(data.count, 0)
        yield* slow.next("Released")
        yield* expectUnharmed
      }).pipe(Effect.scoped, inspected()),
    10_000
  )

  it.live("to read is cut off when it reads nothing at all", () =>
    Effect.gen(function*() {
      const slow = yield* listen
      slow.response.pause()
      yield* Effect.forkChild(Effect.forever(work))
      assert.strictEqual(yield* statusOf({ path: "/api/events" }), 503)
      const status = Effect.scoped(Effect.map(listen, ({ status }) => status))
      while ((yield* status) !== 200) yield* Effect.sleep(5)
      yield* expectUnharmed
    }).pipe(Effect.scoped, inspected({ readTimeout: 200, maxListeners: 1 })), 10_000)
})

describe("A thousand who listen", () => {
  it.live(
    "hear what happens; one more is refused, and when one goes there is room again",
    () =>
      Effect.gen(function*() {
        const before = process.memoryUsage().heapUsed
        const all = yield* Effect.all(Array.from({ length: 1000 }, () => listen), { concurrency: 50 })
        const refused = yield* ask({ path: "/api/events" })
        assert.strictEqual(refused.status, 503)
        assert.strictEqual(JSON.parse(refused.body).message, "Too many listen already")
        yield* ResourceManager.use(Connection, () => Effect.void)
        yield* Effect.all(all.map((one) => one.next("Allocated")), { concurrency: "unbounded" })
        yield* expectUnharmed
        // Those who listen are of this process too, so this is more than it takes.
        const each = (process.memoryUsage().heapUsed - before) / 1000
        assert.isBelow(each, 200 * 1024)
        all[0]!.response.destroy()
        while ((yield* Effect.scoped(Effect.map(listen, ({ status }) => status))) !== 200) yield* Effect.sleep(1)
      }).pipe(Effect.scoped, inspected()),
    15_000
  )

  it.live("who ask all at once are told to come back, but for some", () =>
    Effect.gen(function*() {
      const statuses = yield* Effect.all(Array.from({ length: 500 }, () => statusOf({ path: "/api/snapshot" })), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual([...new Set(statuses)].filter((status) => status !== 200 && status !== 503), [])
      assert.include(statuses, 200)
      yield* expectUnharmed
    }).pipe(inspected()))
})

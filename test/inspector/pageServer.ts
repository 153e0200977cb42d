/** Serves the page and speaks the protocol for a {@link Program}: what the endpoint does for a real one. */
import { createHash } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Program } from "./pageProgram.ts"

export interface ServerOptions {
  readonly program: Program
  readonly page: string
  readonly token?: string
  readonly control?: boolean
  /** How much time of the program goes by each 100 ms. */
  readonly speed?: number
}

export interface PageServer extends AsyncDisposable {
  readonly url: string
  readonly controls: ReadonlyArray<unknown>
  /** Answers nothing any more, as a program that has ended; and again. */
  readonly hangUp: () => void
  readonly comeBack: () => void
}

const hashOf = (html: string, element: "script" | "style"): string => {
  const [, text] = new RegExp(`<${element}>([\\s\\S]*?)</${element}>`).exec(html) ?? []
  return `'sha256-${createHash("sha256").update(text ?? "").digest("base64")}'`
}

/** Only what stands in the page itself runs, and only the endpoint is asked. */
export const policyFor = (html: string): string =>
  [
    "default-src 'none'",
    `script-src ${hashOf(html, "script")}`,
    `style-src ${hashOf(html, "style")}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")

export const servePage = async (options: ServerOptions): Promise<PageServer> => {
  const { control = false, page, program, speed = 100, token } = options
  const html = readFileSync(page, "utf8")
  const listeners = new Set<ServerResponse>()
  const sockets = new Set<Socket>()
  const controls: Array<unknown> = []
  let isThere = true

  const say = (response: ServerResponse, status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    response.end(JSON.stringify(body))
  }

  const obey = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = ""
    for await (const chunk of request) text += String(chunk)
    if (!control) return say(response, 403, { _tag: "Refused", status: 403, message: "It may not be controlled." })
    controls.push(JSON.parse(text))
    say(response, 200, { message: "It was done." })
  }

  const server = createServer((request, response) => {
    if (!isThere) return request.socket.destroy()
    const path = new URL(request.url ?? "/", "http://page").pathname
    if (path === "/") {
      response.writeHead(200, {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policyFor(html),
        "cache-control": "no-store"
      })
      return response.end(html)
    }
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      return say(response, 401, { _tag: "Refused", status: 401, message: "A token is needed." })
    }
    switch (`${request.method} ${path}`) {
      case "GET /api/info":
        return say(response, 200, program.info(control))
      case "GET /api/snapshot":
        return say(response, 200, program.snapshot())
      case "GET /api/contention":
        return say(response, 200, program.contention())
      case "GET /api/leaks":
        return say(response, 200, program.leaks().filter((leak) => leak.state === "raised"))
      case "GET /api/events":
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" })
        response.write(": here\n\n")
        for (const leak of program.leaks()) response.write(`event: leak\ndata: ${JSON.stringify(leak)}\n\n`)
        listeners.add(response)
        return response.on("close", () => listeners.delete(response))
      case "POST /api/control":
        return void obey(request, response)
      default:
        return say(response, 404, { _tag: "Refused", status: 404, message: `There is no ${path}.` })
    }
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")

  const timer = setInterval(() => {
    program.pass(speed)
    const text = program.takeEvents().map((event) => `event: resource\ndata: ${JSON.stringify(event)}\n\n`).join("")
    for (const listener of listeners) listener.write(text)
  }, 100)

  const hangUp = (): void => {
    isThere = false
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    controls,
    hangUp,
    comeBack: () => isThere = true,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      hangUp()
      server.close()
      await once(server, "close")
    }
  }
}

/**
 * Who may ask. Pages of other origins are the danger on loopback: they can send requests to it, and a name that they own
 * can be made to point at it. So a request has to name a host that is meant, and come from no page but our own; and where
 * others than this machine can connect, it has to know the token. Owned by `Inspector`.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { isIP } from "node:net"
import { isLoopback } from "./address.ts"

/** What a request says of itself. */
export interface Asking {
  readonly headers: { readonly [name: string]: string | undefined }
  readonly path: string
}

/** Why it is turned away. */
export interface Denial {
  readonly status: number
  readonly message: string
}

export interface AccessOptions {
  /** Where it listens; `undefined` for a unix socket. */
  readonly host: string | undefined
  readonly allowedHosts: ReadonlyArray<string>
  readonly token: string | undefined
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

export class Access {
  private readonly isLocal: boolean
  private readonly hosts: ReadonlySet<string>
  private readonly token: Buffer | undefined

  constructor({ allowedHosts, host, token }: AccessOptions) {
    this.isLocal = host === undefined || isLoopback(host)
    const names = [...allowedHosts, ...(host === undefined ? [] : [host])]
    this.hosts = new Set(names.map((name) => name.toLowerCase()))
    this.token = token === undefined ? undefined : digest(token)
  }

  /** What is wrong with who asks, whatever is asked for. */
  check({ headers, path }: Asking): Denial | undefined {
    const host = headers["host"] ?? ""
    if (!this.isMeant(host)) {
      return { status: 421, message: `This is not the host ${JSON.stringify(host.slice(0, 100))}` }
    }
    const origin = headers["origin"]
    if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
      return { status: 403, message: "Pages of other origins may not ask" }
    }
    const site = headers["sec-fetch-site"]
    const isVisit = path === "/" && headers["sec-fetch-mode"] === "navigate"
    if (site !== undefined && site !== "same-origin" && site !== "none" && !isVisit) {
      return { status: 403, message: "Pages of other origins may not ask" }
    }
    return undefined
  }

  /** Does it know the token? The page itself tells nothing, and has to be loaded before it can say the token. */
  checkToken({ headers, path }: Asking): Denial | undefined {
    if (this.token === undefined || path === "/") return undefined
    const given = /^Bearer +(\S+) *$/i.exec(headers["authorization"] ?? "")?.[1]
    if (given === undefined) return { status: 401, message: "A token is needed" }
    return timingSafeEqual(digest(given), this.token) ? undefined : { status: 401, message: "That is not the token" }
  }

  /** A name can be made to point here by whoever owns it; an address can not. */
  private isMeant(host: string): boolean {
    const name = /^(\[[0-9a-f:.]+\]|[^\s:[\]]+)(?::\d{1,5})?$/i.exec(host)?.[1]?.toLowerCase().replace(/^\[|\]$/g, "")
    if (name === undefined) return false
    if (this.hosts.has(name)) return true
    return isLoopback(name) || (!this.isLocal && isIP(name) !== 0)
  }
}

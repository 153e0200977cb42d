/**
 * Where a program is inspected: `http://127.0.0.1:1234`, or `unix:` and the path of a socket. Owned by `Inspector`.
 */
import { isIP } from "node:net"

/** How to connect there. */
export type Address =
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }

/** The host as an address of the web has it. */
export const inUrl = (host: string): string => isIP(host) === 6 ? `[${host}]` : host

export const format = (address: Address): string =>
  address._tag === "Unix" ? `unix:${address.path}` : `http://${inUrl(address.host)}:${address.port}`

/** Reads `http://host:port`, `host:port`, `:port`, `port`, `unix:/path` and `/path`. */
export const parse = (text: string): Address | undefined => {
  const path = /^(?:unix:(?:\/\/)?)?(\/.+)$/.exec(text)?.[1]
  if (path !== undefined) return { _tag: "Unix", path }
  const [, host, digits] = /^(?:http:\/\/)?(?:(\[[0-9a-f:.]+\]|[^\s:/@?#[\]]+)?:)?(\d{1,5})\/?$/i.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port < 1 || port > 65_535) return undefined
  return { _tag: "Tcp", host: host === undefined ? "127.0.0.1" : host.replace(/^\[|\]$/g, ""), port }
}

/** Can only this machine connect there? */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."))

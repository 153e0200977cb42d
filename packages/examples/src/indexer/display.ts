/**
 * How things look to people.
 */
import { ByteSize } from "effect"

const numbers = new Intl.NumberFormat("en-US")

export const number = (n: number): string => numbers.format(Math.round(n))

export const bytes = (n: number): string =>
  ByteSize.format(ByteSize.bytes(n), { precision: 1, trailingZeros: n >= 1024 })

export const millis = (ms: number): string => {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round(ms % 60_000 / 1000)} s`
}

/** "1 file", "2 files". */
export const counted = (n: number, noun: string): string => `${number(n)} ${noun}${n === 1 ? "" : "s"}`

/** Escapes what a terminal would obey rather than show. */
export const escape = (text: string): string => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => hex(character))

export const hex = (character: string): string => {
  const code = character.codePointAt(0)!
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`
}

/** What went wrong, without the path that is shown beside it. */
export const reasonOf = (cause: unknown): string => {
  const { code, message } = cause as NodeJS.ErrnoException
  const known = Object.entries(reasons).find(([known]) => known === code)
  return known === undefined ? String(message).replace(/, \w+( '.*')?$/s, "") : known[1]
}

const reasons = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOENT: "it vanished",
  ENOTDIR: "it vanished",
  ELOOP: "it became a link",
  EIO: "input/output error"
}

/** Text on one line. */
export const oneLine = (text: string): string => escape(text.replace(/\s+/g, " ").trim())

/** Leaves out the middle of what is too long. */
export const clip = (text: string, width: number): string => {
  const characters = Array.from(text)
  if (characters.length <= width) return text
  const start = Math.floor(width / 3)
  return `${characters.slice(0, start).join("")}…${characters.slice(start + 1 - width).join("")}`
}

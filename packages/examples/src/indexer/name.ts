/**
 * The names of files. They are bytes: nothing says that they are text.
 */
import { isUtf8 } from "node:buffer"
import * as display from "./display.ts"

export type Name = Uint8Array

const slash = Buffer.from("/")

/** Joins bytes, where `node:path` would join text. */
export const join = (directory: Name, name: Name): Name => {
  if (directory.length === 0) return name
  return name.length === 0 || directory.at(-1) === slash[0]
    ? Buffer.concat([directory, name])
    : Buffer.concat([directory, slash, name])
}

/** A name on one line, whatever is in it; the bytes of one that is not UTF-8 are escaped. */
export const toText = (name: Name): string => {
  const bytes = Buffer.from(name)
  const text = isUtf8(name) ? bytes.toString() : bytes.toString("latin1").replace(/[\x80-\xff]/g, display.hex)
  return display.escape(text.replace(/\n/g, "\\n"))
}

/** A name in JSON: as text, or as `{ "bytes": "<base64>" }` where it is not UTF-8, so that it can be had back. */
export const toJson = (name: Name): string | { readonly bytes: string } =>
  isUtf8(name) ? Buffer.from(name).toString() : { bytes: Buffer.from(name).toString("base64") }

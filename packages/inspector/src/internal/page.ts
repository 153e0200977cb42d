/**
 * The page: one file, whose own scripts and styles are the only ones that a browser runs. Owned by `Inspector`.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"

export interface Page {
  readonly html: string
  readonly policy: string
}

const missing = `<!doctype html>
<meta charset="utf-8">
<title>Chronovyan</title>
<p>This program can be inspected with the command <code>chronovyan</code>; its page is not part of this build.</p>
`

const hashesOf = (html: string, element: "script" | "style"): string => {
  const found = html.matchAll(new RegExp(`<${element}(?:\\s[^>]*)?>([\\s\\S]*?)</${element}\\s*>`, "gi"))
  // The parser of browsers turns each end of a line into a line feed before anything is hashed.
  const hashes = Array.from(
    found,
    ([, text]) => createHash("sha256").update(text!.replace(/\r\n?/g, "\n")).digest("base64")
  )
  return hashes.length === 0 ? "'none'" : hashes.map((hash) => `'sha256-${hash}'`).join(" ")
}

/** What a browser may do with the page: run what is in it, ask this program, and nothing else. */
export const policyOf = (html: string): string =>
  [
    "default-src 'none'",
    `script-src ${hashesOf(html, "script")}`,
    `style-src ${hashesOf(html, "style")}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")

let loaded: Page | undefined

/** Read once; it is part of the package. */
export const load = (): Page => {
  if (loaded !== undefined) return loaded
  let html = missing
  try {
    html = readFileSync(new URL("../../dist/page/index.html", import.meta.url), "utf8")
  } catch {
    // It is built apart: a build of the sources alone has none.
  }
  return loaded = { html, policy: policyOf(html) }
}

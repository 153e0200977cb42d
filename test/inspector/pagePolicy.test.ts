import { createHash } from "node:crypto"
import { describe, expect, test } from "vitest"
import { policyOf } from "../../packages/inspector/src/internal/page.ts"

const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

describe("The policy of the page", () => {
  test("allows the scripts and styles in it, as a browser reads them, and no others", () => {
    const html =
      `<!doctype html><STYLE media="all">a { b: c }</STYLE>\r\n<script>\r\nalert("1 < 2")\r\n</script><script>2</script >`
    expect(policyOf(html)).toBe([
      "default-src 'none'",
      `script-src ${hashOf(`\nalert("1 < 2")\n`)} ${hashOf("2")}`,
      `style-src ${hashOf("a { b: c }")}`,
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'"
    ].join("; "))
  })

  test("allows none where there are none", () => {
    expect(policyOf("<p>hello</p>")).toContain("script-src 'none'; style-src 'none'")
  })
})

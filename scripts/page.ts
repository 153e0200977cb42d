/**
 * Builds the inspector's page into one file, packages/inspector/dist/page/index.html: no request leads out of it, and
 * each of its two inline parts can be allowed by its hash. Does nothing when that file is made of the sources at hand.
 */
import { createHash } from "node:crypto"
import { globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { build } from "vite"

const root = resolve(import.meta.dirname, "..")
const source = join(root, "packages", "inspector", "page")
const target = join(root, "packages", "inspector", "dist", "page")
const output = join(target, "index.html")

/** What is bundled: their licenses go with the page. */
const bundled = ["preact", "@preact/signals", "@preact/signals-core", "uplot"]

const read = (path: string): string => readFileSync(path, "utf8")

const folderOf = (name: string): string => join(root, "node_modules", name)

const fingerprint = (): string => {
  const hash = createHash("sha256")
  const files = globSync("**/*.{ts,tsx,css,html}", { cwd: source }).toSorted()
  for (const file of files) hash.update(`${file}\n${read(join(source, file))}\n`)
  hash.update(read(import.meta.filename))
  for (const name of [...bundled, "vite"]) {
    hash.update(`${name} ${JSON.parse(read(join(folderOf(name), "package.json"))).version}\n`)
  }
  return hash.digest("hex")
}

const licenses = (): string =>
  bundled.map((name) => `${name}\n\n${read(join(folderOf(name), "LICENSE")).trim()}`).join("\n\n")
    .replaceAll("--", "- -")

/** So that no text of a program ends the element that it stands in. */
const inline = (code: string): string => code.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--")

const bundle = async (): Promise<{ readonly script: string; readonly style: string }> => {
  const result = await build({
    configFile: false,
    root: source,
    logLevel: "warn",
    publicDir: false,
    define: { "process.env.NODE_ENV": "\"production\"" },
    oxc: { jsx: { runtime: "automatic", importSource: "preact", development: false } },
    build: {
      write: false,
      target: "es2023",
      modulePreload: false,
      cssCodeSplit: false,
      reportCompressedSize: false,
      rolldownOptions: { input: join(source, "main.tsx"), output: { format: "iife" } }
    }
  })
  const { output: files } = (Array.isArray(result) ? result[0] : result) as {
    readonly output: ReadonlyArray<
      | { readonly type: "chunk"; readonly fileName: string; readonly code: string }
      | { readonly type: "asset"; readonly fileName: string; readonly source: string | Uint8Array }
    >
  }
  const scripts = files.filter((file) => file.type === "chunk")
  const styles = files.filter((file) => file.type === "asset")
  if (scripts.length !== 1 || styles.length !== 1 || !styles[0]!.fileName.endsWith(".css")) {
    throw new Error(`one script and one style were expected: ${files.map(({ fileName }) => fileName).join(", ")}`)
  }
  const style = styles[0]!.source
  return {
    script: scripts[0]!.code.trim(),
    style: (typeof style === "string" ? style : Buffer.from(style).toString()).trim()
  }
}

/** Builds the page when it has changed, and answers where it is. */
export const buildPage = async (): Promise<string> => {
  const stamp = `<!-- made of ${fingerprint()} -->`
  try {
    if (read(output).endsWith(`${stamp}\n`)) return output
  } catch {
    // There is none yet.
  }
  const { script, style } = await bundle()
  const html = read(join(source, "index.html"))
    .replace("<!--style-->", () => `<style>${style}</style>`)
    .replace("<!--script-->", () => `<script>${inline(script)}</script>`)
  mkdirSync(target, { recursive: true })
  // Another process may read it, or build it too.
  const draft = `${output}.${process.pid}`
  writeFileSync(draft, `${html.trimEnd()}\n<!--\n${licenses()}\n-->\n${stamp}\n`)
  renameSync(draft, output)
  return output
}

if (import.meta.main) {
  const start = Date.now()
  const file = await buildPage()
  console.log(`${file.slice(root.length + 1)}: ${Math.round(read(file).length / 1024)} kB (${Date.now() - start} ms)`)
}

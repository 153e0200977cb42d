/** Reads the sources of the packages for the architecture tests. */
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve, sep } from "node:path"
import { parseSync } from "vite"

export const root = resolve(import.meta.dirname, "../..")

export interface Import {
  readonly specifier: string
  readonly line: number
}

export interface Source {
  /** The folder of the package: `core`. */
  readonly package: string
  /** The path from the package's `src`, without the extension: `internal/list`. */
  readonly module: string
  /** The path from the root of the repository. */
  readonly path: string
  /** The text with its comments blanked out; offsets and lines stay what they were. */
  readonly code: string
  /** Everything the file imports or re-exports: values, types, `import("...")`. */
  readonly imports: ReadonlyArray<Import>
  /** What the file exports, sorted: `type Name` for what exists only as a type. */
  readonly exports: ReadonlyArray<string>
}

export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly exports?: Readonly<Record<string, unknown>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

export const packageNames: ReadonlyArray<string> = readdirSync(join(root, "packages"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(join(root, "packages", entry.name, "package.json")))
  .map((entry) => entry.name)

export const manifestOf = (name: string): Manifest =>
  JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))

export const publishedNames: ReadonlyArray<string> = packageNames.filter((name) => manifestOf(name).private !== true)

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

export const isLocal = (specifier: string): boolean => specifier.startsWith(".")

/** The module, as in `Source.module`, that a local import of `from` means. */
export const resolveLocal = (from: Source, specifier: string): string => {
  const source = join(root, "packages", from.package, "src")
  const target = resolve(root, dirname(from.path), specifier)
  return relative(source, target).split(sep).join("/").replace(/\.ts$/, "")
}

const read = (name: string, file: string): Source => {
  const path = `packages/${name}/src/${file}`
  const text = readFileSync(join(root, path), "utf8")
  const parsed = parseSync(path, text)
  if (parsed.errors.length > 0) throw new Error(`${path} does not parse: ${parsed.errors[0]?.message}`)

  let code = text
  for (const { end, start } of parsed.comments) {
    code = code.slice(0, start) + code.slice(start, end).replace(/[^\n]/g, " ") + code.slice(end)
  }

  const imports: Array<Import> = []
  const exports = new Set<string>()
  const add = (specifier: string, offset: number): void => {
    imports.push({ specifier, line: lineAt(text, offset) })
  }
  for (const { moduleRequest, start } of parsed.module.staticImports) add(moduleRequest.value, start)
  for (const { entries } of parsed.module.staticExports) {
    for (const entry of entries) {
      if (entry.moduleRequest !== null) add(entry.moduleRequest.value, entry.start)
      const exported = entry.exportName.name ??
        (entry.exportName.kind === "Default" ? "default" : `* from ${entry.moduleRequest?.value}`)
      exports.add(entry.isType ? `type ${exported}` : exported)
    }
  }
  // import("./x.ts") is the same form for values and for types
  for (const match of code.matchAll(/\bimport\s*\(\s*(["'`])(.*?)\1/g)) add(match[2] ?? "", match.index)
  for (const exported of exports) exports.delete(`type ${exported}`)

  return {
    package: name,
    module: file.replace(/\.ts$/, ""),
    path,
    code,
    imports,
    exports: [...exports].toSorted()
  }
}

export const sourcesOf = (name: string): ReadonlyArray<Source> =>
  globSync("**/*.ts", { cwd: join(root, "packages", name, "src") })
    .map((file) => file.split(sep).join("/"))
    .toSorted()
    .map((file) => read(name, file))

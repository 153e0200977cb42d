import { execFileSync } from "node:child_process"
import { existsSync, globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { describe, expect, test } from "vitest"
import { arrows, floors, maximumLines } from "./floors.ts"
import type { Source } from "./source.ts"
import { isLocal, manifestOf, packageNames, publishedNames, resolveLocal, root, sourcesOf } from "./source.ts"

const table = "test/architecture/floors.ts"

const sources = new Map(packageNames.map((name) => [name, sourcesOf(name)]))
const of = (name: string): ReadonlyArray<Source> => sources.get(name) ?? []
const library = publishedNames.flatMap(of)

/** Each line of a failure says where, what is wrong, and what to do. */
const expectNone = (complaints: ReadonlyArray<string>): void => expect(complaints.join("\n")).toBe("")

describe("the floors of core", () => {
  const heights = new Map<string, { readonly floor: string; readonly height: number }>()
  const repeated: Array<string> = []
  let height = 0
  for (const [floor, ...subFloors] of floors) {
    for (const modules of subFloors) {
      for (const module of modules) {
        if (heights.has(module)) repeated.push(`${table}: ${module} is listed twice: remove one of them.`)
        heights.set(module, { floor, height })
      }
      height++
    }
  }

  test("every module stands on exactly one floor", () => {
    const files = new Set(of("core").map((source) => source.module))
    expectNone([
      ...repeated,
      ...of("core")
        .filter((source) => !heights.has(source.module))
        .map((source) => `${source.path} is on no floor: add "${source.module}" to its floor in ${table}.`),
      ...[...heights.keys()]
        .filter((module) => !files.has(module))
        .map((module) => `${table}: there is no packages/core/src/${module}.ts: remove "${module}" from the table.`)
    ])
  })

  test("a module imports from strictly lower floors only", () => {
    expectNone(
      of("core").flatMap((source) => {
        const own = heights.get(source.module)
        if (own === undefined) return []
        return source.imports.filter(({ specifier }) => isLocal(specifier)).flatMap(({ line, specifier }) => {
          const imported = heights.get(resolveLocal(source, specifier))
          if (imported !== undefined && imported.height < own.height) return []
          return `${source.path}:${line} (${own.floor}) imports ${specifier} (${imported?.floor ?? "on no floor"}), ` +
            `which is not below it: move what both need to a lower floor.`
        })
      })
    )
  })
})

describe("every package", () => {
  test("is named in the arrows, or is private", () => {
    expectNone(
      publishedNames.filter((name) => arrows[name] === undefined)
        .map((name) => `packages/${name} may import nothing yet: add it to the arrows in ${table}.`)
    )
  })

  test("imports other packages along the arrows, by their public names", () => {
    expectNone(packageNames.flatMap((name) => {
      const allowed = arrows[name] ?? (manifestOf(name).private === true ? packageNames : [])
      return of(name).flatMap((source) =>
        source.imports.flatMap(({ line, specifier }) => {
          const at = `${source.path}:${line} imports ${specifier}`
          if (isLocal(specifier)) {
            return resolveLocal(source, specifier).startsWith("..")
              ? `${at}, which is outside of its package: import by the package's name.`
              : []
          }
          const [, target, subpath] = /^@chronovyan\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? []
          if (target === undefined) return []
          if (!allowed.includes(target)) {
            return `${at}: ${name} may import ${allowed.join(", ") || "no other package"}.`
          }
          return subpath === undefined || /^[A-Z]\w*$/.test(subpath)
            ? []
            : `${at}, which is internal: import a public module.`
        })
      )
    }))
  })

  test("has no circle of imports", () => {
    const complaints: Array<string> = []
    for (const name of packageNames) {
      const modules = new Map(of(name).map((source) => [source.module, source]))
      const done = new Set<string>()
      const visit = (module: string, path: ReadonlyArray<string>): void => {
        if (path.includes(module)) {
          complaints.push(`packages/${name}/src: ${[...path.slice(path.indexOf(module)), module].join(" -> ")}`)
          return
        }
        const source = modules.get(module)
        if (source === undefined || done.has(module)) return
        for (const { specifier } of source.imports) {
          if (isLocal(specifier)) visit(resolveLocal(source, specifier), [...path, module])
        }
        done.add(module)
      }
      for (const module of modules.keys()) visit(module, [])
    }
    expectNone(complaints)
  })

  test(`keeps its files under ${maximumLines} lines of code`, () => {
    expectNone(
      [...sources.values()].flat().flatMap((source) => {
        const lines = source.code.split("\n").filter((line) => line.trim() !== "").length
        return lines <= maximumLines ? [] : `${source.path} has ${lines} lines of code: split it by concept.`
      })
    )
  })

  test(`keeps the files of its page under ${maximumLines} lines of code`, () => {
    const files = globSync("packages/*/page/**/*.{ts,tsx}", { cwd: root })
    expect(files.length).toBeGreaterThan(0)
    expectNone(files.flatMap((file) => {
      const lines = readFileSync(join(root, file), "utf8").split("\n").filter((line) =>
        !/^\s*(\/\/|\/?\*|$)/.test(line)
      )
      return lines.length <= maximumLines ? [] : `${file} has ${lines.length} lines of code: split it by concept.`
    }))
  })

  test("writes the extension .ts in local imports", () => {
    expectNone(
      [...sources.values()].flat().flatMap((source) =>
        source.imports
          .filter(({ specifier }) => isLocal(specifier) && !specifier.endsWith(".ts"))
          .map(({ line, specifier }) => `${source.path}:${line} imports ${specifier}: write the file's name with .ts.`)
      )
    )
  })
})

describe("a published package", () => {
  test("imports effect by module, never by a barrel", () => {
    expectNone(library.flatMap((source) =>
      source.imports
        .filter(({ specifier }) => specifier === "effect" || /^effect\/[a-z]\w*$/.test(specifier))
        .map(({ line, specifier }) => `${source.path}:${line} imports ${specifier}: import its modules one by one.`)
    ))
  })

  test("exports its public modules and blocks its internals", () => {
    expectNone(publishedNames.flatMap((name) => {
      const exports = manifestOf(name).exports ?? {}
      const at = `packages/${name}/package.json`
      return [
        ...(exports["./internal/*"] === null ? [] : [`${at}: exports must hold "./internal/*": null.`]),
        ...(exports["./index"] === null ? [] : [`${at}: exports must hold "./index": null.`]),
        ...(exports["./*"] === undefined && of(name).some(({ module }) => /^[A-Z]/.test(module))
          ? [`${at}: exports must hold "./*" for the public modules, as in packages/core.`]
          : []),
        ...(exports["."] === undefined ? [`${at}: exports must hold ".".`] : []),
        ...of(name)
          .filter(({ module }) => module !== "index" && !/^(internal\/[\w-]+|[A-Z]\w*)$/.test(module))
          // What works only with another package is named after that, and stays out of the index
          .filter(({ module }) => manifestOf(name).peerDependenciesMeta?.[module]?.optional !== true)
          .map((source) =>
            `${source.path} is neither public (PascalCase.ts, or named after an optional peer) nor internal ` +
            `(internal/name.ts).`
          )
      ]
    }))
  })

  test("publishes a namespace for every public module from its index", () => {
    expectNone(publishedNames.flatMap((name) => {
      const index = of(name).find(({ module }) => module === "index")
      return of(name)
        .filter(({ module }) => /^[A-Z]/.test(module) && index?.exports.includes(module) !== true)
        .map(({ module, path }) =>
          `${path} is not in the index of its package: add export * as ${module} from "./${module}.ts".`
        )
    }))
  })
})

describe("the source of core", () => {
  const forbidden: ReadonlyArray<readonly [RegExp, string]> = [
    [/\bconsole\s*\./g, "report through events or Effect's logger"],
    [/\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b/g, "time comes from Clock"],
    [/\bset(?:Timeout|Interval|Immediate)\b/g, "time comes from Clock"]
  ]

  test("has no console and no clock or timer of its own", () => {
    expectNone(
      of("core").flatMap((source) =>
        forbidden.flatMap(([pattern, instead]) =>
          [...source.code.matchAll(pattern)].map((match) =>
            `${source.path}:${source.code.slice(0, match.index).split("\n").length} has ${match[0]}: ${instead}.`
          )
        )
      )
    )
  })
})

describe("the text of the project", () => {
  // Written in parts, so that this file does not hold them itself
  const forbidden = [
    ["issue", " #"],
    ["/wo", "rk/"],
    ["registry", ".npmjs"],
    ["/ho", "me/"],
    ["/ro", "ot/"],
    ["/Us", "ers/"],
    ["/tm", "p/"],
    ["C:", "\\"]
  ].map((parts) => parts.join(""))
  const text = /(^|\/)(\.[\w-]+|LICENSE|run)$|\.(tsx?|js|json|md|ya?ml|html|css|txt|snap|svg)$/

  test("names no machine's paths, no registry and no ticket", () => {
    const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024
    })
    const files = [...new Set(listed.split("\0"))].filter((file) => text.test(file) && existsSync(join(root, file)))
    expect(files.map((file) => basename(file))).toContain("package.json")
    expectNone(
      files.flatMap((file) =>
        readFileSync(join(root, file), "utf8").split("\n").flatMap((line, index) =>
          forbidden
            .filter((words) => line.toLowerCase().includes(words.toLowerCase()))
            .map((words) => `${file}:${index + 1} contains ${words}: the project speaks of itself alone.`)
        )
      )
    )
  })
})

/**
 * Where functions were written: asked of the debugger of Node, if there is one, since nothing else knows. Only for showing
 * a failure, as it is slow.
 */

interface Script {
  readonly url: string
  readonly sourceMap: string | undefined
}

/** What is used of `node:inspector` and `node:module`. */
interface Session {
  connect(): void
  disconnect(): void
  on(event: "Debugger.scriptParsed", listener: (message: { readonly params: any }) => void): void
  post(method: string, params: object, done: (error: unknown, result: any) => void): void
}

/** As the debugger tells it: counted from 0, in what was made of the source. */
interface Place {
  readonly scriptId: string
  readonly lineNumber: number
  readonly columnNumber: number
}

interface SourceMap {
  findEntry(line: number, column: number): { readonly originalSource?: string; readonly originalLine?: number }
}

const builtin = (name: string): any => {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }
  return process?.getBuiltinModule?.(name)
}

/** A place in a file, as a reader finds it. */
export interface Location {
  readonly file: string
  readonly line: number
}

export class Locations {
  private readonly session: Session
  private readonly scripts = new Map<string, Script>()
  private readonly sources = new Map<string, ReadonlyArray<string>>()
  private readonly maps = new Map<string, MapOfSource | undefined>()
  private readonly found = new WeakMap<object, { readonly location: Location | undefined }>()

  private constructor(session: Session) {
    this.session = session
    session.connect()
    session.on("Debugger.scriptParsed", ({ params: { scriptId, sourceMapURL, url } }) => {
      this.scripts.set(scriptId, { url, sourceMap: sourceMapURL === "" ? undefined : sourceMapURL })
    })
    this.ask("Debugger.enable", {})
  }

  /** Elsewhere than in Node nobody knows. */
  static open(): Locations | undefined {
    try {
      const { Session } = builtin("node:inspector")
      return new Locations(new Session())
    } catch {
      return undefined
    }
  }

  close(): void {
    this.session.disconnect()
  }

  private ask(method: string, params: object): any {
    let answer: unknown = undefined
    this.session.post(method, params, (_, result) => {
      answer = result
    })
    return answer
  }

  /** Where a function was written. */
  of(self: object): Location | undefined {
    let found = this.found.get(self)
    if (found === undefined) {
      const place = this.look(self, "[[FunctionLocation]]")
      this.found.set(self, found = { location: place === undefined ? undefined : this.locate(place) })
    }
    return found.location
  }

  /** The line that a generator stands at. */
  ofGenerator(self: object): { readonly location: Location; readonly text: string } | undefined {
    const place = this.look(self, "[[GeneratorLocation]]")
    if (place === undefined) return undefined
    const location = this.locate(place)
    return { location, text: (this.originalLineOf(place, location) ?? this.lineOf(place)).trim() }
  }

  private locate(place: Place): Location {
    const script = this.scripts.get(place.scriptId)!
    return this.original(script, place) ?? { file: script.url, line: place.lineNumber + 1 }
  }

  private originalLineOf({ scriptId }: Place, { file, line }: Location): string | undefined {
    return this.mapOf(this.scripts.get(scriptId)!)?.lineOf(file, line)
  }

  private lineOf({ lineNumber, scriptId }: Place): string {
    let lines = this.sources.get(scriptId)
    if (lines === undefined) {
      const { scriptSource } = this.ask("Debugger.getScriptSource", { scriptId })
      this.sources.set(scriptId, lines = (scriptSource as string).split("\n"))
    }
    return lines[lineNumber] ?? ""
  }

  private look(self: object, name: string): Place | undefined {
    try {
      const { objectId } = this.hand(self)
      const { internalProperties } = this.ask("Runtime.getProperties", { objectId, ownProperties: true })
      this.ask("Runtime.releaseObject", { objectId })
      return internalProperties.find((property: { name: string }) => property.name === name)?.value.value
    } catch {
      return undefined
    }
  }

  /** The debugger knows only what it can name. */
  private hand(self: object): { readonly objectId: string } {
    const global = globalThis as { [handedOver]?: object }
    global[handedOver] = self
    try {
      return this.ask("Runtime.evaluate", { expression: `globalThis[Symbol.for("${handedOver.description}")]` }).result
    } finally {
      delete global[handedOver]
    }
  }

  private original(script: Script, { columnNumber, lineNumber }: Place): Location | undefined {
    return this.mapOf(script)?.find(lineNumber, columnNumber)
  }

  private mapOf(script: Script): MapOfSource | undefined {
    if (!this.maps.has(script.url)) this.maps.set(script.url, MapOfSource.read(script.sourceMap))
    return this.maps.get(script.url)
  }
}

const handedOver = Symbol.for("@chronovyan/testing/handedOver")

const inline = "base64,"

/** How what runs was made of what was written. */
class MapOfSource {
  private readonly map: SourceMap
  private readonly texts: ReadonlyMap<string, string>

  private constructor(json: any) {
    const { SourceMap } = builtin("node:module")
    this.map = new SourceMap(json)
    this.texts = new Map(
      (json.sources as ReadonlyArray<string>).map((file, index) => [file, json.sourcesContent?.[index]])
    )
  }

  /** Maps that are written into the file itself: those of other files are not worth the reading. */
  static read(url: string | undefined): MapOfSource | undefined {
    const start = url?.indexOf(inline) ?? -1
    if (url === undefined || start === -1) return undefined
    const { Buffer } = builtin("node:buffer")
    return new MapOfSource(JSON.parse(Buffer.from(url.slice(start + inline.length), "base64").toString()))
  }

  find(line: number, column: number): Location | undefined {
    const { originalLine, originalSource } = this.map.findEntry(line, column)
    return originalSource === undefined || originalLine === undefined
      ? undefined
      : { file: originalSource, line: originalLine + 1 }
  }

  lineOf(file: string, line: number): string | undefined {
    return this.texts.get(file)?.split("\n")[line - 1]
  }
}

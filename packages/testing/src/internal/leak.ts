interface Named {
  /** The `Effect.fn`, or else the span, that it happened in. */
  readonly who: string | undefined
  /** Where that is written: a file, line and column. */
  readonly at: string | undefined
}

/** A scope that is still open and has something to close. */
export interface ScopeLeak extends Named {
  readonly kind: "scope"
  /** Finalizers in it, and in scopes that close with it. */
  readonly finalizers: number
  /** Fibers that end with it and still run. */
  readonly fibers: number
  /** The `Effect.fn`s, or else the spans, that finalizers were added in. */
  readonly addedBy: ReadonlyArray<string>
}

/** A fiber that still runs, or sleeps. */
export interface FiberLeak extends Named {
  readonly kind: "fiber"
  readonly id: number
}

/** A time frame that is still open. */
export interface FrameLeak {
  readonly kind: "frame"
  readonly path: string
  readonly phase: "open" | "expired" | "closing"
}

/** Something of a resource manager that is still held. */
export interface AllocationLeak {
  readonly kind: "allocation"
  readonly resource: string
  /** The path of its frame; empty for the manager's own. */
  readonly frame: string
  readonly state: "charged" | "acquiring" | "live" | "releasing"
  /** Its frame has closed without it. */
  readonly orphaned: boolean
  /** Where it was allocated, if that was recorded. */
  readonly at: string | undefined
}

/** Something that was left open. */
export type Leak = ScopeLeak | FiberLeak | FrameLeak | AllocationLeak

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

const list = (parts: ReadonlyArray<string>): string => parts.length === 0 ? "" : `, ${parts.join(", ")}`

const within = (who: string | undefined, at: string | undefined): string => {
  const where = at === undefined ? "" : ` (${at})`
  return who === undefined ? where : ` in "${who}"${where}`
}

/** A leak in words. */
export const describe = (leak: Leak): string => {
  switch (leak.kind) {
    case "scope": {
      const parts = leak.fibers === 0 ? [] : [`${plural(leak.fibers, "fiber")} running in it`]
      const others = leak.addedBy.filter((name) => name !== leak.who)
      if (others.length > 0) parts.push(`added in ${others.map((name) => `"${name}"`).join(" and ")}`)
      const finalizers = leak.finalizers === 0 ? [] : [plural(leak.finalizers, "finalizer")]
      return `a scope is open that was first used${within(leak.who, leak.at) || " outside of any Effect.fn"}${
        list([...finalizers, ...parts])
      }`
    }
    case "fiber":
      return `fiber #${leak.id} is still running${within(leak.who, leak.at)}`
    case "frame":
      return `the frame "${leak.path}" is ${leak.phase === "closing" ? "still closing" : "still open"}`
    case "allocation": {
      const site = leak.at === undefined ? "" : ` (${leak.at})`
      const frame = leak.frame === "" ? "the resource manager" : `the frame "${leak.frame}"`
      if (leak.orphaned) return `"${leak.resource}" has outlived ${frame}${site}`
      const verb = { charged: "paid for", acquiring: "being acquired", live: "held", releasing: "being released" }
      return `"${leak.resource}" is still ${verb[leak.state]} in ${frame}${site}`
    }
  }
}

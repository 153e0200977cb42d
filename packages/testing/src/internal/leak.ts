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

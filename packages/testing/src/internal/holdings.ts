import * as Effect from "effect/Effect"
import { describe } from "../Leaks.ts"
import * as ScriptedResource from "../ScriptedResource.ts"
import { leaksOf } from "./findLeaks.ts"
import { emptyContents, include } from "./ownership.ts"
import { openIn, take } from "./snapshots.ts"
import type { Frame, Manager } from "./watch.ts"
import { isFrame, isManager, isScope } from "./watch.ts"

type Findings = ReadonlyArray<string>

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

const inManager = (manager: Manager, within: Frame | undefined): Effect.Effect<Findings> =>
  Effect.map(take(manager), (snapshot) => {
    if (snapshot === undefined) return []
    const isAsked = within === undefined ? () => true : ({ id }: { readonly id: number }) => id === within.id
    const { allocations, frames } = openIn(snapshot, isAsked)
    const orphans = snapshot.allocations.filter(({ frameId, orphaned }) =>
      orphaned && (within === undefined || frameId === within.id)
    )
    return leaksOf({
      frames: Array.from(frames).filter(({ id }) => id !== within?.id),
      allocations: [...allocations, ...orphans]
    }).map(describe)
  })

const isScripted = (value: object): value is ScriptedResource.ScriptedResource =>
  "~chronovyan/testing/ScriptedResource" in value

/** What something holds, in words; `undefined` when that can not be known of it. */
export const holdings = (value: unknown): Effect.Effect<Findings> | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  if (isScripted(value)) return Effect.sync(() => ScriptedResource.check(value))
  if (isManager(value)) return inManager(value, undefined)
  if (isScope(value)) {
    const contents = emptyContents()
    include(value, new Map(), contents)
    const { fibers, finalizers } = contents
    const found: Array<string> = []
    if (finalizers > 0) found.push(plural(finalizers, "finalizer"))
    if (fibers.size > 0) found.push(plural(fibers.size, "fiber"))
    return isFrame(value)
      ? Effect.map(inManager(value, value), (inside) => [...found, ...inside])
      : Effect.succeed(found)
  }
  const { check, findings } = value as {
    readonly check?: () => Findings | Effect.Effect<Findings>
    readonly findings?: Findings
  }
  if (typeof check === "function") {
    return Effect.suspend(() => {
      const found = check.call(value)
      return Effect.isEffect(found) ? found : Effect.succeed(found)
    })
  }
  return Array.isArray(findings) ? Effect.succeed(findings) : undefined
}

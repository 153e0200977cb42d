/**
 * A body that is in another frame than its own for a while. Owned by `TimeFrame`.
 */
import * as Context from "effect/Context"
import type { LinkedList } from "./list.ts"
import type { Owned } from "./owned.ts"

/** A frame, as far as it matters here. */
interface Visited {
  readonly parent: Visited | undefined
  readonly owned: LinkedList<Owned>
  /** Where its body is at the moment, by `provide`. */
  visits: Set<Visit> | undefined
}

/**
 * A frame that another one was entered from, by `provide`: what is allocated there on behalf of a body that has a
 * deadline here holds up that body all the same.
 */
export class Visit {
  readonly from: Visited
  readonly to: Visited
  readonly outer: Visit | undefined
  /** Whose it is: when that closes without its body, it is passed on. */
  private host: Visited | undefined = undefined

  constructor(from: Visited, to: Visited, outer: Visit | undefined) {
    this.from = from
    this.to = to
    this.outer = outer
  }

  begin(): void {
    this.moveTo(this.from)
  }

  moveTo(host: Visited): void {
    this.end()
    this.host = host
    ;(host.visits ??= new Set()).add(this)
  }

  end(): void {
    this.host?.visits!.delete(this)
    this.host = undefined
  }
}

export const Visitor = Context.Reference<Visit | undefined>("@chronovyan/core/Visitor", {
  defaultValue: () => undefined
})

/** Was the context entered from that frame, or from one inside it? */
export const isVisitFrom = (context: Context.Context<never>, frame: Visited): boolean => {
  for (let visit = Context.get(context, Visitor); visit !== undefined; visit = visit.outer) {
    for (let at: Visited | undefined = visit.from; at !== undefined; at = at.parent) {
      if (at === frame) return true
    }
  }
  return false
}

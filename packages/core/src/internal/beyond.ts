/**
 * Who waits outside of a reserve for what goes beyond it. When there is room in the reserve again it need not wait there,
 * whoever is ahead of it outside. Owned by `Budget`.
 */
import type { Ledger, Serving } from "./ledger.ts"

/** Someone who waits outside. */
export interface Outside {
  /** When it came. */
  readonly since: number
  needs(ledger: Ledger): number
  /** What it needs of the reserve is there: it goes on, or waits for something else. */
  reconsider(): void
}

export class Beyond<T extends Outside> implements Serving {
  private readonly ledger: Ledger
  private readonly waiting = new Set<T>()
  /** Are they in the order in which they came? One that comes from another line may not be. */
  private isSorted = true
  private last = -Infinity

  constructor(ledger: Ledger) {
    this.ledger = ledger
  }

  add(one: T): void {
    if (one.since < this.last) this.isSorted = false
    else this.last = one.since
    this.waiting.add(one)
    this.ledger.beyond = this
  }

  remove(one: T): void {
    this.waiting.delete(one)
    if (this.waiting.size === 0) this.ledger.beyond = undefined
  }

  /** Those who came first go first; one that still does not fit keeps nobody from what it can not use. */
  serve(): void {
    const { ledger } = this
    if (ledger.used >= ledger.reserved) return
    for (const one of this.inOrder()) {
      if (ledger.used >= ledger.reserved) return
      if (ledger.used + one.needs(ledger) <= ledger.reserved && this.waiting.has(one)) one.reconsider()
    }
  }

  private inOrder(): ReadonlyArray<T> {
    const found = Array.from(this.waiting)
    if (this.isSorted) return found
    found.sort((one, other) => one.since - other.since)
    this.waiting.clear()
    for (const one of found) this.waiting.add(one)
    this.isSorted = true
    this.last = found.at(-1)!.since
    return found
  }
}

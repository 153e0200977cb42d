/**
 * Keeps the number of series within bounds: the first names that come are told by themselves, all others together. Owned
 * by `Metrics`.
 */

/** What those are called that are told together. */
export const other = "other"

export class Names {
  private readonly known = new Map<string, Set<string>>()
  private readonly most: number

  constructor(most: number) {
    this.most = most
  }

  /** What a name is told as; names of one sort count together, and once told a name stays. */
  of(sort: string, name: string): string {
    let known = this.known.get(sort)
    if (known === undefined) this.known.set(sort, known = new Set())
    if (known.has(name)) return name
    if (known.size >= this.most) return other
    known.add(name)
    return name
  }
}

/**
 * Who waits for an item of a pool: first come, first served, within each priority. Entering, leaving and going first are
 * O(1) in how many wait. Owned by `ResourcePool`.
 *
 * A priority is worth an earlier arrival: `ageing` milliseconds for each step. The difference between two waiters never
 * changes while they wait, so each priority is a plain line, and the next one is the best of the heads.
 */
import * as Context from "effect/Context"

/** See `ResourcePool.Priority`. */
export const Priority: Context.Reference<number> = Context.Reference<number>("@chronovyan/core/ResourcePool/Priority", {
  defaultValue: () => 0
})

/** Something that can stand in a line; in one at a time. */
export interface Standing<T> {
  ahead: T | undefined
  behind: T | undefined
  /** Where it stands, if that is not the line of the usual priority: most stand there. */
  line: Line<any> | undefined
  /** When it came, in milliseconds. */
  readonly since: number
  /** When it has to leave. */
  readonly deadline: number
}

/** An intrusive list. */
export class Line<T extends Standing<T>> {
  first: T | undefined = undefined
  last: T | undefined = undefined
  /** How many stand in it; kept by a {@link Queue}. */
  length = 0
  readonly priority: number

  constructor(priority: number) {
    this.priority = priority
  }

  *[Symbol.iterator](): Generator<T> {
    for (let one = this.first; one !== undefined; one = one.behind) yield one
  }

  append(one: T): void {
    const { last } = this
    if (this.priority !== 0) one.line = this
    one.ahead = last
    one.behind = undefined
    if (last === undefined) this.first = one
    else last.behind = one
    this.last = one
  }

  /** Puts it where it would stand had it been here all the time; that is at the end, at the start, or near it. */
  insert(one: T): void {
    if (this.last === undefined || this.last.since <= one.since) return this.append(one)
    let behind = this.first
    while (behind !== undefined && behind.since <= one.since) behind = behind.behind
    if (behind === undefined) return this.append(one)
    const { ahead } = behind
    if (this.priority !== 0) one.line = this
    one.ahead = ahead
    one.behind = behind
    behind.ahead = one
    if (ahead === undefined) this.first = one
    else ahead.behind = one
  }

  remove(one: T): void {
    const { ahead, behind } = one
    if (ahead === undefined) this.first = behind
    else ahead.behind = behind
    if (behind === undefined) this.last = ahead
    else behind.ahead = ahead
    if (this.priority !== 0) one.line = undefined
    one.ahead = undefined
    one.behind = undefined
  }
}

export class Queue<T extends Standing<T>> {
  length = 0
  private readonly lines: Array<Line<T>> = [new Line<T>(0)]
  private readonly ageing: number

  constructor(ageing: number) {
    this.ageing = ageing
  }

  add(one: T, priority: number): void {
    const line = this.lineOf(priority)
    this.length++
    line.length++
    line.append(one)
  }

  /** Takes back one that was here before, to where it stood. */
  addAgain(one: T, priority: number): void {
    const line = this.lineOf(priority)
    this.length++
    line.length++
    line.insert(one)
  }

  remove(one: T): void {
    const line: Line<T> = one.line ?? this.lines[0]!
    this.length--
    line.length--
    line.remove(one)
    if (line.first === undefined && line !== this.lines[0]) this.lines.splice(this.lines.indexOf(line), 1)
  }

  /** Who is served next. */
  get first(): T | undefined {
    if (this.lines.length === 1) return this.lines[0]!.first
    return this.best((one, priority) => one.since - priority * this.ageing)
  }

  /** Who has to leave first. */
  get nextToLeave(): T | undefined {
    return this.lines.length === 1 ? this.lines[0]!.first : this.best((one) => one.deadline)
  }

  /** Who came first. */
  get oldest(): T | undefined {
    return this.lines.length === 1 ? this.lines[0]!.first : this.best((one) => one.since)
  }

  /** How many have that priority, or a higher one. */
  lengthFrom(priority: number): number {
    let length = 0
    for (const line of this.lines) if (line.priority >= priority) length += line.length
    return length
  }

  *[Symbol.iterator](): Generator<T> {
    for (const { first } of this.lines) {
      for (let one = first; one !== undefined; one = one.behind) yield one
    }
  }

  /** So many at most, in the order in which they are served. */
  inOrder(most: number): Array<T> {
    const found: Array<{ readonly one: T; readonly rank: number }> = []
    for (const { first, priority } of this.lines) {
      let left = most
      for (let one = first; one !== undefined && left-- > 0; one = one.behind) {
        found.push({ one, rank: one.since - priority * this.ageing })
      }
    }
    if (this.lines.length > 1) found.sort((a, b) => a.rank - b.rank)
    return found.slice(0, most).map(({ one }) => one)
  }

  private lineOf(priority: number): Line<T> {
    if (priority === 0) return this.lines[0]!
    let line = this.lines.find((line) => line.priority === priority)
    if (line === undefined) this.lines.push(line = new Line<T>(priority))
    return line
  }

  private best(rank: (one: T, priority: number) => number): T | undefined {
    let best: T | undefined = undefined
    let least = Infinity
    for (const { first, priority } of this.lines) {
      if (first === undefined) continue
      const at = rank(first, priority)
      if (best === undefined || at < least) {
        best = first
        least = at
      }
    }
    return best
  }
}

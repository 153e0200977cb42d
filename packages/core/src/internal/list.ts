/**
 * Intrusive doubly linked lists: linking and unlinking are O(1) and allocate nothing.
 */
export interface Linked<T> {
  previous: T | undefined
  next: T | undefined
}

export class LinkedList<T extends Linked<T>> {
  first: T | undefined = undefined
  last: T | undefined = undefined

  append(node: T): void {
    const last = this.last
    node.previous = last
    node.next = undefined
    if (last === undefined) this.first = node
    else last.next = node
    this.last = node
  }

  /** Inserts after a node of this list; at the start when there is none. */
  insertAfter(before: T | undefined, node: T): void {
    if (before === this.last) return this.append(node)
    const next = before === undefined ? this.first! : before.next!
    node.previous = before
    node.next = next
    next.previous = node
    if (before === undefined) this.first = node
    else before.next = node
  }

  /** Only for a node that is in this list. */
  remove(node: T): void {
    const { next, previous } = node
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.last = previous
    else next.previous = previous
    node.previous = undefined
    node.next = undefined
  }
}

/** A list whose last one came first: it knows only where it starts, which is less to write down. */
export interface Stacked<T> {
  /** Who came after it. */
  ahead: T | undefined
  /** Who came before it. */
  behind: T | undefined
}

export class Stack<T extends Stacked<T>> {
  private top: T | undefined = undefined

  push(one: T): void {
    const { top } = this
    if (top !== undefined) {
      one.behind = top
      top.ahead = one
    }
    this.top = one
  }

  /** Only for one that is in it. */
  remove(one: T): void {
    const { ahead, behind } = one
    if (ahead === undefined) this.top = behind
    else ahead.behind = one.behind
    if (behind !== undefined) {
      behind.ahead = ahead
      one.behind = undefined
    }
    one.ahead = undefined
  }

  *[Symbol.iterator](): Generator<T> {
    for (let one = this.top; one !== undefined; one = one.behind) yield one
  }
}

/**
 * Who waits for a ledger: first come, first served within each tenant, and tenants in turn by weight. Owned by `Budget`.
 *
 * Tenants take turns as in start-time fair queueing (Goyal, Vin and Cheng, 1996): each has a virtual time, which goes on by
 * what it was given over its weight, and the one that is furthest behind is next. One that was away for a while starts
 * where the others are. Whoever is next is waited for, however much it needs: small ones do not go ahead of large ones.
 */
import type { Ledger } from "./ledger.ts"
import { Queue } from "./queue.ts"
import type { Standing } from "./queue.ts"
import { Timeout } from "./timers.ts"
import type { Timers } from "./timers.ts"
import { resume } from "./trampoline.ts"
import type { Resumable } from "./trampoline.ts"

/** Someone who waits. */
export interface Waiting<T> extends Standing<T>, Resumable {
  /** Whose turn it takes. */
  readonly tenant: unknown
  readonly weight: number
  readonly priority: number
  /** When it came; of two, one has always come first. */
  readonly since: number
  /** How much it needs of the ledger. */
  needs(ledger: Ledger): number
  /** Takes what it needs, of all ledgers; answers the one that has too little, after which it may go on waiting there. */
  attempt(passing: Ledger): Ledger | undefined
  /** It has got what it needs, or has to wait elsewhere. */
  moved(to: Ledger | undefined): void
}

/** The tenant of those who go ahead of all others. */
export const urgent: unique symbol = Symbol("urgent")

/** A priority is worth so many milliseconds of waiting. */
const ageing = 1000

class Tenant<T extends Waiting<T>> {
  readonly queue = new Queue<T>(ageing)
  /** Its virtual time: the earliest one is next. */
  time = 0
  weight = 1
  /** Its place in the heap; -1 when nobody of it waits. */
  place = -1
}

export class BudgetLine<T extends Waiting<T>> {
  length = 0
  protected readonly ledger: Ledger
  private readonly timers: Timers
  private readonly tenants = new Map<unknown, Tenant<T>>()
  /** Tenants of whom somebody waits, as a heap. */
  private readonly heap: Array<Tenant<T>> = []
  private now = 0
  private isServing = false
  private isAskedAgain = false
  /** For a rate: armed for when the next one can be served. */
  private readonly refill = new Timeout(() => this.serve())

  constructor(ledger: Ledger, timers: Timers) {
    this.ledger = ledger
    this.timers = timers
  }

  /** Those who are served before it. */
  *aheadOf(one: T): Generator<T> {
    const own = this.tenants.get(one.tenant)
    if (own === undefined) return
    for (const tenant of this.heap) {
      const first = tenant.queue.first!
      if (tenant !== own && this.isBefore(tenant, own)) yield first
    }
    for (const other of own.queue) {
      if (other.since < one.since && other.priority >= one.priority) yield other
    }
  }

  /** Is the next one someone who came before that? */
  isAheadOf(since: number): boolean {
    const first = this.heap[0]?.queue.first
    return first !== undefined && first.since < since
  }

  /** `hasWaited`: it comes from another ledger, and keeps its place in time. */
  add(one: T, hasWaited: boolean): void {
    let tenant = this.tenants.get(one.tenant)
    if (tenant === undefined) this.tenants.set(one.tenant, tenant = new Tenant())
    tenant.weight = one.weight
    if (one.tenant === urgent) tenant.time = -Infinity
    this.length++
    if (hasWaited) tenant.queue.addAgain(one, one.priority)
    else tenant.queue.add(one, one.priority)
    if (tenant.place === -1) {
      if (one.tenant !== urgent) tenant.time = Math.max(tenant.time, this.now)
      this.push(tenant)
    } else this.settle(tenant)
    this.ledger.waiting = this
  }

  remove(one: T): void {
    const tenant = this.tenants.get(one.tenant)!
    this.length--
    tenant.queue.remove(one)
    if (tenant.queue.length > 0) this.settle(tenant)
    else {
      this.leave(tenant)
      // It would start where the others are anyway.
      if (tenant.time <= this.now) this.tenants.delete(one.tenant)
    }
    if (this.length > 0) return
    this.ledger.waiting = undefined
    this.tenants.clear()
    this.timers.cancel(this.refill)
  }

  /** Someone has left, or there is more to be had: serves those who come next, as far as it goes. */
  serve(): void {
    this.isAskedAgain = true
    if (this.isServing) return
    this.isServing = true
    const served: Array<T> = []
    while (this.isAskedAgain) {
      this.isAskedAgain = false
      this.serveNext(served)
    }
    this.isServing = false
    this.awaitRefill()
    // Whoever goes on may come back at once: by then all is in order.
    for (const one of served) resume(one)
  }

  private serveNext(served: Array<T>): void {
    for (let tenant = this.heap[0]; tenant !== undefined; tenant = this.heap[0]) {
      const one = tenant.queue.first!
      const refusing = one.attempt(this.ledger)
      if (refusing === this.ledger) return
      const { time, weight } = tenant
      this.remove(one)
      if (refusing === undefined) {
        this.now = Math.max(this.now, time)
        tenant.time = time + one.needs(this.ledger) / weight
        if (tenant.place !== -1) this.settle(tenant)
        served.push(one)
      }
      one.moved(refusing)
    }
  }

  private awaitRefill(): void {
    const one = this.heap[0]?.queue.first
    this.timers.cancel(this.refill)
    if (one === undefined) return
    const pause = this.ledger.readyIn(one.needs(this.ledger))
    if (pause !== Infinity) this.timers.arm(this.refill, Math.max(1, pause), this.timers.now() + Math.max(1, pause))
  }

  // A heap by virtual time, and of the same by who has waited longest.

  private isBefore(one: Tenant<T>, other: Tenant<T>): boolean {
    if (one.time !== other.time) return one.time < other.time
    return one.queue.first!.since < other.queue.first!.since
  }

  private push(tenant: Tenant<T>): void {
    tenant.place = this.heap.length
    this.heap.push(tenant)
    this.rise(tenant)
  }

  private leave(tenant: Tenant<T>): void {
    const last = this.heap.pop()!
    const { place } = tenant
    tenant.place = -1
    if (last === tenant) return
    this.heap[place] = last
    last.place = place
    this.settle(last)
  }

  private settle(tenant: Tenant<T>): void {
    this.rise(tenant)
    this.sink(tenant)
  }

  private rise(tenant: Tenant<T>): void {
    while (tenant.place > 0) {
      const above = this.heap[(tenant.place - 1) >> 1]!
      if (!this.isBefore(tenant, above)) return
      this.swap(tenant, above)
    }
  }

  private sink(tenant: Tenant<T>): void {
    for (;;) {
      const left = this.heap[2 * tenant.place + 1]
      const right = this.heap[2 * tenant.place + 2]
      const below = left !== undefined && right !== undefined && this.isBefore(right, left) ? right : left
      if (below === undefined || !this.isBefore(below, tenant)) return
      this.swap(tenant, below)
    }
  }

  private swap(one: Tenant<T>, other: Tenant<T>): void {
    const { place } = one
    one.place = other.place
    other.place = place
    this.heap[one.place] = one
    this.heap[other.place] = other
  }
}

/**
 * Who waits for a ledger: first come, first served within each tenant, and tenants in turn by weight. Owned by `Budget`.
 *
 * Tenants take turns as in start-time fair queueing (Goyal, Vin and Cheng, 1996): each has a virtual time, which goes on by
 * what it was given over its weight, and the one that is furthest behind is next. One that was away for a while starts
 * where the others are. Whoever is next is waited for, however much it needs: small ones do not go ahead of large ones.
 *
 * Each line has virtual times of its own, in the unit of its ledger. What is granted counts in each line of a ledger that
 * gave some of it, in whichever line it waited: so who needs several units has its fair share of each one that is short.
 * The times are kept for as long as somebody waits who needs some of the ledger, wherever that is: those who need two
 * units change from one line to the other, all of them at once, and must not begin anew with each change.
 */
import type { Ledger, WaiterFacts, WaitingLine } from "./ledger.ts"
import { Queue } from "./queue.ts"
import type { Standing } from "./queue.ts"
import { Timeout } from "./timers.ts"
import type { Timers } from "./timers.ts"
import { resumeAll } from "./trampoline.ts"
import type { Resumable } from "./trampoline.ts"

/** Whose turn somebody takes, and what that is worth. */
export interface Turn {
  readonly tenant: unknown
  readonly weight: number
}

/** Someone who waits. */
export interface Waiting<T> extends Standing<T>, Resumable {
  readonly tenant: unknown
  /** The turn that it takes in the line of a ledger; in its own one it may go ahead of that. */
  turnIn(ledger: Ledger): Turn
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

/** So many tenants of whom nobody waits are remembered at least. */
const mostAway = 1000

export class Tenant<T extends Waiting<T>> {
  readonly queue = new Queue<T>(ageing)
  /** Its virtual time: the earliest one is next. */
  time = 0
  /** How many of it need some of the ledger, here or in another line. */
  interested = 0
  /** What its turn is worth, as far as is known. */
  weight = 1
  /** Its place in the heap; -1 when nobody of it waits here. */
  place = -1
}

/** Where it stands among those of its tenant: a smaller one is before a larger one. */
const placeOf = ({ priority, since }: Waiting<any>): number => since - priority * ageing

export abstract class BudgetLine<T extends Waiting<T>> implements WaitingLine {
  length = 0
  /** How much of the ledger they need together. */
  wanted = 0
  /** Nobody in the line needs more than that. */
  protected greatest = 0
  protected readonly ledger: Ledger
  private readonly timers: Timers
  private readonly tenants = new Map<unknown, Tenant<T>>()
  /** Tenants of whom somebody waits, as a heap. */
  private readonly heap: Array<Tenant<T>> = []
  /** What the turns of those in the heap are worth together. */
  private weights = 0
  private now = 0
  /** How many wait who need some of the ledger, in this line or in another one. */
  private interested = 0
  /** The most that a virtual time went on by at once. */
  private largest = 0
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

  isAheadOf(one: T): boolean {
    const tenant = this.heap[0]
    const first = tenant?.queue.first
    if (first === undefined) return false
    const own = this.tenants.get(one.turnIn(this.ledger).tenant)
    if (own === tenant) return placeOf(first) <= placeOf(one)
    const time = own === undefined ? this.now : this.startOf(own)
    return tenant!.time === time ? first.since < one.since : tenant!.time < time
  }

  /** It needs some of the ledger, and waits here or elsewhere until it says that it does not. */
  enter(one: T): Tenant<T> {
    const tenant = this.tenantOf(one.turnIn(this.ledger).tenant)
    tenant.time = this.startOf(tenant)
    tenant.interested++
    this.interested++
    this.ledger.line = this
    return tenant
  }

  /** It waits no longer; whose turn it would take may have changed. */
  exit(tenant: Tenant<T>): void {
    tenant.interested--
    this.interested--
    if (this.interested === 0) this.ledger.line = undefined
  }

  /** Someone was given that much of the ledger, whoever it waited for. */
  gave(one: T, amount: number): void {
    const { tenant: key, weight } = one.turnIn(this.ledger)
    const tenant = this.tenantOf(key)
    const step = amount / weight
    tenant.time = this.startOf(tenant) + step
    if (step > this.largest) this.largest = step
    if (tenant.place !== -1) this.settle(tenant)
  }

  private tenantOf(key: unknown): Tenant<T> {
    const found = this.tenants.get(key)
    if (found !== undefined) return found
    if (this.tenants.size > this.interested + mostAway) this.forget()
    const tenant = new Tenant<T>()
    tenant.time = this.now
    this.tenants.set(key, tenant)
    return tenant
  }

  /** Who was away starts where the others are; who waits in another line has a little in hand, but saves up nothing. */
  private startOf({ interested, place, time }: Tenant<T>): number {
    if (place !== -1) return time
    return Math.max(time, interested === 0 ? this.now : this.now - this.largest)
  }

  /** Of those of whom nobody waits, the ones who would start where the others are anyway; of very many all. */
  private forget(): void {
    for (const isLate of [false, true]) {
      if (isLate && this.tenants.size <= this.interested + mostAway / 2) return
      for (const [key, { interested, place, time }] of this.tenants) {
        if (interested === 0 && place === -1 && (isLate || time <= this.now)) this.tenants.delete(key)
      }
    }
  }

  /** `hasWaited`: it comes from another ledger, and keeps its place in time. */
  add(one: T, hasWaited: boolean): void {
    const tenant = this.tenantOf(one.tenant)
    const { weight } = one.turnIn(this.ledger)
    if (tenant.place !== -1) this.weights += weight - tenant.weight
    tenant.weight = weight
    if (one.tenant === urgent) tenant.time = -Infinity
    this.length++
    this.wanted += one.needs(this.ledger)
    this.greatest = Math.max(this.greatest, one.needs(this.ledger))
    if (hasWaited) tenant.queue.addAgain(one, one.priority)
    else tenant.queue.add(one, one.priority)
    if (tenant.place === -1) {
      if (one.tenant !== urgent) tenant.time = this.startOf(tenant)
      this.push(tenant)
    } else this.settle(tenant)
    this.ledger.waiting = this
    this.ledger.changed()
  }

  remove(one: T): void {
    const tenant = this.tenants.get(one.tenant)!
    this.length--
    this.wanted -= one.needs(this.ledger)
    this.ledger.changed()
    tenant.queue.remove(one)
    if (tenant.queue.length > 0) this.settle(tenant)
    else {
      this.leave(tenant)
      // It would start where the others are anyway.
      if (tenant.interested === 0 && tenant.time <= this.now) this.tenants.delete(one.tenant)
    }
    if (this.length > 0) return
    this.greatest = 0
    this.ledger.waiting = undefined
    this.weights = 0
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
    resumeAll(served)
  }

  private serveNext(served: Array<T>): void {
    for (let tenant = this.heap[0]; tenant !== undefined; tenant = this.heap[0]) {
      const one = tenant.queue.first!
      const { time } = tenant
      const refusing = one.attempt(this.ledger)
      if (refusing === this.ledger) return
      this.remove(one)
      if (refusing === undefined) {
        this.now = Math.max(this.now, time)
        served.push(one)
        this.count(one)
      }
      one.moved(refusing)
    }
  }

  private count({ since }: T): void {
    const { recent } = this.ledger
    if (recent === undefined) return
    const now = this.timers.now()
    recent.add(now - Math.max(recent.heardAt, since), now)
  }

  /** How many would be served before one who comes now, more or less: tenants take turns by weight. */
  placeOf(tenant: unknown, weight: number): number {
    const own = this.tenants.get(tenant)
    const isIn = own !== undefined && own.place !== -1
    const turns = (isIn ? this.weights : this.weights + weight) / weight
    return Math.min(this.length, Math.round(((isIn ? own.queue.length : 0) + 1) * turns) - 1)
  }

  abstract tell(most: number): ReadonlyArray<WaiterFacts>

  /** So many at most, in the order in which they would be served, if nobody came or left. */
  protected inOrder(most: number): ReadonlyArray<T> {
    const found: Array<{ readonly one: T; readonly time: number }> = []
    for (const { queue, time, weight } of this.heap) {
      let at = time
      for (const one of queue.inOrder(most)) {
        found.push({ one, time: at })
        at += one.needs(this.ledger) / weight
      }
    }
    // Of those who go ahead of all others the difference is no number.
    if (this.heap.length > 1) found.sort((a, b) => a.time - b.time || a.one.since - b.one.since)
    return found.slice(0, most).map(({ one }) => one)
  }

  get oldestWait(): number {
    let oldest = Infinity
    for (const { queue } of this.heap) oldest = Math.min(oldest, queue.oldest!.since)
    return Math.max(0, Math.round(this.timers.now() - oldest))
  }

  /** Since when the next one waits. */
  get nextSince(): number {
    return this.heap[0]?.queue.first?.since ?? Infinity
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
    this.weights += tenant.weight
    tenant.place = this.heap.length
    this.heap.push(tenant)
    this.rise(tenant)
  }

  private leave(tenant: Tenant<T>): void {
    this.weights -= tenant.weight
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

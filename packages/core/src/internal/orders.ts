/**
 * Watches in which orders things are asked for, and tells of opposite ones before they end in a deadlock. Owned by
 * `TimeFrame`.
 *
 * As Linux's lockdep does it, for names and not for single things: whoever asks for B while it holds A makes the order
 * A to B known, and with B to A known as well two of them could wait for each other. As GoodLock does it (Havelund,
 * 2000), that is no danger where both hold something all the while that only one can have. Nothing is kept while nobody
 * wants to know, and of names and orders no more than there is room for.
 */
import type * as Fiber from "effect/Fiber"
import type { Cost } from "../Cost.ts"
import type { ResourceEvent } from "../ResourceEvent.ts"
import { stalled } from "./deadlock.ts"
import type { Frame } from "./frame.ts"
import { unlimited } from "./ledger.ts"
import type { Ledger, Ledgers } from "./ledger.ts"
import type { Registry } from "./registry.ts"

type OppositeOrders = Extract<ResourceEvent, { readonly _tag: "OppositeOrders" }>
type Order = OppositeOrders["opposite"]
type Kind = Order["asks"]["kind"]

/** Who has something. */
export interface Party {
  /** Where it stands, as errors show it. */
  readonly place: string
  readonly callSite: string | undefined
  /** Is it only by its own fiber, or by the end of its frame, that it is given back? */
  readonly isBound?: boolean
}

/** Who asks for something. */
interface Asker extends Party {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly frame: Frame | undefined
}

/** Two who have it at once can not have more of it together than there is. */
interface Gate<Of = object> {
  readonly of: Of
  readonly amount: number
  readonly capacity: number
}

/** What is asked for, and held then. */
export interface Part {
  readonly kind: Kind
  readonly name: string
  readonly gates: ReadonlyArray<Gate>
}

interface Hold {
  readonly part: Part
  readonly party: Party
}

/** An order as it was seen, and what was held besides. */
interface Sighting {
  readonly order: Order
  readonly gates: ReadonlyArray<Gate<number>>
}

interface Pair {
  isTold: boolean
  /** Is it harmless only as long as nobody writes? */
  awaitsWriter: boolean
  readonly forth: Array<Sighting>
  readonly back: Array<Sighting>
}

const mostPairs = 4096
/** In how many ways each order of a pair is known. */
const mostSightings = 8
/** How many of the things that somebody holds are looked at. */
const mostHeld = 16

/** Readers have next to nothing of it, and a writer all of it. */
const turnSize = { read: 1e-9, write: 1 } as const

export const turnOf = (access: object, name: string, kind: "read" | "write"): Part => ({
  kind,
  name,
  gates: [{ of: access, amount: turnSize[kind], capacity: 1 }]
})

export const itemOf = (pool: object, name: string, capacity: number): Part => ({
  kind: "pool",
  name,
  gates: capacity > 1 ? [] : [{ of: pool, amount: 1, capacity }]
})

/** What is charged to budgets that somebody may have to wait for. */
export const chargesOf = (ledgers: Ledgers, cost: Cost): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  for (const unit in cost) {
    const amount = cost[unit]!
    if (amount === 0) continue
    const gates: Array<Gate> = []
    for (let at: Ledger | undefined = ledgers.get(unit); at !== undefined; at = at.parent) {
      if (at.refills || at.limit === unlimited) continue
      gates.push({ of: at, amount, capacity: at.limit })
    }
    if (gates.length > 0) parts.push({ kind: "budget", name: unit, gates })
  }
  return parts
}

const isTurn = (kind: Kind): kind is "read" | "write" => kind === "read" || kind === "write"

const keyOf = ({ kind, name }: Part): string => `${isTurn(kind) ? "turn" : kind} ${name}`

class Orders {
  private readonly registry: Registry
  private readonly held = new Map<number, Array<Hold>>()
  private readonly pairs = new Map<string, Pair>()
  /** Values that somebody has asked to write. */
  private readonly written = new Set<string>()
  /** Gates are known by a number, so that nothing is kept alive by having been one. */
  private readonly numbers = new WeakMap<object, number>()
  private lastNumber = 0
  private watches = 0

  constructor(registry: Registry) {
    this.registry = registry
  }

  /** What was held before a pause may have been given back in it. */
  begin(): this {
    const { watches } = this.registry.events
    if (watches !== this.watches) this.held.clear()
    this.watches = watches
    return this
  }

  takes(party: Party, fiber: number, parts: ReadonlyArray<Part>): void {
    let held = this.held.get(fiber)
    if (held === undefined) this.held.set(fiber, held = [])
    for (const part of parts) held.push({ part, party })
  }

  gives(party: Party, fiber: number): void {
    const held = this.held.get(fiber)
    if (held === undefined) return
    // What was taken last mostly goes first.
    for (let at = held.length - 1; at >= 0; at--) if (held[at]!.party === party) held.splice(at, 1)
    if (held.length === 0) this.held.delete(fiber)
  }

  /** Another fiber is to give it back. */
  moves(party: Party, from: number, to: number): void {
    const parts = this.held.get(from)?.filter((hold) => hold.party === party).map(({ part }) => part) ?? []
    this.gives(party, from)
    if (parts.length > 0) this.takes(party, to, parts)
  }

  asks(asker: Asker, parts: ReadonlyArray<Part>): void {
    for (const part of parts) {
      if (part.kind === "write" && this.written.size < mostPairs) this.written.add(part.name)
    }
    if (this.held.size === 0) return
    const held = stalled(asker).flatMap(({ id }) => this.held.get(id) ?? []).slice(-mostHeld)
    for (const part of parts) {
      const key = keyOf(part)
      for (const hold of held) {
        const heldKey = keyOf(hold.part)
        if (heldKey !== key && hold.party.isBound !== false) this.saw(heldKey, hold, key, part, asker, held)
      }
    }
  }

  private saw(heldKey: string, hold: Hold, key: string, part: Part, asker: Asker, held: ReadonlyArray<Hold>): void {
    const isForth = heldKey < key
    const pair = this.pairOf(isForth ? `${heldKey}\n${key}` : `${key}\n${heldKey}`)
    if (pair === undefined || pair.isTold) return
    const [same, opposite] = isForth ? [pair.forth, pair.back] : [pair.back, pair.forth]
    const gates = this.gatesOf(held.filter((other) => other !== hold))
    const isKnown = same.some((seen) => covers(seen, hold.part.kind, part.kind, gates))
    if (isKnown && !pair.awaitsWriter) return
    const seen: Sighting = { gates, order: this.orderOf(hold, part, asker) }
    for (const other of opposite) if (this.isDanger(pair, seen, other)) return this.tell(pair, seen.order, other.order)
    if (!isKnown && same.length < mostSightings) same.push(seen)
  }

  private pairOf(key: string): Pair | undefined {
    let pair = this.pairs.get(key)
    if (pair === undefined && this.pairs.size < mostPairs) {
      pair = { isTold: false, awaitsWriter: false, forth: [], back: [] }
      this.pairs.set(key, pair)
    }
    return pair
  }

  private gatesOf(held: ReadonlyArray<Hold>): Sighting["gates"] {
    return held.flatMap(({ part, party }) =>
      // Anyone may give back what is bound to nobody.
      party.isBound === false ? [] : part.gates.map((gate) => ({ ...gate, of: this.numberOf(gate.of) }))
    )
  }

  private numberOf(gate: object): number {
    let number = this.numbers.get(gate)
    if (number === undefined) this.numbers.set(gate, number = ++this.lastNumber)
    return number
  }

  private orderOf({ part: heldPart, party }: Hold, part: Part, asker: Asker): Order {
    return {
      at: this.registry.now(),
      frame: asker.place,
      frameId: asker.frame?.id ?? 0,
      holds: { ...stepOf(heldPart, party), frame: party.place },
      asks: stepOf(part, asker)
    }
  }

  /** Could they wait for each other? */
  private isDanger(pair: Pair, one: Sighting, other: Sighting): boolean {
    if (one.gates.some((gate) => other.gates.some((same) => excludes(gate, same)))) return false
    const isHarmless = this.isRead(one.order.holds, other.order.asks) || this.isRead(one.order.asks, other.order.holds)
    if (isHarmless) pair.awaitsWriter = true
    return !isHarmless
  }

  /** Readers wait for each other only when there is a writer in between. */
  private isRead(one: Order["asks"], other: Order["asks"]): boolean {
    return one.kind === "read" && other.kind === "read" && !this.written.has(one.resource)
  }

  private tell(pair: Pair, order: Order, opposite: Order): void {
    pair.isTold = true
    pair.forth.length = pair.back.length = 0
    const { events, timers } = this.registry
    if (events.active) events.tell({ _tag: "OppositeOrders", ...order, opposite })
    timers.warn(
      `"${order.holds.resource}" and "${order.asks.resource}" are asked for in opposite orders, which may end in a ` +
        `deadlock:${inWords(order)}${inWords(opposite)}`
    )
  }
}

const stepOf = ({ kind, name: resource }: Part, { callSite }: Party): Order["asks"] =>
  callSite === undefined ? { resource, kind } : { resource, kind, callSite }

const excludes = (gate: Gate<number>, other: Gate<number>): boolean =>
  gate.of === other.of && gate.amount + other.amount > gate.capacity

/** Is whatever could be told of the one that is new true of the one that was seen before? */
const covers = ({ gates, order }: Sighting, holds: Kind, asks: Kind, others: Sighting["gates"]): boolean =>
  order.holds.kind === holds && order.asks.kind === asks &&
  gates.every((gate) => others.some(({ amount, of }) => of === gate.of && amount >= gate.amount))

const inWords = ({ asks, frame, holds }: Order): string => {
  const asked = isTurn(asks.kind) ? `to ${asks.kind}` : "for"
  const held = isTurn(holds.kind) ? `had a turn to ${holds.kind}` : "held"
  return `\n  - ${frame} asked ${asked} "${asks.resource}"${at(asks)} while it ${held} "${holds.resource}"${at(holds)}`
}

const at = ({ callSite }: Order["asks"]): string => callSite === undefined ? "" : ` (${callSite})`

const orders = new WeakMap<Registry, Orders>()

/** Those of a manager; only for one that watches them. */
export const ordersOf = (registry: Registry): Orders => {
  let found = orders.get(registry)
  if (found === undefined) orders.set(registry, found = new Orders(registry))
  return found.begin()
}

/**
 * Every way in which the library refuses. Errors are facts with data: each is a `Schema.TaggedError`, each message says
 * what to do next, and each one that refuses for want of something names its `holders`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Amount } from "./Cost.ts"

/**
 * Who holds something: one live allocation, as it was when the error was made.
 */
export class Holder extends Schema.Class<Holder>("@chronovyan/core/Holder")({
  /** The number of the allocation, as in snapshots and events. */
  allocation: Schema.Int,
  /** The name of its definition. */
  resource: Schema.String,
  /** The path of the frame that owns it. */
  frame: Schema.String,
  /** Where it stands; `charged`: paid for, and not being acquired yet: one of a set, or one that has waited for a budget. */
  state: Schema.Literals(["charged", "acquiring", "live", "releasing"]),
  /** Since when, in milliseconds since the epoch. */
  since: Schema.Number,
  /** How long that was, in milliseconds. */
  age: Schema.Number,
  /** How much of the unit in question; 0 where no unit is in question. */
  amount: Amount,
  /** The traced function that allocated it, where Effect knows it. */
  callSite: Schema.optionalKey(Schema.String)
}) {}

const named = 5

/** The first few holders in words, for messages. */
const list = (holders: ReadonlyArray<Holder>, omitted: number | undefined, unit?: string): string => {
  const lines = holders.slice(0, named).map((holder) => {
    const amount = unit === undefined ? "" : ` ${amountOf(holder.amount, unit)} in`
    const site = holder.callSite === undefined ? "" : ` (${holder.callSite})`
    const state = holder.state === "live" ? "" : ` [${holder.state}]`
    return `\n  -${amount} "${holder.resource}" by ${frameName(holder.frame)} for ${holder.age} ms${state}${site}`
  })
  const others = (omitted ?? 0) + Math.max(0, holders.length - named)
  if (others > 0) lines.push(`\n  - and ${others} more`)
  return lines.join("")
}

/** Right for one and for many, whatever the unit is called. */
const amountOf = (amount: number, unit: string): string => `${amount} of "${unit}"`

const frameName = (path: string): string => path === "" ? "the manager" : path

/**
 * The params do not fit the schema of the definition. Nothing was charged or acquired.
 */
export class InvalidParams extends Schema.TaggedError<InvalidParams>()("InvalidParams", {
  resource: Schema.String,
  /** What the schema found, with the path into the params. */
  issue: Schema.String
}) {
  override get message(): string {
    return `The params of "${this.resource}" do not fit its schema, so nothing was acquired: ${this.issue}`
  }
}

/**
 * A catalog has no definition of that name.
 */
export class UnknownResource extends Schema.TaggedError<UnknownResource>()("UnknownResource", {
  resource: Schema.String,
  /** The names that the catalog does have. */
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const known = this.known.length === 0 ? "no definitions" : this.known.map((name) => `"${name}"`).join(", ")
    return `No resource is called "${this.resource}": this catalog has ${known}. Add it to ResourceCatalog.make`
  }
}

/**
 * The frame has ended, or is ending: it can not own anything new.
 */
export class FrameClosed extends Schema.TaggedError<FrameClosed>()("FrameClosed", {
  frame: Schema.String,
  /** What was to be allocated or moved into the frame. */
  resource: Schema.String
}) {
  override get message(): string {
    return this.frame === ""
      ? `The manager is closed, so nothing can own "${this.resource}". Do the work while its layer is open`
      : `The frame ${this.frame} is closed, so it can not own "${this.resource}". A fiber that outlives its frame has ` +
        `to open one of its own with TimeFrame.run`
  }
}

/**
 * A deadline was not kept, or could not have been:
 *
 * - `body`: the deadline of the frame passed before its body was done. `holders` is what the frame and the frames inside
 *   it held, what they still waited for first.
 * - `admission`: something was refused before it was begun, since it is expected to take longer than the frame has left.
 *   Nothing was charged or acquired. `holders` is who has what it would have had to wait for, or else what the frame held.
 */
export class DeadlineExceeded extends Schema.TaggedError<DeadlineExceeded>()("DeadlineExceeded", {
  phase: Schema.Literals(["body", "admission"]).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("body" as const)),
    Schema.withConstructorDefault(Effect.succeed("body" as const))
  ),
  /** The frame whose deadline it is. */
  frame: Schema.String,
  /** The timeout of the frame, in milliseconds. */
  timeout: Schema.Number,
  /** What was refused, and what it was refused for; absent in the phase `body`. */
  refused: Schema.optionalKey(Schema.Struct({
    /** The definition, or the pool. */
    resource: Schema.String,
    /** The frame that asked. */
    requestedBy: Schema.String,
    /** How long it was expected to take, from the recent past, in milliseconds. */
    expected: Schema.Number,
    /** How much time there was, in milliseconds. */
    left: Schema.Number,
    /** The unit of the budget that it would have waited for. */
    unit: Schema.optionalKey(Schema.String)
  })),
  /** The names of the resources whose acquisition had not ended. */
  waitingFor: Schema.Array(Schema.String),
  /** The first hundred. */
  holders: Schema.Array(Holder),
  /** How many there are besides; absent when there are none. */
  omitted: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    return this.refused === undefined ? this.messageOfBody : this.messageOf(this.refused)
  }
  private messageOf(refused: NonNullable<typeof this.refused>): string {
    const { expected, left, requestedBy, resource, unit } = refused
    const wait = unit === undefined ? "" : `it would have to wait for ${unit}, and `
    const is = unit === undefined ? "it is" : "is"
    return `"${resource}" in ${frameName(requestedBy)} was refused early: ${wait}${is} expected to take ` +
      `${Math.ceil(expected)} ms, but the frame ${frameName(this.frame)} has ${Math.floor(left)} ms left of ` +
      `${Math.ceil(this.timeout)} ms. Try again later, or give it more time${heldBy(this)}`
  }
  private get messageOfBody(): string {
    const waiting = this.waitingFor.length === 0
      ? ""
      : ` while waiting for ${this.waitingFor.map((name) => `"${name}"`).join(", ")}`
    const held = this.holders.length === 0 ? "It held nothing" : `It held:${list(this.holders, this.omitted)}`
    return `The frame ${frameName(this.frame)} did not end within ${
      Math.ceil(this.timeout)
    } ms${waiting}: give it more time, or less to do. ${held}`
  }
}

/**
 * A budget has too little left. Nothing was charged, in any unit or frame. `holders` is who has it, largest first.
 */
export class BudgetExceeded extends Schema.TaggedError<BudgetExceeded>()("BudgetExceeded", {
  unit: Schema.String,
  /** The frame whose limit refused. */
  frame: Schema.String,
  limit: Amount,
  /** What was in use in that frame and the frames inside it. */
  used: Amount,
  requested: Amount,
  /** What was to be allocated. */
  resource: Schema.String,
  /** The frame that asked. */
  requestedBy: Schema.String,
  /** How many wait for it already; absent when nobody does. */
  waiting: Schema.optionalKey(Schema.Int),
  /** How long it has waited, in milliseconds; absent when it has not. */
  waited: Schema.optionalKey(Schema.Number),
  /** A rate: in how many milliseconds that much would have come back, if nobody else takes it. Absent for a capacity. */
  readyIn: Schema.optionalKey(Schema.Number),
  /** The hundred largest. A rate has no holders: these took of it and are still held, but their release brings nothing. */
  holders: Schema.Array(Holder),
  /** How many there are besides; absent when there are none. */
  omitted: Schema.optionalKey(Schema.Int)
}) {
  /** It can never fit, even when everything else has been given back. */
  get neverFits(): boolean {
    return this.requested > this.limit
  }
  override get message(): string {
    const what = `"${this.resource}" in ${frameName(this.requestedBy)} needs ${amountOf(this.requested, this.unit)}, ` +
      `but ${frameName(this.frame)} has ${this.limit - this.used} of ${this.limit} left`
    if (this.neverFits) return `${what}. It can never fit: raise the limit or ask for less`
    const { waiting } = this
    const ahead = waiting === undefined ? "" : `, and ${waiting} ${waiting === 1 ? "waits" : "wait"} for it`
    const waited = this.waited === undefined ? "" : `, after waiting ${this.waited} ms`
    const refused = `${what}${ahead}${waited}`
    if (this.readyIn !== undefined) return `${refused}. ${this.refill(this.readyIn)}`
    if (this.holders.length === 0) return refused
    return `${refused}. Held by:${list(this.holders, this.omitted, this.unit)}\n` +
      `Release one of them earlier, or raise the limit`
  }
  private refill(readyIn: number): string {
    const when = readyIn === 0 ? "Enough is there" : `Enough is back in ${readyIn} ms`
    const back = this.waiting === undefined ? when : `${when}, but those who wait come first`
    if (this.holders.length === 0) return `${back}. A rate has no holders: it comes back with time alone`
    return `${back}. Of what is still held, these took it:${list(this.holders, this.omitted, this.unit)}\n` +
      `Their release brings nothing back: wait, ask for less, or raise the rate`
  }
}

/**
 * The allocation has been given back; its value must not be used any more.
 */
export class AllocationReleased extends Schema.TaggedError<AllocationReleased>()("AllocationReleased", {
  allocation: Schema.Int,
  resource: Schema.String,
  frame: Schema.String
}) {
  override get message(): string {
    return `"${this.resource}" (allocation ${this.allocation} of ${
      frameName(this.frame)
    }) has been released. Use the ` +
      `value before its frame ends and before its release, or move it to a longer frame with Allocation.transfer`
  }
}

/** How a pool stood when it refused. */
const poolState = {
  /** The name of the pool. */
  pool: Schema.String,
  /** The frame that asked; outside of frames, its fiber: `fiber #12`. */
  requestedBy: Schema.String,
  /** Items in use, and items that exist in whatever state, against the most there may be. */
  used: Schema.Int,
  total: Schema.Int,
  max: Schema.Int,
  /** How many waited for an item. */
  waiting: Schema.Int,
  /** The hundred that have had an item for longest. */
  holders: Schema.Array(Holder),
  /** How many there are besides; absent when there are none. */
  omitted: Schema.optionalKey(Schema.Int)
}

/**
 * Why a pool had nothing to lend:
 *
 * - `backlog`: items come and go, but more borrowers wait than they can serve in time
 * - `slowHolders`: every item has been held for longer than half the time that the borrower could wait
 * - `leak`: some item is held for longer than `overdueAfter`
 * - `creationFailing`: new items can not be made; `cause` says what with
 * - `creationSlow`: a new item was being made, but did not arrive in time
 * - `validationSlow`: an item was being validated, but did not answer in time
 * - `suspended`: the pool was suspended
 */
export const PoolReason = Schema.Literals([
  "backlog",
  "slowHolders",
  "leak",
  "creationFailing",
  "creationSlow",
  "validationSlow",
  "suspended"
])

/** Why a pool had nothing to lend. */
export type PoolReason = typeof PoolReason.Type

const advice: Record<PoolReason, string> = {
  backlog: "raise max, hold items for a shorter time, or limit who comes in with maxWaiting",
  slowHolders: "look at what the holders do, hold items for a shorter time, or raise max",
  leak: "look at the holders: one of them may never give its item back",
  creationFailing: "look at what creation fails with",
  creationSlow: "give it more time with acquireTimeout, or keep items warm with min",
  validationSlow: "look at what validate does, or shorten validateTimeout",
  suspended: "resume the pool"
}

/**
 * A pool had nothing to lend within its `acquireTimeout`. The borrower has left the queue.
 */
export class PoolTimeout extends Schema.TaggedError<PoolTimeout>()("PoolTimeout", {
  ...poolState,
  /** What the borrower was waiting for: someone to return an item, a new item, or the validation of one. */
  phase: Schema.Literals(["wait", "create", "validate"]),
  reason: PoolReason,
  /** The timeout, in milliseconds. */
  timeout: Schema.Number,
  /** What the last creation failed with, if none has succeeded since. */
  cause: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const cause = this.cause === undefined ? "" : `\nThe last creation failed with: ${this.cause}`
    return `The pool "${this.pool}" had nothing to lend to ${frameName(this.requestedBy)} within ${this.timeout} ms ` +
      `(phase ${this.phase}, ${this.reason}; ${standing(this)}): ${advice[this.reason]}${cause}${heldBy(this)}`
  }
}

/**
 * A pool refused a borrower at once, to shed load: too many wait (`maxWaiting`), or have waited too long (`codel`).
 */
export class PoolOverloaded extends Schema.TaggedError<PoolOverloaded>()("PoolOverloaded", {
  ...poolState,
  reason: Schema.Literals(["maxWaiting", "codel"]),
  /** How long the borrower had waited, in milliseconds; 0 for `maxWaiting`. */
  waited: Schema.Number
}) {
  override get message(): string {
    const why = this.reason === "maxWaiting"
      ? "as many borrowers wait as may"
      : `it was shed after waiting ${this.waited} ms, since nobody is served quickly any more`
    return `The pool "${this.pool}" refused ${frameName(this.requestedBy)}: ${why} (${standing(this)}). Try again ` +
      `later, or raise max${heldBy(this)}`
  }
}

/**
 * The pool is closed, or draining: it lends nothing any more.
 */
export class PoolClosed extends Schema.TaggedError<PoolClosed>()("PoolClosed", {
  pool: Schema.String,
  requestedBy: Schema.String
}) {
  override get message(): string {
    return `The pool "${this.pool}" is closed, so ${frameName(this.requestedBy)} can not borrow from it. Do the work ` +
      `while the scope that made the pool is open`
  }
}

/**
 * To wait would be to wait for ever: all that could be given back is held by those who wait themselves, this one among
 * them. Nothing was borrowed or charged, and no turn was taken. A turn is held by the fiber that it was asked on.
 *
 * A handle counts as held by the fiber that allocated it, or by its frame when that fiber is gone. What `get` has put into
 * a `Scope` that is no frame is left out, since anyone may close that. A holder that waits for a child fiber, which
 * asks in turn, is not recognised. A shared value is held by the fiber that acquires it: users who wait for that are not
 * refused, but what it waits for is, and they get its failure.
 */
export class WouldDeadlock extends Schema.TaggedError<WouldDeadlock>()("WouldDeadlock", {
  /** The name of the pool, the unit of the budget, or the name of the value whose turn it is about. */
  pool: Schema.String,
  requestedBy: Schema.String,
  /** The turn that was asked for; absent for a pool and a budget. */
  turn: Schema.optionalKey(Schema.Literals(["read", "write"])),
  /** What was asked of a budget; absent for a pool and a turn. */
  budget: Schema.optionalKey(Schema.Struct({
    /** The frame whose limit it is. */
    frame: Schema.String,
    requested: Amount,
    resource: Schema.String
  })),
  /**
   * Who holds what, and waits for what, all the way round; the borrower that was refused is the last one. Of longer ones
   * the last 100.
   */
  cycle: Schema.Array(Schema.Struct({
    frame: Schema.String,
    /** What it holds: pools that it has items of, resources that were charged, values that it has a turn of. */
    holds: Schema.Array(Schema.String),
    /** Those of them that it has a turn to read, or to write; absent when there are none. */
    reads: Schema.optionalKey(Schema.Array(Schema.String)),
    writes: Schema.optionalKey(Schema.Array(Schema.String)),
    /** The pool, the unit or the value that it waits for. */
    waitsFor: Schema.String,
    /** The turn that it waits for; absent for a pool and a budget. */
    turn: Schema.optionalKey(Schema.Literals(["read", "write"]))
  })),
  holders: Schema.Array(Holder),
  omitted: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    const cycle = this.cycle.map((waiter) => {
      const { frame, turn, waitsFor } = waiter
      return `\n  - ${frameName(frame)} ${holdings(waiter)} and waits ${
        turn === undefined ? "for" : `to ${turn}`
      } "${waitsFor}"`
    }).join("")
    const { budget, pool, turn } = this
    let what = `can not borrow from the pool "${pool}"`
    let instead = "Borrow once and pass the item on, borrow from all pools in the same order, or raise max"
    if (turn !== undefined) {
      what = `can not wait for its turn to ${turn} "${pool}"`
      instead = this.cycle.at(-1)?.holds.includes(pool) === true
        ? "Do not ask for a turn inside another one on the same value: take one that is enough for both"
        : "Ask in the same order everywhere, or give back what is held before asking"
    } else if (budget !== undefined) {
      what = `can not wait for ${amountOf(budget.requested, pool)} in ${
        frameName(budget.frame)
      } for "${budget.resource}"`
      instead = "Ask for all of it at once (allocateAll), ask in the same order everywhere, or raise the limit"
    }
    return `${frameName(this.requestedBy)} ${what}: everyone who could give something back waits for something ` +
      `else.${cycle}\n${instead}${heldBy(this)}`
  }
}

const quoted = (names: ReadonlyArray<string>): string => names.map((name) => `"${name}"`).join(", ")

/** What somebody holds, in words. */
const holdings = (
  { holds, reads = [], writes = [] }: {
    readonly holds: ReadonlyArray<string>
    readonly reads?: ReadonlyArray<string>
    readonly writes?: ReadonlyArray<string>
  }
): string => {
  const others = holds.filter((name) => !reads.includes(name) && !writes.includes(name))
  const parts = [["holds", others], ["reads", reads], ["writes", writes]] as const
  const said = parts.filter(([, names]) => names.length > 0).map(([verb, names]) => `${verb} ${quoted(names)}`)
  return said.length === 0 ? "holds nothing" : said.join(", ")
}

interface Standing {
  readonly used: number
  readonly total: number
  readonly max: number
  readonly waiting: number
}

const standing = ({ max, total, used, waiting }: Standing): string =>
  `${used} in use of ${total}, at most ${max}, ${waiting} waiting`

const heldBy = (error: { readonly holders: ReadonlyArray<Holder>; readonly omitted?: number }): string =>
  error.holders.length === 0 ? "" : `. Held by:${list(error.holders, error.omitted)}`

/**
 * The schema of all errors of the library, for calls over the wire.
 */
export const ResourceError = Schema.Union([
  InvalidParams,
  UnknownResource,
  FrameClosed,
  DeadlineExceeded,
  BudgetExceeded,
  AllocationReleased,
  PoolTimeout,
  PoolOverloaded,
  PoolClosed,
  WouldDeadlock
])

/**
 * Any error of the library.
 */
export type ResourceError = typeof ResourceError.Type

/**
 * What happened, one fact each, told after it happened.
 */
import * as Schema from "effect/Schema"
import { Amount, Cost } from "./Cost.ts"

const frame = { at: Schema.Number, frame: Schema.String, frameId: Schema.Int }
const allocation = { ...frame, allocation: Schema.Int, resource: Schema.String }

/** A frame was opened. */
export const FrameOpened = Schema.TaggedStruct("FrameOpened", frame)

/** A frame ended, and all that it owned was released, or left behind after its grace period. */
export const FrameEnded = Schema.TaggedStruct("FrameEnded", {
  ...frame,
  /** How long it was open, in milliseconds. */
  lasted: Schema.Number
})

/** The deadline of a frame passed before its body was done. */
export const FrameExpired = Schema.TaggedStruct("FrameExpired", { ...frame, timeout: Schema.Number })

/** A body did not end after its deadline: the frame ended without it. */
export const BodyLeftBehind = Schema.TaggedStruct("BodyLeftBehind", frame)

/** An acquisition succeeded. `share` tells the use of a shared or persistent value from a value of its own. */
export const Allocated = Schema.TaggedStruct("Allocated", {
  ...allocation,
  share: Schema.Boolean,
  cost: Cost,
  /** How long the acquisition took, in milliseconds. */
  took: Schema.Number
})

/** An acquisition failed, died or was interrupted; what was charged for it was given back. */
export const AcquireFailed = Schema.TaggedStruct("AcquireFailed", {
  ...allocation,
  share: Schema.Boolean,
  took: Schema.Number,
  cause: Schema.String
})

/** A release ended. */
export const Released = Schema.TaggedStruct("Released", {
  ...allocation,
  share: Schema.Boolean,
  /** How long it was held, in milliseconds. */
  held: Schema.Number,
  /** The defect that the release died with. */
  defect: Schema.optionalKey(Schema.String)
})

/** A release outlasted the grace period of its frame and goes on in the background. */
export const ReleaseOverdue = Schema.TaggedStruct("ReleaseOverdue", allocation)

/** A value arrived after its frame had ended; it is released at once. */
export const LateArrival = Schema.TaggedStruct("LateArrival", {
  ...allocation,
  share: Schema.Boolean,
  took: Schema.Number
})

/** An allocation moved to another frame: `frame` is the new owner. */
export const Transferred = Schema.TaggedStruct("Transferred", { ...allocation, from: Schema.String })

/** A budget refused. */
export const BudgetRefused = Schema.TaggedStruct("BudgetRefused", {
  ...frame,
  resource: Schema.String,
  unit: Schema.String,
  /** The frame whose limit refused. */
  refusedBy: Schema.String,
  limit: Amount,
  used: Amount,
  requested: Amount
})

/** Something was refused early: it was expected to take longer than its frame had left. */
export const AdmissionRefused = Schema.TaggedStruct("AdmissionRefused", {
  ...frame,
  resource: Schema.String,
  /** How long it was expected to take, and how much time there was, in milliseconds. */
  expected: Schema.Number,
  left: Schema.Number
})

/** A persistent or shared value will not be given to anyone any more; it ends with its last user. */
export const Retired = Schema.TaggedStruct("Retired", {
  at: Schema.Number,
  resource: Schema.String,
  users: Schema.Int
})

/** A borrower has had an item of a pool for longer than `overdueAfter`. */
export const BorrowOverdue = Schema.TaggedStruct("BorrowOverdue", { ...allocation, held: Schema.Number })

/** An item that was reported as overdue has come back after all. */
export const OverdueReturned = Schema.TaggedStruct("OverdueReturned", { ...allocation, held: Schema.Number })

/**
 * The handle of an allocation was collected by the garbage collector, and nobody had given the allocation back. Told of
 * handles that `ResourceManager.trackHandles` tracks, once that is noticed.
 */
export const HandleCollected = Schema.TaggedStruct("HandleCollected", {
  ...allocation,
  /** How long it has been held so far, in milliseconds. */
  held: Schema.Number
})

/** Something that was held, or asked for. */
const Step = Schema.Struct({
  /** The pool, the unit of a budget, or the value that is used by turns. */
  resource: Schema.String,
  /** What it is, or the turn that it was. */
  kind: Schema.Literals(["pool", "budget", "read", "write"]),
  /** The traced function that asked for it, where Effect knows it. */
  callSite: Schema.optionalKey(Schema.String)
})

const order = {
  /** When it was asked for. */
  at: Schema.Number,
  /** The frame that asked; outside of frames, its fiber, and 0: `fiber #12`. */
  frame: Schema.String,
  frameId: Schema.Int,
  /** What it held, and in which frame that was asked for. */
  holds: Schema.Struct({ ...Step.fields, frame: Schema.String }),
  /** What it asked for. */
  asks: Step
}

/**
 * Two things were asked for in opposite orders: here one while the other was held, and before that, in `opposite`, the
 * other way round. It did not end in a deadlock, but it could. Told once for each pair of names.
 */
export const OppositeOrders = Schema.TaggedStruct("OppositeOrders", { ...order, opposite: Schema.Struct(order) })

/** The listener was too slow: this many events were dropped since the one before. */
export const EventsDropped = Schema.TaggedStruct("EventsDropped", { at: Schema.Number, count: Schema.Int })

/**
 * The schema of all events. Times are milliseconds of the manager's `Clock`.
 */
export const ResourceEvent = Schema.Union([
  FrameOpened,
  FrameEnded,
  FrameExpired,
  BodyLeftBehind,
  Allocated,
  AcquireFailed,
  Released,
  ReleaseOverdue,
  LateArrival,
  Transferred,
  BudgetRefused,
  AdmissionRefused,
  Retired,
  BorrowOverdue,
  OverdueReturned,
  OppositeOrders,
  HandleCollected,
  EventsDropped
])

/**
 * Something that happened to a frame, an allocation, a budget or a shared value.
 */
export type ResourceEvent = typeof ResourceEvent.Type

/**
 * What looks like a leak: what is held for too long, has outlived its owner, or grows without end. Plain data with a
 * schema, so that it can be logged, sent and stored.
 */
import * as Schema from "effect/Schema"

/**
 * Why something is reported.
 *
 * - `overdue`: held for longer than expected of its definition.
 * - `collected`: its handle was collected by the garbage collector, and nobody had given it back.
 * - `abandoned`: the fiber that has to give it back has ended.
 * - `orphaned`: its frame ended without it.
 * - `late`: it arrived after its frame had ended.
 * - `releasing`: its release does not end.
 * - `growing`: more and more of it is held, while frames come and go.
 */
export const Reason = Schema.Literals([
  "overdue",
  "collected",
  "abandoned",
  "orphaned",
  "late",
  "releasing",
  "growing"
])

/** Why something is reported. */
export type Reason = typeof Reason.Type

/** Something that looks like a leak; raised once, and taken back when it has come home after all. */
export class LeakReport extends Schema.Class<LeakReport>("@chronovyan/inspector/LeakReport")({
  /** The same when it is raised and when it is taken back. */
  id: Schema.Int,
  reason: Reason,
  /** `raised`: it is there; `returned`: it has come home after all, or stopped growing. */
  state: Schema.Literals(["raised", "returned"]),
  /** When this was found out, in milliseconds of the manager's `Clock`. */
  at: Schema.Number,
  /** What it is: the name of a definition or pool, or of frames when those grow. */
  resource: Schema.String,
  kind: Schema.Literals(["allocation", "frame", "definition", "callSite"]),
  /** The path of the frame that owns it, or for growth that most of it belongs to. */
  frame: Schema.String,
  /** The number of the allocation or of the frame, as in snapshots; absent for growth. */
  subject: Schema.optionalKey(Schema.Int),
  callSite: Schema.optionalKey(Schema.String),
  /** Since when it is held, or has been growing. */
  since: Schema.Number,
  /** How many there are (1 but for growth), and what they cost together in the unit that grows. */
  count: Schema.Int,
  unit: Schema.optionalKey(Schema.String),
  amount: Schema.optionalKey(Schema.Number),
  /** What was expected, in milliseconds held or in number, when there was an expectation. */
  expected: Schema.optionalKey(Schema.Number),
  /** What happened, in plain words. */
  message: Schema.String,
  /** What to do about it, in plain words. */
  advice: Schema.String
}) {}

/**
 * What is said about a leak, and what to do about it. Owned by `LeakDetector`.
 */
import type { AllocationState, FrameState } from "@chronovyan/core/Snapshot"
import type { Reason } from "../LeakReport.ts"
import type { Suspect } from "./alarms.ts"
import type { Standing } from "./standing.ts"
import { nameOfPath } from "./standing.ts"
import { counted, duration, number } from "./text.ts"

type Words = Pick<Suspect, "message" | "advice" | "settled">

const nameOf = ({ id, resource }: AllocationState): string => `${resource} #${id}`

const who = ({ callSite }: { readonly callSite?: string }): string =>
  callSite === undefined ? "who allocates it" : `who allocates it (${callSite})`

/** Has it come home, or is it only that it does not look like a leak any more? */
const settledOf = ({ id, resource, since }: AllocationState) => ({ allocations, at }: Standing): string =>
  allocations.has(id)
    ? `${resource} #${id} is in order again, after ${duration(at - since)}`
    : `${resource} #${id} returned after all, after ${duration(at - since)}`

export const overdue = (
  allocation: AllocationState,
  at: number,
  hold: number,
  learned: { readonly longest: number; readonly holds: number } | undefined
): Words => ({
  message:
    `${nameOf(allocation)} has been held for ${duration(at - allocation.since)} in ${nameOfPath(allocation.frame)}: ` +
    (learned === undefined
      ? `${duration(hold)} is expected`
      : `more than ${duration(hold)} was not expected, since of the ${number(learned.holds)} before it ` +
        `the longest was held for ${duration(learned.longest)}`),
  advice: `See what ${who(allocation)} waits for, and that it is released as soon as it has served: ` +
    `ResourceManager.use does that. If it may take so long, say so: holds: { ${JSON.stringify(allocation.resource)}: ` +
    `"${likely(at - allocation.since)}" }`,
  settled: settledOf(allocation)
})

/** A round time, somewhat longer. */
const likely = (millis: number): string => {
  const minutes = Math.max(1, Math.ceil(2 * millis / 60_000))
  return minutes < 90 ? counted(minutes, "minute") : `${Math.ceil(minutes / 60)} hours`
}

const collected = (allocation: AllocationState, at: number): Words => ({
  message: `The handle of ${nameOf(allocation)} was collected by the garbage collector, and nobody had released it: ` +
    `it stays in ${nameOfPath(allocation.frame)}, for ${duration(at - allocation.since)} so far`,
  advice:
    `Let ${who(allocation)} keep the handle and release it, or use ResourceManager.use, which can not forget it. If ` +
    `its value is meant to be used until the frame ends, keep the handle with it`,
  settled: settledOf(allocation)
})

const abandoned = (allocation: AllocationState, at: number): Words => ({
  message:
    `${nameOf(allocation)} is held in ${nameOfPath(allocation.frame)}, and the fiber that has to give it back has ` +
    `ended: nobody will, after ${duration(at - allocation.since)}`,
  advice:
    `Let the scope that it belongs to close with the fiber: TimeFrame.run, Effect.scoped and ResourcePool.use do ` +
    `that, TimeFrame.make and Scope.make do not`,
  settled: settledOf(allocation)
})

const orphaned = (allocation: AllocationState, at: number): Words => ({
  message: `${nameOf(allocation)} has outlived ${nameOfPath(allocation.frame)}: its frame ended, and it is still ` +
    `${allocation.state === "live" ? "held" : allocation.state} after ${duration(at - allocation.since)}`,
  advice: allocation.state === "live"
    ? `See who keeps it from ending, and transfer it (Allocation.transfer) to a frame that lives as long as it is needed`
    : `Its acquire ignores interruption: let it end when it is interrupted, or give it a timeout of its own`,
  settled: settledOf(allocation)
})

const releasing = (allocation: AllocationState, at: number, since: number): Words => ({
  message: `The release of ${nameOf(allocation)} has not ended for ${duration(at - since)}` +
    `${
      allocation.orphaned
        ? `, and ${nameOfPath(allocation.frame)} ended without it`
        : ` in ${nameOfPath(allocation.frame)}`
    }`,
  advice:
    `See what the release of ${allocation.resource} waits for, and give that a timeout. What it costs stays charged ` +
    `until it ends`,
  settled: ({ allocations, at }) =>
    allocations.has(allocation.id)
      ? `${nameOf(allocation)} is in order again, after ${duration(at - since)}`
      : `The release of ${nameOf(allocation)} ended after all, after ${duration(at - since)}`
})

/** Of what is not given back, for each reason. */
export const held = { abandoned, collected, orphaned, releasing } as const

type FrameWords = Words & { readonly reason: Reason; readonly since: number }

const frameSettled = ({ id, openedAt, path }: FrameState) => ({ at, frames }: Standing): string =>
  frames.has(id)
    ? `The frame ${path} is in order again`
    : `The frame ${path} ended after all, after ${duration(at - openedAt)}`

export const frames: Readonly<
  Record<"stuck" | "expired" | "abandoned", (frame: FrameState, at: number, since: number) => FrameWords>
> = {
  stuck: (frame, at, since) => ({
    reason: "releasing",
    since,
    message: `The frame ${frame.path} has been closing for ${duration(at - since)}, and something in it does not end`,
    advice:
      `See what its finalizers wait for (Effect.addFinalizer and Effect.acquireRelease in its scope), and give that ` +
      `a timeout`,
    settled: frameSettled(frame)
  }),
  expired: (frame, at, since) => ({
    reason: "overdue",
    since,
    message:
      `The deadline of the frame ${frame.path} passed ${duration(at - (frame.deadline ?? since))} ago, and its body ` +
      `goes on`,
    advice: `Its body ignores interruption: let what it waits for be interruptible, or give that a timeout of its own`,
    settled: frameSettled(frame)
  }),
  abandoned: (frame, at) => ({
    reason: "abandoned",
    since: frame.openedAt,
    message:
      `The frame ${frame.path} has been open for ${duration(at - frame.openedAt)}, and the fiber that has to end it ` +
      `has ended: nobody will`,
    advice: `Use TimeFrame.run, or let the scope that TimeFrame.make runs in close with the fiber`,
    settled: frameSettled(frame)
  })
}

export const late = (resource: string, count: number, frame: string): Words => ({
  message:
    `${counted(count, "value")} of ${resource} arrived after ${frame === "" ? "its frame" : frame} had ended, and ` +
    `${count === 1 ? "was" : "were"} released at once`,
  advice:
    `The acquire of ${resource} ignores interruption, and takes longer than its frame has: let it end when it is ` +
    `interrupted, or give it a timeout that is shorter than the frame's`,
  settled: () => `No more values of ${resource} arrived late`
})

export interface Growth {
  readonly resource: string
  readonly path: string
  readonly callSite?: string
  /** How many there were, and are. */
  readonly from: number
  readonly to: number
  /** How long it has been going on. */
  readonly lasted: number
  /** How many others came and went meanwhile. */
  readonly gone: number
}

const others = (gone: number, what: string): string =>
  gone > 0 ? `while ${number(gone)} ${what} came and went` : "and nothing like them came back"

export const growing = ({ from, gone, lasted, path, resource, to, ...site }: Growth): Words => ({
  message: `More and more of ${resource} are held in ${nameOfPath(path)}: ${number(from)} ${duration(lasted)} ago, ` +
    `${number(to)} now that do not come back, ${others(gone, "others")}`,
  advice: `See that ${who(site)} releases each of them, or allocates it in a frame of ` +
    `its own that ends with the work`,
  settled: () => `${resource} does not grow any more in ${nameOfPath(path)}`
})

export const growingFrames = ({ from, gone, lasted, path, to }: Growth): Words => ({
  message:
    `More and more frames ${path} are open: ${number(from)} ${duration(lasted)} ago, ${number(to)} now that do not ` +
    `end, ${others(gone, "others")}`,
  advice:
    `See what their bodies wait for, and give them a timeout; a frame of TimeFrame.make ends with the scope that it ` +
    `was made in`,
  settled: () => `No more frames ${path} stay open`
})

export const costlier = (
  { from, lasted, path, resource, to, unit, ...site }: Omit<Growth, "gone"> & { readonly unit: string }
): Words => ({
  message: `What is held of ${resource} in ${nameOfPath(path)} costs more and more: ${number(Math.round(from))} ` +
    `${unit} each ${duration(lasted)} ago, ${number(Math.round(to))} now`,
  advice: `See what makes the params of ${who(site)} grow: a buffer, cache or batch ` +
    `without a bound, as a rule`,
  settled: () => `${resource} does not cost more and more any more in ${nameOfPath(path)}`
})

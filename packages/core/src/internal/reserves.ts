/**
 * Frames that have put some of a unit aside: what they do not use comes back when they end, and not before. Owned by
 * `Budget`.
 */
import type { Held } from "./deadlock.ts"
import type { Frame } from "./frame.ts"
import { framesIn } from "./holders.ts"
import type { Ledger } from "./ledger.ts"
import { allocationsIn } from "./owned.ts"

/** Someone who asks for some of it. */
interface Asking {
  readonly frame: Frame
  readonly amount: number
}

function* reservesIn(owner: Frame, unit: string): Generator<readonly [frame: Frame, ledger: Ledger]> {
  for (const frame of framesIn(owner)) {
    const ledger = frame.ledgers.get(unit)
    if (ledger?.owner === frame && ledger.reserved > 0) yield [frame, ledger]
  }
}

/** A reserve is held by the fiber of its frame. */
export function* heldAside({ owner, unit }: Ledger): Generator<Held & { readonly amount: number }> {
  for (const [{ fiber }, { reserved, used }] of reservesIn(owner as Frame, unit)) {
    yield { name: unit, holder: fiber?.id, amount: Math.max(0, reserved - used) }
  }
}

/**
 * How much of the ledger is in use once all that can be given back is, and the one who asks has what it asks for. A
 * frame whose fiber waits does not end, so neither does its reserve; nor do those that the asking one is in.
 */
export const usedAtLast = (ledger: Ledger, asking: Asking, canNot: (held: Held) => boolean): number => {
  const { unit } = ledger
  const owner = ledger.owner as Frame
  const reserves = Array.from(reservesIn(owner, unit))
  /** What is in use inside of those. */
  const inside = new Map<Frame, number>(reserves.map(([frame]) => [frame, 0]))
  let used = 0
  const add = (frame: Frame | undefined, amount: number): void => {
    for (let at = frame; at !== undefined && at !== owner; at = at.parent) {
      const before = inside.get(at)
      if (before !== undefined) return void inside.set(at, before + amount)
    }
    used += amount
  }
  add(asking.frame, asking.amount)
  for (const { cost, frame, holder, resource } of allocationsIn(owner.inside)) {
    const amount = cost[unit] ?? 0
    if (amount > 0 && canNot({ name: resource, holder })) add(frame as Frame, amount)
  }
  // Those inside come before those around them.
  for (const [frame, { reserved }] of reserves.reverse()) {
    const amount = inside.get(frame)!
    const stays = isAround(frame, asking.frame) || canNot({ name: unit, holder: frame.fiber?.id })
    inside.delete(frame)
    add(frame.parent, stays ? Math.max(reserved, amount) : amount)
  }
  return used
}

const isAround = (frame: Frame, inner: Frame): boolean => {
  for (let at: Frame | undefined = inner; at !== undefined; at = at.parent) if (at === frame) return true
  return false
}

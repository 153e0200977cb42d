/**
 * What rises and what does not, by what was counted in windows of time. Owned by `LeakDetector`.
 */

/** Something that may be counted: since when it is there. */
export interface Member {
  readonly at: number
  readonly callSite: string | undefined
}

export interface Rise {
  readonly from: number
  readonly to: number
  readonly since: number
}

/** A mean over the window that began then. */
export interface Mean {
  readonly start: number
  readonly value: number
}

/** Adds the newest value, and forgets the oldest of too many. */
export const push = <A>(values: Array<A>, value: A, most: number): void => {
  values.push(value)
  if (values.length > most) values.shift()
}

export const total = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0)

export const countUntil = (members: ReadonlyArray<Member>, time: number): number => {
  let count = 0
  for (const { at } of members) if (at <= time) count++
  return count
}

/** The share of pairs of which the later one is higher. */
const concordance = (values: ReadonlyArray<number>): number => {
  let pairs = 0
  let rising = 0
  for (let later = 1; later < values.length; later++) {
    for (let earlier = 0; earlier < later; earlier++) {
      pairs++
      if (values[later]! > values[earlier]!) rising++
    }
  }
  return pairs === 0 ? 0 : rising / pairs
}

/**
 * Do they become more, window after window, without one that leaves? `starts` are the times when the windows began, `counts`
 * how many had survived each of them; both end with the newest.
 */
export const rise = (options: {
  readonly starts: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
  readonly members: ReadonlyArray<Member>
  readonly windows: number
  readonly minimum: number
}): Rise | undefined => {
  const { members, minimum, windows } = options
  if (options.starts.length <= windows) return undefined
  const starts = options.starts.slice(-windows - 1)
  // Of a kind that is new there were none before.
  const counts = [...Array.from({ length: windows + 1 }, () => 0), ...options.counts].slice(-windows - 1)
  const from = counts[0]!
  const to = counts[windows]!
  if (to - from < Math.max(minimum, from / 10)) return undefined
  const rises = counts.filter((count, index) => index > 0 && count > counts[index - 1]!).length
  if (rises < 0.6 * windows || counts[windows - 2]! >= to) return undefined
  // What starts slowly, or fills up, slows down.
  const half = counts[Math.floor(windows / 2)]!
  if (to - half < 0.7 * (half - from)) return undefined
  for (const [index, count] of counts.entries()) if (countUntil(members, starts[index]!) < 0.9 * count) return undefined
  return { from, to, since: starts[0]! }
}

/** Does each cost more than those before, window after window? */
export const costRise = (means: ReadonlyArray<Mean>, windows: number): Rise | undefined => {
  if (means.length <= windows) return undefined
  const values = means.map(({ value }) => value)
  const from = values[0]!
  const to = values.at(-1)!
  if (to < 1.5 * from || concordance(values) < 0.95) return undefined
  const half = values[Math.floor(windows / 2)]!
  return to - half < 0.5 * (half - from) ? undefined : { from, to, since: means[0]!.start }
}

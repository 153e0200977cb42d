/** Figures as a person reads them. */

const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3, notation: "compact" })

export const count = (value: number): string => number.format(value)

/** "1 frame", "2 frames". */
export const counted = (value: number, noun: string, plural = `${noun}s`): string =>
  `${count(value)} ${value === 1 ? noun : plural}`

const both = (large: number, unit: string, small: number, part: string): string =>
  small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${part}`

export const duration = (millis: number): string => {
  const ms = Math.max(0, millis)
  if (ms < 10 && ms > 0 && !Number.isInteger(ms)) return `${ms.toFixed(1)} ms`
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return both(Math.floor(seconds / 60), "min", seconds % 60, "s")
  const minutes = Math.round(ms / 60_000)
  if (minutes < 48 * 60) return both(Math.floor(minutes / 60), "h", minutes % 60, "min")
  return both(Math.floor(minutes / 1440), "d", Math.floor((minutes % 1440) / 60), "h")
}

const isBytes = (unit: string): boolean => /(^|[^a-z])(memory|bytes?|heap|buffers?|disk|space)($|[^a-z])/i.test(unit)
const steps = ["B", "KiB", "MiB", "GiB", "TiB"]

const bytes = (value: number): string => {
  let left = value
  let step = 0
  while (left >= 1024 && step < steps.length - 1) {
    left /= 1024
    step++
  }
  return `${step === 0 || left >= 100 || Number.isInteger(left) ? Math.round(left) : left.toFixed(1)} ${steps[step]}`
}

/** An amount of a unit without its name: bytes for memory. */
export const amount = (value: number, unit: string): string => isBytes(unit) ? bytes(value) : count(value)

/** The same in few characters, for axes and bars. */
export const amountShort = (value: number, unit: string): string =>
  isBytes(unit) ? bytes(value) : value < 10_000 ? count(Math.round(value)) : short.format(value)

export const cost = (all: { readonly [unit: string]: number }): string => {
  let text = ""
  for (const unit in all) if (all[unit] !== 0) text += `${text === "" ? "" : ", "}${unit} ${amount(all[unit]!, unit)}`
  return text
}

export const share = (value: number): string => `${value > 0 && value < 0.01 ? "<1" : Math.round(value * 100)}%`

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" })

export const time = (at: number): string => clock.format(at)

export const moment = (at: number): string => `${day.format(at)}, ${clock.format(at)}`

/** The end of a call site says most: `src/server.ts:12:3`. */
export const siteTail = (site: string): string => {
  const path = /\(?((?:file:\/\/)?[^\s()]*[\\/])?([^\\/()\s]+:\d+(?::\d+)?)\)?$/.exec(site)
  if (path === null) return site
  const folder = path[1]?.replace(/[\\/]$/, "").split(/[\\/]/).at(-1)
  return folder === undefined || folder === "" ? path[2]! : `${folder}/${path[2]}`
}

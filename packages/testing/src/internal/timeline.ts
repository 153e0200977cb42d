import type { Location } from "./locations.ts"
import type { Event } from "./trace.ts"

/** How many steps are shown where a fiber goes on, and before it stops. */
const first = 2
const last = 3

/** How many lines are shown; of a third the first ones, of the others the last. */
const longest = 120

interface Line {
  readonly fiber: string
  readonly text: string
  readonly where: string
}

/** What the fibers did, one line after another, as long as a page. */
export const render = (
  events: ReadonlyArray<Event>,
  nameOf: (fiber: number) => string,
  unended: ReadonlyArray<number>
): string => {
  const lines: Array<Line> = []
  let segment: Array<Event & { readonly type: "step" }> = []
  let running: number | undefined = undefined

  const line = (fiber: number | undefined, text: string, location?: Location): void => {
    lines.push({ fiber: fiber === undefined ? "" : nameOf(fiber), text, where: place(location) })
  }
  const flush = (): void => {
    const steps = condense(segment)
    segment = []
    const hidden = steps.length - first - last
    steps.forEach(({ fiber, location, text }, index) => {
      if (hidden <= 1 || index < first || index >= steps.length - last) line(fiber, text, location)
      else if (index === first) line(fiber, `… ${hidden} more steps`)
    })
  }

  for (const event of events) {
    if (event.type === "step") {
      if (event.fiber !== running) flush()
      running = event.fiber
      segment.push(event)
      continue
    }
    flush()
    if (event.type === "decision") line(event.fiber, inWords(event, nameOf), event.next?.location)
    else if (event.type === "clock") line(undefined, `── ${event.now} ms ──`)
    else line(event.fiber, event.text)
  }
  flush()
  for (const fiber of unended) {
    const at = events.findLast(isStepOf(fiber))
    line(fiber, `never ends${at === undefined ? "" : `: ${at.text}`}`, at?.location)
  }
  const width = Math.max(...lines.map(({ fiber }) => fiber.length))
  const length = Math.max(...lines.map(({ text }) => text.length))
  const page = lines.map(({ fiber, text, where }) =>
    `  ${fiber.padEnd(width)}  ${text.padEnd(length)}  ${where}`.trimEnd()
  )
  const left = page.length - longest
  if (left > 0) page.splice(longest / 3, left, `  … ${left} more lines …`)
  return page.join("\n")
}

const isStepOf = (fiber: number) => (event: Event): event is Event & { readonly type: "step" } =>
  event.type === "step" && event.fiber === fiber

const inWords = (
  { decision, fiber, next }: Event & { readonly type: "decision" },
  nameOf: (fiber: number) => string
): string => {
  const before = next === undefined ? "" : ` before: ${cut(next.text)}`
  if (decision.type === "yield") return `■ others go on${before}`
  if (decision.type === "pick") return "▶ is first"
  if (decision.type === "turn") return "✗ is interrupted where it waits"
  return `${
    decision.target === fiber ? "✗ is interrupted" : `■ stops: ✗ ${nameOf(decision.target)} is interrupted,`
  }${before}`
}

/** The place is told as well. */
const cut = (text: string): string => text.length > 50 ? `${text.slice(0, 49)}…` : text

/** Steps of the scenario's own code, and of those of others the last one: that is where a fiber stops. */
const condense = (steps: ReadonlyArray<Event & { readonly type: "step" }>) =>
  steps.filter(({ isOwn, text }, index) => (isOwn || index === steps.length - 1) && text !== steps[index - 1]?.text)

const place = (location: Location | undefined): string => {
  if (location === undefined) return ""
  const file = location.file.split("/").slice(-2).join("/")
  return `${file}:${location.line}`
}

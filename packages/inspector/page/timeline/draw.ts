/** Draws a timeline on a canvas, and finds what is under the pointer. */
import { duration, time } from "../data/format.ts"
import { color, colorOf } from "../theme.ts"
import type { AllocationSpan, FrameSpan, Lane, Timeline } from "./model.ts"

export interface Viewport {
  readonly width: number
  readonly height: number
  /** How far it is scrolled down, in pixels. */
  readonly top: number
  /** The times at the left and right edges of the plot. */
  readonly from: number
  readonly to: number
  readonly now: number
  readonly matches: ((text: string) => boolean) | null
  readonly chosen: FrameSpan | null
}

export const axisHeight = 24
export const gutterOf = (width: number): number => width < 700 ? 96 : 190

interface Density {
  readonly bar: number
  readonly row: number
  readonly rows: number
  readonly gap: number
}

/** From large to small. */
const densities: ReadonlyArray<Density> = [
  { bar: 16, row: 7, rows: 8, gap: 5 },
  { bar: 13, row: 4, rows: 5, gap: 3 },
  { bar: 4, row: 2, rows: 4, gap: 2 }
]

interface Placed {
  readonly path: string
  readonly depth: number
  readonly lane: Lane
  readonly lanes: number
  readonly y: number
  readonly height: number
}

export interface Layout {
  readonly placed: ReadonlyArray<Placed>
  readonly density: Density
  readonly height: number
}

/** A lane without a frame in sight takes no room. */
const isSeen = (from: number, to: number) => ({ frames }: Lane): boolean =>
  frames.some((frame) => frame.start <= to && frame.end >= from)

interface Seen {
  readonly path: string
  readonly depth: number
  readonly lanes: ReadonlyArray<Lane>
}

const placeAs = (tracks: ReadonlyArray<Seen>, density: Density): Layout => {
  const placed: Array<Placed> = []
  let y = axisHeight + 6
  for (const { depth, lanes, path } of tracks) {
    for (const lane of lanes) {
      const rows = Math.min(density.rows, lane.rows)
      const height = density.bar + (rows === 0 ? 0 : rows * density.row + 2)
      placed.push({ path, depth, lane, lanes: lanes.length, y, height })
      y += height + density.gap
    }
    y += 6
  }
  return { placed, density, height: y + 8 }
}

/** As large as there is room for; what has to be scrolled in any case stays readable as long as it is not too much. */
export const place = (timeline: Timeline, { from, height, to }: Pick<Viewport, "from" | "to" | "height">): Layout => {
  const tracks = timeline.tracks.map(({ depth, lanes, path }) => ({
    depth,
    path,
    lanes: lanes.filter(isSeen(from, to))
  }))
    .filter(({ lanes }) => lanes.length > 0)
  const [large, medium, small] = densities.map((density) => placeAs(tracks, density))
  if (large!.height <= height) return large!
  return medium!.height <= height || medium!.placed.length <= 60 ? medium! : small!
}

const steps = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1000,
  2000,
  5000,
  10_000,
  15_000,
  30_000,
  60_000,
  120_000,
  300_000,
  600_000,
  1_800_000,
  3_600_000,
  14_400_000,
  86_400_000
]

const stepFor = (perPixel: number): number => steps.find((step) => step / perPixel >= 90) ?? steps.at(-1)!

const tickLabel = (at: number, step: number): string => {
  const millis = Math.round(at % 1000)
  return step >= 1000 ? time(at) : `${time(at)}.${String(millis).padStart(3, "0")}`
}

const pattern = (context: CanvasRenderingContext2D, stroke: string): CanvasPattern | string => {
  const tile = document.createElement("canvas")
  tile.width = tile.height = 6
  const pen = tile.getContext("2d")!
  pen.strokeStyle = stroke
  pen.lineWidth = 1.6
  pen.beginPath()
  pen.moveTo(-1, 7)
  pen.lineTo(7, -1)
  pen.moveTo(-1, 1)
  pen.lineTo(1, -1)
  pen.moveTo(5, 7)
  pen.lineTo(7, 5)
  pen.stroke()
  return context.createPattern(tile, "repeat") ?? stroke
}

let hatchOf: { readonly color: string; readonly fill: CanvasPattern | string } | undefined

const hatch = (context: CanvasRenderingContext2D): CanvasPattern | string => {
  const stroke = color("warn")
  if (hatchOf?.color !== stroke) hatchOf = { color: stroke, fill: pattern(context, stroke) }
  return hatchOf.fill
}

export class Painter {
  private readonly context: CanvasRenderingContext2D
  private readonly view: Viewport
  private readonly gutter: number
  private readonly scale: number

  constructor(context: CanvasRenderingContext2D, view: Viewport) {
    this.context = context
    this.view = view
    this.gutter = gutterOf(view.width)
    this.scale = (view.width - this.gutter) / (view.to - view.from)
  }

  private x(at: number): number {
    return this.gutter + (at - this.view.from) * this.scale
  }

  paint(layout: Layout): void {
    const { context, gutter, view } = this
    context.clearRect(0, 0, view.width, view.height)
    context.font = `11px ${color("font")}`
    context.textBaseline = "middle"
    this.grid()
    context.save()
    context.beginPath()
    context.rect(gutter, axisHeight, view.width - gutter, view.height - axisHeight)
    context.clip()
    const seen = layout.placed.filter(({ height, y }) => y + height > view.top && y < view.top + view.height)
    for (const placed of seen) for (const frame of placed.lane.frames) this.frame(frame, placed, layout.density)
    this.nowLine()
    context.restore()
    this.labels(layout)
    this.axis()
  }

  private get step(): number {
    return stepFor(1 / this.scale)
  }

  private grid(): void {
    const { context, gutter, step, view } = this
    context.strokeStyle = color("grid")
    context.lineWidth = 1
    context.beginPath()
    for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
      const x = Math.round(this.x(at)) + 0.5
      if (x < gutter) continue
      context.moveTo(x, axisHeight)
      context.lineTo(x, view.height)
    }
    context.stroke()
  }

  private axis(): void {
    const { context, gutter, step, view } = this
    context.fillStyle = color("panel")
    context.fillRect(0, 0, view.width, axisHeight)
    context.strokeStyle = color("line")
    context.beginPath()
    context.moveTo(0, axisHeight - 0.5)
    context.lineTo(view.width, axisHeight - 0.5)
    context.moveTo(gutter - 0.5, 0)
    context.lineTo(gutter - 0.5, view.height)
    context.stroke()
    context.fillStyle = color("quiet")
    for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
      const x = this.x(at)
      const label = tickLabel(at, step)
      if (x >= gutter && x + context.measureText(label).width + 6 < view.width) {
        context.fillText(label, x + 4, axisHeight / 2)
      }
    }
  }

  private nowLine(): void {
    const { context, view } = this
    const x = this.x(view.now)
    if (x > view.width) return
    context.fillStyle = color("accent")
    context.fillRect(x, axisHeight, 1, view.height)
  }

  private frame(frame: FrameSpan, { y: top, height }: Placed, density: Density): void {
    const { context, view } = this
    const end = Math.min(frame.end, view.now)
    const left = this.x(frame.start)
    const right = Math.max(this.x(end), left + 1)
    if (right < this.gutter || left > view.width) return
    const y = top - view.top
    const from = Math.max(left, this.gutter - 4)
    const to = Math.min(right, view.width + 4)
    const frameMatches = view.matches === null || view.matches(`${frame.path} #${frame.id}`)
    context.globalAlpha = frameMatches ? 1 : 0.35
    context.fillStyle = color("frame-soft")
    context.fillRect(from, y, to - from, height)
    context.fillStyle = color("frame")
    context.fillRect(from, y, to - from, Math.min(2, height))
    if (left >= from) context.fillRect(left, y, 1, height)
    if (frame.end < view.now && right <= view.width) context.fillRect(right - 1, y, 1, height)
    this.deadline(frame, y, height, to)
    if (density.bar >= 12) this.caption(frame, from, to, y + 1 + density.bar / 2)
    for (const at of frame.refusals) {
      context.fillStyle = color("bad")
      context.fillRect(this.x(at) - 1, y, 2, height)
    }
    for (const span of frame.allocations) this.allocation(span, y + density.bar + 1, density, frameMatches)
    context.globalAlpha = 1
    if (view.chosen === frame) {
      context.strokeStyle = color("accent")
      context.lineWidth = 2
      context.strokeRect(from + 1, y + 1, Math.max(2, to - from - 2), height - 2)
      context.lineWidth = 1
    }
  }

  private deadline(frame: FrameSpan, y: number, height: number, to: number): void {
    const { context, view } = this
    if (frame.deadline === Infinity || frame.deadline > Math.min(frame.end, view.now)) return
    const x = Math.max(this.x(frame.deadline), this.gutter)
    context.fillStyle = color("bad-soft")
    context.fillRect(x, y, Math.max(0, to - x), height)
    context.fillStyle = color("bad")
    context.fillRect(x - 1, y, 2, height)
  }

  private caption(frame: FrameSpan, from: number, to: number, y: number): void {
    const { context, view } = this
    const start = Math.max(from, this.gutter) + 5
    const room = to - start - 4
    if (room < 44) return
    const lasted = `${duration(Math.min(frame.end, view.now) - frame.start)}`
    const long = `#${frame.id}  ${lasted}`
    context.fillStyle = color("text")
    if (context.measureText(long).width <= room) context.fillText(long, start, y)
    else if (context.measureText(lasted).width <= room) context.fillText(lasted, start, y)
  }

  private allocation(span: AllocationSpan, top: number, density: Density, frameMatches: boolean): void {
    const { context, view } = this
    const end = Math.min(span.end, view.now)
    if (end < view.from || span.asked > view.to) return
    const y = top + Math.min(span.row, density.rows - 1) * density.row
    const height = Math.max(1, density.row - 1)
    // What was not searched for is opaque, too: where many lie over each other they would shine through.
    context.globalAlpha = 1
    if (view.matches !== null && !frameMatches && !view.matches(`${span.resource} #${span.id}`)) {
      context.fillStyle = color("line")
      const x = Math.max(this.x(span.asked), this.gutter)
      context.fillRect(x, y, Math.max(Math.min(this.x(end), view.width) - x, 1), height)
      return
    }
    const here = Math.min(span.start, end)
    if (here > span.asked) {
      const x = Math.max(this.x(span.asked), this.gutter)
      const width = Math.max(this.x(here) - x, 1)
      context.fillStyle = color("warn-soft")
      context.fillRect(x, y, width, height)
      context.fillStyle = hatch(context)
      context.fillRect(x, y, width, height)
    }
    if (span.start < end) {
      const x = Math.max(this.x(span.start), this.gutter)
      context.fillStyle = colorOf(span.resource)
      context.fillRect(x, y, Math.max(Math.min(this.x(end), view.width) - x, 1), height)
    }
    if (span.failed) {
      context.fillStyle = color("bad")
      context.fillRect(this.x(end) - 1, y - 1, 3, height + 2)
    }
  }

  private labels({ placed }: Layout): void {
    const { context, gutter, view } = this
    context.fillStyle = color("panel")
    context.fillRect(0, 0, gutter, view.height)
    for (let index = 0; index < placed.length;) {
      const { depth, lanes, path, y } = placed[index]!
      const last = placed[index + lanes - 1]!
      index += lanes
      const bottom = last.y + last.height - view.top
      if (bottom < axisHeight || y - view.top > view.height) continue
      // It stays in sight as long as one of its lanes does.
      const at = Math.max(y - view.top, Math.min(axisHeight + 4, bottom - 14)) + 7
      const name = path === "" ? "manager" : path.split("/").at(-1)!
      const indent = 10 + Math.min(depth, 6) * 10
      const many = lanes > 1 ? ` ×${lanes}` : ""
      context.globalAlpha = view.matches === null || view.matches(path) ? 1 : 0.5
      context.fillStyle = color("text")
      const room = gutter - indent - 8 - context.measureText(many).width
      let shown = name
      while (shown.length > 2 && context.measureText(shown).width > room) shown = `${shown.slice(0, -2)}…`
      context.fillText(shown, indent, at)
      context.fillStyle = color("quiet")
      context.fillText(many, indent + context.measureText(shown).width, at)
      context.globalAlpha = 1
    }
  }
}

export interface Hit {
  readonly frame: FrameSpan
  readonly allocation: AllocationSpan | null
}

/** What is at a place of the canvas. */
export const hit = (layout: Layout, view: Viewport, x: number, y: number): Hit | null => {
  const gutter = gutterOf(view.width)
  if (x < gutter || y < axisHeight) return null
  const perPixel = (view.to - view.from) / (view.width - gutter)
  const at = view.from + (x - gutter) * perPixel
  // A pointer is no needle.
  const near = 2 * perPixel
  const down = y + view.top
  const placed = layout.placed.find((one) => down >= one.y && down <= one.y + one.height)
  const frame = placed?.lane.frames.find((one) => at >= one.start - near && at <= Math.min(one.end, view.now) + near)
  if (placed === undefined || frame === undefined) return null
  const row = Math.floor((down - placed.y - layout.density.bar - 1) / layout.density.row)
  const allocation = row < 0 ?
    undefined :
    frame.allocations.findLast((span) =>
      Math.min(span.row, layout.density.rows - 1) === row && at >= span.asked - near &&
      at <= Math.min(span.end, view.now) + near
    )
  return { frame, allocation: allocation ?? null }
}

/** How much was held, over all that is known: the strip under the timeline. */
export const paintOverview = (
  context: CanvasRenderingContext2D,
  timeline: Timeline,
  range: { readonly from: number; readonly to: number },
  size: { readonly width: number; readonly height: number }
): void => {
  const { height, width } = size
  context.clearRect(0, 0, width, height)
  const buckets = Math.max(1, Math.floor(width / 2))
  const change = new Float64Array(buckets + 1)
  const waits = new Float64Array(buckets + 1)
  const place = (at: number): number =>
    Math.max(0, Math.min(buckets, Math.round(((at - range.from) / (range.to - range.from)) * buckets)))
  const add = (to: Float64Array, from: number, end: number): void => {
    const first = place(from)
    const last = Math.max(first + 1, place(end))
    if (end < range.from || first >= buckets) return
    to[first]! += 1
    if (last <= buckets) to[last]! -= 1
  }
  for (const track of timeline.tracks) {
    for (const lane of track.lanes) {
      for (const frame of lane.frames) {
        for (const span of frame.allocations) {
          if (span.start < Infinity) add(change, span.start, span.end)
          if (span.start > span.asked) add(waits, span.asked, Math.min(span.start, span.end))
        }
      }
    }
  }
  const area = (from: Float64Array, name: string): void => {
    let most = 1
    let sum = 0
    const sums = Array.from({ length: buckets }, (_, index) => {
      sum += from[index]!
      most = Math.max(most, sum)
      return sum
    })
    context.fillStyle = color(name)
    sums.forEach((value, index) => {
      const tall = (value / most) * (height - 4)
      if (value > 0) context.fillRect((index / buckets) * width, height - tall, width / buckets, tall)
    })
  }
  area(change, "accent-soft")
  // Waits are few beside all that is held: a line along the bottom says that there were some.
  let sum = 0
  context.fillStyle = color("warn")
  for (let index = 0; index < buckets; index++) {
    sum += waits[index]!
    if (sum > 0) context.fillRect((index / buckets) * width, height - 3, width / buckets, 3)
  }
}

/** What happened over the last minutes: frames as bars, what they held inside, waits hatched. */
import { signal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { count, duration, moment } from "../data/format.ts"
import { moving, paused, programNow, query, shown, shownSnapshot } from "../data/store.ts"
import { wordsOf } from "../data/tree.ts"
import { Icon } from "../parts/Icon.tsx"
import { color, hueOf, theme } from "../theme.ts"
import { gutterOf, hit, Painter, paintOverview, place } from "../timeline/draw.ts"
import type { Hit, Layout, Viewport } from "../timeline/draw.ts"
import type { AllocationSpan, Timeline as Model } from "../timeline/model.ts"
import { chosen, end, follow, pan, range, span, windowNow, zoom } from "../timeline/state.ts"
import { reveal, treeIndex } from "./treeState.ts"

interface Pointed extends Hit {
  readonly x: number
  readonly y: number
}

const pointed = signal<Pointed | null>(null)

const matcher = (): Viewport["matches"] => {
  const words = wordsOf(query.value)
  if (words.length === 0) return null
  return (text) => {
    const name = text.toLowerCase()
    return words.every((word) => name.includes(word))
  }
}

/** Fits a canvas to its element, and gives a pen whose unit is a pixel of the page. */
const penOf = (canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D => {
  const ratio = devicePixelRatio
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio)
    canvas.height = Math.round(height * ratio)
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
  }
  const context = canvas.getContext("2d")!
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  return context
}

/** Draws when something has changed or time goes by, never more often than it can be seen. */
class Stage {
  layout: Layout = { placed: [], density: { bar: 0, row: 1, rows: 0, gap: 0 }, height: 0 }
  view: Viewport | undefined
  private drawn = ""
  private overviewDrawn = ""
  private at = 0
  private request = 0

  private readonly host: HTMLElement
  private readonly canvas: HTMLCanvasElement
  private readonly spacer: HTMLElement
  private readonly overview: HTMLCanvasElement

  constructor(host: HTMLElement, overview: HTMLCanvasElement) {
    this.host = host
    this.spacer = host.firstElementChild as HTMLElement
    this.canvas = this.spacer.firstElementChild as HTMLCanvasElement
    this.overview = overview
    this.loop(0)
  }

  stop(): void {
    cancelAnimationFrame(this.request)
  }

  private readonly loop = (at: number): void => {
    this.request = requestAnimationFrame(this.loop)
    const model = shown.value?.timeline
    if (model === undefined || (moving.value && at - this.at < 60)) return
    const { clientHeight: height, clientWidth: width, scrollTop: top } = this.host
    const { from, now, to } = windowNow()
    const key = [model.version, from, to, now, width, height, top, query.value, theme.value, chosen.value?.id].join()
    if (key === this.drawn || width < 120 || height < 40) return
    this.drawn = key
    this.at = at
    this.draw(model, { width, height, top, from, to, now, matches: matcher(), chosen: chosen.value })
  }

  private draw(model: Model, view: Viewport): void {
    this.view = view
    this.layout = place(model, view)
    const tall = `${Math.max(view.height, this.layout.height)}px`
    if (this.spacer.style.height !== tall) this.spacer.style.height = tall
    new Painter(penOf(this.canvas, view.width, view.height), view).paint(this.layout)
    this.drawOverview(model, view)
  }

  private drawOverview(model: Model, view: Viewport): void {
    const all = range(model)
    const width = this.overview.parentElement!.clientWidth
    const height = 36
    const key = [Math.round(all.to / 1000), width, theme.value, shown.value?.timeline === model].join()
    if (key !== this.overviewDrawn) {
      this.overviewDrawn = key
      paintOverview(penOf(this.overview, width, height), model, all, { width, height })
    }
    const brush = this.overview.nextElementSibling as HTMLElement
    const scale = width / (all.to - all.from)
    const left = Math.max(0, (view.from - all.from) * scale)
    const right = Math.min(width, (view.to - all.from) * scale)
    brush.style.left = `${left}px`
    brush.style.width = `${Math.max(4, right - left)}px`
  }
}

const sayOf = ({ asked, end, failed, start }: AllocationSpan, now: number): string => {
  const until = Math.min(end, now)
  const wait = duration(Math.min(start, until) - asked)
  if (start > until) return failed ? `failed after ${wait}` : end === Infinity ? `waits for ${wait}` : `waited ${wait}`
  return `${start > asked ? `acquired in ${wait}, ` : ""}held ${duration(until - start)}`
}

const Tip = () => {
  const on = pointed.value
  if (on === null) return null
  const { allocation, frame } = on
  const now = programNow()
  const lives = treeIndex.value?.frames.has(frame.id) === true
  const held = frame.allocations.filter((one) => one.end === Infinity && one.start < Infinity)
  const style = {
    left: `${Math.min(on.x + 14, Math.max(0, innerWidth - 330))}px`,
    top: `${Math.min(on.y + 14, Math.max(0, innerHeight - 190))}px`
  }
  return (
    <div class="tip" style={style} role="tooltip">
      <strong>{frame.path || "manager"}</strong> <span class="quiet">#{frame.id}</span>
      <p>
        {frame.end === Infinity ? "open for " : "was open for "}
        {duration(Math.min(frame.end, now) - frame.start)}
        {frame.deadline < Infinity && `, ${
          frame.deadline < Math.min(frame.end, now)
            ? `${duration(Math.min(frame.end, now) - frame.deadline)} past its deadline`
            : `deadline ${duration(frame.deadline - frame.start)} after it opened`
        }`}
      </p>
      {allocation === null
        ? <p class="quiet">holds {count(held.length)} now, {count(frame.allocations.length)} in what is seen</p>
        : (
          <p>
            <span class={`mark hue-${hueOf(allocation.resource)}`} /> {allocation.resource}{" "}
            {allocation.id > 0 && <span class="quiet">#{allocation.id}</span>}
            <br />
            {sayOf(allocation, now)}
          </p>
        )}
      {lives && <p class="quiet">Click to see it in the tree</p>}
    </div>
  )
}

const Legend = () => {
  const snapshot = shownSnapshot.value
  const names = snapshot === null ? [] : snapshot.resources.toSorted((a, b) => b.live + b.shares - a.live - a.shares)
    .slice(0, 5).map(({ resource }) => resource)
  return (
    <span class="legend">
      {[...new Set(names)].map((name) => (
        <span key={name}>
          <span class={`mark hue-${hueOf(name)}`} /> {name}
        </span>
      ))}
      <span>
        <span class="mark wait" /> waits
      </span>
      <span>
        <span class="mark overdue" /> past its deadline
      </span>
    </span>
  )
}

const keyDown = (event: KeyboardEvent, host: HTMLElement): void => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const actions: Readonly<Record<string, () => void>> = {
    ArrowLeft: () => pan(-span.value / 8),
    ArrowRight: () => pan(span.value / 8),
    ArrowUp: () => host.scrollBy(0, -40),
    ArrowDown: () => host.scrollBy(0, 40),
    "+": () => zoom(0.7),
    "=": () => zoom(0.7),
    "-": () => zoom(1 / 0.7),
    n: follow,
    End: follow,
    Home: () => {
      const model = shown.value?.timeline
      if (model !== undefined) end.value = range(model).from + span.value
    }
  }
  const action = actions[event.key]
  if (action === undefined) return
  event.preventDefault()
  action()
}

/** Pulls, turns the wheel, points and clicks. */
const listenTo = (host: HTMLElement, overview: HTMLElement, stage: Stage): () => void => {
  const stop = new AbortController()
  const { signal } = stop
  const width = (): number => Math.max(1, host.clientWidth - gutterOf(host.clientWidth))
  const find = (event: PointerEvent): Hit | null => {
    const box = host.getBoundingClientRect()
    return stage.view === undefined
      ? null
      : hit(stage.layout, stage.view, event.clientX - box.left, event.clientY - box.top)
  }
  let pulled: { x: number; readonly from: number } | null = null

  host.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX
    if (event.ctrlKey || event.metaKey) {
      const box = host.getBoundingClientRect()
      zoom(Math.exp(event.deltaY * 0.002), (event.clientX - box.left - gutterOf(host.clientWidth)) / width())
    } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) pan((sideways / width()) * span.value)
    else return
    event.preventDefault()
  }, { passive: false, signal })
  host.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.offsetX < host.clientWidth) pulled = { x: event.clientX, from: event.clientX }
  }, { signal })
  host.addEventListener("pointermove", (event) => {
    if (pulled !== null && (event.buttons & 1) === 1) {
      if (event.clientX === pulled.x) return
      host.setPointerCapture(event.pointerId)
      pan(((pulled.x - event.clientX) / width()) * span.value)
      pulled.x = event.clientX
      pointed.value = null
      return
    }
    const found = find(event)
    pointed.value = found === null ? null : { ...found, x: event.clientX, y: event.clientY }
  }, { signal })
  host.addEventListener("pointerup", (event) => {
    const wasClick = pulled !== null && Math.abs(pulled.from - event.clientX) < 4
    pulled = null
    if (!wasClick) return
    const found = find(event)
    if (found !== null && treeIndex.value?.frames.has(found.frame.id) === true) {
      pointed.value = null
      reveal(
        found.allocation !== null && found.allocation.id > 0 && found.allocation.end === Infinity
          ? `a${found.allocation.id}`
          : `f${found.frame.id}`
      )
    }
  }, { signal })
  host.addEventListener("pointerleave", () => pointed.value = null, { signal })

  const seek = (event: PointerEvent): void => {
    const model = shown.value?.timeline
    if (model === undefined || (event.buttons & 1) === 0) return
    const box = overview.getBoundingClientRect()
    const all = range(model)
    const at = all.from + ((event.clientX - box.left) / box.width) * (all.to - all.from)
    const to = at + span.value / 2
    end.value = to >= all.to ? null : to
    overview.setPointerCapture(event.pointerId)
  }
  overview.addEventListener("pointerdown", seek, { signal })
  overview.addEventListener("pointermove", seek, { signal })
  return () => stop.abort()
}

const spans = [1000, 5000, 10_000, 30_000, 60_000, 300_000]

export const Timeline = () => {
  const host = useRef<HTMLDivElement>(null)
  const overview = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const stage = new Stage(host.current!, overview.current!.firstElementChild as HTMLCanvasElement)
    const stop = listenTo(host.current!, overview.current!, stage)
    return () => {
      stop()
      stage.stop()
      pointed.value = null
    }
  }, [])
  const model = shown.value?.timeline
  const nearest = spans.reduce((a, b) => Math.abs(b - span.value) < Math.abs(a - span.value) ? b : a)
  const snapshot = shownSnapshot.value
  // The color is read again when the theme changes.
  void color("text")
  return (
    <section class="timeline" aria-label="Timeline">
      <div class="options">
        <span class="both">
          {spans.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === nearest}
              onClick={() => span.value = one}
            >
              {one < 60_000 ? `${one / 1000} s` : `${one / 60_000} min`}
            </button>
          ))}
        </span>
        <button type="button" disabled={end.value === null} title="Follow what happens now (n)" onClick={follow}>
          <Icon name="live" /> {end.value === null && !paused.value ? "Following" : "To the end"}
        </button>
        {model !== undefined && model.dropped > 0 && (
          <span class="tag warn" title="The program was faster than the page: the snapshots fill in what they can">
            {count(model.dropped)} events missed
          </span>
        )}
        <Legend />
      </div>
      <div
        ref={host}
        class="lanes"
        tabIndex={0}
        data-main
        role="application"
        aria-roledescription="timeline"
        aria-label={snapshot === null
          ? "Nothing yet"
          : `Frames as bars until ${
            moment(snapshot.at)
          }. Arrows move in time, plus and minus zoom. The tree tells the same in words.`}
        onKeyDown={(event) => keyDown(event, event.currentTarget)}
      >
        <div class="spacer">
          <canvas />
        </div>
      </div>
      <div ref={overview} class="overview" title="All that is remembered: pull to move">
        <canvas />
        <div class="brush" />
      </div>
      <Tip />
    </section>
  )
}

/** A small plot of the last minutes: uPlot, without axes. */
import { useEffect, useRef } from "preact/hooks"
import uPlot from "uplot"
import type { Track } from "../data/history.ts"
import { color, theme } from "../theme.ts"

interface Line {
  /** The name of a color of the style. */
  readonly color: string
  readonly filled?: boolean
}

export interface SparkProps {
  readonly label: string
  readonly track: Track | undefined
  /** One for each column that is drawn, from the first on. */
  readonly lines: ReadonlyArray<Line>
  /** Nothing later is shown. */
  readonly until: number
  /** The figure at the top, when it is not the largest one. */
  readonly top?: number | undefined
  readonly height?: number
  readonly hover?: (at: number, values: ReadonlyArray<number>) => void
  readonly leave?: () => void
}

const longest = 300

/** How many seconds are seen: at first there is little to see, then a minute fills the whole width. */
export const secondsOf = (track: Track | undefined, until: number): number =>
  Math.max(60, Math.min(longest, until / 1000 - (track?.times[0] ?? Infinity)))

const dataOf = ({ lines, track, until }: SparkProps): uPlot.AlignedData => {
  if (track === undefined) return [[], ...lines.map(() => [])] as unknown as uPlot.AlignedData
  let end = track.times.length
  while (end > 0 && track.times[end - 1]! > until / 1000) end--
  const columns = lines.map((_, index) => track.columns[index]!.slice(0, end))
  return [track.times.slice(0, end), ...columns] as uPlot.AlignedData
}

export const Spark = (props: SparkProps) => {
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const latest = useRef(props)
  latest.current = props
  const height = props.height ?? 44

  useEffect(() => {
    const element = host.current!
    const made = new uPlot(
      {
        width: Math.max(40, element.clientWidth),
        height,
        padding: [2, 0, 1, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        axes: [{ show: false }, { show: false }],
        scales: {
          x: {
            time: true,
            range: (_, __, max) => {
              const { track, until } = latest.current
              const end = Number.isFinite(max) && max !== null ? max : until / 1000
              return [end - secondsOf(track, until), end]
            }
          },
          y: { range: (_, __, max) => [0, Math.max(latest.current.top ?? 0, max ?? 0, 1) * 1.08] }
        },
        series: [
          {},
          ...props.lines.map((line): uPlot.Series => ({
            stroke: () => color(line.color),
            ...(line.filled === true ? { fill: () => color(`${line.color}-soft`) } : undefined),
            width: 1.5,
            points: { show: false }
          }))
        ],
        hooks: {
          setCursor: [(u) => {
            const index = u.cursor.idx
            if (index === null || index === undefined || (u.cursor.left ?? -1) < 0) return latest.current.leave?.()
            const at = u.data[0][index]
            if (at !== undefined) {
              latest.current.hover?.(
                at * 1000,
                latest.current.lines.map((_, line) => Number(u.data[line + 1]?.[index]))
              )
            }
          }]
        }
      },
      dataOf(latest.current),
      element
    )
    plot.current = made
    const observer = new ResizeObserver(() => {
      const width = Math.max(40, element.clientWidth)
      if (width !== made.width) made.setSize({ width, height })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
    }
  }, [])

  const dark = theme.value
  useEffect(() => plot.current?.setData(dataOf(latest.current)), [props.until, props.track, props.top, dark])

  return <div ref={host} class="spark" role="img" aria-label={props.label} />
}

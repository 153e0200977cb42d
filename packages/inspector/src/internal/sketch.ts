/**
 * How times are spread, in little room: counts of logarithmic buckets, so that each quantile is right to 5 percent, however
 * many there were; two of them can be added up. After C. Masson, J. E. Rim, H. K. Lee, DDSketch (VLDB 2019). Effect's own
 * histograms have fixed boundaries, and its summaries keep each observation. Owned by `Contention`.
 */
import { Spread } from "../ContentionReport.ts"

const ratio = 1.1
const logRatio = Math.log(ratio)
/** What is shorter than a hundredth of a millisecond is nothing. */
const least = 0.01

const bucketOf = (value: number): number =>
  value < least ? -1 : Math.max(0, Math.ceil(Math.log(value / least) / logRatio))

/** The middle of a bucket. */
const middleOf = (bucket: number): number => bucket < 0 ? 0 : least * 2 * ratio ** bucket / (ratio + 1)

export class Sketch {
  count = 0
  total = 0
  max = 0
  private readonly buckets = new Map<number, number>()

  add(value: number, times = 1): void {
    const bucket = bucketOf(value)
    this.buckets.set(bucket, (this.buckets.get(bucket) ?? 0) + times)
    this.count += times
    this.total += value * times
    if (value > this.max) this.max = value
  }

  addAll(other: Sketch): void {
    for (const [bucket, count] of other.buckets) this.buckets.set(bucket, (this.buckets.get(bucket) ?? 0) + count)
    this.count += other.count
    this.total += other.total
    this.max = Math.max(this.max, other.max)
  }

  quantile(part: number): number {
    let left = part * this.count
    for (const [bucket, count] of Array.from(this.buckets).sort(([a], [b]) => a - b)) {
      left -= count
      if (left <= 0) return Math.min(this.max, middleOf(bucket))
    }
    return this.max
  }

  /** When more were counted than were measured, the others lasted as long as their mean. */
  spread(counted?: { readonly count: number; readonly total: number }): Spread {
    const all = new Sketch()
    all.addAll(this)
    const others = counted === undefined ? 0 : counted.count - this.count
    if (others > 0) all.add(Math.max(0, (counted!.total - this.total) / others), others)
    const { count, total } = counted ?? all
    return new Spread({
      count,
      total,
      mean: count === 0 ? 0 : total / count,
      p50: all.quantile(0.5),
      p90: all.quantile(0.9),
      p99: all.quantile(0.99),
      max: all.max
    }, { disableChecks: true })
  }
}

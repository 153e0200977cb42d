/**
 * How long something took in the recent past: a mean that forgets, and the mean deviation from it, in O(1). Owned by the
 * registry.
 *
 * The two are kept as TCP keeps its round-trip times (Jacobson, Congestion Avoidance and Control, 1988; RFC 6298), with a
 * gain that depends on time: what was found counts half as much every {@link halfLife}, and the latest one for a
 * sixteenth at least. So the first few are averaged, a steady stream is smoothed, and after a pause the past counts less.
 */

/** When to refuse what would come too late. */
export interface Admission {
  /** How many have to be known before anybody is refused. */
  readonly minimumSamples: number
  /** How many mean deviations longer than the mean it is taken to last. */
  readonly deviations: number
  /** How long nothing may be heard before one is let through, in milliseconds. */
  readonly probeEvery: number
}

/** In milliseconds. */
const halfLife = 10_000

/** The most that the past counts for, in samples. */
const most = 16

/** When the past counts for less than this, in samples, it is forgotten. */
const least = 0.5

/** In whole microseconds: what is less tells who came first, and nothing more. */
const whole = (millis: number): number => Math.max(0, Math.round(millis * 1000) / 1000)

export class Recent {
  mean = 0
  deviation = 0
  /** When one was heard of that ended; moments are monotonic milliseconds. */
  heardAt = -Infinity
  /** How many there were since the past was forgotten. */
  private samples = 0
  /** For how many those count at the moment that they were last looked at. */
  private weight = 0
  private weighedAt = 0
  private probedAt = -Infinity
  private isProbing = false
  private isPromising = false

  /** One has ended, having taken that many milliseconds. */
  add(took: number, now: number): void {
    const value = whole(took)
    // A probe that was quick: the next one may follow it at once.
    if (this.isProbing) this.isPromising = value < this.mean / 2
    this.isProbing = false
    this.heardAt = now
    this.learn(value, now)
  }

  /**
   * One was given up that would have taken at least so long. That tells something only if it is longer than expected;
   * otherwise what is known stays as it is, and is no older than that.
   */
  addAtLeast(took: number, now: number): void {
    const value = whole(took)
    if (value >= this.mean || this.isForgotten(now)) return this.learn(value, now)
    this.weight = Math.min(most, this.weightAt(now) + 1)
    this.weighedAt = now
  }

  private learn(value: number, now: number): void {
    if (this.isForgotten(now)) {
      this.samples = 1
      this.weight = 1
      this.mean = value
      this.deviation = value / 2
    } else {
      this.samples++
      this.weight = Math.min(most, this.weightAt(now) + 1)
      const error = value - this.mean
      this.mean += error / this.weight
      this.deviation += (Math.abs(error) - this.deviation) / this.weight
    }
    this.weighedAt = now
  }

  private weightAt(now: number): number {
    return this.weight * 2 ** ((this.weighedAt - now) / halfLife)
  }

  private isForgotten(now: number): boolean {
    return this.weightAt(now) < least
  }

  /** How long the next one will take; `undefined` when too little is known. */
  expected(now: number, { deviations, minimumSamples }: Admission): number | undefined {
    if (this.samples < minimumSamples || this.isForgotten(now)) return undefined
    return Math.max(0, this.mean + deviations * this.deviation)
  }

  /** For how long somebody has waited, and nobody was heard of. */
  stalledFor(waitingSince: number, now: number): number {
    return whole(now - Math.max(this.heardAt, waitingSince))
  }

  /** Is it time to let one through, to hear whether it still takes that long? */
  probes(now: number, { probeEvery }: Admission): boolean {
    if (!this.isPromising && now - Math.max(this.heardAt, this.probedAt) < probeEvery) return false
    this.isPromising = false
    this.isProbing = true
    this.probedAt = now
    return true
  }
}

/**
 * Tells whom to refuse for having waited too long: when even the least wait of an interval was above the target, everyone
 * who waited for more than twice that, until an interval is better. Owned by `ResourcePool`.
 */
export class CoDel {
  private readonly target: number
  private readonly interval: number
  private least = Infinity
  private endsAt = -Infinity
  private isSlow = false

  constructor(options: { readonly target: number; readonly interval: number }) {
    this.target = options.target
    this.interval = options.interval
  }

  /** Is the next one refused, having waited so long? */
  sheds(waited: number, now: number): boolean {
    if (now >= this.endsAt) {
      // An interval in which nobody came tells nothing.
      const isKnown = this.least !== Infinity && now < this.endsAt + this.interval
      this.isSlow = isKnown && this.least > this.target
      this.least = Infinity
      this.endsAt = now + this.interval
    }
    if (waited < this.least) this.least = waited
    return this.isSlow && waited > 2 * this.target
  }
}

/**
 * One in so many of something, for as long as anybody wants that: several may, and the one who wants most of them gets
 * them. Off until then.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export class Sampling {
  /** Does anybody want any? Whoever could be picked asks this first, so that being off costs one read. */
  isOn = false
  private readonly wanted: Array<number> = []
  private left = 0
  private seed = 0x9e3779b9

  /** One in `every`, from now on until the scope closes. */
  want(name: string, every: number): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        if (!(Number.isSafeInteger(every) && every >= 1)) {
          throw new TypeError(`The every of ${name} must be a whole number of at least 1: ${String(every)}`)
        }
        this.wanted.push(every)
        this.changed()
      }),
      () =>
        Effect.sync(() => {
          this.wanted.splice(this.wanted.indexOf(every), 1)
          this.changed()
        })
    )
  }

  /** Only while it is on: is this one of them? */
  picks(): boolean {
    if (--this.left > 0) return false
    this.left = this.gap()
    return true
  }

  private changed(): void {
    this.isOn = this.wanted.length > 0
    this.left = this.isOn ? this.gap() : 0
  }

  /**
   * How many come from one that is picked to the next: from 1 to almost twice `every`, which is their mean. At equal
   * intervals a program that does the same few things again and again would show one of them only.
   */
  private gap(): number {
    const every = Math.min(...this.wanted)
    if (every === 1) return 1
    let { seed } = this
    seed ^= seed << 13
    seed ^= seed >>> 17
    seed ^= seed << 5
    this.seed = seed
    return 1 + (seed >>> 0) % (2 * every - 1)
  }
}

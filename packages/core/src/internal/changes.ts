/**
 * Those who wait until something is so. Owned by `ResourcePool`.
 */
export class Changes {
  private readonly looks = new Set<() => void>()

  /** Asks now and on every change, until the answer is yes. */
  watch(isDone: () => boolean): void {
    if (isDone()) return
    const look = () => {
      if (isDone()) this.looks.delete(look)
    }
    this.looks.add(look)
  }

  /** Something has changed: whoever watches looks again. */
  tell(): void {
    for (const look of this.looks) look()
  }
}

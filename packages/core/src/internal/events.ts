/**
 * Tells listeners what happened, without ever waiting for one. Owned by the registry.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { ResourceEvent } from "../ResourceEvent.ts"

/**
 * A listener that lags loses the newest events and is told how many as soon as there is room again, and at the end. Two
 * places beyond the capacity are kept for that.
 */
class Listener {
  readonly queue: Queue.Queue<ResourceEvent, Cause.Done>
  readonly capacity: number
  private dropped = 0

  constructor(queue: Queue.Queue<ResourceEvent, Cause.Done>, capacity: number) {
    this.queue = queue
    this.capacity = capacity
  }

  tell(event: ResourceEvent): void {
    if (Queue.sizeUnsafe(this.queue) >= this.capacity) {
      this.dropped++
      return
    }
    this.tellDropped(event.at)
    Queue.offerUnsafe(this.queue, event)
  }

  end(at: number): void {
    this.tellDropped(at)
    Queue.endUnsafe(this.queue)
  }

  private tellDropped(at: number): void {
    if (this.dropped > 0) Queue.offerUnsafe(this.queue, { _tag: "EventsDropped", at, count: this.dropped })
    this.dropped = 0
  }
}

export class Events {
  readonly listeners = new Set<Listener>()
  /** Does anyone listen? Whoever has something to tell asks this first, so that silence costs one read. */
  active = false
  /** Is it watched in which orders things are asked for? While somebody listens, or always. */
  watchesOrders: boolean
  /** How many times it has begun to be watched. */
  watches = 0
  /** What happens while it runs; ends with the manager. */
  readonly stream: Stream.Stream<ResourceEvent>
  private readonly alwaysWatchesOrders: boolean
  private closed = false

  constructor(capacity: number, watchesOrders: boolean) {
    this.watchesOrders = this.alwaysWatchesOrders = watchesOrders
    const listen = Effect.acquireRelease(
      Effect.map(
        Queue.dropping<ResourceEvent, Cause.Done>(capacity + 2),
        (queue) => this.add(new Listener(queue, capacity))
      ),
      (listener) => Effect.sync(() => this.remove(listener))
    )
    this.stream = Stream.unwrap(Effect.map(listen, (listener) => Stream.fromQueue(listener.queue)))
  }

  tell(event: ResourceEvent): void {
    for (const listener of this.listeners) listener.tell(event)
  }

  /** Nothing will happen any more: listeners get what they have not heard yet, then the end. */
  close(at: number): void {
    this.closed = true
    for (const listener of this.listeners) listener.end(at)
  }

  private add(listener: Listener): Listener {
    if (this.closed) listener.end(0)
    this.listeners.add(listener)
    this.active = true
    if (!this.watchesOrders) this.watches++
    this.watchesOrders = true
    return listener
  }

  private remove(listener: Listener): void {
    this.listeners.delete(listener)
    this.active = this.listeners.size > 0
    this.watchesOrders = this.active || this.alwaysWatchesOrders
    Queue.shutdownUnsafe(listener.queue)
  }
}

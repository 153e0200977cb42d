/**
 * Tells listeners what happened, without ever waiting for one. Owned by the registry.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { ResourceEvent } from "../ResourceEvent.ts"

/** A listener that lags loses the newest events and is told how many as soon as there is room again. */
class Listener {
  readonly queue: Queue.Queue<ResourceEvent, Cause.Done>
  dropped = 0

  constructor(queue: Queue.Queue<ResourceEvent, Cause.Done>) {
    this.queue = queue
  }

  tell(event: ResourceEvent): void {
    if (this.dropped > 0) {
      const lost: ResourceEvent = { _tag: "EventsDropped", at: event.at, count: this.dropped }
      if (Queue.offerUnsafe(this.queue, lost)) this.dropped = 0
    }
    if (this.dropped > 0 || !Queue.offerUnsafe(this.queue, event)) this.dropped++
  }
}

export class Events {
  readonly listeners = new Set<Listener>()
  /** Does anyone listen? Whoever has something to tell asks this first, so that silence costs one read. */
  active = false
  /** What happens while it runs; ends with the manager. */
  readonly stream: Stream.Stream<ResourceEvent>
  private closed = false

  constructor(capacity: number) {
    const listen = Effect.acquireRelease(
      Effect.map(
        Queue.dropping<ResourceEvent, Cause.Done>(capacity),
        (queue) => this.add(new Listener(queue))
      ),
      (listener) => Effect.sync(() => this.remove(listener))
    )
    this.stream = Stream.unwrap(Effect.map(listen, (listener) => Stream.fromQueue(listener.queue)))
  }

  tell(event: ResourceEvent): void {
    for (const listener of this.listeners) listener.tell(event)
  }

  /** Nothing will happen any more: listeners get what they have not heard yet, then the end. */
  close(): void {
    this.closed = true
    for (const listener of this.listeners) Queue.endUnsafe(listener.queue)
  }

  private add(listener: Listener): Listener {
    if (this.closed) Queue.endUnsafe(listener.queue)
    this.listeners.add(listener)
    this.active = true
    return listener
  }

  private remove(listener: Listener): void {
    this.listeners.delete(listener)
    this.active = this.listeners.size > 0
    Queue.shutdownUnsafe(listener.queue)
  }
}

/**
 * Tells those who listen what happens, as server-sent events: told once by the manager, written down once, and sent to all
 * in batches. Nobody is waited for. Owned by `Inspector`.
 *
 * ```text
 *   manager ──▶ queue of the manager ──▶ batch ──every interval──▶ listener ──▶ its socket
 *               full: EventsDropped      full: pauses              has unread bytes: skipped, then EventsDropped
 * ```
 */
import type { ResourceEvent } from "@chronovyan/core/ResourceEvent"
import * as ResourceManager from "@chronovyan/core/ResourceManager"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ServerResponse } from "node:http"
import { LeakReport } from "../LeakReport.ts"
import type { LeakSource } from "../Source.ts"

export interface ListenersOptions {
  /** How many may listen at once. */
  readonly most: number
  /** How many bytes may wait for one that does not read. */
  readonly unread: number
  /** Runs in the background until it is interrupted. */
  readonly fork: (effect: Effect.Effect<void, never, ResourceManager.ResourceManager>) => Fiber.Fiber<void>
  readonly leaks: LeakSource
  /** Milliseconds of the manager's clock. */
  readonly now: () => number
}

/** At most that many events are sent with one batch: what happens faster is counted, not told. */
const batchSize = 1000

/** How often something is sent, so that those who read nothing are found, in milliseconds. */
const heartbeat = 10_000

/** Many listeners are told less often, so that telling them takes no more of the program's time. */
const intervalFor = (listeners: number): number => Math.min(1000, Math.max(50, listeners))

const encodeLeak = Schema.encodeSync(Schema.toCodecJson(LeakReport))

const messageOf = (event: "resource" | "leak", data: unknown): string =>
  `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

interface Listener {
  readonly response: ServerResponse
  /** Events that it has missed since it was last told. */
  missed: number
}

export class Listeners {
  private readonly options: ListenersOptions
  private readonly all = new Set<Listener>()
  private batch: Array<string> = []
  private flushing: NodeJS.Timeout | undefined = undefined
  private beating: NodeJS.Timeout | undefined = undefined
  private readonly room = Latch.makeUnsafe(true)
  private told: Fiber.Fiber<void> | undefined = undefined
  private isOver = false

  constructor(options: ListenersOptions) {
    this.options = options
  }

  get isFull(): boolean {
    return this.all.size >= this.options.most
  }

  /** Sends to it what happens from now on, until it goes. */
  listen(response: ServerResponse): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.isOver || response.destroyed) return resume(Effect.void)
      const listener: Listener = { response, missed: 0 }
      const leave = () => {
        this.leave(listener)
        resume(Effect.void)
      }
      response.once("close", leave)
      // What fails on the way to it is told by its close.
      response.on("error", () => {})
      this.enter(listener)
      response.write(": hello\n\n")
      return Effect.sync(leave)
    })
  }

  /** There will be no more events. */
  close(): void {
    this.isOver = true
    for (const { response } of this.all) response.end()
    this.rest()
  }

  private enter(listener: Listener): void {
    this.all.add(listener)
    if (this.told !== undefined) return
    this.beating = setInterval(() => this.beat(), heartbeat).unref()
    this.told = this.options.fork(this.tell)
  }

  private leave(listener: Listener): void {
    this.all.delete(listener)
    if (this.all.size === 0) this.rest()
  }

  /** Nobody listens: the manager has nobody to tell either. */
  private rest(): void {
    this.told?.interruptUnsafe()
    this.told = undefined
    clearInterval(this.beating)
    clearTimeout(this.flushing)
    this.flushing = undefined
    this.batch = []
    this.room.openUnsafe()
  }

  private readonly tell: Effect.Effect<void, never, ResourceManager.ResourceManager> = Effect.suspend(() => {
    const resources = Stream.runForEachArray(ResourceManager.events, (events) => this.write(events, resourceMessage))
    const leaks = Stream.runForEachArray(this.options.leaks.changes, (reports) => this.write(reports, leakMessage))
    return Effect.all([resources, leaks], { concurrency: 2, discard: true })
  })

  private write<A>(all: ReadonlyArray<A>, message: (one: A) => string): Effect.Effect<void> {
    for (const one of all) this.batch.push(message(one))
    this.flushing ??= setTimeout(() => this.flush(), intervalFor(this.all.size)).unref()
    if (this.batch.length < batchSize) return Effect.void
    this.room.closeUnsafe()
    return this.room.await
  }

  private flush(): void {
    this.flushing = undefined
    const { batch } = this
    this.batch = []
    const bytes = Buffer.from(batch.join(""))
    for (const listener of this.all) {
      if (listener.response.writableLength > this.options.unread) listener.missed += batch.length
      else {
        this.tellMissed(listener)
        listener.response.write(bytes)
      }
    }
    this.room.openUnsafe()
  }

  private beat(): void {
    for (const listener of this.all) {
      if (listener.response.writableLength > this.options.unread) continue
      if (listener.missed > 0) this.tellMissed(listener)
      else listener.response.write(":\n\n")
    }
  }

  private tellMissed(listener: Listener): void {
    if (listener.missed === 0) return
    const dropped: ResourceEvent = { _tag: "EventsDropped", at: this.options.now(), count: listener.missed }
    listener.missed = 0
    listener.response.write(resourceMessage(dropped))
  }
}

// Events are plain data, which is as the schema has it: only a reader has to decode it.
const resourceMessage = (event: ResourceEvent): string => messageOf("resource", event)

const leakMessage = (report: LeakReport): string => messageOf("leak", encodeLeak(report))

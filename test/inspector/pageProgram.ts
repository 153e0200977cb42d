/**
 * A program that the page looks at: a made-up server, the same in each run, whose snapshots and events say what core's
 * would. Time goes by only when it is told to.
 */
import type { ResourceEvent, Snapshot } from "@chronovyan/core"
import type { ContentionReport, LeakReport, Protocol } from "@chronovyan/inspector"

type Frame = { -readonly [K in keyof typeof Snapshot.FrameState.Encoded]: (typeof Snapshot.FrameState.Encoded)[K] }
type Allocation = {
  -readonly [K in keyof typeof Snapshot.AllocationState.Encoded]: (typeof Snapshot.AllocationState.Encoded)[K]
}
export type Event = typeof ResourceEvent.ResourceEvent.Encoded
export type Leak = typeof LeakReport.LeakReport.Encoded
export type Contention = typeof ContentionReport.ContentionReport.Encoded
export type Info = typeof Protocol.Info.Encoded
export type SnapshotJson = typeof Snapshot.Snapshot.Encoded

/** Mulberry32: small, and the same everywhere. */
const randomFrom = (seed: number): () => number => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const sites: Readonly<Record<string, string>> = {
  connections: "query (file:///srv/shop/src/orders.ts:41:22)",
  temporal_buffer: "readBody (file:///srv/shop/src/http.ts:118:31)",
  file_handle: "openPart (file:///srv/shop/src/indexer.ts:77:9)",
  session: "login (file:///srv/shop/src/session.ts:23:18)",
  region_client: "clientFor (file:///srv/shop/src/regions.ts:12:5)",
  image_decoder: "resize (file:///srv/shop/src/images.ts:64:14)"
}

export interface Size {
  /** How many requests are served at once. */
  readonly requests: number
  /** How many buffers each of them holds. */
  readonly buffers: number
  readonly sessions: number
  readonly files: number
  /** How many connections the pool has. */
  readonly connections: number
}

/** 10,000 allocations and a little more, in 400 frames. */
export const large: Size = { requests: 390, buffers: 22, sessions: 900, files: 400, connections: 12 }

/** As a small service looks. */
export const small: Size = { requests: 9, buffers: 3, sessions: 24, files: 14, connections: 2 }

interface Counted {
  acquired: number
  released: number
  failed: number
  most: number
}

interface Request {
  readonly frame: Frame
  readonly ends: number
  readonly query: Frame | undefined
  waitsUntil: number
  lease: Allocation | undefined
  leased: boolean
}

export class Program {
  now: number
  readonly startedAt: number
  private readonly size: Size
  private readonly random: () => number
  private nextFrame = 1
  private nextAllocation = 1
  private readonly frames = new Map<number, Frame>()
  private readonly allocations = new Map<number, Allocation>()
  private requests: Array<Request> = []
  private events: Array<Event> = []
  private readonly counted = new Map<string, Counted>()
  private readonly server: Frame
  private readonly pool: Frame
  private readonly decoders: Frame
  private readonly manager: Frame
  private readonly raised: Array<Leak> = []

  constructor(size: Size, { at = 1_790_000_000_000, seed = 7 } = {}) {
    this.size = size
    this.random = randomFrom(seed)
    this.startedAt = at - 4_520_000
    this.now = this.startedAt
    this.manager = this.open(null, "manager", { memory: 512 * 1024 * 1024 })
    this.allocate(this.manager, "settings", {}, true)
    this.server = this.open(this.manager, "server", { memory: 256 * 1024 * 1024, descriptors: 4096 })
    this.pool = this.open(this.server, "connections", { descriptors: this.size.connections })
    for (let item = 0; item < this.size.connections; item++) {
      this.allocate(this.pool, "connection", { descriptors: 1 }, false)
    }
    this.decoders = this.open(this.server, "image_decoders", {})
    for (let item = 0; item < 4; item++) this.allocate(this.decoders, "image_decoder", { memory: 4_194_304 }, false)
    const sessions = this.open(this.manager, "sessions", {})
    this.now = at - 3_000_000
    for (let one = 0; one < size.sessions; one++) {
      this.now = at - 3_000_000 + Math.floor((one / size.sessions) * 2_990_000)
      this.allocate(sessions, "session", { memory: 2048 + 512 * Math.floor(this.random() * 4) }, false)
    }
    this.now = at - 95_000
    const indexer = this.open(this.manager, "indexer", { descriptors: size.files + 10 })
    const batch = this.open(indexer, "batch", {}, this.now + 300_000)
    for (let one = 0; one < size.files; one++) this.allocate(batch, "file_handle", { descriptors: 1 }, false)
    for (const region of ["eu", "us"]) this.allocate(this.server, "region_client", { memory: 65_536 }, region === "eu")
    this.now = at - 15_000
    for (let one = 0; one < size.requests; one++) this.request()
    for (let step = 0; step < 100; step++) this.pass(150)
    this.leak(at)
    this.events = []
  }

  /** What happened since it was asked for last. */
  takeEvents(): ReadonlyArray<Event> {
    const { events } = this
    this.events = []
    return events
  }

  get live(): number {
    return this.allocations.size
  }

  /** Lets time go by: what is due ends, and what is new begins. */
  pass(millis: number): void {
    this.now += millis
    const ended = this.requests.filter((request) => request.ends <= this.now)
    for (const request of ended) this.end(request)
    this.requests = this.requests.filter((request) => request.ends > this.now)
    // What is held changes while a request goes on.
    for (const { frame } of this.requests) if (this.random() < 0.04) this.replace(frame)
    this.lend()
    // A small service has quiet moments.
    const busy = this.size.requests > 100 ? 1 : 0.55
    while (this.requests.length < this.size.requests && this.random() < busy) this.request()
    this.lend()
  }

  private replace(frame: Frame): void {
    for (const allocation of this.allocations.values()) {
      if (allocation.frameId !== frame.id) continue
      this.release(allocation)
      break
    }
    this.buffer(frame)
  }

  private open(
    parent: Frame | null,
    name: string,
    budgets: Readonly<Record<string, number>>,
    deadline?: number
  ): Frame {
    // As in core: the manager's own has a name, but no path
    const path = parent === null ? "" : parent.parent === null ? name : `${parent.path}/${name}`
    const frame: Frame = {
      id: this.nextFrame++,
      parent: parent?.id ?? null,
      name,
      path,
      phase: "open",
      openedAt: this.now,
      deadline: deadline ?? null,
      budgets: Object.entries(budgets).map(([unit, limit]) => ({ unit, limit, used: 0, highWaterMark: 0 }))
    }
    this.frames.set(frame.id, frame)
    this.events.push({ _tag: "FrameOpened", at: this.now, frame: path, frameId: frame.id })
    return frame
  }

  private countOf(resource: string) {
    let counted = this.counted.get(resource)
    if (counted === undefined) this.counted.set(resource, counted = { acquired: 0, released: 0, failed: 0, most: 0 })
    return counted
  }

  private allocate(frame: Frame, resource: string, cost: Readonly<Record<string, number>>, share: boolean, took = 1) {
    const callSite = sites[resource]
    const allocation: Allocation = {
      id: this.nextAllocation++,
      resource,
      frameId: frame.id,
      frame: frame.path,
      state: "live",
      share,
      orphaned: false,
      since: this.now,
      cost,
      ...(callSite === undefined ? undefined : { callSite })
    }
    this.allocations.set(allocation.id, allocation)
    this.charge(frame, cost, 1)
    this.countOf(resource).acquired++
    const { id, path } = frame
    this.events.push(
      {
        _tag: "Allocated",
        at: this.now,
        frame: path,
        frameId: id,
        allocation: allocation.id,
        resource,
        share,
        cost,
        took
      }
    )
    return allocation
  }

  private charge(frame: Frame, cost: Readonly<Record<string, number>>, sign: 1 | -1): void {
    for (let at: Frame | undefined = frame; at !== undefined; at = this.frames.get(at.parent ?? -1)) {
      const change = (unit: string): number => sign * (cost[unit] ?? 0)
      at.budgets = at.budgets.map(({ highWaterMark, limit, unit, used }) => ({
        unit,
        limit,
        used: used + change(unit),
        highWaterMark: Math.max(highWaterMark, used + change(unit))
      }))
    }
  }

  private release(allocation: Allocation): void {
    this.allocations.delete(allocation.id)
    const frame = this.frames.get(allocation.frameId)
    if (frame !== undefined) this.charge(frame, allocation.cost, -1)
    this.countOf(allocation.resource).released++
    this.events.push({
      _tag: "Released",
      at: this.now,
      frame: allocation.frame,
      frameId: allocation.frameId,
      allocation: allocation.id,
      resource: allocation.resource,
      share: allocation.share,
      held: this.now - allocation.since
    })
  }

  private request(): void {
    const lasts = 900 + this.random() ** 3 * 9000
    const frame = this.open(
      this.server,
      "request",
      { memory: 8 * 1024 * 1024 },
      this.now + (lasts > 5000 ? 5000 : 8000)
    )
    for (let one = 0; one < this.size.buffers; one++) this.buffer(frame)
    const query = this.random() < 0.4 ? this.open(frame, "query", {}, frame.deadline ?? undefined) : undefined
    const request: Request = {
      frame,
      ends: this.now + Math.round(lasts),
      query,
      waitsUntil: 0,
      lease: undefined,
      leased: false
    }
    if (query !== undefined) {
      const lease: Allocation = {
        id: this.nextAllocation++,
        resource: "connections",
        frameId: query.id,
        frame: query.path,
        state: "acquiring",
        share: true,
        orphaned: false,
        since: this.now,
        cost: {},
        callSite: sites["connections"]!
      }
      this.allocations.set(lease.id, lease)
      request.lease = lease
    }
    this.requests.push(request)
  }

  private buffer(frame: Frame): void {
    this.allocate(frame, "temporal_buffer", { memory: 4096 << Math.floor(this.random() * 5) }, false)
  }

  private get lent(): number {
    return this.requests.filter((request) => request.leased).length
  }

  /** Those who wait get what is free, first come first served. */
  private lend(): void {
    for (const request of this.requests) {
      if (request.lease === undefined || request.leased || this.lent >= this.size.connections) continue
      const { lease } = request
      const took = this.now - lease.since
      request.leased = true
      lease.state = "live"
      lease.since = this.now
      this.countOf("connections").acquired++
      this.events.push({
        _tag: "Allocated",
        at: this.now,
        frame: lease.frame,
        frameId: lease.frameId,
        allocation: lease.id,
        resource: lease.resource,
        share: true,
        cost: {},
        took
      })
    }
  }

  private close(frame: Frame): void {
    for (const allocation of this.allocations.values()) {
      if (allocation.frameId === frame.id) this.release(allocation)
    }
    this.frames.delete(frame.id)
    const { id, openedAt, path } = frame
    this.events.push({ _tag: "FrameEnded", at: this.now, frame: path, frameId: id, lasted: this.now - openedAt })
  }

  private end(request: Request): void {
    const { frame, lease, leased, query } = request
    if (lease !== undefined && !leased) {
      this.allocations.delete(lease.id)
      this.countOf("connections").failed++
      this.events.push({
        _tag: "AcquireFailed",
        at: this.now,
        frame: lease.frame,
        frameId: lease.frameId,
        allocation: lease.id,
        resource: lease.resource,
        share: true,
        took: this.now - lease.since,
        cause: "DeadlineExceeded"
      })
    }
    if (query !== undefined) this.close(query)
    this.close(frame)
  }

  private leak(at: number): void {
    const oldest = [...this.allocations.values()].filter((one) => one.resource === "session").slice(0, 3)
    const site = sites["session"]!
    oldest.forEach((one, index) =>
      this.raised.push({
        id: index + 1,
        reason: "overdue",
        state: "raised",
        at: at - 1000,
        resource: one.resource,
        kind: "allocation",
        frame: one.frame,
        subject: one.id,
        callSite: site,
        since: one.since,
        count: 1,
        expected: 1_800_000,
        message: `session #${one.id} has been held for 50 min; sessions are expected back after 30 min.`,
        advice: "Look at the call site: is there a way out of it that skips the release?"
      })
    )
    const outlived = this.allocate(this.manager, "file_handle", { descriptors: 1 }, false)
    outlived.orphaned = true
    outlived.frame = "indexer/batch"
    outlived.frameId = 999_999
    outlived.since = at - 61_000
    this.raised.push({
      id: 10,
      reason: "orphaned",
      state: "raised",
      at: at - 40_000,
      resource: "file_handle",
      kind: "allocation",
      frame: "indexer/batch",
      subject: outlived.id,
      callSite: sites["file_handle"]!,
      since: outlived.since,
      count: 1,
      message: `file_handle #${outlived.id} has outlived its frame indexer/batch by 40 s.`,
      advice: "Its release has not ended within the grace period: give it a timeout, or find what it waits for."
    }, {
      id: 11,
      reason: "growing",
      state: "raised",
      at: at - 20_000,
      resource: "temporal_buffer",
      kind: "callSite",
      frame: "server/request",
      callSite: sites["temporal_buffer"]!,
      since: at - 240_000,
      count: 418,
      unit: "memory",
      amount: 13_697_024,
      expected: 60,
      message: "There are 418 more than four minutes ago, while as many requests come and go.",
      advice: "Something keeps what belongs to requests that have ended: a cache, a list of listeners, a closure."
    }, {
      id: 12,
      reason: "overdue",
      state: "returned",
      at: at - 5000,
      resource: "region_client",
      kind: "allocation",
      frame: "server",
      subject: 77,
      callSite: sites["region_client"]!,
      since: at - 130_000,
      count: 1,
      expected: 60_000,
      message: "region_client #77 has come back after 2 min 5 s.",
      advice: "It was late by 65 s."
    })
  }

  leaks(): ReadonlyArray<Leak> {
    return this.raised
  }

  private get waiting(): ReadonlyArray<Request> {
    return this.requests.filter((request) => request.lease !== undefined && !request.leased)
  }

  snapshot(): SnapshotJson {
    const waiting = this.waiting
    const oldest = Math.max(0, ...waiting.map((request) => this.now - request.lease!.since))
    const live = new Map<string, number>()
    for (const { resource } of this.allocations.values()) live.set(resource, (live.get(resource) ?? 0) + 1)
    const used = this.lent
    return {
      at: this.now,
      frames: [...this.frames.values()],
      allocations: [...this.allocations.values()],
      pools: [
        this.poolState(this.pool, { total: this.size.connections, used, waiting: waiting.length, oldestWait: oldest }),
        this.poolState(this.decoders, { total: 4, used: 2, creating: 1, busy: 1 })
      ],
      resources: Array.from(
        this.counted,
        ([resource, counted]) => this.resourceState(resource, counted, live.get(resource))
      )
    }
  }

  private poolState(frame: Frame, { busy = 0, creating = 0, oldestWait = 0, total, used, waiting = 0 }: {
    readonly total: number
    readonly used: number
    readonly busy?: number
    readonly creating?: number
    readonly waiting?: number
    readonly oldestWait?: number
  }): SnapshotJson["pools"][number] {
    const max = frame === this.pool ? this.size.connections : 8
    return {
      frameId: frame.id,
      name: frame.name,
      state: "open",
      min: 2,
      max,
      total,
      idle: total - used - busy,
      used,
      creating,
      busy,
      closing: 0,
      abandoned: 0,
      waiting,
      oldestWait
    }
  }

  private resourceState(resource: string, counted: Counted, live = 0): SnapshotJson["resources"][number] {
    counted.most = Math.max(counted.most, live)
    const isPool = resource === "connections"
    const kinds: Readonly<Record<string, "pool" | "persistent" | "shared">> = {
      connections: "pool",
      settings: "persistent",
      region_client: "shared"
    }
    return {
      resource,
      kind: kinds[resource] ?? "temporal",
      live: isPool ? this.size.connections : live,
      highWaterMark: isPool ? this.size.connections : counted.most,
      shares: isPool ? this.lent : resource === "region_client" ? 1 : 0,
      acquired: counted.acquired,
      released: counted.released,
      failed: counted.failed,
      late: 0,
      acquireTotal: counted.acquired * (isPool ? 310 : 1.4),
      acquireMax: isPool ? 4120 : 17,
      holdTotal: counted.released * 2100,
      holdMax: counted.released > 0 ? 9870 : 0
    }
  }

  contention(): Contention {
    const waiting = this.waiting
    const waited = { count: 840, total: 260_400, mean: 310, p50: 120, p90: 980, p99: 3200, max: 4120 }
    const held = { count: 2210, total: 4_641_000, mean: 2100, p50: 1500, p90: 5100, p99: 8900, max: 9870 }
    const none = { count: 0, total: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }
    const memory = this.server.budgets[0]!
    return {
      from: this.now - 300_000,
      at: this.now,
      subjects: [
        {
          kind: "pool",
          name: "connections",
          limit: this.size.connections,
          used: this.lent,
          waiting: waiting.length,
          contended: 0.83,
          waited,
          held,
          sites: [
            { site: sites["connections"]!, share: 0.71, holding: this.lent - 2, held },
            { site: "report (file:///srv/shop/src/reports.ts:9:3)", share: 0.22, holding: 2, held }
          ],
          hint: "Connections are held for 2.1 s on average, 71% of it at one call site: hold them for shorter there, " +
            "or raise max above 12."
        },
        {
          kind: "budget",
          name: "memory",
          frame: "server",
          limit: memory.limit,
          used: memory.used,
          waiting: 0,
          contended: 0,
          waited: none,
          held,
          sites: [{ site: sites["temporal_buffer"]!, share: 0.94, holding: this.requests.length, held }],
          hint: ""
        },
        {
          kind: "shared",
          name: "region_client",
          limit: null,
          used: 1,
          waiting: 1,
          contended: 0.04,
          waited: { ...none, count: 3, p50: 40, p90: 60, p99: 60, max: 60 },
          held,
          sites: [{ site: sites["region_client"]!, share: 1, holding: 1, held }],
          hint: "The first use waits until the value is there: allocate it when the program starts."
        }
      ],
      waits: [
        ...waiting.slice(0, 40).map((request) => ({
          waiter: request.lease!.frame,
          resource: "connections",
          holder: "server/request/query",
          waited: this.now - request.lease!.since
        })),
        { waiter: "server/request", resource: "connections", holder: "server/report", waited: 840 },
        { waiter: "server/report", resource: "region_client", holder: "server", waited: 320 },
        { waiter: "indexer/batch", resource: "descriptors", holder: "server/connections", waited: 95 }
      ]
    }
  }

  info(control: boolean): Info {
    return {
      name: "shop",
      pid: 4711,
      protocol: 1,
      runtime: "v24.21.0",
      startedAt: this.startedAt,
      control,
      level: "full"
    }
  }
}

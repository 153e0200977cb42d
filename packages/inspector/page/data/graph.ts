/** Where the frames and resources of the wait-for graph are drawn: who waits stands left of what it waits for. */
import type { Contention, Edge, Snapshot, WaiterState } from "./wire.ts"

export interface GraphNode {
  readonly key: string
  readonly kind: "frame" | "resource"
  readonly name: string
  layer: number
  /** The middle, in pixels. */
  x: number
  y: number
}

export interface GraphEdge {
  readonly key: string
  readonly from: GraphNode
  readonly to: GraphNode
  /** Waits, or is held by. */
  readonly kind: "waits" | "held"
  /** The longest wait along it, in milliseconds. */
  readonly waited: number
  /** Closes a circle. */
  readonly back: boolean
}

export interface Graph {
  readonly nodes: ReadonlyArray<GraphNode>
  readonly edges: ReadonlyArray<GraphEdge>
  readonly width: number
  readonly height: number
  /** How many waits did not find room. */
  readonly left: number
}

export const nodeWidth = 176
export const nodeHeight = 40
const gapX = 64
const gapY = 16
const mostEdges = 60

interface Drawn {
  readonly key: string
  readonly from: string
  readonly to: string
  readonly kind: "waits" | "held"
  waited: number
}

const nodeOf = (key: string): GraphNode => ({
  key,
  kind: key.startsWith("f:") ? "frame" : "resource",
  name: key.slice(2),
  layer: 0,
  x: 0,
  y: 0
})

/** The edges that close a circle, found on a walk from those that nobody waits for. */
const backEdges = (edges: ReadonlyArray<Drawn>): ReadonlySet<Drawn> => {
  const from = new Map<string, Array<Drawn>>()
  const targets = new Set<string>()
  for (const edge of edges) {
    from.set(edge.from, [...from.get(edge.from) ?? [], edge])
    targets.add(edge.to)
  }
  const back = new Set<Drawn>()
  const done = new Map<string, boolean>()
  const visit = (key: string): void => {
    done.set(key, false)
    for (const edge of from.get(key) ?? []) {
      const state = done.get(edge.to)
      if (state === false) back.add(edge)
      else if (state === undefined) visit(edge.to)
    }
    done.set(key, true)
  }
  for (const key of from.keys()) if (!targets.has(key)) visit(key)
  for (const key of from.keys()) if (!done.has(key)) visit(key)
  return back
}

const place = (
  nodes: ReadonlyMap<string, GraphNode>,
  edges: ReadonlyArray<Drawn>
): { width: number; height: number } => {
  // Each one right of all that wait for it.
  for (let round = 0; round < nodes.size; round++) {
    let changed = false
    for (const edge of edges) {
      const from = nodes.get(edge.from)!
      const to = nodes.get(edge.to)!
      if (to.layer <= from.layer) {
        to.layer = from.layer + 1
        changed = true
      }
    }
    if (!changed) break
  }
  const layers: Array<Array<GraphNode>> = []
  for (const node of nodes.values()) (layers[node.layer] ??= []).push(node)
  const tallest = Math.max(...layers.map((layer) => layer.length))
  const height = tallest * (nodeHeight + gapY) + gapY
  layers.forEach((layer, index) => {
    if (index > 0) {
      const middle = new Map<GraphNode, number>()
      for (const node of layer) {
        const above = edges.filter((edge) => edge.to === node.key).map((edge) => nodes.get(edge.from)!.y)
        middle.set(node, above.length === 0 ? height / 2 : above.reduce((a, b) => a + b, 0) / above.length)
      }
      layer.sort((a, b) => middle.get(a)! - middle.get(b)!)
    }
    const free = height - layer.length * (nodeHeight + gapY) - gapY
    layer.forEach((node, at) => {
      node.x = gapY + index * (nodeWidth + gapX) + nodeWidth / 2
      node.y = gapY + free / 2 + at * (nodeHeight + gapY) + nodeHeight / 2
    })
  })
  return { width: layers.length * (nodeWidth + gapX) - gapX + 2 * gapY, height }
}

export const layout = (waits: ReadonlyArray<Edge>): Graph => {
  const drawn = new Map<string, Drawn>()
  const add = (from: string, to: string, kind: Drawn["kind"], waited: number): void => {
    const key = `${from}\n${to}`
    const known = drawn.get(key)
    if (known === undefined) drawn.set(key, { key, from, to, kind, waited })
    else known.waited = Math.max(known.waited, waited)
  }
  const all = waits.toSorted((a, b) => b.waited - a.waited)
  let taken = 0
  for (const { holder, resource, waited, waiter } of all) {
    if (drawn.size >= mostEdges) break
    taken++
    add(`f:${waiter}`, `r:${resource}`, "waits", waited)
    if (holder !== "") add(`r:${resource}`, `f:${holder}`, "held", waited)
  }
  if (drawn.size === 0) return { nodes: [], edges: [], width: 0, height: 0, left: 0 }
  const edges = [...drawn.values()]
  const nodes = new Map<string, GraphNode>()
  for (const { from, to } of edges) {
    for (const key of [from, to]) if (!nodes.has(key)) nodes.set(key, nodeOf(key))
  }
  const back = backEdges(edges)
  const size = place(nodes, edges.filter((edge) => !back.has(edge)))
  return {
    ...size,
    nodes: [...nodes.values()],
    edges: edges.map((edge): GraphEdge => {
      const { from, key, kind, to, waited } = edge
      return { key, kind, waited, from: nodes.get(from)!, to: nodes.get(to)!, back: back.has(edge) }
    }),
    left: all.length - taken
  }
}

/** The paths of those that have what a waiter waits for. */
const holdersOf = (snapshot: Snapshot, waiter: WaiterState): ReadonlySet<string> => {
  const { kind, name, sourceId } = waiter
  const holders = new Set<string>()
  if (kind === "pool") {
    for (const { frame, poolId, state } of snapshot.allocations) {
      if (poolId === sourceId && state === "live") holders.add(frame)
    }
    return holders
  }
  // Outer frames come before those inside.
  const inside = new Set([sourceId])
  for (const { id, parent } of snapshot.frames) if (parent !== null && inside.has(parent)) inside.add(id)
  for (const { cost, frame, frameId } of snapshot.allocations) {
    if ((cost[name] ?? 0) > 0 && inside.has(frameId)) holders.add(frame)
  }
  return holders
}

/** All who wait for one thing have the same answer. */
const waitsOfWaiters = (snapshot: Snapshot, waiters: ReadonlyArray<WaiterState>): ReadonlyArray<Edge> => {
  const known = new Map<string, ReadonlySet<string>>()
  return waiters.flatMap((waiter) => {
    const key = `${waiter.kind} ${waiter.sourceId} ${waiter.name}`
    const holders = known.get(key) ?? holdersOf(snapshot, waiter)
    known.set(key, holders)
    const { frame, name, since } = waiter
    const edge = (holder: string): Edge => ({ waiter: frame, resource: name, holder, waited: snapshot.at - since })
    return holders.size === 0 ? [edge("")] : Array.from(holders, edge)
  })
}

/** Who waits for whom: as the program reports it, or else as far as a snapshot alone tells it. */
export const waitsOf = (snapshot: Snapshot, contention: Contention | null): ReadonlyArray<Edge> => {
  if (contention !== null && contention.waits.length > 0) return contention.waits
  if (snapshot.waiters !== undefined) return waitsOfWaiters(snapshot, snapshot.waiters)
  return snapshot.pools.filter((pool) => pool.waiting > 0).flatMap((pool) => {
    const holders = new Set(
      snapshot.allocations.filter((one) => one.resource === pool.name && one.share && one.state === "live")
        .map((one) => one.frame)
    )
    const waiter = `${pool.waiting} who wait`
    return Array.from(holders, (holder): Edge => ({ waiter, resource: pool.name, holder, waited: pool.oldestWait }))
  })
}

/** What the page makes of what it is told, without a browser. */
import { Snapshot } from "@chronovyan/core"
import { ContentionReport, LeakReport, Protocol } from "@chronovyan/inspector"
import { Schema } from "effect"
import { describe, expect, test } from "vitest"
import { readSaved, writeSaved, wrongWithSnapshot } from "../../packages/inspector/page/data/check.ts"
import { amount, duration, siteTail } from "../../packages/inspector/page/data/format.ts"
import { layout, waitsOf } from "../../packages/inspector/page/data/graph.ts"
import { Parser } from "../../packages/inspector/page/data/sse.ts"
import { flatten, pathTo } from "../../packages/inspector/page/data/tree.ts"
import type { Options, Row } from "../../packages/inspector/page/data/tree.ts"
import { index } from "../../packages/inspector/page/data/treeIndex.ts"
import type { Snapshot as Wire } from "../../packages/inspector/page/data/wire.ts"
import { Timeline } from "../../packages/inspector/page/timeline/model.ts"
import { large, Program, small } from "./pageProgram.ts"

const options: Options = {
  sort: "opened",
  descending: false,
  unit: "memory",
  query: "",
  grouping: "frames",
  toggled: new Set()
}

const program = new Program(large)
const snapshot: Wire = program.snapshot()

const textOf = (row: Row): string => {
  switch (row.kind) {
    case "frame":
      return row.frame.name
    case "allocation":
      return `${row.allocation.resource} #${row.allocation.id}`
    case "fold":
      return `${row.name} × ${row.count}`
    case "waiter":
      return `${row.waiter.resource} waits for ${row.waiter.name}`
  }
}

const drawn = (rows: ReadonlyArray<Row>): ReadonlyArray<string> =>
  rows.map((row) => `${"  ".repeat(row.depth)}${textOf(row)}`)

test("the made-up program speaks the protocol", () => {
  expect(program.live).toBeGreaterThanOrEqual(10_000)
  expect(Schema.decodeUnknownSync(Snapshot.Snapshot)(snapshot).allocations.length).toBe(program.live)
  expect(Schema.decodeUnknownSync(Protocol.Info)(program.info(true)).control).toBe(true)
  expect(Schema.decodeUnknownSync(ContentionReport.ContentionReport)(program.contention()).subjects.length).toBe(3)
  const leaks = Schema.decodeUnknownSync(Schema.Array(LeakReport.LeakReport))(program.leaks())
  expect(leaks.map(({ reason }) => reason)).toContain("growing")
})

describe("the tree", () => {
  test("folds many of the same into one row, so that 10,000 allocations are few rows", () => {
    const { rows } = flatten(index(snapshot), options)
    expect(drawn(rows)).toEqual([
      "manager",
      "  settings #1",
      expect.stringMatching(/^ {2}file_handle #\d+$/),
      "  server",
      "    region_client #1318",
      "    region_client #1319",
      "    connections",
      "      connection × 12",
      "    image_decoders",
      ...[14, 15, 16, 17].map((id) => `      image_decoder #${id}`),
      "    request × 390",
      "  sessions",
      "    session × 900",
      "  indexer",
      "    batch",
      "      file_handle × 400"
    ])
  })

  test("opens and closes what is toggled", () => {
    const folded = flatten(index(snapshot), options).rows
    const requests = folded.find((row) => row.kind === "fold" && row.name === "request")!
    const opened = flatten(index(snapshot), { ...options, toggled: new Set([requests.key, "f1"]) }).rows
    expect(drawn(opened)).toEqual(["manager"])
    const all = flatten(index(snapshot), { ...options, toggled: new Set([requests.key]) }).rows
    expect(all.filter((row) => row.kind === "frame" && row.frame.name === "request").length).toBe(390)
  })

  test("sums what is inside of a frame", () => {
    const all = index(snapshot)
    const totals = all.totals.get(1)!
    expect(totals.allocations).toBe(snapshot.allocations.length)
    expect(totals.frames).toBe(snapshot.frames.length - 1)
    expect(totals.cost["memory"]).toBe(
      snapshot.allocations.reduce((sum, one) => sum + (one.cost["memory"] ?? 0), 0)
    )
  })

  test("finds by definition, frame, call site, state and number, all words at once", () => {
    const found = (query: string) => flatten(index(snapshot), { ...options, query })
    expect(found("session.ts:23").matches).toBe(900)
    expect(found("SESSION sessions").matches).toBe(901)
    expect(drawn(found("#14 image").rows)).toEqual([
      "manager",
      "  server",
      "    image_decoders",
      "      image_decoder #14"
    ])
    expect(found("orphaned").matches).toBe(1)
    expect(found("acquiring").matches).toBe(snapshot.allocations.filter((one) => one.state === "acquiring").length)
    expect(found("nothing of that name").rows).toEqual([])
  })

  test("sorts by age, cost, time left and name", () => {
    const rowsBy = (sort: Options["sort"], descending: boolean) =>
      flatten(index(snapshot), { ...options, grouping: "none", sort, descending }).rows.flatMap((row) =>
        row.kind === "allocation" ? [row.allocation] : []
      )
    const oldest = rowsBy("age", true)
    expect(oldest.every((one, at) => at === 0 || oldest[at - 1]!.since <= one.since)).toBe(true)
    const dearest = rowsBy("cost", true)
    expect(dearest[0]!.cost["memory"]).toBe(4_194_304)
    expect(dearest.at(-1)!.cost["memory"] ?? 0).toBe(0)
    const names = rowsBy("name", false).map((one) => one.resource)
    expect(names).toEqual(names.toSorted())
    const left = flatten(index(snapshot), { ...options, sort: "left" }).rows
    expect(left.find((row) => row.depth === 1)!.kind).not.toBe("frame")
  })

  test("groups by definition and by call site", () => {
    const byResource = flatten(index(snapshot), { ...options, grouping: "resource" }).rows
    expect(textOf(byResource[0]!)).toMatch(/^temporal_buffer × 8,?\d+$/)
    const bySite = flatten(index(snapshot), { ...options, grouping: "callSite" }).rows
    expect(bySite.map(textOf)).toContain("no call site × 13")
  })

  test("shows who waits where it asks", () => {
    const waiter = {
      kind: "budget",
      name: "memory",
      sourceId: 2,
      resource: "temporal_buffer",
      frameId: 2,
      frame: "server",
      fiber: 41,
      position: 0,
      amount: 4096,
      since: snapshot.at - 10,
      deadline: null
    }
    const { rows } = flatten(index({ ...snapshot, waiters: [waiter] }), options)
    expect(drawn(rows)).toContain("    temporal_buffer waits for memory")
  })

  test("tells where an allocation is", () => {
    const path = pathTo(index(snapshot), `a${snapshot.allocations.find((one) => one.resource === "connection")!.id}`)
    expect(path.map((frame) => frame.name)).toEqual(["manager", "server", "connections"])
  })

  test("takes a small part of a second for 10,000 allocations", () => {
    const start = performance.now()
    for (let round = 0; round < 5; round++) {
      flatten(index(snapshot), { ...options, sort: "cost", query: round % 2 === 0 ? "buffer" : "" })
    }
    expect((performance.now() - start) / 5).toBeLessThan(250)
  })
})

describe("the timeline", () => {
  test("knows what began and ended from events, and that frames of one path share lanes", () => {
    const timeline = new Timeline()
    const at = 1_000_000
    const frame = { frame: "server/request", frameId: 7 }
    timeline.event({ _tag: "FrameOpened", at, ...frame })
    const allocation = { allocation: 3, resource: "connections", share: true, cost: {} }
    timeline.event({ _tag: "Allocated", at: at + 50, ...frame, ...allocation, took: 40 })
    timeline.event({ _tag: "FrameOpened", at: at + 60, frame: "server/request", frameId: 8 })
    timeline.event({ _tag: "Released", at: at + 90, ...frame, ...allocation, held: 40 })
    timeline.event({ _tag: "FrameEnded", at: at + 100, ...frame, lasted: 100 })
    timeline.event({ _tag: "FrameOpened", at: at + 110, frame: "server/request", frameId: 9 })
    const [track] = timeline.tracks
    expect(track!.lanes.map((lane) => lane.frames.map(({ id }) => id))).toEqual([[7, 9], [8]])
    const [span] = track!.lanes[0]!.frames[0]!.allocations
    expect(span).toMatchObject({ asked: at + 10, start: at + 50, end: at + 90, failed: false })
    expect(track!.lanes[0]!.frames[0]!.end).toBe(at + 100)
  })

  test("learns from a snapshot what it has not heard of, and ends what is gone", () => {
    const timeline = new Timeline()
    const one = new Program(small)
    timeline.snapshot(one.snapshot())
    const open = [...timeline.openFrames].length
    expect(open).toBe(one.snapshot().frames.length)
    one.pass(30_000)
    one.takeEvents()
    timeline.snapshot(one.snapshot())
    expect([...timeline.openFrames].length).toBe(one.snapshot().frames.length)
  })

  test("tells of nothing twice, in whatever order events and snapshots come", () => {
    const timeline = new Timeline()
    const one = new Program(small)
    timeline.snapshot(one.snapshot())
    one.takeEvents()
    const late: Array<() => void> = []
    for (let step = 0; step < 400; step++) {
      one.pass(100)
      const events = one.takeEvents()
      const tellEvents = () => events.forEach((event) => timeline.event(event))
      const snapshot = step % 5 === 0 ? structuredClone(one.snapshot()) : undefined
      // Either way may be slower, by a few steps
      const slow = Math.floor(step / 50) % 2 === 0
      if (slow) late.push(tellEvents)
      else tellEvents()
      if (snapshot !== undefined) {
        if (slow) timeline.snapshot(snapshot)
        else late.push(() => timeline.snapshot(snapshot))
      }
      if (step % 4 === 3 || step % 50 === 49) { for (const tell of late.splice(0)) tell() }
    }
    const frames = timeline.tracks.flatMap((track) => track.lanes.flatMap((lane) => lane.frames))
    expect(frames.length).toBeGreaterThan(100)
    expect(new Set(frames.map(({ id }) => id)).size).toBe(frames.length)
    const spans = frames.flatMap((frame) => frame.allocations)
    expect(new Set(spans.map(({ id }) => id)).size).toBe(spans.length)
    timeline.snapshot(one.snapshot())
    expect([...timeline.openFrames].length).toBe(one.snapshot().frames.length)
    const held = timeline.tracks.flatMap((track) => track.lanes.flatMap((lane) => lane.frames))
      .flatMap((frame) => frame.allocations).filter((span) => span.end === Infinity)
    expect(held.length).toBe(one.live)
  })

  test("forgets what ended long ago", () => {
    const timeline = new Timeline()
    const one = new Program(small)
    for (let minute = 0; minute < 20; minute++) {
      for (let step = 0; step < 60; step++) {
        one.pass(1000)
        for (const event of one.takeEvents()) timeline.event(event)
      }
      timeline.snapshot(one.snapshot())
    }
    const ends = timeline.tracks.flatMap((track) =>
      track.lanes.flatMap((lane) => lane.frames.map((frame) => frame.end))
    )
    expect(Math.min(...ends)).toBeGreaterThanOrEqual(one.now - 5 * 60_000)
    expect(timeline.size).toBeLessThan(20_000)
  })

  test("stays as it was when it is copied", () => {
    const timeline = new Timeline()
    const one = new Program(small)
    timeline.snapshot(one.snapshot())
    const copy = timeline.copy()
    const before = JSON.stringify(
      copy.tracks.map((track) => track.lanes.map((lane) => lane.frames.map(({ end }) => end)))
    )
    one.pass(20_000)
    for (const event of one.takeEvents()) timeline.event(event)
    expect(JSON.stringify(copy.tracks.map((track) => track.lanes.map((lane) => lane.frames.map(({ end }) => end)))))
      .toBe(before)
  })
})

describe("a saved snapshot", () => {
  const saved = {
    snapshot,
    leaks: program.leaks(),
    contention: program.contention(),
    info: program.info(false)
  }

  test("is read again as it was", () => {
    const read = readSaved(writeSaved(saved))
    expect(read.snapshot.allocations.length).toBe(snapshot.allocations.length)
    expect(read.leaks).toEqual(saved.leaks)
    expect(read.contention).toEqual(saved.contention)
    expect(read.info).toEqual(saved.info)
  })

  test("is a snapshot of core too", () => {
    const read = Schema.decodeUnknownSync(Snapshot.Snapshot)(JSON.parse(writeSaved(saved)))
    expect(read.frames.length).toBe(snapshot.frames.length)
  })

  test("may hold nothing but a snapshot", () => {
    expect(readSaved(JSON.stringify(snapshot))).toMatchObject({ leaks: [], contention: null, info: null })
  })

  test("is refused with the reason when it is something else", () => {
    expect(() => readSaved("{")).toThrow("it is not JSON")
    expect(() => readSaved("[]")).toThrow("it is not a snapshot: it is not an object")
    expect(() => readSaved(JSON.stringify({ ...snapshot, pools: 7 }))).toThrow("it has no pools that is of type array")
    expect(wrongWithSnapshot({ ...snapshot, allocations: [{ id: "7" }] })).toBe(
      "allocations[0] has no id that is of type number"
    )
    expect(wrongWithSnapshot({ ...snapshot, waiters: {} })).toBe("waiters is not an array")
  })
})

describe("the graph", () => {
  test("puts who waits left of what it waits for, and that left of who has it", () => {
    const graph = layout([
      { waiter: "a", resource: "pool", holder: "b", waited: 5 },
      { waiter: "b", resource: "memory", holder: "c", waited: 7 }
    ])
    const layers = Object.fromEntries(graph.nodes.map((node) => [node.name, node.layer]))
    expect(layers).toEqual({ a: 0, pool: 1, b: 2, memory: 3, c: 4 })
    expect(graph.edges.some((edge) => edge.back)).toBe(false)
  })

  test("ends with a circle, too, and marks what closes it", () => {
    const graph = layout([
      { waiter: "a", resource: "pool", holder: "b", waited: 5 },
      { waiter: "b", resource: "memory", holder: "a", waited: 7 }
    ])
    expect(graph.edges.filter((edge) => edge.back).length).toBe(1)
  })

  test("says how many waits it did not draw", () => {
    const waits = Array.from({ length: 500 }, (_, n) => ({ waiter: `a${n}`, resource: "pool", holder: "b", waited: n }))
    expect(layout(waits).left).toBeGreaterThan(400)
  })

  test("is made of the snapshot when there is no report", () => {
    const waits = waitsOf(program.snapshot(), null)
    expect(waits[0]).toMatchObject({ resource: "connections", holder: "server/request/query" })
    const waiter = {
      kind: "budget",
      name: "memory",
      sourceId: 2,
      resource: "buffer",
      frameId: 2,
      frame: "server",
      fiber: 1,
      position: 0,
      amount: 1,
      since: snapshot.at - 40,
      deadline: null
    }
    const holders = waitsOf({ ...snapshot, waiters: [waiter] }, null).map((edge) => edge.holder)
    expect(holders.toSorted()).toEqual(["server", "server/image_decoders", "server/request"])
  })
})

describe("server-sent events", () => {
  test("are read in whatever pieces they come", () => {
    const stream =
      ": hello\n\nevent: resource\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: leak\ndata: {}\n\ndata: last\n\n"
    for (const size of [1, 2, 3, 7, 1000]) {
      const parser = new Parser()
      const messages = []
      for (let at = 0; at < stream.length; at += size) messages.push(...parser.push(stream.slice(at, at + size)))
      expect(messages).toEqual([
        { event: "resource", data: "{\"a\":\n1}" },
        { event: "leak", data: "{}" },
        { event: "message", data: "last" }
      ])
    }
  })
})

describe("figures", () => {
  test("are said as a person reads them", () => {
    const said = [0, 0.4, 12, 999.6, 4200, 59_990, 125_000, 3_600_000, 7_500_000, 200_000_000].map(duration)
    expect(said).toEqual([
      "0 ms",
      "0.4 ms",
      "12 ms",
      "1.0 s",
      "4.2 s",
      "1 min",
      "2 min 5 s",
      "1 h",
      "2 h 5 min",
      "2 d 7 h"
    ])
    expect([amount(1536, "memory"), amount(12_345, "tokens"), amount(300 * 1024 * 1024, "heap_bytes")])
      .toEqual(["1.5 KiB", "12,345", "300 MiB"])
    expect(siteTail("login (file:///srv/shop/src/session.ts:23:18)")).toBe("src/session.ts:23:18")
    expect(siteTail("somewhere else")).toBe("somewhere else")
  })
})

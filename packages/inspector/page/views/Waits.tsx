/** Who waits for whom, for how long, and what would help. */
import { useMemo, useState } from "preact/hooks"
import { amount, count, duration, share, siteTail } from "../data/format.ts"
import { layout, nodeHeight, nodeWidth, waitsOf } from "../data/graph.ts"
import type { Graph, GraphEdge, GraphNode } from "../data/graph.ts"
import { query, shown, view } from "../data/store.ts"
import { wordsOf } from "../data/tree.ts"
import type { Contention, Edge, Subject } from "../data/wire.ts"
import { Empty } from "../parts/Empty.tsx"
import { Meter, pressure } from "../parts/Meter.tsx"

const clip = (text: string, most: number): string => {
  if (text.length <= most) return text
  // The end of a path tells frames apart.
  return `…${text.slice(text.length - most + 1)}`
}

/** How much room lines that lead back take, over and under the rest. */
const loopHeight = 44

const curve = ({ back, from, to }: GraphEdge, middle: number): string => {
  const x1 = from.x + nodeWidth / 2
  const x2 = to.x - nodeWidth / 2
  if (back) {
    // Over or under the others, whichever is nearer.
    const side = from.y < middle ? -1 : 1
    const y1 = from.y + side * nodeHeight / 2
    const y2 = to.y + side * nodeHeight / 2
    const far = (side < 0 ? Math.min(y1, y2) : Math.max(y1, y2)) + side * loopHeight
    return `M${from.x} ${y1} C${from.x} ${far}, ${to.x} ${far}, ${to.x} ${y2}`
  }
  const bend = Math.max(30, (x2 - x1) / 2)
  return `M${x1} ${from.y} C${x1 + bend} ${from.y}, ${x2 - bend} ${to.y}, ${x2} ${to.y}`
}

const NodeBox = ({ about, node }: { readonly node: GraphNode; readonly about: string }) => (
  <g
    class={`node ${node.kind}`}
    transform={`translate(${node.x - nodeWidth / 2} ${node.y - nodeHeight / 2})`}
    onClick={() => {
      query.value = node.name
      view.value = "tree"
    }}
  >
    <title>{node.name}: {about}</title>
    <rect width={nodeWidth} height={nodeHeight} rx={node.kind === "frame" ? 4 : nodeHeight / 2} />
    <text x={nodeWidth / 2} y={17}>{clip(node.name || "manager", 24)}</text>
    <text x={nodeWidth / 2} y={32} class="quiet">{about}</text>
  </g>
)

const GraphView = ({ graph, subjects }: { readonly graph: Graph; readonly subjects: ReadonlyArray<Subject> }) => {
  const aboutOf = (node: GraphNode): string => {
    if (node.kind === "resource") {
      const subject = subjects.find((one) => one.name === node.name)
      if (subject === undefined) return "waited for"
      const limit = subject.limit === null ? "" : ` of ${amount(subject.limit, subject.name)}`
      return `${amount(subject.used, subject.name)}${limit}, ${count(subject.waiting)} waiting`
    }
    const waits = graph.edges.filter((edge) => edge.from === node)
    const holds = graph.edges.some((edge) => edge.to === node)
    const longest = Math.max(0, ...waits.map((edge) => edge.waited))
    return `${holds ? "holds" : ""}${holds && waits.length > 0 ? ", " : ""}${
      waits.length > 0 ? `waits ${duration(longest)}` : ""
    }`
  }
  const leadsBack = graph.edges.some((edge) => edge.back)
  const room = leadsBack ? loopHeight - 12 : 0
  return (
    <figure>
      <div class="graph wide" role="region" aria-label="Graph" tabIndex={0}>
        <svg
          width={graph.width}
          height={graph.height + 2 * room}
          viewBox={`0 ${-room} ${graph.width} ${graph.height + 2 * room}`}
          role="img"
          aria-label="Who waits for whom; the table below says the same"
        >
          <defs>
            <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 0L8 4L0 8z" />
            </marker>
          </defs>
          {graph.edges.map((edge) => (
            <path
              key={edge.key}
              class={`edge ${edge.kind}${edge.back ? " back" : ""}`}
              d={curve(edge, graph.height / 2)}
              marker-end="url(#arrow)"
            />
          ))}
          {graph.nodes.map((node) => <NodeBox key={node.key} node={node} about={aboutOf(node)} />)}
        </svg>
      </div>
      <figcaption>
        <span class="line waits" /> waits for <span class="line held" /> held by
        {leadsBack && ". A line that leads back: what frames of this name hold is what others of that name wait for."}
        {graph.left > 0 && ` ${count(graph.left)} shorter waits are not drawn.`}
      </figcaption>
    </figure>
  )
}

interface Waiting extends Edge {
  readonly times: number
}

/** Those of one name that wait for the same, as one: the longest wait stands for all. */
const together = (waits: ReadonlyArray<Edge>): ReadonlyArray<Waiting> => {
  const all = new Map<string, Waiting>()
  for (const edge of waits) {
    const key = `${edge.waiter}\n${edge.resource}\n${edge.holder}`
    const known = all.get(key)
    const waited = Math.max(known?.waited ?? 0, edge.waited)
    all.set(key, { ...edge, waited, times: (known?.times ?? 0) + 1 })
  }
  return [...all.values()].sort((a, b) => b.waited - a.waited)
}

const most = 12

const WaitTable = ({ waits }: { readonly waits: ReadonlyArray<Edge> }) => {
  const [open, setOpen] = useState(false)
  const all = together(waits)
  return (
    <div class="wide" role="region" aria-label="All waits" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Who waits</th>
            <th scope="col" class="left">For</th>
            <th scope="col" class="left">Which is held by</th>
            <th scope="col">Waits</th>
            <th scope="col">Longest</th>
          </tr>
        </thead>
        <tbody>
          {all.slice(0, open ? 1000 : most).map(({ holder, resource, times, waited, waiter }) => (
            <tr key={`${waiter}\n${resource}\n${holder}`}>
              <th scope="row">{waiter || "manager"}</th>
              <td class="left">{resource}</td>
              <td class="left">{holder || <span class="quiet">nobody</span>}</td>
              <td>{count(times)}</td>
              <td>{duration(waited)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {all.length > most && (
        <button type="button" onClick={() => setOpen(!open)}>
          {open ? "Show fewer" : `Show all ${count(all.length)}`}
        </button>
      )}
    </div>
  )
}

const SubjectCard = ({ subject }: { readonly subject: Subject }) => {
  const { contended, frame, held, hint, kind, limit, name, sites, used, waited, waiting } = subject
  const unit = kind === "budget" ? name : ""
  return (
    <article class={waiting > 0 ? "card waiting" : "card"}>
      <h3>
        {name} <span class="tag">{kind}</span>
        {frame !== undefined && <span class="quiet">{frame}</span>}
      </h3>
      {hint !== "" && <p class="hint">{hint}</p>}
      {limit !== null && (
        <Meter
          label={`${name} in use`}
          of={limit}
          parts={[{ name: "in use", value: used, kind: pressure(limit === 0 ? 0 : used / limit) }]}
        />
      )}
      <p class="figures">
        <span>{amount(used, unit)}{limit !== null && ` of ${amount(limit, unit)}`} in use</span>
        <span class={waiting > 0 ? "warn" : "quiet"}>{count(waiting)} waiting</span>
        <span>contended {share(contended)} of the time</span>
      </p>
      <table class="spreads">
        <thead>
          <tr>
            <td />
            <th scope="col">times</th>
            <th scope="col">p50</th>
            <th scope="col">p90</th>
            <th scope="col">p99</th>
            <th scope="col">max</th>
          </tr>
        </thead>
        <tbody>
          {([["waited", waited], ["held", held]] as const).map(([what, spread]) => (
            <tr key={what}>
              <th scope="row">{what}</th>
              <td>{count(spread.count)}</td>
              {[spread.p50, spread.p90, spread.p99, spread.max].map((value, index) => (
                <td key={index}>{spread.count === 0 ? "-" : duration(value)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {sites.length > 0 && (
        <ul class="sites">
          {sites.slice(0, 4).map((one) => (
            <li key={one.site} title={one.site}>
              <span class="clip">{siteTail(one.site)}</span>
              <span class="quiet">{one.holding > 0 && `holds ${count(one.holding)}`}</span>
              <span>{share(one.share)}</span>
              <i style={{ width: `${Math.min(1, one.share) * 100}%` }} />
            </li>
          ))}
        </ul>
      )}
    </article>
  )
}

const spanOf = ({ at, from }: Contention): string => at > from ? `over the last ${duration(at - from)}` : "now"

export const Waits = () => {
  const current = shown.value
  const words = wordsOf(query.value)
  const has = (...texts: ReadonlyArray<string>): boolean =>
    words.every((word) => texts.some((text) => text.toLowerCase().includes(word)))
  const waits = useMemo(
    () =>
      current === null ? [] : waitsOf(current.snapshot, current.contention)
        .filter((edge) => has(edge.waiter, edge.resource, edge.holder))
        .sort((a, b) => b.waited - a.waited),
    [current?.snapshot, current?.contention, query.value]
  )
  const graph = useMemo(() => layout(waits), [waits])
  if (current === null) return null
  const all = current.contention?.subjects ?? []
  const subjects = all.filter((subject) =>
    has(subject.name, subject.frame ?? "", ...subject.sites.map(({ site }) => site))
  )
  return (
    <section class="waits scroll" data-main tabIndex={0} aria-label="Waits">
      <h2>Who waits for whom</h2>
      {waits.length === 0
        ? (
          <Empty title={words.length === 0 ? "Nobody waits" : "Nobody who waits is called that"}>
            Whoever waits for a pool, a budget or a shared value shows up here, with who has it.
          </Empty>
        )
        : (
          <>
            <GraphView graph={graph} subjects={all} />
            <WaitTable waits={waits} />
          </>
        )}
      {subjects.length > 0 && (
        <>
          <h2>
            Where it waits <span class="quiet">{spanOf(current.contention!)}</span>
          </h2>
          <div class="cards broad">
            {subjects.slice(0, 60).map((subject) => (
              <SubjectCard key={`${subject.kind} ${subject.frame ?? ""} ${subject.name}`} subject={subject} />
            ))}
          </div>
        </>
      )}
    </section>
  )
}

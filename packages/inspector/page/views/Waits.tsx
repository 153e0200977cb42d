/** Who waits for whom, for how long, and what would help. */
import { useMemo, useState } from "preact/hooks"
import { amount, count, duration, share, siteTail } from "../data/format.ts"
import { layout, nodeHeight, nodeWidth, waitsOf } from "../data/graph.ts"
import type { Graph, GraphEdge, GraphNode } from "../data/graph.ts"
import { query, shown, view } from "../data/store.ts"
import { wordsOf } from "../data/tree.ts"
import type { Edge, Subject } from "../data/wire.ts"
import { Empty } from "../parts/Empty.tsx"
import { Meter, pressure } from "../parts/Meter.tsx"

const clip = (text: string, most: number): string => {
  if (text.length <= most) return text
  // The end of a path tells frames apart.
  return `…${text.slice(text.length - most + 1)}`
}

const curve = ({ back, from, to }: GraphEdge): string => {
  const x1 = from.x + nodeWidth / 2
  const x2 = to.x - nodeWidth / 2
  if (back) {
    const low = Math.max(from.y, to.y) + nodeHeight
    return `M${x1} ${from.y} C${x1 + 60} ${low}, ${x2 - 60} ${low}, ${x2} ${to.y}`
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
    <text x={nodeWidth / 2} y={17}>{clip(node.name || "manager", 25)}</text>
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
  const circles = graph.edges.filter((edge) => edge.back)
  return (
    <figure>
      <div class="graph wide">
        <svg
          width={graph.width}
          height={graph.height + (circles.length > 0 ? nodeHeight : 0)}
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
              d={curve(edge)}
              marker-end="url(#arrow)"
            />
          ))}
          {graph.nodes.map((node) => <NodeBox key={node.key} node={node} about={aboutOf(node)} />)}
        </svg>
      </div>
      <figcaption>
        <span class="line waits" /> waits for <span class="line held" /> held by
        {circles.length > 0 && (
          <>
            <span class="line back" />{" "}
            closes a circle: frames of this name hold what others of them, or they themselves, wait for
          </>
        )}
        {graph.left > 0 && `. ${count(graph.left)} shorter waits are not drawn.`}
      </figcaption>
    </figure>
  )
}

const WaitTable = ({ waits }: { readonly waits: ReadonlyArray<Edge> }) => {
  const [all, setAll] = useState(false)
  const seen = all ? waits.slice(0, 1000) : waits.slice(0, 12)
  return (
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th scope="col">Who waits</th>
            <th scope="col">For</th>
            <th scope="col">Which is held by</th>
            <th scope="col">Waited</th>
          </tr>
        </thead>
        <tbody>
          {seen.map((edge, index) => (
            <tr key={index}>
              <th scope="row">{edge.waiter || "manager"}</th>
              <td class="left">{edge.resource}</td>
              <td class="left">{edge.holder || <span class="quiet">nobody</span>}</td>
              <td>{duration(edge.waited)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {waits.length > 12 && (
        <button type="button" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${count(waits.length)}`}
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
    <section class="waits scroll" data-main tabIndex={-1} aria-label="Waits">
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
            Where it waits{" "}
            <span class="quiet">since {duration(current.contention!.at - current.contention!.from)}</span>
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

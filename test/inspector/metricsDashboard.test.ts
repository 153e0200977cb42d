import { Metrics } from "@chronovyan/inspector"
import { assert, describe, it } from "@effect/vitest"
import { parser } from "@prometheus-io/lezer-promql"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { catalog, prometheusName } from "../../packages/inspector/src/internal/metricCatalog.ts"
import { busy, measured } from "./metricsProgram.ts"
import { parse } from "./prometheus.ts"

type SyntaxNode = ReturnType<typeof parser.parse>["topNode"]

const packageRoot = join(import.meta.dirname, "../../packages/inspector")
const dashboard = JSON.parse(readFileSync(join(packageRoot, "dashboard/grafana.json"), "utf8"))

const page = readFileSync(join(packageRoot, "docs/metrics.md"), "utf8")

interface Query {
  readonly where: string
  readonly text: string
  readonly legend: string
}

const queries: ReadonlyArray<Query> = dashboard.panels.flatMap(({ targets = [], title }: any) =>
  targets.map(({ expr, legendFormat }: any) => ({ where: title, text: expr, legend: legendFormat }))
)

/** What Grafana puts into it. */
const filledIn = (text: string): string => text.replaceAll("$__rate_interval", "5m")

interface Use {
  readonly metric: string
  readonly labels: ReadonlyArray<string>
}

const childrenOf = (node: SyntaxNode): Array<SyntaxNode> => {
  const children: Array<SyntaxNode> = []
  for (let child = node.firstChild; child !== null; child = child.nextSibling) children.push(child)
  return children
}

const descendants = (node: SyntaxNode, name: string): Array<SyntaxNode> =>
  childrenOf(node).flatMap((child) => child.name === name ? [child] : descendants(child, name))

/** What a query asks of which metrics: by which labels it picks, and by which it groups all that is inside. */
const usesIn = (text: string): { readonly uses: ReadonlyArray<Use>; readonly errors: ReadonlyArray<string> } => {
  const uses: Array<Use> = []
  const errors: Array<string> = []
  const textOf = ({ from, to }: SyntaxNode) => text.slice(from, to)
  const visit = (node: SyntaxNode, grouped: ReadonlyArray<string>): void => {
    if (node.type.isError) errors.push(`at ${node.from}: ${text.slice(node.from, node.from + 30)}`)
    if (node.name === "VectorSelector") {
      const [name] = descendants(node, "Identifier")
      const picked = descendants(node, "LabelName").map(textOf)
      uses.push({ metric: name === undefined ? "" : textOf(name), labels: [...grouped, ...picked] })
    }
    const own = node.name === "AggregateExpr"
      ? childrenOf(node).filter(({ name }) => name === "AggregateModifier").flatMap((modifier) =>
        descendants(modifier, "LabelName").map(textOf)
      )
      : []
    for (const child of childrenOf(node)) visit(child, [...grouped, ...own])
  }
  visit(parser.parse(text).topNode, [])
  return { uses, errors }
}

/** The labels that Prometheus adds itself. */
const added = ["job", "instance"]

/** The labels of each sample that the program tells. */
const told = Effect.gen(function*() {
  yield* busy
  const labels = new Map<string, Set<string>>()
  for (const { samples } of parse(yield* Metrics.text).values()) {
    for (const sample of samples) {
      labels.set(sample.name, new Set([...labels.get(sample.name) ?? [], ...Object.keys(sample.labels)]))
    }
  }
  return labels
}).pipe(measured({ connections: ["postgres"] }, {}))

describe("the dashboard", () => {
  it("finds what is wrong with a query", () => {
    assert.isNotEmpty(usesIn("sum by (a) rate(x[5m])) +").errors)
    const { errors, uses } = usesIn("sum by (a, b) (rate(x_sum{c=\"1\",d=~\"$d\"}[5m])) / max(y)")
    assert.isEmpty(errors)
    assert.deepStrictEqual(uses, [{ metric: "x_sum", labels: ["a", "b", "c", "d"] }, { metric: "y", labels: [] }])
  })

  it.effect("asks for metrics and labels that there are, and for nothing else", () =>
    Effect.gen(function*() {
      const labels = yield* told
      assert.isAbove(queries.length, 40)
      for (const { legend, text, where } of queries) {
        const { errors, uses } = usesIn(filledIn(text))
        assert.isEmpty(errors, `${where}: ${text}`)
        assert.isNotEmpty(uses)
        for (const use of uses) {
          const known = labels.get(use.metric)
          assert.isDefined(known, `${where}: there is no ${use.metric}`)
          for (const label of use.labels) assert.include([...known, ...added], label, `${where}: ${use.metric}`)
        }
        for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
          assert.isTrue(uses.some(({ labels }) => labels.includes(label!)), `${where}: ${legend}`)
        }
      }
    }))

  it.effect("fills its variables from metrics that there are, and uses no others", () =>
    Effect.gen(function*() {
      const labels = yield* told
      const variables: ReadonlyArray<any> = dashboard.templating.list
      for (const { name, query, type } of variables) {
        if (type !== "query") continue
        const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(query.query)!
        const { errors, uses } = usesIn(selector!)
        assert.isEmpty(errors, name)
        for (const { metric } of uses) assert.include([...labels.get(metric) ?? [], ...added], label!)
      }
      const known = [...variables.map(({ name }) => name), "__rate_interval"]
      for (const { text } of queries) {
        for (const [, name] of text.matchAll(/\$(\w+)/g)) assert.include(known, name)
      }
    }))

  it("shows every metric", () => {
    const shown = queries.flatMap(({ text }) => usesIn(filledIn(text)).uses.map(({ metric }) => metric))
    for (const instrument of catalog) {
      const name = prometheusName(instrument)
      assert.isTrue(shown.some((metric) => metric.replace(/_(sum|count)$/, "") === name || metric === name), name)
    }
  })

  it.effect("and the alerts of the documentation ask for what there is", () =>
    Effect.gen(function*() {
      const labels = yield* told
      const alerts = [...page.matchAll(/^ +expr: (.+)$/gm)].map(([, text]) => text!)
      assert.lengthOf(alerts, 3)
      for (const alert of alerts) {
        const { errors, uses } = usesIn(alert)
        assert.isEmpty(errors, alert)
        for (const { labels: used, metric } of uses) {
          assert.includeMembers([...labels.get(metric) ?? [], ...added], used as Array<string>, alert)
        }
      }
    }))

  it("has panels that do not lie on each other, each with a title and numbers of its own", () => {
    const ids = new Set<number>()
    const taken = new Set<string>()
    for (const { gridPos: { h, w, x, y }, id, title } of dashboard.panels) {
      assert.notEqual(title, "")
      assert.isFalse(ids.has(id))
      ids.add(id)
      assert.isAtMost(x + w, 24)
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          assert.isFalse(taken.has(`${row} ${column}`), title)
          taken.add(`${row} ${column}`)
        }
      }
    }
  })

  it("is a part of the package", () => {
    const { files } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8"))
    assert.include(files, "dashboard")
  })
})

/** What looks like a leak, with its call site and what to do about it. */
import { signal } from "@preact/signals"
import { amount, count, counted, duration, moment } from "../data/format.ts"
import { loaded, now, query, shownInfo, shownLeaks } from "../data/store.ts"
import { wordsOf } from "../data/tree.ts"
import type { Leak } from "../data/wire.ts"
import { Empty } from "../parts/Empty.tsx"
import { CallSite, Fact } from "./Details.tsx"
import { reveal } from "./treeState.ts"

const showReturned = signal(false)

/** How many are drawn: nobody reads more, and searching finds the rest. */
const most = 200

const keyOf = (leak: Leak): string | undefined =>
  leak.subject === undefined ? undefined : `${leak.kind === "frame" ? "f" : "a"}${leak.subject}`

const Card = ({ leak }: { readonly leak: Leak }) => {
  const key = keyOf(leak)
  const isRaised = leak.state === "raised"
  const age = (isRaised ? now.value : leak.at) - leak.since
  return (
    <article class={isRaised ? "leak" : "leak returned"}>
      <h3>
        <span class={isRaised ? "tag bad" : "tag"}>{isRaised ? leak.reason : `${leak.reason}, came back`}</span>
        <strong>{leak.resource}</strong>
        {leak.subject !== undefined && <span class="quiet">#{leak.subject}</span>}
        {leak.count > 1 && <span class="tag count">× {count(leak.count)}</span>}
        <span class="quiet end">
          {leak.kind === "frame" ? "open" : leak.reason === "growing" ? "growing" : "held"} for {duration(age)}
        </span>
      </h3>
      <p>{leak.message}</p>
      {isRaised && leak.advice !== "" && <p class="hint">{leak.advice}</p>}
      <dl>
        <Fact name="Frame">{leak.frame || "manager"}</Fact>
        <Fact name="Call site">
          {leak.callSite === undefined ? <span class="quiet">not recorded</span> : <CallSite site={leak.callSite} />}
        </Fact>
        <Fact name="Since">{moment(leak.since)}</Fact>
        {leak.amount !== undefined && <Fact name="Costs">{leak.unit} {amount(leak.amount, leak.unit ?? "")}</Fact>}
        {leak.expected !== undefined && (
          <Fact name="Expected">
            {leak.reason === "growing" ? `at most ${count(leak.expected)}` : `at most ${duration(leak.expected)}`}
          </Fact>
        )}
      </dl>
      {key !== undefined && isRaised && <button type="button" onClick={() => reveal(key)}>Show in the tree</button>}
    </article>
  )
}

/** Leaks from one place have one cause. */
const byPlace = (leaks: ReadonlyArray<Leak>): ReadonlyArray<readonly [place: string, leaks: ReadonlyArray<Leak>]> => {
  const places = new Map<string, Array<Leak>>()
  for (const leak of leaks) {
    const place = `${leak.resource}\n${leak.callSite ?? leak.frame}\n${leak.reason}\n${leak.state}`
    const list = places.get(place)
    if (list === undefined) places.set(place, [leak])
    else list.push(leak)
  }
  return [...places]
}

const opened = signal<ReadonlySet<string>>(new Set())

const Place = ({ leaks, place }: { readonly place: string; readonly leaks: ReadonlyArray<Leak> }) => {
  const oldest = leaks.reduce((a, b) => a.since <= b.since ? a : b)
  const open = opened.value.has(place)
  const rest = leaks.filter((leak) => leak !== oldest)
  return (
    <div class="place">
      <Card leak={oldest} />
      {rest.length > 0 && (
        <button
          type="button"
          class="more"
          aria-expanded={open}
          onClick={() => {
            const next = new Set(opened.value)
            if (!next.delete(place)) next.add(place)
            opened.value = next
          }}
        >
          {open ? "Hide" : "Show"} {counted(rest.length, "more", "more")} of {oldest.resource} from the same place
        </button>
      )}
      {open && rest.slice(0, most).map((leak) => <Card key={leak.id} leak={leak} />)}
    </div>
  )
}

const Nothing = ({ searched }: { readonly searched: boolean }) => {
  if (searched) return <Empty title="No leak is called that" />
  const level = shownInfo.value?.level
  if (level === "off") {
    return (
      <Empty title="Nobody looks for leaks">
        The leak detector of this program is off. Add its layer to the program to have leaks told here.
      </Empty>
    )
  }
  return (
    <Empty title="Nothing looks like a leak">
      {loaded.value === null
        ? level === undefined ? undefined : `The detector's level is “${level}”. What it finds shows up here at once.`
        : "None were known when this was saved."}
    </Empty>
  )
}

export const Leaks = () => {
  const words = wordsOf(query.value)
  const found = shownLeaks.value.filter((leak) => {
    const text = `${leak.resource} ${leak.frame} ${leak.callSite ?? ""} ${leak.reason} #${leak.subject ?? ""}`
      .toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const raised = found.filter((leak) => leak.state === "raised")
  const returned = found.filter((leak) => leak.state === "returned")
  const seen = showReturned.value ? [...raised, ...returned] : raised
  const places = byPlace(seen)
  return (
    <section class="leaks scroll" data-main tabIndex={0} aria-label="Leaks">
      <div class="options">
        <h2 class="summary">
          {counted(raised.length, "leak")} {raised.length > 0 && `from ${counted(byPlace(raised).length, "place")}`}
        </h2>
        {returned.length > 0 && (
          <label>
            <input
              type="checkbox"
              checked={showReturned.value}
              onChange={(event) => showReturned.value = event.currentTarget.checked}
            />{" "}
            and {count(returned.length)} that came back
          </label>
        )}
      </div>
      {places.length === 0 && <Nothing searched={words.length > 0} />}
      {places.slice(0, most).map(([place, leaks]) => <Place key={place} place={place} leaks={leaks} />)}
      {places.length > most && <p class="quiet">{count(places.length - most)} more places: search to see them.</p>}
    </section>
  )
}

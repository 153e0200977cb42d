/** Who is looked at, how that goes, and what can be done anywhere. */
import { useEffect, useRef, useState } from "preact/hooks"
import { listening, retryNow, status } from "../data/connection.ts"
import { count, counted, duration, moment } from "../data/format.ts"
import {
  download,
  helpOpen,
  load,
  loaded,
  now,
  paused,
  query,
  shown,
  shownInfo,
  shownLeaks,
  shownSnapshot,
  togglePause,
  unload,
  view,
  views
} from "../data/store.ts"
import type { View } from "../data/store.ts"
import { choice, nextTheme } from "../theme.ts"
import { Icon } from "./Icon.tsx"

export const titles: Readonly<Record<View, string>> = {
  tree: "Tree",
  timeline: "Timeline",
  gauges: "Gauges",
  waits: "Waits",
  leaks: "Leaks"
}

/** Opens the dialog of files. */
export const chooseFile = (): void => document.querySelector<HTMLInputElement>("#file")?.click()

const Seconds = ({ until }: { readonly until: number }) => {
  const [left, set] = useState(0)
  useEffect(() => {
    const update = () => set(Math.max(0, Math.ceil((until - performance.now()) / 1000)))
    update()
    const timer = setInterval(update, 250)
    return () => clearInterval(timer)
  }, [until])
  return <>{left} s</>
}

const State = () => {
  const now = status.value
  if (loaded.value !== null) {
    return <span class="state file">file</span>
  }
  if (paused.value) return <span class="state paused">paused</span>
  switch (now.is) {
    case "connecting":
      return <span class="state connecting">connecting</span>
    case "live":
      return (
        <span class="state live" title={listening.value ? "Events come in" : "No events come in: snapshots only"}>
          live
        </span>
      )
    case "lost":
      return <span class="state lost">disconnected</span>
    case "refused":
      return <span class="state lost">refused</span>
    case "alone":
      return <span class="state">no program</span>
  }
}

const Who = () => {
  const info = shownInfo.value
  return (
    <div class="who">
      <h1>{info?.name ?? loaded.value?.name ?? "Chronovyan inspector"}</h1>
      <State />
      {info !== null && (
        <span class="about">
          pid {info.pid}, {info.runtime}, up{" "}
          {duration((shownSnapshot.value === null ? Date.now() : now.value) - info.startedAt)}
        </span>
      )}
    </div>
  )
}

const Tabs = () => {
  const snapshot = shownSnapshot.value
  const raised = shownLeaks.value.filter((leak) => leak.state === "raised").length
  const waiting = Math.max(
    snapshot?.pools.reduce((sum, pool) => sum + pool.waiting, 0) ?? 0,
    shown.value?.contention?.subjects.reduce((sum, subject) => sum + subject.waiting, 0) ?? 0
  )
  const badge: Readonly<Partial<Record<View, { readonly text: string; readonly bad: boolean } | null>>> = {
    tree: snapshot === null ? null : { text: count(snapshot.allocations.length), bad: false },
    waits: waiting === 0 ? null : { text: count(waiting), bad: false },
    leaks: raised === 0 ? null : { text: count(raised), bad: true }
  }
  return (
    <nav aria-label="Views">
      {views.map((name, index) => (
        <button
          key={name}
          type="button"
          aria-current={view.value === name ? "page" : undefined}
          aria-keyshortcuts={String(index + 1)}
          title={`${titles[name]} (${index + 1})`}
          onClick={() => view.value = name}
        >
          {titles[name]}
          {badge[name] != null && <span class={`badge${badge[name].bad ? " bad" : ""}`}>{badge[name].text}</span>}
        </button>
      ))}
    </nav>
  )
}

const Search = () => {
  const input = useRef<HTMLInputElement>(null)
  return (
    <label class="search">
      <Icon name="search" />
      <input
        ref={input}
        id="search"
        type="search"
        placeholder="Search"
        title="Definition, frame, call site or #id; all words have to be found (/)"
        aria-label="Search for a definition, frame, call site or #id"
        aria-keyshortcuts="/"
        autocomplete="off"
        spellcheck={false}
        value={query.value}
        onInput={(event) => query.value = event.currentTarget.value}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            query.value = ""
            event.currentTarget.blur()
            event.stopPropagation()
          } else if (event.key === "ArrowDown" || event.key === "Enter") {
            event.preventDefault()
            document.querySelector<HTMLElement>("[data-main]")?.focus()
          }
        }}
      />
      {query.value === "" && <kbd>/</kbd>}
    </label>
  )
}

const Actions = () => {
  const theme = choice.value
  const isPaused = paused.value
  const nothing = shown.value === null
  return (
    <div class="actions">
      <button
        type="button"
        id="pause"
        aria-pressed={isPaused}
        aria-keyshortcuts="Space"
        title={isPaused ? "Go on (space)" : "Pause (space)"}
        disabled={nothing || loaded.value !== null}
        onClick={togglePause}
      >
        <Icon name={isPaused ? "play" : "pause"} />
        <span>{isPaused ? "Go on" : "Pause"}</span>
      </button>
      <button
        type="button"
        id="download"
        aria-keyshortcuts="d"
        title="Save what is shown as a file (d)"
        aria-label="Download the snapshot"
        disabled={nothing}
        onClick={download}
      >
        <Icon name="download" />
      </button>
      <button
        type="button"
        id="load"
        aria-keyshortcuts="l"
        title="Show a snapshot from a file (l)"
        aria-label="Load a snapshot"
        onClick={chooseFile}
      >
        <Icon name="load" />
      </button>
      <button
        type="button"
        id="theme"
        title={`Colors: ${theme} (t)`}
        aria-label={`Colors: ${theme}`}
        onClick={nextTheme}
      >
        <Icon name={theme} />
      </button>
      <button type="button" id="help" title="Help (?)" aria-label="Help" onClick={() => helpOpen.value = true}>
        <Icon name="help" />
      </button>
      <input
        id="file"
        type="file"
        accept=".json,application/json"
        tabIndex={-1}
        aria-label="A snapshot"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0]
          event.currentTarget.value = ""
          if (file !== undefined) void load(file)
        }}
      />
    </div>
  )
}

/** What is not as it should be, in one line under the header. */
export const Banner = () => {
  const now = status.value
  if (loaded.value !== null) {
    const { name, shown } = loaded.value
    return (
      <div class="banner" role="status">
        <span>
          <strong>{name}</strong>, as it was on {moment(shown.snapshot.at)}:{" "}
          {counted(shown.snapshot.frames.length, "frame")}, {counted(shown.snapshot.allocations.length, "allocation")}
        </span>
        <button type="button" onClick={unload}>
          {now.is === "alone" ? "Close" : "Back to the program"} <kbd>Esc</kbd>
        </button>
      </div>
    )
  }
  if (now.is === "lost") {
    return (
      <div class="banner bad" role="alert">
        <span>
          {now.why} {shown.value === null ? "" : `What you see is from ${moment(shown.value.snapshot.at)}. `}
          Next try in <Seconds until={now.retryAt} />.
        </span>
        <button type="button" onClick={retryNow}>Try now</button>
      </div>
    )
  }
  if (now.is === "refused") {
    return (
      <div class="banner bad" role="alert">
        <span>{now.why}</span>
        <button type="button" onClick={retryNow}>Try again</button>
      </div>
    )
  }
  return null
}

export const Header = () => (
  <header>
    <Who />
    <Tabs />
    <Search />
    <Actions />
  </header>
)

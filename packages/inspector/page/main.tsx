/** The page: one header, five views of one program. */
import "uplot/dist/uPlot.min.css"
import "./style.css"
import { render } from "preact"
import { useEffect } from "preact/hooks"
import { connect, status } from "./data/connection.ts"
import {
  download,
  helpOpen,
  load,
  loaded,
  moving,
  notice,
  query,
  shown,
  tick,
  togglePause,
  unload,
  view,
  views
} from "./data/store.ts"
import { Confirm, question } from "./parts/Confirm.tsx"
import { Empty } from "./parts/Empty.tsx"
import { Banner, chooseFile, Header } from "./parts/Header.tsx"
import { Help } from "./parts/Help.tsx"
import { nextTheme } from "./theme.ts"
import { Gauges } from "./views/Gauges.tsx"
import { Leaks } from "./views/Leaks.tsx"
import { Timeline } from "./views/Timeline.tsx"
import { Tree } from "./views/Tree.tsx"
import { Waits } from "./views/Waits.tsx"

const View = () => {
  switch (view.value) {
    case "tree":
      return <Tree />
    case "timeline":
      return <Timeline />
    case "gauges":
      return <Gauges />
    case "waits":
      return <Waits />
    case "leaks":
      return <Leaks />
  }
}

/** Until there is something to show. */
const Waiting = () => {
  const now = status.value
  switch (now.is) {
    case "alone":
      return (
        <Empty title="No program">
          This page was opened as a file, so there is nobody to ask. Load a snapshot to look at it:{" "}
          <button type="button" onClick={chooseFile}>Load a snapshot</button>
        </Empty>
      )
    case "refused":
      return <Empty title="The program does not let us in">{now.why}</Empty>
    case "lost":
      return <Empty title="The program does not answer">It is asked again and again.</Empty>
    default:
      return <Empty title="Looking" />
  }
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.matches("input:not([type=checkbox]), textarea, select"))

const isPressed = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("button, a, input, select, summary")

const keys: Readonly<Record<string, () => void>> = {
  "/": () => document.querySelector<HTMLInputElement>("#search")?.select(),
  "?": () => helpOpen.value = true,
  d: download,
  l: chooseFile,
  t: nextTheme,
  " ": togglePause,
  Escape: () => {
    if (query.value !== "") query.value = ""
    else if (loaded.value !== null) unload()
  },
  ...Object.fromEntries(views.map((name, index) => [String(index + 1), () => view.value = name]))
}

const keyDown = (event: KeyboardEvent): void => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
  if (helpOpen.value || question.value !== null) return
  if (event.key === " " && isPressed(event.target)) return
  const action = keys[event.key]
  if (action === undefined) return
  event.preventDefault()
  action()
}

const App = () => {
  useEffect(() => {
    document.addEventListener("keydown", keyDown)
    const timer = setInterval(() => moving.value && tick(), 1000)
    return () => {
      document.removeEventListener("keydown", keyDown)
      clearInterval(timer)
    }
  }, [])
  return (
    <>
      <Header />
      <Banner />
      <main>{shown.value === null ? <Waiting /> : <View />}</main>
      {notice.value !== null && (
        <div class={notice.value.bad ? "notice bad" : "notice"} role="status">{notice.value.text}</div>
      )}
      <Help />
      <Confirm />
    </>
  )
}

// Who points and clicks has not chosen what the next key belongs to: the space bar still pauses.
document.addEventListener("click", (event) => {
  const button = event.detail > 0 && event.target instanceof Element ? event.target.closest("button") : null
  if (button !== null && button.closest("dialog") === null) button.blur()
})

document.addEventListener("dragover", (event) => event.preventDefault())
document.addEventListener("drop", (event) => {
  event.preventDefault()
  const file = event.dataTransfer?.files[0]
  if (file !== undefined) void load(file)
})

render(<App />, document.querySelector("#app")!)
connect()

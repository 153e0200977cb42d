/** What the keys do. */
import { useEffect, useRef } from "preact/hooks"
import { helpOpen } from "../data/store.ts"

const keys: ReadonlyArray<readonly [keys: string, what: string]> = [
  ["1 to 5", "tree, timeline, gauges, waits, leaks"],
  ["/", "search; Escape empties it, Enter goes to what was found"],
  ["Space", "pause, and go on"],
  ["d", "download what is shown"],
  ["l", "load a snapshot from a file; Escape goes back"],
  ["t", "colors: the system's, dark, light"],
  ["?", "this help"],
  ["↑ ↓ Page Home End", "tree: move; timeline: scroll"],
  ["← →", "tree: close and open, or move out and in; timeline: back and forth in time"],
  ["Enter", "tree: details; in a folded row, open it"],
  ["+ −", "timeline: closer and further; tree: open and fold everything"],
  ["n", "timeline: follow what happens now"]
]

export const Help = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const open = helpOpen.value
  useEffect(() => {
    if (open) dialog.current?.showModal()
    else dialog.current?.close()
  }, [open])
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => helpOpen.value = false}>
      <h2 id="help-title">Keys</h2>
      <dl class="keys">
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p>
        All words of a search have to be found: in the name of a definition or frame, in its path, in a call site, as a
        state such as <code>acquiring</code> or <code>orphaned</code>, or as <code>#id</code>.
      </p>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  )
}

/** Asks before something is done to the program, and does it. */
import { signal } from "@preact/signals"
import { useEffect, useRef, useState } from "preact/hooks"
import { control } from "../data/connection.ts"
import { tell } from "../data/store.ts"
import type { Control, PoolState } from "../data/wire.ts"

export type Question =
  | { readonly _tag: "Drain"; readonly pool: PoolState }
  | { readonly _tag: "Resize"; readonly pool: PoolState }
  | { readonly _tag: "Retire"; readonly resource: string; readonly frameId?: number }

export const question = signal<Question | null>(null)

const explain = (asked: Question): string => {
  switch (asked._tag) {
    case "Drain":
      return `Nobody is lent anything from ${asked.pool.name} any more. The ${asked.pool.waiting} who wait are served, ` +
        `the ${asked.pool.used} in use are waited for. This can not be taken back.`
    case "Resize":
      return `${asked.pool.name} has ${asked.pool.total} items now, between ${asked.pool.min} and ${asked.pool.max}.`
    case "Retire":
      return `Each value of ${asked.resource} ends when its last user gives it back; whoever asks next gets a new one.`
  }
}

const Body = ({ asked }: { readonly asked: Question }) => {
  const isResize = asked._tag === "Resize"
  const [min, setMin] = useState(isResize ? String(asked.pool.min) : "")
  const [max, setMax] = useState(isResize ? String(asked.pool.max) : "")
  const [busy, setBusy] = useState(false)
  const lower = Number(min)
  const upper = Number(max)
  const isRight = !isResize ||
    (/^\d+$/.test(min) && /^\d+$/.test(max) && upper >= Math.max(1, lower) && Number.isSafeInteger(upper))
  // Several pools may have one name.
  const command: Control & { readonly frameId?: number } = asked._tag === "Drain"
    ? { _tag: "Drain", pool: asked.pool.name, frameId: asked.pool.frameId }
    : asked._tag === "Resize"
    ? { _tag: "Resize", pool: asked.pool.name, frameId: asked.pool.frameId, min: lower, max: upper }
    : {
      _tag: "Retire",
      resource: asked.resource,
      ...(asked.frameId === undefined ? undefined : { frameId: asked.frameId })
    }
  const name = asked._tag === "Retire" ? asked.resource : asked.pool.name

  const run = async (): Promise<void> => {
    setBusy(true)
    try {
      tell(await control(command))
    } catch (error) {
      tell(`${asked._tag} ${name}: ${(error as Error).message}`, true)
    }
    question.value = null
  }

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        if (isRight && !busy) void run()
      }}
    >
      <h2 id="confirm-title">{asked._tag} {name}</h2>
      <p>{explain(asked)}</p>
      {isResize && (
        <p class="fields">
          <label>
            min <input inputMode="numeric" value={min} onInput={(event) => setMin(event.currentTarget.value)} />
          </label>
          <label>
            max <input inputMode="numeric" value={max} onInput={(event) => setMax(event.currentTarget.value)} />
          </label>
        </p>
      )}
      <div class="row">
        <button type="button" onClick={() => question.value = null}>Cancel</button>
        <button type="submit" class="danger" disabled={!isRight || busy}>{asked._tag}</button>
      </div>
    </form>
  )
}

export const Confirm = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const asked = question.value
  useEffect(() => {
    if (asked !== null) dialog.current?.showModal()
    else dialog.current?.close()
  }, [asked])
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onClose={() => question.value = null}>
      {asked !== null && <Body asked={asked} />}
    </dialog>
  )
}

/** Talks with the program: asks for what is shown as often as it can bear, listens to what happens, and tries again. */
import { effect, signal, untracked } from "@preact/signals"
import { wrongWithSnapshot } from "./check.ts"
import { listen } from "./sse.ts"
import type { Message } from "./sse.ts"
import {
  connected,
  contention,
  forget,
  info,
  loaded,
  takeAllLeaks,
  takeEvents,
  takeLeaks,
  takeSnapshot,
  tick,
  view
} from "./store.ts"
import type { Contention, Control, Event, Info, Leak, Snapshot } from "./wire.ts"

/** How the program is reached. */
export type Status =
  | { readonly is: "connecting" }
  | { readonly is: "live" }
  /** Not now: it is tried again at `retryAt`, of `performance.now()`. */
  | { readonly is: "lost"; readonly why: string; readonly since: number; readonly retryAt: number }
  /** It does not want us, or does not understand us: trying again does not help. */
  | { readonly is: "refused"; readonly why: string }
  /** The page was opened as a file. */
  | { readonly is: "alone" }

export const status = signal<Status>({ is: "connecting" })
effect(() => {
  connected.value = status.value.is === "live"
  untracked(tick)
})

/** What a reader has to know about how the events come. */
export const listening = signal(false)

/** The name of the measure from the question for a snapshot until it is painted. */
const measured = "chronovyan.update"

const token = ((): string | undefined => {
  const fragment = location.hash.slice(1)
  if (fragment === "") return undefined
  return new URLSearchParams(fragment).get("token") ?? (fragment.includes("=") ? undefined : decode(fragment))
})()

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }

class Refusal extends Error {}

const messageOf = async (response: Response): Promise<string> => {
  try {
    const { message } = await response.json() as { message?: unknown }
    if (typeof message === "string") return message
  } catch {
    // It is no JSON: the status has to do.
  }
  return `The program answered ${response.status}.`
}

const ask = async (path: string): Promise<{ readonly text: string; readonly took: number }> => {
  const start = performance.now()
  const response = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(30_000) })
  if (response.status === 401 || response.status === 403) {
    throw new Refusal(
      `${await messageOf(response)} ${
        token === undefined ? "Open the page with the address that the program printed." : "The token is not right."
      }`
    )
  }
  if (!response.ok) throw new Error(await messageOf(response))
  return { text: await response.text(), took: performance.now() - start }
}

const get = async <A>(path: string): Promise<A> => JSON.parse((await ask(path)).text) as A

/** Does one thing in the program; throws an `Error` with what it answered when that did not work. */
export const control = async (command: Control): Promise<string> => {
  const response = await fetch("api/control", {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify(command),
    signal: AbortSignal.timeout(30_000)
  })
  if (!response.ok) throw new Error(await messageOf(response))
  return (await response.json() as { message: string }).message
}

const sleep = (millis: number, until: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      until.removeEventListener("abort", done)
      resolve()
    }
    const timer = setTimeout(done, millis)
    until.addEventListener("abort", done)
  })

/** Ends whatever pause there is. */
let wake = new AbortController()
export const retryNow = (): void => {
  wake.abort()
  wake = new AbortController()
}

/** So that all that a snapshot costs, here and there, stays a small part of the time. */
export const pauseAfter = (cost: number, hidden: boolean): number =>
  hidden ? 15_000 : Math.min(10_000, Math.max(1000, cost * 6))

const introduce = async (): Promise<void> => {
  const next = await get<Info>("api/info")
  if (next.protocol !== 1) {
    throw new Refusal(`The program speaks protocol ${String(next.protocol)}, this page speaks 1.`)
  }
  const before = info.value
  if (before !== null && (before.pid !== next.pid || before.startedAt !== next.startedAt)) forget()
  info.value = next
  document.title = `${next.name} - Chronovyan inspector`
}

const takeAnswer = (text: string): void => {
  const next = JSON.parse(text) as Snapshot
  const problem = wrongWithSnapshot(next)
  if (problem !== undefined) throw new Error(`What the program sent is not a snapshot: ${problem}.`)
  takeSnapshot(next)
}

/** The rest is small and changes slowly: what a view shows is asked for when it is shown. */
const askForRest = async (round: number): Promise<void> => {
  const wantsContention = view.value === "waits" || round % 5 === 0
  const wantsLeaks = !listening.value || view.value === "leaks" || round % 10 === 0
  await Promise.all([
    wantsContention
      ? get<Contention>("api/contention").then((next) => contention.value = next, ignore)
      : undefined,
    wantsLeaks ? get<Array<Leak>>("api/leaks").then(takeAllLeaks, ignore) : undefined
  ])
}

const ignore = (): void => undefined

const nextPaint = (): Promise<void> =>
  new Promise((resolve) => {
    // Nothing is painted in a tab that nobody looks at.
    if (document.hidden) resolve()
    else requestAnimationFrame(() => setTimeout(resolve))
  })

const poll = async (): Promise<never> => {
  let failures = 0
  for (let round = 0;; round++) {
    let pause: number
    try {
      if (status.value.is !== "live") await introduce()
      const { text, took } = await ask("api/snapshot")
      const start = performance.now()
      takeAnswer(text)
      await nextPaint()
      pause = pauseAfter(took + performance.now() - start, document.hidden)
      // For whoever wants to know how long it takes until a change is seen.
      performance.clearMeasures(measured)
      performance.measure(measured, { start: start - took, end: performance.now() })
      failures = 0
      if (status.value.is !== "live") status.value = { is: "live" }
      await askForRest(round)
    } catch (error) {
      failures++
      const why = error instanceof TypeError ? "The program does not answer." : (error as Error).message
      pause = Math.min(15_000, 500 * 2 ** failures)
      status.value = error instanceof Refusal ? { is: "refused", why } : {
        is: "lost",
        why,
        since: status.value.is === "lost" ? status.value.since : Date.now(),
        retryAt: performance.now() + pause
      }
      if (error instanceof Refusal) pause = 3_600_000
      round = -1
    }
    await sleep(pause, wake.signal)
  }
}

const dispatch = (messages: ReadonlyArray<Message>): void => {
  const events: Array<Event> = []
  const leaks: Array<Leak> = []
  for (const { data, event } of messages) {
    try {
      if (event === "resource") events.push(JSON.parse(data) as Event)
      else if (event === "leak") leaks.push(JSON.parse(data) as Leak)
    } catch {
      // One event that can not be read is no reason to miss those after it.
    }
  }
  takeEvents(events)
  if (leaks.length > 0) takeLeaks(leaks)
}

const follow = async (): Promise<never> => {
  for (let failures = 0;;) {
    if (status.value.is === "live") {
      const stop = new AbortController()
      // A connection that died without a word would be listened to for ever.
      const watch = effect(() => {
        if (status.value.is !== "live") stop.abort()
      })
      try {
        await listen({
          url: "api/events",
          headers,
          signal: stop.signal,
          opened: () => {
            failures = 0
            listening.value = true
          },
          received: dispatch
        })
      } catch {
        // The snapshots tell whether the program is there.
      }
      watch()
      listening.value = false
      failures++
    }
    await sleep(Math.min(15_000, 250 * 2 ** failures), wake.signal)
  }
}

export const connect = (): void => {
  if (!location.protocol.startsWith("http")) {
    status.value = { is: "alone" }
    return
  }
  void poll()
  void follow()
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && loaded.value === null) retryNow()
  })
}

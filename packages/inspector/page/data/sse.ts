/** Server-sent events, read from a `fetch`: an `EventSource` can not send a token. */

export interface Message {
  readonly event: string
  readonly data: string
}

/** Takes pieces of text as they come and tells the messages that they complete. */
export class Parser {
  private rest = ""
  private event = ""
  private data: Array<string> = []

  push(text: string): Array<Message> {
    const messages: Array<Message> = []
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop()!
    for (const line of lines) {
      if (line === "") {
        if (this.data.length > 0) messages.push({ event: this.event || "message", data: this.data.join("\n") })
        this.event = ""
        this.data = []
        continue
      }
      const colon = line.indexOf(":")
      if (colon === 0) continue
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1))
      if (field === "data") this.data.push(value)
      else if (field === "event") this.event = value
    }
    return messages
  }
}

export interface Listening {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly opened: () => void
  /** All that one piece of the stream completed, in order. */
  readonly received: (messages: ReadonlyArray<Message>) => void
}

/** Listens until the stream ends; throws when it can not be read. */
export const listen = async ({ headers, opened, received, signal, url }: Listening): Promise<void> => {
  const response = await fetch(url, {
    headers: { ...headers, accept: "text/event-stream" },
    cache: "no-store",
    signal
  })
  if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`)
  opened()
  const parser = new Parser()
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const messages = parser.push(value)
    if (messages.length > 0) received(messages)
  }
}

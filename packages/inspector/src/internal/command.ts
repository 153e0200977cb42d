/**
 * The command `chronovyan`: its verbs, and what can be said with them.
 */
import * as CoreSnapshot from "@chronovyan/core/Snapshot"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { LeakReport } from "../LeakReport.ts"
import type { Control } from "../Protocol.ts"
import * as Client from "./client.ts"
import type { Target } from "./client.ts"
import * as Programs from "./programs.ts"
import { clean } from "./text.ts"
import * as Top from "./top.ts"
import { Trouble } from "./trouble.ts"
import * as Views from "./views.ts"
import * as Why from "./why.ts"

const print = (lines: ReadonlyArray<string>) => Console.log(lines.join("\n"))

const printJson = (value: unknown) => Console.log(JSON.stringify(value, null, 2))

const shared = {
  address: Flag.String("address").pipe(
    Flag.withAlias("a"),
    Flag.withMetavar("where"),
    Flag.withDescription(
      "host:port, or the path of a unix socket (default: the program that runs; CHRONOVYAN_ADDRESS)"
    ),
    Flag.withFallbackConfig(Config.String("CHRONOVYAN_ADDRESS")),
    Flag.optional
  ),
  program: Flag.String("program").pipe(
    Flag.withAlias("p"),
    Flag.withMetavar("name"),
    Flag.withDescription("The name or process id of the program, when several run"),
    Flag.optional
  ),
  token: Flag.Redacted("token").pipe(
    Flag.withMetavar("token"),
    Flag.withDescription(
      "What the program wants to hear; better given in CHRONOVYAN_TOKEN, which other users can not see"
    ),
    Flag.withFallbackConfig(Config.Redacted("CHRONOVYAN_TOKEN")),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print JSON"), Flag.withDefault(false))
}

const root = Command.make("chronovyan").pipe(
  Command.withDescription(
    "Look at programs that let themselves be inspected: who holds what, since when, who waits, and why."
  ),
  Command.withSharedFlags(shared)
)

/** What was said with any verb. */
const said = Effect.map(root, ({ address, json, program, token }) => ({
  json,
  wanted: {
    address: Option.getOrUndefined(address),
    program: Option.getOrUndefined(program),
    token: Option.getOrUndefined(Option.map(token, (token) => Redacted.value(token)))
  }
}))

const target = Effect.flatMap(
  said,
  ({ json, wanted }) => Effect.map(Programs.find(wanted), (target) => ({ json, target }))
)

// What there is.

const ps = Command.make(
  "ps",
  {},
  Effect.fnUntraced(function*() {
    const { json, wanted } = yield* said
    const programs = wanted.address === undefined
      ? yield* Programs.running(wanted.token)
      : [yield* programAt({ address: wanted.address, token: wanted.token })]
    if (json) {
      return yield* printJson(programs.map(({ info, name, pid, startedAt, target: { address } }) => ({
        name,
        pid,
        startedAt,
        address,
        ...(info === undefined
          ? { needsToken: true }
          : { control: info.control, level: info.level, runtime: info.runtime })
      })))
    }
    if (programs.length === 0) return yield* Console.log("No program of this user lets itself be inspected.")
    yield* print(Views.programs(programs, yield* Clock.currentTimeMillis))
  })
).pipe(Command.withDescription("List the programs of this user that can be inspected"))

const programAt = (target: Target) =>
  Effect.map(Client.info(target), (info): Programs.Program => ({
    target,
    name: info.name,
    pid: info.pid,
    startedAt: info.startedAt,
    info
  }))

// How it stands.

const durationFlag = (text: string): Option.Option<Duration.Duration> => {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)\s*(ms|s|m)?$/.exec(text) ?? []
  if (amount === undefined) return Option.none()
  return Option.some(Duration.millis(Number(amount) * { ms: 1, s: 1000, m: 60_000 }[unit]!))
}

const view = (target: Target, before: CoreSnapshot.Snapshot | undefined) =>
  Effect.map(
    Effect.all([Client.info(target), Client.snapshot(target), Client.leaks(target)], { concurrency: 3 }),
    ([info, now, leaks]): Top.View => ({ info, address: target.address, before, now, leaks })
  )

/** A screen of its own, which the terminal leaves as it was before. */
const screen = Effect.acquireRelease(
  Effect.sync(() => process.stdout.write("\u001b[?1049h\u001b[?25l")),
  () => Effect.sync(() => process.stdout.write("\u001b[?25h\u001b[?1049l"))
)

const redraw = (view: Top.View) =>
  Effect.sync(() => {
    const { columns, rows } = process.stdout
    const lines = Top.draw(view, columns, rows - 1)
    process.stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join("\n")}\n\u001b[J`)
  })

const top = Command.make(
  "top",
  {
    interval: Flag.String("interval").pipe(
      Flag.withAlias("i"),
      Flag.withMetavar("duration"),
      Flag.withDescription("How often to look: 1s, 500ms (default: 1s)"),
      Flag.filterMap(durationFlag, () => "a duration: 1s, 500ms"),
      Flag.filter((interval) => Duration.toMillis(interval) >= 100, () => "at least 100ms"),
      Flag.withDefault(Duration.seconds(1))
    ),
    count: Flag.Int("count").pipe(
      Flag.withAlias("n"),
      Flag.withDescription("How often to look before it ends (default: until Ctrl-C)"),
      Flag.filter((count) => count >= 1, () => "a whole number from 1 on"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*({ count, interval }) {
    const { json, target: at } = yield* target
    const isLive = !json && process.stdout.isTTY === true
    if (isLive) yield* screen
    let before: CoreSnapshot.Snapshot | undefined
    const look = Effect.gen(function*() {
      const seen = yield* view(at, before)
      before = seen.now
      if (json) yield* Console.log(JSON.stringify(seen.now))
      else if (isLive) yield* redraw(seen)
      else yield* Console.log(Top.line(seen))
    })
    const most = Option.getOrElse(count, () => Infinity)
    for (let done = 1;; done++) {
      yield* look
      if (done >= most) return
      yield* Effect.sleep(interval)
    }
  }, Effect.scoped)
).pipe(Command.withDescription("Show pools, budgets, resources and who holds them, again and again"))

const why = Command.make(
  "why",
  {
    name: Argument.String("NAME").pipe(
      Argument.withDescription("A pool, a unit of a budget, a frame by name, path or #number, or another resource")
    )
  },
  Effect.fnUntraced(function*({ name }) {
    const { json, target: at } = yield* target
    const [snapshot, contention] = yield* Effect.all([Client.snapshot(at), Client.contention(at)], { concurrency: 2 })
    const found = Why.explain(name, { snapshot, contention })
    if (found.length === 0) {
      const names = [
        ...snapshot.pools.map(({ name }) => name),
        ...snapshot.frames.flatMap(({ budgets }) => budgets.map(({ unit }) => unit))
      ]
      const known = [...new Set(names)].slice(0, 20).map(clean).join(", ")
      const text = `Nothing is called ${JSON.stringify(name)}${known === "" ? "" : `; pools and budgets are ${known}`}`
      return yield* new Trouble({ kind: "refused", text })
    }
    if (json) return yield* printJson(found)
    yield* Console.log(Why.render(found))
  })
).pipe(Command.withDescription("Tell why something waits, and who is in the way"))

const encodeLeaks = Schema.encodeSync(Schema.toCodecJson(Schema.Array(LeakReport)))

const leaks = Command.make(
  "leaks",
  {
    exitCode: Flag.Boolean("exit-code").pipe(
      Flag.withDescription("Exit with 1 when there are any"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ exitCode }) {
    const { json, target: at } = yield* target
    const [info, reports, { at: now }] = yield* Effect.all(
      [Client.info(at), Client.leaks(at), Client.snapshot(at)],
      { concurrency: 3 }
    )
    if (json) yield* printJson(encodeLeaks(reports))
    else if (reports.length === 0) yield* Console.log(Views.noLeaks(info.level))
    else yield* Console.log(Views.leaks(reports, now))
    if (exitCode && reports.length > 0) return yield* new Trouble({ kind: "refused", text: "" })
  })
).pipe(Command.withDescription("List what looks like a leak"))

// Snapshots.

const encodeSnapshot = Schema.encodeSync(Schema.toCodecJson(CoreSnapshot.Snapshot))

const reasonOf = ({ message, reason }: PlatformError): string =>
  reason._tag === "NotFound"
    ? "there is no such file or directory"
    : reason._tag === "PermissionDenied"
    ? "permission denied"
    : message

const snapshot = Command.make(
  "snapshot",
  {
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withMetavar("file"),
      Flag.withDescription("Save it as JSON, for diff"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*({ output }) {
    const { json, target: at } = yield* target
    const taken = yield* Client.snapshot(at)
    if (Option.isSome(output)) {
      const files = yield* FileSystem.FileSystem
      const text = `${JSON.stringify(encodeSnapshot(taken), null, 2)}\n`
      return yield* Effect.mapError(
        files.writeFileString(output.value, text, { mode: 0o600 }),
        (error) => new Trouble({ kind: "usage", text: `${output.value} can not be written: ${reasonOf(error)}` })
      )
    }
    if (json) yield* printJson(encodeSnapshot(taken))
    else yield* Console.log(CoreSnapshot.render(taken))
  })
).pipe(Command.withDescription("Print everything that the program holds, as a tree, or save it"))

const decodeSnapshot = Schema.decodeUnknownEffect(
  Schema.fromJsonString(Schema.toCodecJson(CoreSnapshot.Snapshot))
)

const load = Effect.fnUntraced(function*(path: string) {
  const files = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    files.readFileString(path),
    (error) => new Trouble({ kind: "usage", text: `${path} can not be read: ${reasonOf(error)}` })
  )
  return yield* Effect.mapError(
    decodeSnapshot(text),
    () => new Trouble({ kind: "usage", text: `${path} is no snapshot: "chronovyan snapshot --output FILE" makes one` })
  )
})

const encodeDiff = Schema.encodeSync(Schema.toCodecJson(CoreSnapshot.Diff))

const diff = Command.make(
  "diff",
  {
    before: Argument.String("A").pipe(Argument.withDescription("The earlier snapshot")),
    after: Argument.String("B").pipe(Argument.withDescription("The later one"))
  },
  Effect.fnUntraced(function*({ after, before }) {
    const { json } = yield* said
    const [first, second] = [yield* load(before), yield* load(after)]
    if (first.frames[0]?.openedAt !== second.frames[0]?.openedAt) {
      return yield* new Trouble({ kind: "usage", text: "These are snapshots of two programs, or of two runs of one" })
    }
    if (second.at < first.at) {
      return yield* new Trouble({
        kind: "usage",
        text: `${after} is older than ${before}: say them the other way round`
      })
    }
    const changes = CoreSnapshot.diff(first, second)
    if (json) return yield* printJson(encodeDiff(changes))
    yield* print(Views.diff(changes))
  })
).pipe(Command.withDescription("Tell what changed between two saved snapshots"))

// Control.

const control = (asked: Control) =>
  Effect.gen(function*() {
    const { json, target: at } = yield* target
    const done = yield* Client.control(at, asked)
    yield* json ? printJson({ message: done.message }) : Console.log(clean(done.message))
  })

const frameId = Flag.Int("frame").pipe(
  Flag.withDescription("The number of the pool's frame, when several pools have the name"),
  Flag.optional
)

const poolName = Argument.String("POOL").pipe(Argument.withDescription("The name of the pool"))

/** Only what was said is sent. */
const given = <const K extends string, A>(key: K, value: Option.Option<A>): { readonly [P in K]?: A } =>
  Option.isSome(value) ? { [key]: value.value } as { readonly [P in K]: A } : {}

const drain = Command.make(
  "drain",
  {
    pool: poolName,
    frameId,
    timeout: Flag.String("timeout").pipe(
      Flag.withMetavar("duration"),
      Flag.withDescription(
        "How long those who have an item can keep it: 10s, 2m (default: what the pool was made with)"
      ),
      Flag.filterMap(durationFlag, () => "a duration: 10s, 2m"),
      Flag.map(Duration.toMillis),
      Flag.optional
    )
  },
  ({ frameId, pool, timeout }) =>
    control({ _tag: "Drain", pool, ...given("frameId", frameId), ...given("timeout", timeout) })
).pipe(Command.withDescription("End a pool: those who wait are served, nobody new is"))

const resize = Command.make(
  "resize",
  {
    pool: poolName,
    frameId,
    min: Flag.Int("min").pipe(Flag.withDescription("How many items it keeps"), Flag.optional),
    max: Flag.Int("max").pipe(Flag.withDescription("How many items it may have"), Flag.optional)
  },
  ({ frameId, max, min, pool }) =>
    control({ _tag: "Resize", pool, ...given("frameId", frameId), ...given("min", min), ...given("max", max) })
).pipe(Command.withDescription("Change the size of a pool"))

const retire = Command.make(
  "retire",
  {
    resource: Argument.String("NAME").pipe(
      Argument.withDescription("A pool, or a shared or persistent definition")
    ),
    frameId
  },
  ({ frameId, resource }) => control({ _tag: "Retire", resource, ...given("frameId", frameId) })
).pipe(Command.withDescription("Replace what there is by new ones: all items of a pool, all values of a definition"))

export const command = root.pipe(
  Command.withSubcommands([ps, top, why, leaks, snapshot, diff, drain, resize, retire])
)

/**
 * The run: a walk, a bounded number of files at a time, an index.
 *
 * ```text
 * indexer                      the database
 * └─ run                       the budget: memory, descriptors, workers
 *    ├─ src/a.ts               a deadline; a file handle, a chunk, a table of words
 *    └─ src/b.ts
 * ```
 */
import { ResourceManager, TimeFrame } from "@chronovyan/core"
import { Cause, Clock, type Duration, Effect, Exit, Layer, Schedule, Schema, Stream } from "effect"
import { opendir, realpath } from "node:fs/promises"
import * as display from "./display.ts"
import * as Hashers from "./hashers.ts"
import { indexFile } from "./index-file.ts"
import * as Name from "./name.ts"
import type { Options } from "./options.ts"
import * as Plan from "./plan.ts"
import * as Progress from "./progress.ts"
import type { Report } from "./report.ts"
import * as Store from "./store.ts"
import { type Entry, walk } from "./walk.ts"

class NoDirectory extends Schema.TaggedError<NoDirectory>()("NoDirectory", {
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const { code, message } = this.cause as NodeJS.ErrnoException
    const reason = code === "ENOENT"
      ? "there is no such directory"
      : code === "ENOTDIR"
      ? "it is not a directory"
      : message
    return `Can not index ${this.path}: ${reason}`
  }
}

/** Indexes a directory, and hands what was found to `print`, also when it is interrupted on the way. */
export const run = (options: Options, print: (report: Report) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    const startedAt = yield* Clock.currentTimeMillis
    const root = yield* findRoot(options.directory)
    const store = yield* Store.open(options.database)
    const progress = Progress.make()
    const plan = Plan.make(options)
    let budgets: Report["budgets"] = []
    const report = Effect.gen(function*() {
      yield* store.commit
      const { resources } = yield* ResourceManager.snapshot
      const millis = (yield* Clock.currentTimeMillis) - startedAt
      return { directory: options.directory, millis, store, progress, budgets, resources, leaks: yield* leaks }
    })
    yield* indexTree({ root, store, progress, plan, timeout: options.timeout }).pipe(
      // The budgets of a frame can be seen as long as it is open.
      Effect.ensuring(Effect.map(budgetsOf(Object.keys(plan.budget)), (seen) => budgets = seen)),
      TimeFrame.run({ name: "run", budget: plan.budget }),
      Effect.onExit((exit) => {
        const interrupted = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
        if (Exit.isFailure(exit) && !interrupted) return Effect.void
        return Effect.flatMap(Effect.orDie(report), (report) => print({ ...report, interrupted }))
      })
    )
  }).pipe(
    TimeFrame.run({ name: "indexer" }),
    Effect.provide(
      (options.inspect ? inspected : Layer.empty).pipe(
        // After Ctrl-C nothing is waited for longer than this.
        Layer.provideMerge(ResourceManager.layer({ gracePeriod: "500 millis" }))
      )
    )
  )

/** Loaded when it is asked for: it brings a server with it. */
const inspected = Layer.unwrap(Effect.map(Effect.promise(() => import("./inspect.ts")), ({ layer }) => layer))

interface Tree {
  readonly root: Name.Name
  readonly store: Store.Store
  readonly progress: Progress.Progress
  readonly plan: Plan.Plan
  readonly timeout: Duration.Duration
}

const indexTree = Effect.fnUntraced(function*({ plan, progress, root, store, timeout }: Tree) {
  const hashers = yield* Hashers.start(plan.workers)
  const isOurs = yield* store.owns
  yield* Progress.show(progress)
  if (plan.listings > 1) yield* Effect.forkScoped(countFiles(root, progress))

  const index = Effect.fnUntraced(function*(path: Name.Name) {
    yield* store.addFile(yield* indexFile(path, { root, plan, hashers, progress, timeout }))
    progress.files++
  })
  const addError = Effect.fnUntraced(function*(path: Name.Name, reason: string) {
    yield* store.addError(path, reason)
    progress.errors++
  })
  // What is wrong with one file is written down; whatever else fails ends the run.
  const failed = (path: Name.Name) => (error: { readonly message: string }) => addError(path, error.message)
  const handle = (entry: Entry) => {
    const { path } = entry
    if (entry._tag === "Unreadable") return addError(path, entry.reason)
    if (entry._tag === "Skipped") return Effect.sync(() => progress.skipped[entry.kind]++)
    return index(path).pipe(Effect.catchTags({
      FileOpenError: ({ cause }) => addError(path, display.reasonOf(cause)),
      NotRegularFile: ({ kind }) => addError(path, `it became a ${kind}`),
      ReadError: failed(path),
      Changed: failed(path),
      DeadlineExceeded: failed(path)
    }))
  }

  // The stream asks the walk for more when a file is done, so there is never more than `concurrency` under way.
  yield* walk(root).pipe(
    Stream.filter(({ path }) => !isOurs(Name.join(root, path))),
    Stream.mapEffect(handle, { concurrency: plan.concurrency, unordered: true }),
    Stream.runDrain
  )
})

/** How many files there will be, for the progress bar: names alone are listed quickly. */
const countFiles = (root: Name.Name, progress: Progress.Progress) =>
  walk(root).pipe(
    Stream.runForEach(({ _tag }) => Effect.sync(() => _tag === "File" && progress.found++)),
    Effect.andThen(Effect.sync(() => progress.counted = true))
  )

/** The path without links, as bytes, if it is a directory that can be listed. */
const findRoot = (directory: string) =>
  Effect.tryPromise({
    try: async (): Promise<Name.Name> => {
      await (await opendir(directory)).close()
      return await realpath(directory, { encoding: "buffer" })
    },
    catch: (cause) => new NoDirectory({ path: directory, cause })
  })

/** How much of each unit the frame that this runs in has used. */
const budgetsOf = (units: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const path = yield* TimeFrame.path
    const { frames } = yield* ResourceManager.snapshot
    const budgets = frames.find((frame) => frame.path === path)?.budgets ?? []
    return units.flatMap((unit) => budgets.filter((budget) => budget.unit === unit))
  })

/**
 * What the run left behind; the database is still to be read, and belongs to the frame around it. A file that was given
 * up while the system opened it is closed as soon as it is open: that has a moment to happen.
 */
const leaks = Effect.gen(function*() {
  const path = yield* TimeFrame.path
  const { allocations } = yield* ResourceManager.snapshot
  return allocations.filter(({ frame, orphaned }) => orphaned || frame.startsWith(`${path}/`)).length
}).pipe(
  Effect.repeat({ until: (leaks) => leaks === 0, times: 25, schedule: Schedule.spaced("10 millis") })
)

/**
 * Lists a tree: every name that is not a directory, in no particular order.
 *
 * Only what is asked for is listed, so a slow reader slows the walk down. What is in memory is one piece of the
 * directory being listed and the names of the directories still to come, never the tree.
 */
import { Allocation, ResourceDefinition, ResourceManager } from "@chronovyan/core"
import { Effect, Option, Schema, Stream } from "effect"
import type { Dir, Dirent } from "node:fs"
import { opendir } from "node:fs/promises"
import { reasonOf } from "./display.ts"
import * as Name from "./name.ts"
import { whenThereIsRoom } from "./plan.ts"

export type Kind = "link" | "pipe" | "socket" | "device"

export type Entry =
  | { readonly _tag: "File"; readonly path: Name.Name }
  | { readonly _tag: "Skipped"; readonly path: Name.Name; readonly kind: Kind }
  | { readonly _tag: "Unreadable"; readonly path: Name.Name; readonly reason: string }

class DirectoryError extends Schema.TaggedError<DirectoryError>()("DirectoryError", { cause: Schema.Defect() }) {
  override get message(): string {
    return reasonOf(this.cause)
  }
}

const tryDirectory = <A>(evaluate: () => Promise<A>) =>
  Effect.tryPromise({ try: evaluate, catch: (cause) => new DirectoryError({ cause }) })

/** A definition takes this little: what it needs to know, what it costs, how it begins and how it ends. */
const Directory = ResourceDefinition.temporal("directory", {
  params: Schema.Uint8Array,
  cost: () => ({ descriptors: 1 }),
  acquire: (path) => tryDirectory(() => opendir(Buffer.from(path), { encoding: "buffer" as BufferEncoding })),
  release: (directory) => Effect.promise(() => directory.close())
})

/** How many entries are handed on at a time. */
const batch = 128

/** Lists what is in `root`; paths are relative to it. */
export const walk = (root: Name.Name) => {
  const pending: Array<Name.Name> = [new Uint8Array()]
  let open: { readonly path: Name.Name; readonly handle: Allocation.Allocation<Dir> } | undefined

  const next = Effect.gen(function*() {
    if (open === undefined) {
      const path = pending.pop()!
      open = { path, handle: yield* ResourceManager.allocate(Directory, Name.join(root, path)).pipe(whenThereIsRoom) }
    }
    const { handle, path } = open
    const entries = yield* tryDirectory(() => take(handle.value, batch))
    if (entries.length < batch) yield* close
    return entries.flatMap((entry) => {
      const inside = Name.join(path, entry.name as unknown as Name.Name)
      if (!entry.isDirectory()) return [classify(entry, inside)]
      pending.push(inside)
      return []
    })
  })

  const close = Effect.suspend(() => {
    const handle = open?.handle
    open = undefined
    return handle === undefined ? Effect.void : handle.release
  })

  return Stream.paginate(undefined, () => {
    const path = open?.path ?? pending.at(-1)!
    return next.pipe(
      Effect.catchTag(
        "DirectoryError",
        ({ message }) => Effect.as(close, [{ _tag: "Unreadable", path, reason: message } satisfies Entry])
      ),
      Effect.map((entries: ReadonlyArray<Entry>) => {
        const done = open === undefined && pending.length === 0
        return [entries, done ? Option.none() : Option.some(undefined)] as const
      })
    )
  })
}

const take = async (directory: Dir, limit: number): Promise<Array<Dirent>> => {
  const entries: Array<Dirent> = []
  while (entries.length < limit) {
    const entry = await directory.read()
    if (entry === null) break
    entries.push(entry)
  }
  return entries
}

const classify = (entry: Dirent, path: Name.Name): Entry => {
  if (entry.isFile()) return { _tag: "File", path }
  const kind = entry.isSymbolicLink() ? "link" : entry.isFIFO() ? "pipe" : entry.isSocket() ? "socket" : "device"
  return { _tag: "Skipped", path, kind }
}

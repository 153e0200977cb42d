/**
 * Finds the programs of this user that can be inspected. Owned by the command.
 */
import * as Effect from "effect/Effect"
import type { Info, Registration } from "../Protocol.ts"
import * as Client from "./client.ts"
import type { Target } from "./client.ts"
import * as RuntimeDirectory from "./runtimeDirectory.ts"
import { clean } from "./text.ts"
import { Trouble } from "./trouble.ts"

/** What was said about which program is meant. */
export interface Wanted {
  readonly address: string | undefined
  readonly program: string | undefined
  readonly token: string | undefined
}

/** A program that answers; without `info` it wants a token that was not given. */
export interface Program {
  readonly target: Target
  readonly name: string
  readonly pid: number
  readonly startedAt: number
  readonly info: Info | undefined
}

/** A program on this machine answers at once, or is stuck. */
const patience = 2000

/** One whose file is left, but that does not answer, or is another program by now, is none. */
const probe = (registration: Registration, token: string | undefined): Effect.Effect<Program | undefined> => {
  const { address, name, pid, startedAt } = registration
  const target = { address, token }
  const known = { target, name, pid, startedAt }
  return Effect.match(Client.info({ ...target, timeout: patience }), {
    onSuccess: (info) => info.pid === pid ? { ...known, info } : undefined,
    onFailure: (trouble) => trouble.kind === "token" ? { ...known, info: undefined } : undefined
  })
}

/** Those that run and answer. */
export const running = (token: string | undefined): Effect.Effect<ReadonlyArray<Program>> =>
  Effect.map(
    Effect.flatMap(
      Effect.sync(RuntimeDirectory.list),
      (found) => Effect.forEach(found, (one) => probe(one, token), { concurrency: 16 })
    ),
    (programs) => programs.filter((program) => program !== undefined)
  )

const nothingRuns = "No program of this user lets itself be inspected: one that does has an Inspector.layer, " +
  "and is found by itself; for any other give --address"

/** The one that is meant. */
export const find = (wanted: Wanted): Effect.Effect<Target, Trouble> => {
  const { address, program, token } = wanted
  if (address !== undefined) return Effect.succeed({ address, token })
  return Effect.flatMap(running(token), (all) => {
    const isMeant = ({ name, pid }: Program) => program === undefined || name === program || String(pid) === program
    const found = all.filter(isMeant)
    if (found.length === 1) return Effect.succeed(found[0]!.target)
    if (all.length === 0) return Effect.fail(new Trouble({ kind: "unreachable", text: nothingRuns }))
    const choice = (found.length === 0 ? all : found).map(({ name, pid }) => `${clean(name)} (${pid})`).join(", ")
    return Effect.fail(
      found.length === 0
        ? new Trouble({ kind: "unreachable", text: `No program "${program}" runs; there are ${choice}` })
        : new Trouble({ kind: "usage", text: `Several programs run: say which one with --program: ${choice}` })
    )
  })
}

/**
 * Two minutes of traffic. Two tenants are people, who ask now and then; two are programs, and each of them alone asks for
 * all that there is.
 */

export interface Tenant {
  readonly name: string
  /** What its turn is worth, against that of the others. */
  readonly weight: number
}

export interface Request {
  readonly tenant: Tenant
  /** When it comes, in seconds. */
  readonly at: number
  /** The prompt, and the longest answer that is wanted. */
  readonly tokens: number
  /** How long the model takes for it, in seconds. */
  readonly takes: number
}

const chat: Tenant = { name: "chat", weight: 4 }
const search: Tenant = { name: "search", weight: 1 }
const reports: Tenant = { name: "reports", weight: 2 }
const nightly: Tenant = { name: "nightly", weight: 1 }

export const tenants: ReadonlyArray<Tenant> = [chat, search, reports, nightly]

const end = 120

/** The seconds in which tokens are all that is short: after the burst is gone, and before the model hangs. */
export const steady = { from: 10, to: 90 }

/** For ten seconds the model hangs: what comes then takes forty. */
const hangs = (at: number): boolean => at >= 90 && at < 100

/** One after another, from a moment on. */
const every = (seconds: number, from: number, tenant: Tenant, tokens: number, takes: number): Array<Request> =>
  Array.from({ length: Math.ceil((end - from) / seconds) }, (_, i) => {
    const at = from + seconds * i
    return { tenant, at, tokens, takes: hangs(at) ? 40 : takes }
  })

export const requests: ReadonlyArray<Request> = [
  ...every(1, 0, nightly, 1_000, 4),
  ...every(1, 0.1, reports, 1_000, 4),
  ...every(4, 0.5, chat, 600, 2),
  ...every(6, 0.7, search, 400, 1),
  // A whole book: more than the gateway may take at once.
  { tenant: nightly, at: 30.2, tokens: 200_000, takes: 60 }
].toSorted((one, other) => one.at - other.at)

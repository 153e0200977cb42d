/**
 * The pools that are compared, each with ten items and an acquire timeout, and a queue of fibers without any pool.
 */
import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
import { Effect, Pool } from "effect"
import genericPool from "generic-pool"
import { createPool } from "lightning-pool"
import { Pool as TarnPool } from "tarn"

export interface Item {
  readonly id: number
}

export const size = 10

let made = 0

const create = (): Item => ({ id: ++made })

const acquire = Effect.sync(create)

const Connection = ResourceDefinition.temporal("connection", { acquire: () => acquire, release: () => Effect.void })

/** Ours; it belongs to the frame that it is made in. */
export const ours = (acquireTimeout: number) =>
  ResourcePool.make(Connection, { min: size, max: size, acquireTimeout, warmUp: { failFast: true } })

/** Effect's, that knows no acquire timeout. */
export const effects = Pool.make({ acquire, size })

/** A fiber that has an item or waits for one. */
class Waiting {
  ahead: Waiting | undefined = undefined
  behind: Waiting | undefined = undefined
  item: Item | undefined = undefined
  resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined
}

/**
 * The least that lets fibers wait for items in the order that they came, and gives back what an interrupted one had: a
 * linked list of how to resume them. It knows no timeout, no failure, no statistics, and nobody can look into it.
 */
export const bareQueue = () => {
  const free = Array.from({ length: size }, create)
  let first: Waiting | undefined = undefined
  let last: Waiting | undefined = undefined
  const append = (one: Waiting) => {
    one.ahead = last
    if (last === undefined) first = one
    else last.behind = one
    last = one
  }
  const remove = ({ ahead, behind }: Waiting) => {
    if (ahead === undefined) first = behind
    else ahead.behind = behind
    if (behind === undefined) last = ahead
    else behind.ahead = ahead
  }
  const take = (one: Waiting): Effect.Effect<void> => {
    one.item = free.pop()
    if (one.item !== undefined) return Effect.void
    return Effect.callback((resume) => {
      one.resume = resume
      append(one)
    })
  }
  const giveBack = (item: Item) => {
    const next: Waiting | undefined = first
    if (next === undefined) {
      free.push(item)
      return
    }
    remove(next)
    next.item = item
    next.resume!(Effect.void)
  }
  const leave = (one: Waiting): undefined => {
    if (one.item !== undefined) giveBack(one.item)
    else if (one.resume !== undefined) remove(one)
  }
  return {
    /** Borrows for as long as `hold` takes. */
    use: (hold: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const one = new Waiting()
        return Effect.onExitPrimitive(Effect.flatMap(Effect.suspend(() => take(one)), () => hold), () => leave(one))
      })
  }
}

/** A pool of promises. */
export interface PromisePool {
  readonly name: string
  /** Borrows, looks at the item, gives it back. */
  readonly look: () => Promise<number>
  /** Borrows until the hold ends. */
  readonly hold: (hold: () => Promise<void>) => Promise<void>
}

const generic = (acquireTimeoutMillis: number): PromisePool => {
  const pool = genericPool.createPool<Item>({ create: async () => create(), destroy: async () => {} }, {
    max: size,
    acquireTimeoutMillis
  })
  return {
    name: "generic-pool",
    look: async () => {
      const item = await pool.acquire()
      try {
        return item.id
      } finally {
        void pool.release(item)
      }
    },
    hold: async (hold) => {
      const item = await pool.acquire()
      try {
        await hold()
      } finally {
        void pool.release(item)
      }
    }
  }
}

const tarn = (acquireTimeoutMillis: number): PromisePool => {
  const pool = new TarnPool<Item>({
    create: async () => create(),
    destroy: () => {},
    min: 0,
    max: size,
    acquireTimeoutMillis
  })
  return {
    name: "tarn",
    look: async () => {
      const item = await pool.acquire().promise
      try {
        return item.id
      } finally {
        pool.release(item)
      }
    },
    hold: async (hold) => {
      const item = await pool.acquire().promise
      try {
        await hold()
      } finally {
        pool.release(item)
      }
    }
  }
}

const lightning = (acquireTimeoutMillis: number): PromisePool => {
  const pool = createPool<Item>({ create, destroy: () => {} }, {
    max: size,
    maxQueue: 1_000_000,
    acquireTimeoutMillis
  })
  return {
    name: "lightning-pool",
    look: async () => {
      const item = await pool.acquire()
      try {
        return item.id
      } finally {
        pool.release(item)
      }
    },
    hold: async (hold) => {
      const item = await pool.acquire()
      try {
        await hold()
      } finally {
        pool.release(item)
      }
    }
  }
}

export const promisePools: ReadonlyArray<(acquireTimeoutMillis: number) => PromisePool> = [generic, tarn, lightning]

/** Until the next turn of the event loop. */
export const immediate: Effect.Effect<void> = Effect.callback<void>((resume) => {
  setImmediate(resume, Effect.void)
})

const onImmediate = (resolve: () => void) => {
  setImmediate(resolve)
}

export const immediatePromise = (): Promise<void> => new Promise(onImmediate)

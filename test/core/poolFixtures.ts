import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
import { assert } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Latch, Scope } from "effect"
import type { Duration } from "effect"
import { failureOf, settle, start } from "./fixtures.ts"

/** What the pools of these tests lend: it knows whether it is open, and how many have used it at once. */
export class Item {
  readonly id: number
  isOpen = true
  users = 0
  mostUsers = 0
  uses = 0

  constructor(id: number) {
    this.id = id
  }
}

/** Makes numbered items, and keeps the books: each is closed once, and none is used when it is closed. */
export const makeStock = <E = never>(options: {
  readonly create?: (id: number) => Effect.Effect<unknown, E>
  readonly release?: (id: number) => Effect.Effect<unknown>
  /** `false`: a creation ignores interruption. */
  readonly interruptible?: boolean
} = {}) => {
  const items: Array<Item> = []
  const closed: Array<number> = []
  const wrong: Array<string> = []
  const state = { started: 0, creating: 0, mostCreating: 0, mostOpen: 0 }
  const open = () => items.filter(({ isOpen }) => isOpen)
  const acquire = Effect.suspend((): Effect.Effect<Item, E> => {
    const id = ++state.started
    state.creating++
    state.mostCreating = Math.max(state.mostCreating, state.creating)
    return (options.create?.(id) ?? Effect.void).pipe(
      Effect.onExit(() => Effect.sync(() => void state.creating--)),
      Effect.map(() => {
        const item = new Item(id)
        items.push(item)
        state.mostOpen = Math.max(state.mostOpen, open().length)
        return item
      })
    )
  })
  const release = (item: Item) =>
    Effect.suspend(() => {
      if (!item.isOpen) wrong.push(`${item.id} is closed twice`)
      if (item.users > 0) wrong.push(`${item.id} is closed while it is used`)
      return (options.release?.(item.id) ?? Effect.void).pipe(Effect.andThen(Effect.sync(() => {
        item.isOpen = false
        closed.push(item.id)
      })))
    })
  const Thing = ResourceDefinition.temporal("thing", {
    cost: () => ({ things: 1 }),
    acquire: () => acquire,
    release,
    interruptible: options.interruptible ?? true
  })
  return {
    state,
    items,
    /** The numbers of those that were closed, in that order. */
    closed,
    /** What must not happen. */
    wrong,
    Thing,
    /** As Effect's own pools take it. */
    scoped: Effect.acquireRelease(acquire, release),
    open: () => open().map(({ id }) => id)
  }
}

/** Uses an item as a careful borrower does: it must be open, and nobody else may use it. */
export const working = <A = void, E = never, R = never>(
  stock: { readonly wrong: Array<string> },
  body: (item: Item) => Effect.Effect<A, E, R>
) =>
(item: Item): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      if (!item.isOpen) stock.wrong.push(`${item.id} is lent after it was closed`)
      item.uses++
      item.users++
      item.mostUsers = Math.max(item.mostUsers, item.users)
    }),
    () => body(item),
    () => Effect.sync(() => void item.users--)
  )

/** Starts a fiber that ends before the pools that were made earlier in the same scope. */
export const spawn = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.tap(start(effect), (fiber) => Effect.addFinalizer(() => Fiber.interrupt(fiber)))

/** Somebody who has an item, or waits for one, and keeps it until it is told to let go. */
export const hold = <A, E>(pool: ResourcePool.ResourcePool<A, E>) =>
  Effect.gen(function*() {
    const gate = Latch.makeUnsafe(false)
    const got = yield* Deferred.make<A>()
    const fiber = yield* spawn(
      ResourcePool.use(pool, (item) => Effect.andThen(Deferred.succeed(got, item), gate.await))
    )
    yield* settle
    return {
      fiber,
      item: Deferred.await(got),
      has: () => Deferred.isDoneUnsafe(got),
      release: Effect.andThen(gate.open, Fiber.await(fiber))
    }
  })

/** A borrower that notes its name when it has an item, and gives it back at once. */
export const queueUp = <A, E>(pool: ResourcePool.ResourcePool<A, E>, served: Array<string>, name: string) =>
  start(ResourcePool.use(pool, () => Effect.sync(() => void served.push(name))))

/** What it failed with, which it must have by now. */
export const failedWith = <A, E>(fiber: Fiber.Fiber<A, E>): E => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, "it has not ended")
  const failure = failureOf(exit)
  assert.isDefined(failure, `it has not failed, but ${String(exit)}`)
  return failure
}

/** A scope that a test closes by itself. */
export const ownScope = Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))

/** A clock that counts the sleeps that go on, on top of the clock of the test. */
export const countingClock = Effect.map(Effect.service(Clock.Clock), (clock) => {
  const counts = { asleep: 0, started: 0 }
  const counting: Clock.Clock = Object.create(clock, {
    sleep: {
      value: (duration: Duration.Duration) =>
        Effect.suspend(() => {
          counts.asleep++
          counts.started++
          return Effect.onExit(clock.sleep(duration), () => Effect.sync(() => void counts.asleep--))
        })
    }
  })
  return { clock: counting, counts }
})

/** Numbers that no pool may ever show. */
export const assertSane = (stats: ResourcePool.Stats) => {
  for (const key of ["idle", "used", "waiting", "total", "creating", "busy", "closing", "abandoned"] as const) {
    assert.isAtLeast(stats[key], 0, key)
  }
  assert.isAtMost(stats.total, stats.max)
  assert.strictEqual(stats.idle + stats.used + stats.creating + stats.busy + stats.closing, stats.total)
}

import { ResourcePool } from "@chronovyan/core"
import { Effect, Exit, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Books } from "./poolRandomBooks.ts"
import { Borrowing, simpleWays, ways } from "./poolRandomBorrowing.ts"
import type { Way } from "./poolRandomBorrowing.ts"
import { Stage } from "./poolRandomStage.ts"
import { count } from "./poolRandomWorld.ts"
import type { Random, Tally } from "./poolRandomWorld.ts"

const weights = {
  advance: 26,
  use: 24,
  get: 6,
  "get in a foreign scope": 4,
  allocate: 6,
  "allocate and transfer": 5,
  "use by the manager": 3,
  "nested use": 4,
  interrupt: 4,
  invalidate: 3,
  "close a foreign scope": 3,
  "release a handle": 3,
  "close a frame": 1,
  retireAll: 1,
  resize: 3,
  suspend: 1,
  resume: 3
}

type Command = keyof typeof weights

export const commands = Object.keys(weights) as ReadonlyArray<Command>
const lots = commands.flatMap((command) => Array.from({ length: weights[command] }, () => command))
const isAmong = <A extends string>(names: ReadonlyArray<A>, name: string): name is A =>
  (names as ReadonlyArray<string>).includes(name)

/** The time in which everything comes to its end that still goes on. */
const enough = 200

/** Does one thing after another to a pool, or to the pools of some keys, and checks what holds after each of them. */
export class Driver {
  readonly stage: Stage
  /** How many things were done. */
  steps = 0
  private readonly books: Books
  private readonly borrowing: Borrowing

  constructor(random: Random, tally: Tally) {
    this.stage = new Stage(random, tally)
    this.books = new Books(this.stage)
    this.borrowing = new Borrowing(this.stage)
  }

  get wrong(): ReadonlyArray<string> {
    return this.stage.world.wrong
  }

  begin(): Effect.Effect<void> {
    return Effect.map(this.stage.open(), () => {
      this.books.look()
      this.stage.world.isHealthy = false
    })
  }

  step(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { forked, random, settled, tally } = this.stage
      this.steps++
      count(tally, "operations")
      yield* this.perform(lots[random(lots.length)]!)
      yield* forked
      this.books.look()
      if (this.steps % 4 > 0) return
      yield* settled
      this.books.check()
    })
  }

  private perform(command: Command): Effect.Effect<unknown> {
    const { stage } = this
    if (isAmong(ways, command)) return Effect.sync(() => this.borrow(command))
    if (command === "release a handle") return Effect.sync(() => this.borrowing.releaseOne())
    if (command === "interrupt") return Effect.sync(() => this.interrupt())
    if (command === "invalidate") return Effect.sync(() => this.invalidate())
    if (command === "close a frame") return stage.isManaged ? this.closeFrame(0) : Effect.void
    count(stage.tally, command)
    const { random } = stage
    const pool = stage.pick(stage.pools)!
    switch (command) {
      case "advance":
        return TestClock.adjust(random(12) === 0 ? 10 + random(20) : 1 + random(4))
      case "close a foreign scope":
        return Effect.sync(() => this.closeScope(random(stage.scopes.length)))
      case "retireAll":
        return Effect.sync(() => stage.fork(command, ResourcePool.retireAll(pool)))
      case "resize":
        return ResourcePool.resize(pool, { min: random(2), max: 1 + random(4) })
      case "suspend":
        return ResourcePool.suspend(pool)
      case "resume":
        return Effect.forEach(stage.pools, ResourcePool.resume)
    }
  }

  private borrow(way: Way): void {
    const possible = this.stage.isManaged || isAmong(simpleWays, way) ? way : "use"
    count(this.stage.tally, possible)
    this.borrowing.borrow(possible)
  }

  private interrupt(): void {
    const { fibers, tally } = this.stage
    const running = this.stage.pick(fibers.filter(({ fiber }) => fiber.pollUnsafe() === undefined))
    if (running === undefined) return
    count(tally, "interrupt")
    running.fiber.interruptUnsafe()
  }

  /** Some are gone by then. */
  private invalidate(): void {
    const { pools, random, tally, world } = this.stage
    const item = this.stage.pick(random(8) === 0 ? world.items : world.open)
    if (item === undefined) return
    count(tally, "invalidate")
    this.stage.fork("invalidate", ResourcePool.invalidate(pools[item.key]!, item))
  }

  /** Another one takes its place. */
  private closeScope(index: number): void {
    const { random, scopes } = this.stage
    const [scope] = scopes.splice(index, 1, Scope.makeUnsafe())
    this.stage.fork("close a foreign scope", Scope.close(scope!, random(2) === 0 ? Exit.void : Exit.fail("broken")))
  }

  /** Another one takes its place. */
  private closeFrame(index: number): Effect.Effect<void> {
    count(this.stage.tally, "close a frame")
    return Effect.map(this.stage.openFrame(`frame ${this.steps}`), (frame) => {
      const [closed] = this.stage.frames.splice(index, 1)
      this.stage.frames.push(frame)
      this.stage.fork("close a frame", Scope.close(closed!.scope, Exit.void))
    })
  }

  // How it ends.

  /** All goes well from now on: everybody is served or refused, all room is there, and nothing is left after the end. */
  finish(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { frames, pools, scopes, size, world } = this.stage
      world.isHealthy = true
      for (const pool of pools) {
        yield* ResourcePool.resume(pool)
        yield* ResourcePool.resize(pool, size)
      }
      yield* world.gate.open
      yield* this.stage.advance(enough)
      for (const index of scopes.keys()) this.closeScope(index)
      for (const _ of Array.from(frames)) yield* this.closeFrame(0)
      yield* this.stage.advance(enough)
      this.books.checkRest()
      if (this.wrong.length === 0) yield* this.fill()
      if (this.wrong.length === 0) yield* this.end()
    })
  }

  /** For each place of each item that there may be, somebody gets one. */
  private fill(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { isKeyed, maxTotal, options: { concurrency }, pools, size } = this.stage
      const gate = Latch.makeUnsafe()
      // One that is nearly worn out has no room for all.
      for (const pool of pools) this.stage.fork("retireAll", ResourcePool.retireAll(pool))
      yield* this.stage.advance(40)
      let has = 0
      let left = isKeyed ? maxTotal : size.max
      const most = left * concurrency
      const hold = Effect.suspend(() => {
        has++
        return gate.await
      })
      for (const [key, pool] of pools.entries()) {
        const items = Math.min(left, size.max)
        left -= items
        for (let one = 0; one < items * concurrency; one++) {
          const borrower = this.stage.borrower("fresh borrower", key)
          this.stage.fork(
            "fresh borrower",
            ResourcePool.use(pool, this.borrowing.using(borrower, () => hold)),
            borrower
          )
          yield* this.stage.forked
          yield* TestClock.adjust(1)
        }
      }
      yield* this.stage.advance(10)
      this.books.checkCapacity(has, most)
      this.books.check()
      yield* gate.open
      yield* this.stage.advance(50)
      this.books.checkRest()
    })
  }

  /** Some are still at it, and some of those would never let go. */
  private end(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { isManaged, pools, random, tally, world } = this.stage
      const gate = Latch.makeUnsafe()
      this.stage.isEnding = true
      const last = random(3) > 0 ? 0 : random(6)
      for (let one = 0; one < last; one++) this.borrowing.borrow(isManaged && one % 2 > 0 ? "allocate" : "use")
      world.isForced = random(6) === 0
      if (world.isForced) {
        count(tally, "forced end")
        const borrower = this.stage.borrower("stubborn borrower", 0)
        const held = ResourcePool.use(pools[0]!, this.borrowing.using(borrower, () => gate.await))
        this.stage.fork("stubborn borrower", held, borrower)
      }
      yield* this.stage.forked
      const end = [ResourcePool.close, ResourcePool.drain][random(3)]
      if (end !== undefined) {
        for (const pool of pools) this.stage.fork("the end", end(pool))
        yield* this.stage.advance(enough)
        this.books.checkEnded("stubborn borrower")
      }
      this.stage.fork("the end of the scope", Scope.close(this.stage.scope, Exit.void))
      yield* this.stage.advance(enough)
      this.books.checkEnded("stubborn borrower")
      yield* gate.open
      yield* this.stage.settled
      this.books.checkRest()
      this.books.checkClosed()
      yield* this.endManager()
    })
  }

  private endManager(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { frames, isManaged, managerScope } = this.stage
      if (isManaged) {
        for (const { scope } of frames) this.stage.fork("close a frame", Scope.close(scope, Exit.void))
        yield* this.stage.settled
        yield* this.books.checkManager()
      }
      yield* Scope.close(managerScope, Exit.void)
      yield* this.stage.settled
      this.books.checkEnded()
      this.books.checkTimers()
    })
  }
}

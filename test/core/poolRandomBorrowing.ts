import { Allocation, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Effect, Scope } from "effect"
import type { Borrower, Pool, Program, Stage } from "./poolRandomStage.ts"
import { count } from "./poolRandomWorld.ts"
import type { Item } from "./poolRandomWorld.ts"
import { Meant } from "./sweepWorld.ts"

/** Without a manager. */
export const simpleWays = ["use", "get", "get in a foreign scope", "nested use"] as const
export const ways = [...simpleWays, "allocate", "allocate and transfer", "use by the manager"] as const
export type Way = (typeof ways)[number]

/** What a borrower has, until somebody gives it back. */
interface Loan {
  readonly item: Item
  readonly end: () => void
}

interface Kept {
  readonly handle: Allocation.Allocation<Item>
  readonly loan: Loan
  /** Who owns it. */
  frame: TimeFrame.TimeFrame
}

/** All the ways to borrow, and what is done with an item then; the world hears of each end before the pool does. */
export class Borrowing {
  private readonly stage: Stage
  /** What other frames own now. */
  private readonly kept: Array<Kept> = []

  constructor(stage: Stage) {
    this.stage = stage
  }

  borrow(way: Way): void {
    const { stage } = this
    const key = stage.random(stage.pools.length)
    const borrower = stage.borrower(way, key)
    stage.fork(way, this.placed(way, this.programOf(way, borrower, stage.pools[key]!)), borrower)
  }

  /** Uses an item for as long as it is lent. */
  using(borrower: Borrower, body: (item: Item) => Program): (item: Item) => Program {
    return (item) =>
      Effect.acquireUseRelease(
        Effect.sync(() => this.loan(borrower, item)),
        () => body(item),
        (loan) => Effect.sync(loan.end)
      )
  }

  /** Gives back what was moved to another frame. */
  releaseOne(): void {
    const kept = this.stage.pick(this.kept.filter(({ handle }) => handle.isLive))
    if (kept === undefined) return
    count(this.stage.tally, "release a handle")
    this.stage.fork("release a handle", this.released(kept))
  }

  private loan(borrower: Borrower, item: Item): Loan {
    const { key } = borrower
    borrower.isWaiting = false
    borrower.has.push(key)
    this.stage.world.enter(item)
    let isOver = false
    const end = () => {
      if (isOver) return
      isOver = true
      borrower.has.splice(borrower.has.indexOf(key), 1)
      item.users--
    }
    return { item, end }
  }

  /** Some have a priority, a deadline or a frame. */
  private placed(way: Way, program: Program): Program {
    const { isManaged, random } = this.stage
    const urgent = Effect.provideService(program, ResourcePool.Priority, random(3))
    const timed = random(6) === 0 ? Effect.timeout(urgent, 6) : urgent
    if (!isManaged || (way === "use" && random(2) === 0)) return timed
    const options = { name: "borrower", budget: { turns: 3 } }
    return random(8) === 0 ? TimeFrame.run(timed, { ...options, timeout: 9 }) : TimeFrame.run(timed, options)
  }

  private programOf(way: Way, borrower: Borrower, pool: Pool): Program {
    const { random, scopes } = this.stage
    const work = (item: Item) => this.work(item)
    switch (way) {
      case "use":
        return ResourcePool.use(pool, this.using(borrower, work))
      case "get":
        return Effect.scoped(Effect.flatMap(this.got(borrower, pool), work))
      case "get in a foreign scope":
        return Scope.provide(this.got(borrower, pool), scopes[random(scopes.length)]!)
      case "use by the manager":
        return ResourceManager.use(pool, undefined, this.using(borrower, work))
      case "nested use": {
        const again = Effect.andThen(Effect.sleep(random(4)), this.again(borrower, this.using(borrower, work)))
        return ResourcePool.use(pool, this.using(borrower, () => again))
      }
      case "allocate": {
        const isEarly = random(3) > 0
        const rest = Effect.sleep(random(8))
        return Effect.flatMap(this.allocated(borrower, pool), (kept) => {
          const worked = work(kept.loan.item)
          return isEarly ? Effect.andThen(Effect.andThen(worked, this.released(kept)), rest) : worked
        })
      }
      case "allocate and transfer": {
        const pause = random(2) === 0 ? Effect.void : Effect.yieldNow
        return Effect.flatMap(
          this.allocated(borrower, pool),
          (kept) => Effect.andThen(pause, this.transferred(kept))
        )
      }
    }
  }

  /** Who has an item asks for one more; on another fiber, of which nobody knows what it has, not for ever. */
  private again(borrower: Borrower, body: (item: Item) => Program): Program {
    return Effect.suspend(() => {
      const { pools, random } = this.stage
      const isPatient = random(2) === 0
      borrower.key = random(pools.length)
      borrower.since = this.stage.now()
      borrower.isWaiting = true
      const inner = ResourcePool.use(pools[borrower.key]!, body)
      return Effect.onExit(
        isPatient ? inner : Effect.timeout(inner, 10),
        () => Effect.sync(() => void (borrower.isWaiting = false))
      )
    })
  }

  /** Until the scope around closes. */
  private got(borrower: Borrower, pool: Pool): Program<Item> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(ResourcePool.get(pool)), (item) =>
        Effect.flatMap(Effect.scope, (scope) => {
          borrower.isWaiting = false
          // Nobody keeps anything in a scope that is closed.
          if (scope.state._tag === "Closed") return Effect.succeed(item)
          const loan = this.loan(borrower, item)
          return Effect.as(Scope.addFinalizer(scope, Effect.sync(loan.end)), item)
        }))
    )
  }

  private allocated(borrower: Borrower, pool: Pool): Program<Kept> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(ResourceManager.allocate(pool)), (handle) => {
        const loan = this.loan(borrower, handle.value)
        return Effect.flatMap(TimeFrame.current, (frame) => {
          const kept = { handle, loan, frame }
          return Effect.as(this.whileOwned(kept, frame), kept)
        })
      })
    )
  }

  /** The loan ends with the frame around, if that still owns it. */
  private whileOwned(kept: Kept, frame: TimeFrame.TimeFrame): Effect.Effect<void, never, Scope.Scope> {
    return Effect.addFinalizer(() =>
      Effect.sync(() => {
        if (kept.frame === frame) kept.loan.end()
      })
    )
  }

  private transferred(kept: Kept): Program {
    return Effect.suspend(() => {
      // Those that are served in the end keep nothing.
      if (this.stage.world.isHealthy) return Effect.void
      const { frame } = this.stage.pick(this.stage.frames)!
      return Effect.uninterruptible(Effect.tap(Allocation.transfer(kept.handle, frame), () => {
        kept.frame = frame
        this.kept.push(kept)
        return TimeFrame.provide(this.whileOwned(kept, frame), frame)
      }))
    })
  }

  private released({ handle, loan }: Kept): Effect.Effect<void> {
    return Effect.suspend(() => {
      loan.end()
      return handle.release
    })
  }

  /** What a borrower does with its item: some fail or die, some never come to an end by themselves, some break it. */
  private work(item: Item): Program {
    const { isEnding, pools, random, tally, world } = this.stage
    if (isEnding) return Effect.sleep(5)
    const how = random(60)
    const hold = how === 0
      ? world.gate.await
      : how % 6 === 0
      ? Effect.yieldNow
      : Effect.sleep(how < 6 ? 8 + how * 4 : how % 6)
    const invalidate = Effect.suspend(() => {
      count(tally, "invalidate in use")
      return ResourcePool.invalidate(pools[item.key]!, item)
    })
    switch (random(24)) {
      case 0:
      case 1:
        return Effect.andThen(hold, Effect.fail({ _tag: "Broken" }))
      case 2:
        return Effect.andThen(hold, Effect.die(new Meant("work")))
      case 3:
        return Effect.andThen(hold, invalidate)
      case 4:
        return Effect.andThen(invalidate, hold)
      default:
        return hold
    }
  }
}

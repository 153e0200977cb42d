import { Allocation, ResourceDefinition, ResourceManager, ResourcePool, TimeFrame } from "@chronovyan/core"
import { Effect, Exit, Fiber, Scope } from "effect"
import type { Random } from "./poolRandomWorld.ts"
import { Meant } from "./sweepWorld.ts"

type Definition = ResourceDefinition.ResourceDefinition<void, string, unknown>
type Pool = ResourcePool.ResourcePool<string, unknown>

/** Does at random what can be done to a manager and its pools. */
export class World {
  private readonly random: Random
  private readonly definitions: ReadonlyArray<Definition>
  private readonly fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  private readonly handles: Array<Allocation.Handle> = []
  private readonly pools: Array<Pool> = []
  private readonly scopes: Array<Scope.Closeable> = []
  /** No two have the same name: what outlived one is found by its path. */
  private frames = 0
  private server: TimeFrame.TimeFrame | undefined = undefined

  /** Looks at the manager, from within whatever goes on. */
  private readonly look: () => void

  /** Do some wait for budgets? */
  private readonly waits: boolean

  constructor(random: Random, waits: boolean, look: () => void) {
    this.random = random
    this.waits = waits
    this.look = look
    const recipe = {
      cost: () => ({ units: 1 + random(3) }),
      acquire: () => this.acquire,
      release: () => this.release
    }
    this.definitions = [
      ResourceDefinition.temporal("thing", recipe),
      ResourceDefinition.temporal("deaf", { ...recipe, interruptible: false }),
      ResourceDefinition.temporal("scoped", {
        cost: () => ({ units: 1 }),
        acquire: () => Effect.acquireRelease(this.acquire, () => this.release)
      }),
      ResourceDefinition.shared("shared", { ...recipe, idleTimeToLive: 5 }),
      ResourceDefinition.persistent("persistent", recipe)
    ]
  }

  private pick<A>(all: ReadonlyArray<A>): A | undefined {
    return all[this.random(Math.max(1, all.length))]
  }

  private get pause(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.look()
      const length = this.random(30)
      return length < 15 ? Effect.void : length < 20 ? Effect.yieldNow : Effect.sleep(length - 19)
    })
  }

  private get acquire(): Effect.Effect<string, string> {
    return Effect.suspend(() =>
      Effect.andThen(
        this.pause,
        [Effect.fail("refused"), Effect.die(new Meant())][this.random(12)] ?? Effect.succeed("a")
      )
    )
  }

  private get release(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.andThen(this.pause, this.random(12) === 0 ? Effect.die(new Meant("release")) : Effect.void)
    )
  }

  /** What a frame is opened for. */
  private get work(): Effect.Effect<unknown, unknown, TimeFrame.TimeFrame | ResourceManager.ResourceManager> {
    return Effect.suspend((): Effect.Effect<unknown, unknown, any> => {
      const definition = this.pick(this.definitions)!
      const pool = this.pick(this.pools)
      switch (this.random(12)) {
        case 0:
        case 1:
          return ResourceManager.use(definition, undefined as never, () => this.pause)
        case 2:
        case 3:
          return Effect.map(ResourceManager.allocate(definition), (one) => this.handles.push(one))
        case 4:
          return ResourceManager.allocateAll([[definition], [this.pick(this.definitions)!], [pool ?? definition]])
        case 5:
          return pool === undefined ? this.pause : ResourcePool.use(pool, () => this.pause)
        case 6:
          return pool === undefined ? this.pause : ResourcePool.get(pool)
        case 7:
          return pool === undefined
            ? this.pause
            : Effect.map(ResourceManager.allocate(pool), (one) => this.handles.push(one))
        case 8:
          return this.inFrame
        case 9:
          return this.makePool
        case 10:
          return Effect.flatMap(TimeFrame.current, (frame) => {
            const handle = this.pick(this.handles)
            return handle === undefined ? Effect.void : Allocation.transfer(handle, frame)
          })
        default:
          return this.pause
      }
    })
  }

  private get inFrame() {
    return Effect.suspend(() => {
      const steps = Effect.forEach([1, 2, 3], () => Effect.andThen(this.work, this.pause), { discard: true })
      return TimeFrame.run(steps, {
        name: `run${++this.frames}`,
        ...(this.random(2) === 0 ? { timeout: 1 + this.random(20) } : undefined),
        ...(this.random(2) === 0 ? { budget: { units: 2 + this.random(8) } } : undefined),
        ...(this.waits && this.random(2) === 0 ? { exhausted: "wait" as const } : undefined),
        ...(this.random(3) === 0 ? { gracePeriod: this.random(10) } : undefined)
      })
    })
  }

  private get makePool() {
    return Effect.suspend(() => {
      const { random } = this
      const definition = this.definitions[random(3)]!
      const options = {
        name: `pool${random(2)}`,
        min: random(2),
        max: 1 + random(3),
        acquireTimeout: 10 + random(20),
        closeTimeout: random(10),
        ...(random(2) === 0 ? { borrowCost: { units: 1 } } : undefined),
        ...(random(2) === 0 ? { validate: () => this.release, validateAfter: 0 } : undefined),
        ...(random(3) === 0 ? { reset: () => this.release } : undefined),
        ...(random(3) === 0 ? { idleTimeToLive: 5 } : undefined),
        ...(random(3) === 0 ? { concurrency: 2 } : undefined),
        ...(random(3) === 0 ? { createTimeout: 5, releaseTimeout: 5 } : undefined)
      }
      return Effect.map(ResourcePool.make(definition as any, options as any), (pool) => {
        this.pools.push(pool as Pool)
        if (this.pools.length > 3) this.pools.shift()
      })
    })
  }

  /** One thing. */
  get step(): Effect.Effect<void, never, any> {
    return Effect.suspend((): Effect.Effect<unknown, unknown, any> => {
      switch (this.random(10)) {
        case 0: {
          const fiber = this.pick(this.fibers)
          fiber?.interruptUnsafe()
          return Effect.void
        }
        case 1: {
          const handle = this.pick(this.handles)
          if (handle !== undefined) this.fork(handle.release)
          return Effect.void
        }
        case 2: {
          const pool = this.pick(this.pools)
          if (pool !== undefined) this.fork(this.random(3) === 0 ? ResourcePool.close(pool) : this.outside(pool))
          return Effect.void
        }
        case 3:
          return Effect.sync(() => this.fork(ResourceManager.retire(this.definitions[3 + this.random(2)]!)))
        case 4:
          return Effect.gen({ self: this }, function*() {
            if (this.server !== undefined) this.fork(TimeFrame.close(this.server))
            const scope = yield* Scope.make()
            this.scopes.push(scope)
            this.server = yield* Scope.provide(
              TimeFrame.make({ name: `server${++this.frames}`, budget: { units: 20 } }),
              scope
            )
          })
        case 5: {
          const { server } = this
          if (server !== undefined) this.fork(TimeFrame.provide(this.work, server))
          return Effect.void
        }
        default:
          this.fork(this.inFrame)
          return Effect.void
      }
    }).pipe(Effect.exit, Effect.asVoid)
  }

  /** Borrows where there is no frame. */
  private outside(pool: Pool): Effect.Effect<unknown, unknown> {
    return this.random(2) === 0
      ? ResourcePool.use(pool, () => this.pause)
      : Effect.scoped(Effect.andThen(ResourcePool.get(pool), this.pause))
  }

  /** What runs it, with the manager but outside of frames. */
  run: (effect: Effect.Effect<unknown, unknown, any>) => Fiber.Fiber<unknown, unknown> = Effect.runFork as never

  private fork(effect: Effect.Effect<unknown, unknown, any>): void {
    const fiber = this.run(Effect.exit(effect))
    this.fibers.push(fiber)
    if (this.fibers.length > 8) this.fibers.shift()
    if (this.handles.length > 8) this.handles.shift()
  }

  get end(): Effect.Effect<void> {
    return Effect.forEach(this.scopes, (scope) => Effect.exit(Scope.close(scope, Exit.void)), { discard: true })
  }
}

/**
 * Where pools are built: the frame that owns them, the scope that they end with, and Effect's Pool underneath. Owned by
 * `ResourcePool`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { TimeFrame } from "../TimeFrame.ts"
import { nearest } from "./frame.ts"
import type { Frame } from "./frame.ts"
import { makeLife } from "./poolItem.ts"
import type { Life } from "./poolItem.ts"
import { Registry } from "./registry.ts"
import { Root } from "./root.ts"
import { closeFrame } from "./run.ts"

export class Ground {
  /** The frame that pays for what is built. */
  readonly owner: Frame
  readonly life: Life
  /** The context of whoever builds. */
  readonly context: Context.Context<never>
  private readonly scope: Scope.Scope
  /** What Effect's Pool lives in. */
  private readonly lives: Scope.Closeable
  /** Outside of frames, pools have a manager of their own. */
  private readonly isPrivate: boolean

  constructor(context: Context.Context<never>, life: Life, lives: Scope.Closeable) {
    const around = Context.getOrUndefined(context, TimeFrame) as Frame | undefined
    this.context = context
    this.life = life
    this.lives = lives
    this.scope = Context.getUnsafe(context, Scope.Scope)
    this.isPrivate = around === undefined
    this.owner = around === undefined ? privateRoot(context) : nearest(around, ({ phase }) => phase === "open")
  }

  /** Lets a frame that was opened in `owner` end with the scope, and the ground with that. */
  endWith(frame: Frame): Effect.Effect<void> {
    const { isPrivate, lives, owner, scope } = this
    frame.whenClosed(() => {
      // An item that was left behind may still be in it.
      Effect.runFork(Scope.close(lives, Exit.void))
      if (isPrivate) owner.close(Exit.void)
    })
    // The scope of the frame around ends it anyway.
    if (scope === owner) return Effect.void
    // Closed ahead of its time, it leaves nothing in the scope.
    const inner = Scope.forkUnsafe(scope)
    frame.whenClosed(() => Scope.closeUnsafe(inner, frame.exit))
    const outermost = isPrivate ? owner : frame
    return Scope.addFinalizerExit(inner, (exit) => closeFrame(outermost, exit) ?? Effect.void)
  }
}

/** In an uninterruptible region. */
export const findGround: Effect.Effect<Ground> = Effect.withFiber((fiber) => {
  const { context } = fiber
  const lives = Scope.makeUnsafe()
  return Effect.map(Scope.provide(makeLife, lives), (life) => new Ground(context, life, lives))
})

const privateRoot = (context: Context.Context<never>): Frame =>
  new Root(new Registry(Context.get(context, Clock.Clock), context, 1024), {
    name: "manager",
    timeout: Infinity,
    budget: undefined,
    gracePeriod: 30_000
  })

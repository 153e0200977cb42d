/**
 * Classes whose instances are effects: what `Effectable.Mixin` makes of a class, but their method is told which fiber
 * evaluates them, so that they need no effect in between to find out.
 */
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Fiber from "effect/Fiber"

type AnyEffect = Effect.Effect<any, any, any>

export interface Evaluated extends AnyEffect {
  evaluate(fiber: Fiber.Fiber<unknown, unknown>): AnyEffect
}

const primitive = Effectable.Prototype<Evaluated>({
  label: "Primitive",
  evaluate(fiber) {
    return this.evaluate(fiber)
  }
})

/** A base class for effects. */
export const Primitive = function() {} as unknown as abstract new() => Evaluated
Primitive.prototype = primitive

/** A class, as a base class for effects. */
export const primitiveOf = <Base extends object>(
  base: abstract new() => Base
): abstract new() => Base & Evaluated => {
  abstract class Mixed extends base {}
  Object.defineProperties(Mixed.prototype, Object.getOwnPropertyDescriptors(primitive))
  return Mixed as abstract new() => Base & Evaluated
}

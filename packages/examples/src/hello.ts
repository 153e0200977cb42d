/**
 * The smallest program: a resource, a frame that owns it, a budget that pays for it.
 */
import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { Console, Effect } from "effect"

const Greeter = ResourceDefinition.temporal("greeter", {
  cost: () => ({ greeters: 1 }),
  acquire: () => Effect.as(Console.log("The greeter arrives."), { greet: (name: string) => `Hello, ${name}!` }),
  release: () => Console.log("The greeter leaves.")
})

const program = Effect.gen(function*() {
  const greeter = yield* ResourceManager.allocate(Greeter)
  yield* Console.log(greeter.value.greet("world"))
}).pipe(
  TimeFrame.run({ name: "hello", timeout: "1 second", budget: { greeters: 1 } }),
  Effect.provide(ResourceManager.layer())
)

await Effect.runPromise(program)

import { Explore } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Latch, Queue, Ref, Scope } from "effect"

const failureOf = (report: Explore.Report): Explore.Failure => {
  assert.isDefined(report.failure, "nothing was found")
  return report.failure
}

/** Reads, then writes: what the other one wrote in between is lost. */
const addSlowly = (counter: Ref.Ref<number>) =>
  Effect.gen(function*() {
    const count = yield* Ref.get(counter)
    yield* Ref.set(counter, count + 1)
  })

const lostUpdate = Explore.make({
  name: "a lost update",
  setup: Ref.make(0),
  fibers: (counter) => ({ ann: addSlowly(counter), bob: addSlowly(counter) }),
  interruptible: [],
  check: (counter) => Effect.map(Ref.get(counter), (count) => count === 2 ? [] : [`it is ${count}`])
})

describe("What Explore has found", () => {
  it.effect("is shrunk to the fewest decisions, and replayed by a short text", () =>
    Effect.gen(function*() {
      const { findings, schedule } = failureOf(yield* Explore.run(lostUpdate, { strategies: [Explore.random()] }))
      assert.deepStrictEqual(findings, ["it is 1"])
      assert.match(schedule, /^y\d+\.\d+$/)
      const again = yield* Explore.replay(lostUpdate, schedule)
      assert.deepStrictEqual(again.findings, findings)
    }))

  it.effect("is told as a timeline, with the lines of the program and where they are", () =>
    Effect.gen(function*() {
      const failure = failureOf(yield* Explore.run(lostUpdate))
      const lines = failure.timeline.split("\n").map((line) => line.trim().replaceAll(/ {2,}/g, " | "))
      assert.deepStrictEqual(lines.map((line) => line.replace(/:\d+$/, ":")), [
        "ann | const count = yield* Ref.get(counter) | testing/Explore.test.ts:",
        "ann | ■ others go on before: yield* Ref.set(counter, count + 1) | testing/Explore.test.ts:",
        "bob | const count = yield* Ref.get(counter) | testing/Explore.test.ts:",
        "bob | yield* Ref.set(counter, count + 1) | testing/Explore.test.ts:",
        "bob | ends",
        "ann | yield* Ref.set(counter, count + 1) | testing/Explore.test.ts:",
        "ann | ends"
      ])
    }))

  it.effect("is in the message of its failure, with how to replay it", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(Explore.assert(lostUpdate))
      assert.match(failure.message, /^"a lost update" went wrong, in schedule \d+: it is 1\n\n {2}ann/)
      assert.match(failure.message, /\n\nReplay it: Explore\.replay\(scenario, "y\d+\.\d+"\)$/)
    }))

  it.effect("tells what was noted and logged, who was interrupted, when, and how each ended", () =>
    Effect.gen(function*() {
      const { timeline } = failureOf(
        yield* Explore.run({
          name: "a log",
          setup: Effect.void,
          fibers: () => ({
            ann: Effect.gen(function*() {
              yield* Explore.note("has begun")
              yield* Effect.sleep("1 second")
              yield* Effect.log("has slept", 1)
              return yield* Effect.fail("too late")
            })
          }),
          check: (_, { exits }) => Exit.isFailure(exits["ann"]!) ? ["it failed"] : []
        }, { strategies: [] })
      )
      assert.match(timeline, /ann {2}has begun/)
      assert.match(timeline, /── 1000 ms ──/)
      assert.match(timeline, /ann {2}logs: has slept 1/)
      assert.match(timeline, /ann {2}ends: failed with .*too late/)
    }))

  it.effect("names who hangs, and where", () =>
    Effect.gen(function*() {
      const { findings, timeline } = failureOf(
        yield* Explore.run({
          name: "a missed signal",
          setup: Effect.gen(function*() {
            return { latch: yield* Latch.make() }
          }),
          fibers: (world) => ({
            waiter: Effect.gen(function*() {
              yield* Effect.yieldNow
              yield* world.latch.await
            }),
            other: Effect.void
          })
        })
      )
      assert.deepStrictEqual(findings, ["stuck: \"waiter\" has not ended, and nothing is left that could wake it"])
      assert.match(timeline, /waiter {2}never ends: yield\* world\.latch\.await/)
    }))
})

/** Closes its scope, unless it is interrupted. */
const open = Effect.fn("open")(function*() {
  const scope = yield* Scope.make()
  yield* Scope.provide(Effect.addFinalizer(() => Effect.void), scope)
  yield* Scope.close(scope, Exit.void)
})

describe("Explore finds", () => {
  it.effect("a scope that is left open when the world is closed", () =>
    Effect.gen(function*() {
      const { findings, schedule } = failureOf(
        yield* Explore.run({
          name: "a lost scope",
          setup: Effect.void,
          fibers: () => ({ ann: open() })
        })
      )
      assert.match(findings.join(), /a scope is open that was first used in "open"/)
      assert.match(schedule, /^i0\.\d+>0$/)
    }))

  it.effect("a fiber that goes on when the world is closed, by the name of whoever started it", () =>
    Effect.gen(function*() {
      const { findings } = failureOf(
        yield* Explore.run({
          name: "a lost fiber",
          setup: Effect.void,
          fibers: () => ({ ann: Effect.forkDetach(Effect.never) })
        })
      )
      assert.deepStrictEqual(findings, ["ann/1 is still running"])
    }))

  it.effect("nothing of that when it may be", () =>
    Explore.assert({
      name: "a fiber on its own",
      setup: Effect.void,
      fibers: () => ({ ann: Effect.forkDetach(Effect.never) }),
      mayLeak: true
    }))

  it.effect("a fiber that dies where nobody looks", () =>
    Effect.gen(function*() {
      const scenario = Explore.make({
        name: "a fiber that dies",
        setup: Effect.void,
        fibers: () => ({ ann: Effect.asVoid(Effect.forkChild(Effect.die(new Error("oh")))), bob: Effect.yieldNow })
      })
      const { findings } = failureOf(yield* Explore.run(scenario))
      assert.deepStrictEqual(findings, ["ann/1 died: Error: oh"])
      yield* Explore.assert({ ...scenario, mayDie: true })
    }))

  it.effect("a moment at which an invariant does not hold", () =>
    Effect.gen(function*() {
      const { findings } = failureOf(
        yield* Explore.run({
          name: "a transfer",
          setup: Effect.sync(() => ({ here: 1, there: 0 })),
          fibers: (world) => ({
            mover: Effect.andThen(
              Effect.sync(() => world.here--),
              Effect.sync(() => world.there++)
            ),
            other: Effect.void
          }),
          interruptible: [],
          invariant: ({ here, there }) => here + there === 1 ? [] : ["it is nowhere"]
        })
      )
      assert.deepStrictEqual(findings, ["it is nowhere"])
    }))

  it.effect("what no order of the operations explains", () =>
    Effect.gen(function*() {
      const counter = (next: (counter: Ref.Ref<number>) => Effect.Effect<number>) =>
        Explore.make({
          name: "numbers",
          setup: Ref.make(0),
          fibers: (ref) => ({
            ann: Explore.operation("next", next(ref)),
            bob: Explore.operation("next", next(ref))
          }),
          model: {
            initial: 0,
            step: (count: number, _: "next", exit) =>
              exit === undefined || (Exit.isSuccess(exit) && exit.value === count + 1) ? count + 1 : undefined
          }
        })
      const sound = counter(Ref.updateAndGet((count) => count + 1))
      yield* Explore.assert({ ...sound, interruptible: [] })
      const wrong = counter((ref) => Effect.andThen(addSlowly(ref), Ref.get(ref)))
      const { findings } = failureOf(yield* Explore.run({ ...wrong, interruptible: [] }))
      assert.match(
        findings.join(),
        /no order of the operations explains what they answered:\n {2}ann: "next" answered 1/
      )
    }))
})

describe("Explore", () => {
  it.effect("interrupts only those that may be", () =>
    Effect.gen(function*() {
      const interrupted = new Set<string>()
      const report = yield* Explore.run({
        name: "two sleepers",
        setup: Effect.void,
        fibers: () => ({ ann: Effect.yieldNow, bob: Effect.yieldNow }),
        interruptible: ["bob"],
        check: (_, { exits }) => {
          for (const [name, exit] of Object.entries(exits)) if (Exit.isFailure(exit)) interrupted.add(name)
          return []
        }
      })
      assert.isUndefined(report.failure)
      assert.deepStrictEqual(interrupted, new Set(["bob"]))
    }))

  it.effect("moves the clock when nothing else can go on", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      yield* Explore.run({
        name: "two sleepers",
        setup: Effect.void,
        fibers: () => ({
          late: Effect.delay(Effect.sync(() => order.push("late")), "2 hours"),
          early: Effect.delay(Effect.sync(() => order.push("early")), "1 hour")
        })
      }, { strategies: [] })
      assert.deepStrictEqual(order, ["early", "late"])
    }))

  it.live("waits for what comes from outside", () =>
    Effect.gen(function*() {
      const report = yield* Explore.run({
        name: "a promise",
        setup: Effect.void,
        fibers: () => ({ ann: Effect.promise(() => Promise.resolve(1)), bob: Effect.promise(() => Promise.resolve(2)) })
      }, { strategies: [Explore.interrupts()] })
      assert.isUndefined(report.failure)
      assert.isAbove(report.schedules, 2)
    }))

  it.effect("goes through all orders of a few steps, and says that it has", () =>
    Effect.gen(function*() {
      const orders = new Set<string>()
      const say = (said: Array<string>, letters: string) =>
        Effect.forEach(letters, (letter) => Effect.sync(() => said.push(letter)), { discard: true })
      const { searches } = yield* Explore.run({
        name: "letters",
        setup: Effect.sync(() => new Array<string>()),
        fibers: (said) => ({ small: say(said, "ab"), large: say(said, "AB") }),
        check: (said) => {
          orders.add(said.join(""))
          return []
        }
      }, { strategies: [Explore.exhaustive({ preemptions: 3, schedules: 1e5 })] })
      assert.isTrue(searches[0]!.isComplete)
      assert.deepStrictEqual(Array.from(orders).sort(), ["ABab", "AaBb", "AabB", "aABb", "aAbB", "abAB"])
    }))

  it.effect("passes over states that it has been in, and misses no outcome, when it is told what they are", () =>
    Effect.gen(function*() {
      const explore = Effect.fnUntraced(function*(isTold: boolean) {
        const outcomes = new Set<number>()
        const { schedules } = yield* Explore.run({
          name: "three counters",
          setup: Effect.sync(() => ({ count: 0, seen: [0, 0, 0], own: [0, 0, 0] })),
          fibers: (world) =>
            Object.fromEntries(world.seen.map((_, index) => [
              `fiber ${index}`,
              Effect.gen(function*() {
                yield* Effect.sync(() => world.own[index] = 1)
                yield* Effect.sync(() => world.seen[index] = world.count)
                yield* Effect.sync(() => world.count = world.seen[index]! + 1)
              })
            ])),
          ...(isTold ? { state: (world: object) => world } : {}),
          check: ({ count }) => {
            outcomes.add(count)
            return []
          }
        }, { strategies: [Explore.exhaustive({ preemptions: 3, schedules: 1e6 })] })
        return { schedules, outcomes }
      })
      const untold = yield* explore(false)
      const told = yield* explore(true)
      assert.deepStrictEqual(told.outcomes, untold.outcomes)
      assert.isBelow(told.schedules, untold.schedules)
    }))

  it.effect("gives the same report each time", () =>
    Effect.gen(function*() {
      const one = yield* Explore.run(lostUpdate, { strategies: [Explore.random({ seed: 7 })] })
      const other = yield* Explore.run(lostUpdate, { strategies: [Explore.random({ seed: 7 })] })
      assert.deepStrictEqual(one, other)
    }))

  it.effect("dies of what is no schedule", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Explore.replay(lostUpdate, "y0.1 nonsense"))
      assert.match(String(exit), /"y0\.1 nonsense" is not a schedule/)
    }))

  it.effect("dies of a setup that fails or never ends", () =>
    Effect.gen(function*() {
      const fibers = () => ({ ann: Effect.void })
      const never = yield* Effect.exit(Explore.run({ name: "idle", setup: Effect.never, fibers }))
      assert.match(String(never), /The setup of "idle" never ends/)
      const dead = yield* Effect.exit(Explore.run({ name: "dead", setup: Effect.die(new Error("no")), fibers }))
      assert.match(String(dead), /no/)
    }))

  it.effect("leaves notes and operations alone elsewhere", () =>
    Effect.gen(function*() {
      yield* Explore.note("nobody hears this")
      assert.strictEqual(yield* Explore.operation("add", Effect.succeed(1)), 1)
      const queue = yield* Queue.unbounded<number>()
      const done = yield* Deferred.make<number>()
      yield* Explore.operation("offer", Queue.offer(queue, 1))
      yield* Deferred.succeed(done, yield* Explore.operation("take", Queue.take(queue)))
      assert.strictEqual(yield* Deferred.await(done), 1)
    }))
})

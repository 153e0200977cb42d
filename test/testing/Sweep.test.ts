import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Latch, Queue, Random, Ref, TxSemaphore } from "effect"
import { findingsOf, leakyPermit, makeThings, noneLive } from "./fixtures.ts"

const naive = Sweep.make({
  name: "acquire, then release, with nothing around it",
  setup: Effect.sync(makeThings),
  body: ({ acquire, release }) => Effect.andThen(acquire, release),
  check: noneLive
})

describe("Sweep visits", () => {
  it.effect("every operation of the plain run, in order and once per mode", () =>
    Effect.gen(function*() {
      const visited: Record<string, Array<number>> = {}
      const report = yield* Sweep.run({
        ...naive,
        check: (_world, _exit, { point }) => {
          ;(visited[point.mode] ??= []).push(point.at)
          return []
        }
      }, { modes: ["interrupt", "interruptLater", "yield"] })
      const all = Array.from({ length: report.operations }, (_, at) => at)
      assert.isAbove(report.operations, 0)
      for (const mode of ["interrupt", "interruptLater", "yield"] as const) {
        assert.strictEqual(report.reached[mode], report.operations)
        // The last run shows that there is no further operation.
        assert.deepStrictEqual(visited[mode], [...all, report.operations])
      }
    }))

  it.effect("a body that is asleep, which no operation can", () =>
    Effect.gen(function*() {
      const scenario = Sweep.make({
        name: "a wait that is not cleaned up when it is given up",
        setup: Effect.sync(() => ({ waiting: 0, gate: Latch.makeUnsafe() })),
        body: (world) =>
          Effect.callback<void>(() => {
            world.waiting++
          }).pipe(Effect.timeoutOption("1 second"), Effect.andThen(Effect.sync(() => world.waiting--))),
        check: ({ waiting }) => (waiting === 0 ? [] : [`${waiting} waiting`])
      })
      const byTurn = yield* Sweep.run(scenario, { modes: ["turn"], paces: [] })
      assert.deepStrictEqual(byTurn.failures.map((failure) => failure.point), [{ mode: "turn", at: 0 }])
    }))

  it.effect("the operations of the body's own fiber only, if asked to", () =>
    Effect.gen(function*() {
      const scenario = Sweep.make({
        name: "a parent and its child",
        setup: Effect.void,
        body: () => Effect.forEach([1, 2], () => Effect.yieldNow, { concurrency: 2 }),
        check: () => []
      })
      const all = yield* Sweep.run(scenario, { modes: ["interrupt"] })
      const main = yield* Sweep.run({ ...scenario, fibers: "main" }, { modes: ["interrupt"] })
      assert.isAbove(all.operations, main.operations)
      assert.strictEqual(main.reached.interrupt, main.operations)
    }))
})

describe("Sweep reports", () => {
  it.effect("a waiter that nobody wakes as stuck", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "an empty queue",
        setup: Queue.unbounded<number>(),
        body: (queue) => Queue.take(queue),
        check: () => []
      })
      assert.deepStrictEqual(report.failures.map((failure) => failure.point), [{ mode: "plain", at: 0 }])
      assert.match(report.failures[0]!.findings[0]!, /^stuck/)
    }))

  it.effect("a body that does not let itself be interrupted as stuck, and says so", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "a deaf wait for what comes too late",
        setup: Deferred.make<void>(),
        body: (answer) =>
          Effect.onInterrupt(Effect.andThen(Effect.yieldNow, Deferred.succeed(answer, void 0)), () =>
            Deferred.await(answer)),
        check: () => []
      }, { modes: ["interrupt"] })
      assert.deepStrictEqual(
        findingsOf(report),
        new Set(["stuck: the body was interrupted, but has not ended, and nothing is left that could wake it"])
      )
    }))

  it.effect("a body that never comes to rest as endless", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "a loop",
        setup: Effect.void,
        body: () => Effect.forever(Effect.sleep("1 second")),
        check: () => [],
        maxOperations: 500
      })
      assert.deepStrictEqual(findingsOf(report), new Set(["endless: still busy after 500 operations"]))
    }))

  it.effect("fibers that the body has left running", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "a forgotten fiber",
        setup: Effect.forkScoped(Effect.never),
        body: () => Effect.forkDetach(Effect.never),
        check: (_world, _exit, { running }) => running.map(() => "a fiber is still running")
      })
      assert.deepStrictEqual(report.failures[0]!.findings, ["a fiber is still running"])
    }))

  it.effect("a body that dies, a check that dies, and a check that never ends", () =>
    Effect.gen(function*() {
      const scenario = Sweep.make({ name: "dies", setup: Effect.void, body: () => Effect.void, check: () => [] })
      const body = yield* Sweep.run({ ...scenario, body: () => Effect.die(new TypeError("oops")) })
      const check = yield* Sweep.run({ ...scenario, check: () => Effect.die("no") })
      const endless = yield* Sweep.run({ ...scenario, check: () => Effect.never })
      assert.deepStrictEqual(findingsOf(body), new Set(["the body died: TypeError: oops"]))
      assert.deepStrictEqual(findingsOf(check), new Set(["the check died: no"]))
      assert.deepStrictEqual(
        findingsOf(endless),
        new Set(["the check never ended: it waits for something that does not come"])
      )
    }))

  it.effect("the exit of the body to the check", () =>
    Sweep.assert({
      name: "exits",
      setup: Effect.void,
      body: () => Effect.succeed(42),
      check: (_world, exit, { point }) =>
        Exit.isSuccess(exit) ? exit.value === 42 ? [] : ["wrong value"] : point.mode === "plain" ? ["failed"] : []
    }))

  it.effect("a failure that names the scenario, the point and how to replay it", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(Sweep.assert(naive, { modes: ["interrupt"] }))
      assert.strictEqual(failure._tag, "SweepFailure")
      const [first] = failure.report.failures
      assert.strictEqual(
        failure.message,
        `1 of ${failure.report.runs} runs of "${naive.name}" went wrong
  interrupted at operation ${first!.point.at} (main): 1 live
Replay the first: Sweep.replay(scenario, { mode: "interrupt", at: ${first!.point.at} })`
      )
    }))
})

describe("Sweep is deterministic:", () => {
  it.effect("two sweeps give the same report", () =>
    Effect.gen(function*() {
      const scenario = Sweep.make({
        ...leakyPermit,
        body: (semaphore: TxSemaphore.TxSemaphore) =>
          Effect.forEach([1, 2, 3], () =>
            TxSemaphore.withPermit(semaphore, Effect.flatMap(Random.nextIntBetween(1, 9), (n) => Effect.sleep(n))), {
            concurrency: 3
          })
      })
      const first = yield* Sweep.run(scenario)
      assert.isNotEmpty(first.failures)
      assert.deepStrictEqual(yield* Sweep.run(scenario), first)
    }))

  it.effect("a replay finds the same again", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run(leakyPermit)
      for (const { findings, point, where } of report.failures) {
        const again = yield* Sweep.replay(leakyPermit, point)
        assert.isTrue(again.reached)
        assert.deepStrictEqual(again.findings, findings)
        assert.strictEqual(again.where, where)
      }
      const clean = yield* Sweep.replay(leakyPermit, { mode: "interrupt", at: 0 })
      assert.deepStrictEqual(clean.findings, [])
    }))

  it.effect("time is virtual, and passes only as far as somebody sleeps", () =>
    Effect.gen(function*() {
      const scenario = Sweep.make({
        name: "a year",
        setup: Ref.make(0),
        body: (ref) =>
          Effect.sleep("365 days").pipe(
            Effect.andThen(Clock.currentTimeMillis),
            Effect.flatMap((now) => Ref.set(ref, now))
          ),
        check: (ref) => Effect.map(Ref.get(ref), (now) => (now === 365 * 86_400_000 ? [] : [`${now}`]))
      })
      const ran = yield* Sweep.replay(scenario, { mode: "plain", at: 0 })
      assert.deepStrictEqual(ran.findings, [])
      assert.strictEqual(ran.elapsed, 365 * 86_400_000)
    }))
})

describe("Sweep and the world outside:", () => {
  it.live("promises are waited for, also before the clock is moved", () =>
    Sweep.assert({
      name: "promises under a timeout",
      setup: Effect.sync(() => ({ things: { live: 0 } })),
      body: ({ things }) => {
        const hop = (change: number) =>
          Effect.promise(async () => {
            await Promise.resolve()
            things.live += change
          })
        return Effect.scoped(Effect.acquireRelease(hop(1), () => hop(-1))).pipe(Effect.timeout("1 second"))
      },
      check: (world, exit, { point }) =>
        point.mode === "plain" && Exit.isFailure(exit) ? ["the timeout was faster"] : noneLive(world)
    }))

  it.live("a timer of the event loop needs patience", () =>
    Effect.gen(function*() {
      const scenario = Sweep.make({
        name: "a real timer",
        setup: Effect.void,
        body: () => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5))),
        check: () => []
      })
      const hasty = yield* Sweep.run(scenario, { modes: ["interrupt"] })
      assert.match(hasty.failures[0]!.findings[0]!, /^stuck/)
      yield* Sweep.assert({ ...scenario, patience: "5 seconds" }, { modes: ["interrupt"] })
    }))
})

it.effect("Sweep refuses a pace at which no fiber makes progress", () =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(Sweep.run(naive, { paces: [2] }))
    assert.isTrue(Exit.hasDies(exit))
  }))

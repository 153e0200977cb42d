import { Explore, ScriptedResource, Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, Pool, Scope } from "effect"
import type { Scope as ScopeService } from "effect/Scope"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { expectTypeOf } from "vitest"

/** Lets all fibers run until they wait for something. */
const settle = TestClock.adjust(0)

/** Starts it, and lets it go as far as it gets. */
const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.tap(Effect.forkChild(effect), () => settle)

/** What a step dies of. */
const defectOf = <A, E>(exit: Exit.Exit<A, E>) => (Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined)

const failure = (step: ScriptedResource.Step, call: number, item?: number) =>
  new ScriptedResource.ScriptedFailure({ resource: "resource", step, call, item })

describe("A scripted resource", () => {
  it.effect("succeeds in every step when it has no script", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make()
      const item = yield* ScriptedResource.acquire(resource)
      assert.isTrue(yield* ScriptedResource.validate(item))
      assert.strictEqual(yield* ScriptedResource.use(item, Effect.succeed(42)), 42)
      yield* ScriptedResource.reset(item)
      assert.deepStrictEqual(resource.leftOpen, [item])
      yield* ScriptedResource.release(item)
      assert.deepStrictEqual(ScriptedResource.check(resource), [])
      assert.deepStrictEqual(resource.counts, {
        acquiring: 0,
        acquired: 1,
        acquireFailed: 0,
        acquireInterrupted: 0,
        acquiringHighWaterMark: 1,
        live: 0,
        highWaterMark: 1,
        inUse: 0,
        used: 1,
        validating: 0,
        validated: 1,
        invalid: 0,
        validateFailed: 0,
        validateInterrupted: 0,
        resetting: 0,
        reset: 1,
        resetFailed: 0,
        resetInterrupted: 0,
        releasing: 0,
        released: 1,
        releaseFailed: 0,
        releaseInterrupted: 0
      })
    }))

  it.effect("makes numbered items, which say how they are and what they are called", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ name: "connection", acquire: ["fail", "ok"] })
      yield* Effect.exit(ScriptedResource.acquire(resource))
      const item = yield* ScriptedResource.acquire(resource)
      assert.strictEqual(item.id, 1)
      assert.strictEqual(item.resource, "connection")
      assert.strictEqual(`${item}`, "connection #1")
      assert.strictEqual(inspect(item), "connection #1")
      yield* ScriptedResource.use(
        item,
        Effect.sync(() => assert.deepStrictEqual([item.users, item.uses], [1, 1]))
      )
      assert.deepStrictEqual([item.users, item.uses, item.isOpen], [0, 1, true])
      yield* ScriptedResource.release(item)
      assert.isFalse(item.isOpen)
      assert.strictEqual((yield* ScriptedResource.acquire(resource)).id, 2)
    }))

  it.effect("follows a script call by call, and repeats the last outcome", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ acquire: ["ok", "fail", "ok", "fail"] })
      const ok = Effect.map(Effect.exit(ScriptedResource.acquire(resource)), Exit.isSuccess)
      const answers = yield* Effect.all([ok, ok, ok, ok, ok])
      assert.deepStrictEqual(answers, [true, false, true, false, false])
      assert.strictEqual(resource.counts.acquireFailed, 3)
    }))

  it.effect("asks a function for the outcome of a call, and shows it the item", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const resource = yield* ScriptedResource.make({
        acquire: (call) => call % 2 === 0 ? "fail" : "ok",
        validate: (call, item) => {
          asked.push(`${call}: ${item}`)
          return item.id === 2 ? "invalid" : "ok"
        }
      })
      const first = yield* ScriptedResource.acquire(resource)
      assert.deepStrictEqual(yield* Effect.flip(ScriptedResource.acquire(resource)), failure("acquire", 2))
      const second = yield* ScriptedResource.acquire(resource)
      assert.isTrue(yield* ScriptedResource.validate(first))
      assert.isFalse(yield* ScriptedResource.validate(second))
      assert.deepStrictEqual(asked, ["1: resource #1", "2: resource #2"])
    }))

  it.effect("fails with an error that names the resource, the step, the call and the item", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({
        name: "connection",
        acquire: ["ok", "fail"],
        validate: "fail",
        reset: "fail"
      })
      const item = yield* ScriptedResource.acquire(resource)
      const acquire = yield* Effect.flip(ScriptedResource.acquire(resource))
      const validate = yield* Effect.flip(ScriptedResource.validate(item))
      const reset = yield* Effect.flip(ScriptedResource.reset(item))
      assert.deepStrictEqual({ ...acquire }, {
        _tag: "ScriptedFailure",
        resource: "connection",
        step: "acquire",
        call: 2,
        item: undefined
      })
      assert.strictEqual(acquire.message, "connection: call 2 of acquire goes wrong, as scripted")
      assert.strictEqual(validate.message, "connection #1: call 1 of validate goes wrong, as scripted")
      assert.strictEqual(reset.message, "connection #1: call 1 of reset goes wrong, as scripted")
      const { acquireFailed, resetFailed, validateFailed } = resource.counts
      assert.deepStrictEqual([acquireFailed, validateFailed, resetFailed], [1, 1, 1])
    }))

  it.effect("dies of the same, and so does a release that is to fail", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({
        acquire: ["ok", "ok", "die"],
        validate: "die",
        release: ["fail", "die"]
      })
      const one = yield* ScriptedResource.acquire(resource)
      const two = yield* ScriptedResource.acquire(resource)
      assert.deepStrictEqual(
        defectOf(yield* Effect.exit(ScriptedResource.acquire(resource))),
        failure("acquire", 3)
      )
      assert.deepStrictEqual(
        defectOf(yield* Effect.exit(ScriptedResource.validate(one))),
        failure("validate", 1, 1)
      )
      assert.deepStrictEqual(
        defectOf(yield* Effect.exit(ScriptedResource.release(one))),
        failure("release", 1, 1)
      )
      assert.deepStrictEqual(
        defectOf(yield* Effect.exit(ScriptedResource.release(two))),
        failure("release", 2, 2)
      )
      // They are closed all the same.
      assert.deepStrictEqual(ScriptedResource.check(resource), [])
      const { acquired, live, releaseFailed, released } = resource.counts
      assert.deepStrictEqual([acquired, live, released, releaseFailed], [2, 0, 0, 2])
    }))

  it.effect("takes the time that it is told to take, and 10 milliseconds otherwise", () =>
    Effect.gen(function*() {
      const { slow } = ScriptedResource
      const resource = yield* ScriptedResource.make({
        acquire: "slow",
        validate: slow("1 second", "invalid"),
        reset: slow("1 second", slow("1 second", "fail"))
      })
      const acquiring = yield* start(ScriptedResource.acquire(resource))
      yield* TestClock.adjust(9)
      assert.strictEqual(resource.counts.acquiring, 1)
      yield* TestClock.adjust(1)
      const item = yield* Fiber.join(acquiring)
      const validating = yield* start(ScriptedResource.validate(item))
      yield* TestClock.adjust(999)
      assert.strictEqual(resource.counts.validating, 1)
      yield* TestClock.adjust(1)
      assert.isFalse(yield* Fiber.join(validating))
      const resetting = yield* start(ScriptedResource.reset(item))
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(resource.counts.resetting, 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Effect.flip(Fiber.join(resetting)), failure("reset", 1, 1))
    }))

  it.effect("waits for a latch, of its own or one that is given", () =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      const gate = ScriptedResource.gated()
      const resource = yield* ScriptedResource.make({
        acquire: gate,
        release: ScriptedResource.gated(latch, "die")
      })
      const acquiring = yield* start(ScriptedResource.acquire(resource))
      assert.isUndefined(acquiring.pollUnsafe())
      yield* gate.latch.open
      const item = yield* Fiber.join(acquiring)
      const releasing = yield* start(ScriptedResource.release(item))
      assert.deepStrictEqual([resource.counts.releasing, resource.counts.live, item.isOpen], [1, 1, false])
      assert.deepStrictEqual(ScriptedResource.check(resource), [
        "resource #1 is still open: its release has not ended"
      ])
      yield* latch.open
      yield* Fiber.await(releasing)
      assert.deepStrictEqual([resource.counts.releasing, resource.counts.live], [0, 0])
    }))

  it.effect("makes no item when the acquisition is interrupted", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ acquire: "never" })
      const fibers = yield* Effect.all([
        start(ScriptedResource.acquire(resource)),
        start(ScriptedResource.acquire(resource))
      ])
      assert.deepStrictEqual(ScriptedResource.check(resource), ["resource: 2 acquisitions have not ended"])
      yield* Fiber.interrupt(fibers[0])
      assert.deepStrictEqual(ScriptedResource.check(resource), ["resource: 1 acquisition has not ended"])
      yield* Fiber.interrupt(fibers[1])
      assert.deepStrictEqual(ScriptedResource.check(resource), [])
      const { acquireInterrupted, acquired, acquiring, acquiringHighWaterMark } = resource.counts
      assert.deepStrictEqual([acquiring, acquired, acquireInterrupted, acquiringHighWaterMark], [0, 0, 2, 2])
    }))

  it.effect("keeps an item live when its release is interrupted, and lets it be released again", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ release: ["never", "ok"], validate: "never", reset: "never" })
      const item = yield* ScriptedResource.acquire(resource)
      yield* Effect.flatMap(start(ScriptedResource.validate(item)), Fiber.interrupt)
      yield* Effect.flatMap(start(ScriptedResource.reset(item)), Fiber.interrupt)
      yield* Effect.flatMap(start(ScriptedResource.release(item)), Fiber.interrupt)
      assert.deepStrictEqual(ScriptedResource.check(resource), [
        "resource #1 is still open: its release was interrupted"
      ])
      yield* ScriptedResource.release(item)
      assert.deepStrictEqual(ScriptedResource.check(resource), [])
      const { releaseInterrupted, released, resetInterrupted, validateInterrupted } = resource.counts
      assert.deepStrictEqual([validateInterrupted, resetInterrupted, releaseInterrupted, released], [1, 1, 1, 1])
    }))

  it.effect("remembers how many items were live at once", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make()
      for (const count of [2, 3, 1]) {
        const items = yield* Effect.replicateEffect(ScriptedResource.acquire(resource), count)
        assert.strictEqual(resource.counts.live, count)
        yield* Effect.forEach(items, ScriptedResource.release)
      }
      assert.strictEqual(resource.counts.highWaterMark, 3)
      assert.strictEqual(resource.counts.acquired, 6)
    }))

  it.effect("publishes snapshots, which do not change", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make()
      const before = { counts: resource.counts, findings: resource.findings, leftOpen: resource.leftOpen }
      const item = yield* ScriptedResource.acquire(resource)
      yield* ScriptedResource.release(item)
      yield* ScriptedResource.release(item)
      assert.deepStrictEqual([before.counts.acquired, before.findings.length, before.leftOpen.length], [0, 0, 0])
    }))
})

describe("A scripted resource finds", () => {
  const opened = Effect.fnUntraced(function*(options?: ScriptedResource.Options) {
    const resource = yield* ScriptedResource.make(options)
    return { resource, item: yield* ScriptedResource.acquire(resource) }
  })

  it.effect("items that are left open", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ name: "file" })
      const items = yield* Effect.replicateEffect(ScriptedResource.acquire(resource), 3)
      yield* ScriptedResource.release(items[1]!)
      assert.deepStrictEqual(resource.findings, [])
      assert.deepStrictEqual(resource.leftOpen.map(String), ["file #1", "file #3"])
      assert.deepStrictEqual(ScriptedResource.check(resource), ["file #1 is still open", "file #3 is still open"])
    }))

  it.effect("a second release, also while the first goes on, and neither plays nor counts it", () =>
    Effect.gen(function*() {
      const { item, resource } = yield* opened({ release: ["never", "die"] })
      const first = yield* start(ScriptedResource.release(item))
      yield* ScriptedResource.release(item)
      yield* ScriptedResource.release(item)
      assert.deepStrictEqual(resource.findings, ["resource #1 was released twice"])
      assert.deepStrictEqual([resource.counts.releasing, resource.counts.releaseFailed], [1, 0])
      yield* Fiber.interrupt(first)
    }))

  it.effect("what is done with an item after its release", () =>
    Effect.gen(function*() {
      const { item, resource } = yield* opened()
      yield* ScriptedResource.release(item)
      assert.strictEqual(yield* ScriptedResource.use(item, Effect.succeed("done")), "done")
      assert.isFalse(yield* ScriptedResource.validate(item))
      yield* ScriptedResource.reset(item)
      assert.deepStrictEqual(resource.findings, [
        "resource #1 was used after release",
        "resource #1 was validated after release",
        "resource #1 was reset after release"
      ])
      assert.deepStrictEqual([resource.counts.used, resource.counts.invalid, resource.counts.reset], [1, 0, 0])
    }))

  it.effect("more users than the concurrency allows, and no fewer", () =>
    Effect.gen(function*() {
      for (
        const [concurrency, findings] of [
          [1, ["used by 2 at once (concurrency is 1)", "used by 3 at once (concurrency is 1)"]],
          [2, ["used by 3 at once (concurrency is 2)"]],
          [Number.POSITIVE_INFINITY, []]
        ] as const
      ) {
        const { item, resource } = yield* opened({ concurrency })
        yield* Effect.all(
          [1, 2, 3].map((ms) => ScriptedResource.use(item, Effect.sleep(ms))),
          { concurrency: "unbounded" }
        ).pipe(start, Effect.tap(TestClock.adjust(3)), Effect.flatMap(Fiber.join))
        assert.deepStrictEqual(resource.findings, findings.map((finding) => `resource #1 was ${finding}`))
        assert.deepStrictEqual([resource.counts.inUse, resource.counts.used, item.users, item.uses], [0, 3, 0, 3])
      }
    }))

  it.effect("a validation, a reset and a release of an item that is in use", () =>
    Effect.gen(function*() {
      const { item, resource } = yield* opened()
      const user = yield* start(ScriptedResource.use(item, Effect.never))
      yield* ScriptedResource.validate(item)
      yield* ScriptedResource.reset(item)
      yield* ScriptedResource.release(item)
      assert.deepStrictEqual(resource.findings, [
        "resource #1 was validated while in use",
        "resource #1 was reset while in use",
        "resource #1 was released while in use"
      ])
      yield* Fiber.interrupt(user)
      assert.deepStrictEqual([item.users, resource.counts.inUse], [0, 0])
    }))

  it.effect("what is done during a validation or a reset", () =>
    Effect.gen(function*() {
      for (const [step, during] of [["validate", "validation"], ["reset", "reset"]] as const) {
        const { item, resource } = yield* opened({ [step]: ["never", "ok"] })
        const fiber = yield* start(
          step === "validate" ? Effect.asVoid(ScriptedResource.validate(item)) : ScriptedResource.reset(item)
        )
        yield* ScriptedResource.use(item, Effect.void)
        yield* ScriptedResource.validate(item)
        yield* ScriptedResource.reset(item)
        yield* ScriptedResource.release(item)
        assert.deepStrictEqual(
          resource.findings,
          ["used", "validated", "reset", "released"].map((verb) => `resource #1 was ${verb} during its ${during}`)
        )
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("nothing in a validation beside a use where there is room for both", () =>
    Effect.gen(function*() {
      const { item, resource } = yield* opened({ concurrency: 2, validate: ScriptedResource.slow("1 second") })
      const fiber = yield* start(ScriptedResource.validate(item))
      yield* ScriptedResource.use(item, ScriptedResource.use(item, Effect.void))
      assert.deepStrictEqual(resource.findings, ["resource #1 was used during its validation"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
    }))

  it.effect("the same thing once, however often it happens", () =>
    Effect.gen(function*() {
      const { item, resource } = yield* opened()
      yield* ScriptedResource.release(item)
      yield* Effect.replicateEffect(ScriptedResource.use(item, Effect.void), 100)
      assert.deepStrictEqual(resource.findings, ["resource #1 was used after release"])
      assert.strictEqual(item.uses, 100)
    }))
})

describe("A use", () => {
  it.effect("ends with its effect, whether that succeeds, fails, dies or is interrupted", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make()
      const item = yield* ScriptedResource.acquire(resource)
      const exits = yield* Effect.forEach(
        [Effect.succeed(1), Effect.fail("no"), Effect.die("oops"), Effect.interrupt],
        (effect: Effect.Effect<number, string>) => Effect.exit(ScriptedResource.use(item, effect))
      )
      assert.deepStrictEqual(exits.slice(0, 3), [Exit.succeed(1), Exit.fail("no"), Exit.die("oops")])
      assert.isTrue(Exit.hasInterrupts(exits[3]!))
      assert.deepStrictEqual([resource.counts.inUse, item.users, item.uses], [0, 0, 4])
      assert.deepStrictEqual(resource.findings, [])
    }))

  it.effect("can be written after what is done, as pools like it", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make()
      const used = Effect.flatMap(ScriptedResource.scoped(resource), ScriptedResource.use(Effect.succeed("done")))
      assert.strictEqual(yield* Effect.scoped(used), "done")
      assert.deepStrictEqual([resource.counts.used, ...ScriptedResource.check(resource)], [1])
    }))
})

describe("A scoped item", () => {
  it.effect("is released with its scope", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make()
      const scope = yield* Scope.make()
      yield* Scope.provide(ScriptedResource.scoped(resource), scope)
      assert.strictEqual(resource.counts.live, 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([resource.counts.released, ...ScriptedResource.check(resource)], [1])
    }))

  it.effect("is acquired in any case, unless it is interruptible", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ acquire: "slow" })
      const deaf = yield* start(Effect.scoped(ScriptedResource.scoped(resource)))
      const obedient = yield* start(Effect.scoped(ScriptedResource.scoped(resource, { interruptible: true })))
      deaf.interruptUnsafe()
      obedient.interruptUnsafe()
      yield* TestClock.adjust(10)
      yield* Fiber.awaitAll([deaf, obedient])
      const { acquireInterrupted, acquired, released } = resource.counts
      assert.deepStrictEqual([acquired, released, acquireInterrupted], [1, 1, 1])
    }))

  it.effect("is what Effect's own pools take", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ acquire: ["ok", "slow"], release: "slow" })
      const lend = Effect.gen(function*() {
        const pool = yield* Pool.make({ acquire: ScriptedResource.scoped(resource), size: 2 })
        const user = Effect.scoped(Effect.flatMap(Pool.get(pool), ScriptedResource.use(Effect.sleep("1 second"))))
        yield* Effect.all([user, user, user], { concurrency: "unbounded" })
      })
      const fiber = yield* start(Effect.scoped(lend))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(ScriptedResource.check(resource), [])
      assert.deepStrictEqual([resource.counts.highWaterMark, resource.counts.used], [2, 3])
    }))
})

describe("In a sweep", () => {
  const setup = ScriptedResource.make({ acquire: "slow", validate: "slow", reset: "slow", release: "slow" })
  const work = Effect.fnUntraced(function*(item: ScriptedResource.Item) {
    yield* ScriptedResource.validate(item)
    yield* ScriptedResource.use(item, Effect.sleep("1 second"))
    yield* ScriptedResource.reset(item)
  })

  /** Nothing goes on at the end, and every item has gone somewhere. */
  const balanced = (resource: ScriptedResource.ScriptedResource) => {
    const { acquired, acquiring, inUse, live, releaseFailed, released, releasing, resetting, validating } =
      resource.counts
    const busy = acquiring + inUse + releasing + resetting + validating
    const open = acquired - live - released - releaseFailed
    return [
      ...ScriptedResource.check(resource),
      ...(busy === 0 ? [] : [`${busy} still counted as going on`]),
      ...(open === 0 ? [] : [`${open} items counted wrong`])
    ]
  }

  for (const interruptible of [false, true]) {
    it.effect(`a scoped item that is ${interruptible ? "" : "not "}interruptible is never lost`, () =>
      Sweep.assert({
        name: "scoped",
        setup,
        body: (resource) => Effect.scoped(Effect.flatMap(ScriptedResource.scoped(resource, { interruptible }), work)),
        check: balanced
      }))

    it.effect(`nor is one that takes no time and is ${interruptible ? "" : "not "}interruptible`, () =>
      Sweep.assert({
        name: "scoped, at once",
        setup: ScriptedResource.make(),
        body: (resource) => Effect.scoped(Effect.flatMap(ScriptedResource.scoped(resource, { interruptible }), work)),
        check: balanced
      }))
  }

  it.effect("each call is counted once, whatever becomes of it", () =>
    Sweep.assert({
      name: "counted",
      setup: Effect.gen(function*() {
        const calls = { acquire: 0, release: 0 }
        const resource = yield* ScriptedResource.make({
          acquire: (call) => {
            calls.acquire = call
            return call === 2 ? ScriptedResource.slow("1 second", "fail") : "slow"
          },
          release: (call) => {
            calls.release = call
            return call === 1 ? ScriptedResource.slow("1 second", "die") : "slow"
          }
        })
        return { calls, resource }
      }),
      body: ({ resource }) => {
        // It lets itself be interrupted, and does then what is left to do.
        const release = (item: ScriptedResource.Item) =>
          Effect.onInterrupt(Effect.interruptible(ScriptedResource.release(item)), () =>
            Effect.suspend(() => resource.leftOpen.length > 0 ? ScriptedResource.release(item) : Effect.void))
        const once = Effect.acquireUseRelease(ScriptedResource.acquire(resource), work, (item) =>
          Effect.exit(release(item)))
        return Effect.andThen(Effect.exit(once), Effect.andThen(Effect.exit(once), once))
      },
      check: ({ calls, resource }) => {
        const { acquired, acquireFailed, acquireInterrupted, released, releaseFailed, releaseInterrupted } =
          resource.counts
        const acquisitions = acquired + acquireFailed + acquireInterrupted
        const releases = released + releaseFailed + releaseInterrupted
        return [
          ...balanced(resource),
          ...(acquisitions === calls.acquire ? [] : [`${acquisitions} acquisitions in ${calls.acquire} calls`]),
          ...(releases === calls.release ? [] : [`${releases} releases in ${calls.release} calls`])
        ]
      }
    }, { modes: ["interrupt", "interruptLater", "turn"] }))

  it.effect("a user that registers the release in a second step is found", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "too late",
        setup,
        body: (resource) =>
          Effect.scoped(Effect.gen(function*() {
            const item = yield* ScriptedResource.acquire(resource)
            yield* Effect.addFinalizer(() => ScriptedResource.release(item))
            yield* work(item)
          })),
        check: ScriptedResource.check
      })
      assert.isNotEmpty(report.failures)
      for (const { findings } of report.failures) assert.deepStrictEqual(findings, ["resource #1 is still open"])
    }))

  it.effect("a user that releases in two places is found", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run({
        name: "one too many",
        setup,
        body: (resource) =>
          Effect.acquireUseRelease(
            ScriptedResource.acquire(resource),
            (item) => Effect.onInterrupt(work(item), () => ScriptedResource.release(item)),
            ScriptedResource.release
          ),
        check: ScriptedResource.check
      }, { modes: ["interrupt"] })
      assert.isNotEmpty(report.failures)
      for (const { findings } of report.failures) assert.deepStrictEqual(findings, ["resource #1 was released twice"])
    }))
})

describe("A scripted resource refuses", () => {
  const refusal = (options: unknown) =>
    Effect.map(Effect.exit(ScriptedResource.make(options as ScriptedResource.Options)), (exit) => {
      const defect = defectOf(exit)
      assert.instanceOf(defect, TypeError)
      return defect.message
    })

  it.effect("an outcome that there is not, and says where it is", () =>
    Effect.gen(function*() {
      const outcomes = `an outcome is one of "ok", "fail", "die", "slow", "never", or made by slow or gated`
      assert.strictEqual(
        yield* refusal({ acquire: "okay" }),
        `ScriptedResource "resource": acquire is "okay", but ${outcomes}`
      )
      assert.strictEqual(
        yield* refusal({ name: "file", release: ["ok", "invalid"] }),
        `ScriptedResource "file": release[1] is "invalid", but ${outcomes}`
      )
      assert.strictEqual(
        yield* refusal({ validate: ScriptedResource.slow("1 second", null as never) }),
        `ScriptedResource "resource": validate is null, but ${outcomes.replace("\"never\"", "\"never\", \"invalid\"")}`
      )
      assert.strictEqual(
        yield* refusal({ reset: { _tag: "Fast", next: "ok" } }),
        `ScriptedResource "resource": reset is [object Object], but ${outcomes}`
      )
    }))

  it.effect("an outcome that there is not when a function comes up with it", () =>
    Effect.gen(function*() {
      const resource = yield* ScriptedResource.make({ acquire: (call) => call === 1 ? "ok" : "okay" as "ok" })
      yield* ScriptedResource.acquire(resource)
      const defect = defectOf(yield* Effect.exit(ScriptedResource.acquire(resource)))
      assert.match(String(defect), /: acquire\(2\) is "okay", but an outcome is one of/)
      assert.strictEqual(resource.counts.acquiring, 0)
    }))

  it.effect("a script without outcomes", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* refusal({ validate: [] }),
        `ScriptedResource "resource": validate is an empty array, but a script needs at least one outcome`
      )
    }))

  it.effect("a concurrency that is no number of users", () =>
    Effect.gen(function*() {
      for (const concurrency of [0, -1, 1.5, Number.NaN, "2"]) {
        assert.match(
          yield* refusal({ concurrency }),
          /^ScriptedResource "resource": concurrency is .*, but it must be a whole number from 1 up, or Infinity$/
        )
      }
    }))

  it("a duration that is none, at once", () => {
    assert.throws(() => ScriptedResource.slow("soon" as "1 second"), /slow: soon is not a duration/)
  })

  it("the same without an Effect", () => {
    assert.throws(() => ScriptedResource.makeUnsafe({ concurrency: 0 }), /concurrency is 0/)
    assert.strictEqual(ScriptedResource.makeUnsafe().name, "resource")
  })
})

it("The types of a scripted resource are exact", () => {
  const { acquire, gated, makeUnsafe, make, release, reset, scoped, slow, use, validate } = ScriptedResource
  type Resource = ScriptedResource.ScriptedResource
  type Item = ScriptedResource.Item
  type Failure = ScriptedResource.ScriptedFailure
  expectTypeOf(make).returns.toEqualTypeOf<Effect.Effect<Resource>>()
  expectTypeOf(acquire).returns.toEqualTypeOf<Effect.Effect<Item, Failure>>()
  expectTypeOf(validate).returns.toEqualTypeOf<Effect.Effect<boolean, Failure>>()
  expectTypeOf(reset).returns.toEqualTypeOf<Effect.Effect<void, Failure>>()
  expectTypeOf(release).returns.toEqualTypeOf<Effect.Effect<void>>()
  expectTypeOf(scoped).returns.toEqualTypeOf<Effect.Effect<Item, Failure, ScopeService>>()
  const item = null as unknown as Item
  const effect = null as unknown as Effect.Effect<1, "E", ScopeService>
  expectTypeOf(() => use(item, effect)).returns.toEqualTypeOf<Effect.Effect<1, "E", ScopeService>>()
  expectTypeOf(() => use(effect)(item)).returns.toEqualTypeOf<Effect.Effect<1, "E", ScopeService>>()
  expectTypeOf(slow("1 second").next).toEqualTypeOf<ScriptedResource.Outcome>()
  expectTypeOf(slow("1 second", gated(undefined, "fail")).next).toEqualTypeOf<ScriptedResource.Outcome>()
  expectTypeOf(slow("1 second", gated(undefined, "invalid")).next).toEqualTypeOf<ScriptedResource.Validity>()
  makeUnsafe({ validate: ["invalid", slow("1 second", "invalid"), slow("1 second", "ok"), gated()] })
  makeUnsafe({ validate: (call, item) => call > item.id ? "invalid" : slow("1 second") })
  assert.throws(() => {
    // @ts-expect-error: only a validation can be invalid
    makeUnsafe({ acquire: slow("1 second", "invalid") })
  })
  assert.throws(() => {
    // @ts-expect-error: there is no such outcome
    makeUnsafe({ reset: ["ok", "okay"] })
  })
})

describe("An acquisition that can be interrupted", () => {
  it.effect("loses no item wherever a fiber can stop, at the end of a mask for instance", () =>
    Explore.assert({
      name: "an interruptible acquisition",
      setup: ScriptedResource.make({ name: "thing", acquire: ["ok", "slow", "fail", "die"] }),
      fibers: (things) => ({
        ann: Effect.exit(Effect.scoped(ScriptedResource.scoped(things, { interruptible: true }))),
        bob: Effect.exit(Effect.scoped(ScriptedResource.scoped(things, { interruptible: true })))
      }),
      check: (things) => [
        ...ScriptedResource.check(things),
        ...(things.counts.acquiring === 0 ? [] : ["an acquisition is said to go on"])
      ],
      mayDie: true
    }))
})

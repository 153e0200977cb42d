import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schema } from "effect"
import { TestClock } from "effect/testing"
import { defectsOf, failureOf, heldNow, makeLog, managed, settle, start, tagOf, usedBy } from "./fixtures.ts"

/** A shared client whose acquisition and release can be held at gates. */
const makeClients = (options: {
  readonly idleTimeToLive?: "10 seconds"
  readonly acquireGate?: Latch.Latch
  readonly releaseGate?: Latch.Latch
} = {}) => {
  const { lines, say } = makeLog()
  let made = 0
  const pass = (gate: Latch.Latch | undefined) => gate === undefined ? Effect.void : gate.await
  const Client = ResourceDefinition.shared("client", {
    params: Schema.Struct({ host: Schema.String, ports: Schema.Array(Schema.Int) }),
    cost: () => ({ clients: 1 }),
    acquire: ({ host }) =>
      Effect.andThen(
        Effect.onInterrupt(pass(options.acquireGate), () => say(`interrupted ${host}`)),
        Effect.suspend(() => Effect.as(say(`+${host}`), { host, id: ++made }))
      ),
    release: ({ host }) => Effect.andThen(pass(options.releaseGate), say(`-${host}`)),
    interruptible: true,
    ...(options.idleTimeToLive === undefined ? undefined : { idleTimeToLive: options.idleTimeToLive })
  })
  return { lines, say, Client }
}

const a = { host: "a", ports: [1, 2] }

describe("A shared value", () => {
  it.effect("is one for each definition and params, which are compared structurally after decoding", () =>
    Effect.gen(function*() {
      const { Client, lines } = makeClients()
      const other = makeClients()
      yield* Effect.gen(function*() {
        const [one, two, three] = [
          yield* ResourceManager.allocate(Client, a),
          yield* ResourceManager.allocate(Client, { host: "a", ports: [1, 2] }),
          yield* ResourceManager.allocate(Client, { ports: [1, 2], host: "a" })
        ]
        assert.strictEqual(one.value, two.value)
        assert.strictEqual(one.value, three.value)
        assert.notStrictEqual((yield* ResourceManager.allocate(Client, { host: "a", ports: [2, 1] })).value, one.value)
        assert.notStrictEqual((yield* ResourceManager.allocate(other.Client, a)).value, one.value)
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines.toSorted(), ["+a", "+a", "-a", "-a"])
    }).pipe(managed()))

  it.effect("is not shared by params that only look alike", () =>
    Effect.gen(function*() {
      const Any = ResourceDefinition.shared("any", { params: Schema.Unknown, acquire: () => Effect.sync(() => ({})) })
      const all = [0, "0", false, null, undefined, "", [], {}, [0], { a: 0 }, Number.NaN, "NaN", new Map(), new Set()]
      const values = yield* Effect.forEach(all, (params) => ResourceManager.allocate(Any, params))
      assert.strictEqual(new Set(values.map(({ value }) => value)).size, all.length)
      const again = yield* ResourceManager.allocate(Any, Number.NaN)
      assert.strictEqual(again.value, values[10]!.value)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("stays while anyone uses it, and ends with the last frame that lets go", () =>
    Effect.gen(function*() {
      const { Client, lines } = makeClients()
      const one = yield* TimeFrame.make({ name: "one" })
      const two = yield* TimeFrame.make({ name: "two" })
      const first = yield* ResourceManager.allocate(Client, a).pipe(TimeFrame.provide(one))
      const second = yield* ResourceManager.allocate(Client, a).pipe(TimeFrame.provide(two))
      yield* TimeFrame.close(one)
      assert.throws(() => first.value, /released/)
      assert.strictEqual(second.value.host, "a")
      assert.deepStrictEqual(lines, ["+a"])
      yield* TimeFrame.close(two)
      assert.deepStrictEqual(lines, ["+a", "-a"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(Effect.scoped, managed()))

  it.effect("is paid for by the manager, once", () =>
    Effect.gen(function*() {
      const { Client } = makeClients()
      yield* Effect.gen(function*() {
        yield* ResourceManager.allocate(Client, a)
        yield* ResourceManager.allocate(Client, a)
        assert.strictEqual(yield* usedBy("", "clients"), 1)
        assert.strictEqual(yield* usedBy("frame", "clients"), 0)
      }).pipe(TimeFrame.run({ name: "frame", budget: { clients: 0 } }))
      assert.strictEqual(yield* usedBy("", "clients"), 0)
    }).pipe(managed()))

  it.effect("makes its last user wait for its release, and die with it", () =>
    Effect.gen(function*() {
      const releaseGate = yield* Latch.make()
      const { Client, lines } = makeClients({ releaseGate })
      const fiber = yield* ResourceManager.allocate(Client, a).pipe(TimeFrame.run({ name: "frame" }), start)
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* releaseGate.open
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(lines, ["+a", "-a"])
      const Dying = ResourceDefinition.shared("dying", { acquire: () => Effect.void, release: () => Effect.die("bug") })
      const exit = yield* ResourceManager.allocate(Dying).pipe(TimeFrame.run({ name: "frame" }), Effect.exit)
      assert.deepStrictEqual(defectsOf(exit), ["bug"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))

  it.effect("is acquired in a frame of its own: what it is made of ends with it, not with its first user", () =>
    Effect.gen(function*() {
      const { lines, say, Thing } = makeLog()
      const Service = ResourceDefinition.shared("service", {
        acquire: () =>
          Effect.andThen(ResourceManager.allocate(Thing, "part"), Effect.acquireRelease(say("+"), () => say("-")))
      })
      const longer = yield* TimeFrame.make({ name: "longer" })
      yield* ResourceManager.allocate(Service).pipe(
        Effect.andThen(ResourceManager.allocate(Service).pipe(TimeFrame.provide(longer))),
        TimeFrame.run({ name: "first", budget: { x: 1 } })
      )
      assert.deepStrictEqual(lines, ["+part", "+"])
      yield* TimeFrame.close(longer)
      assert.deepStrictEqual(lines, ["+part", "+", "-", "-part"])
    }).pipe(Effect.scoped, managed()))
})

describe("The acquisition of a shared value", () => {
  it.effect("is one for all who come while it goes on", () =>
    Effect.gen(function*() {
      const acquireGate = yield* Latch.make()
      const { Client, lines } = makeClients({ acquireGate })
      const fibers = yield* Effect.forEach(Array.from({ length: 50 }), () => start(ResourceManager.allocate(Client, a)))
      assert.strictEqual((yield* heldNow).length, 51)
      yield* acquireGate.open
      const handles = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(new Set(handles.map(({ value }) => value)).size, 1)
      assert.deepStrictEqual(lines, ["+a"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("goes on while anyone waits, and is cancelled when all have left", () =>
    Effect.gen(function*() {
      const acquireGate = yield* Latch.make()
      const { Client, lines } = makeClients({ acquireGate })
      const one = yield* start(ResourceManager.allocate(Client, a))
      const two = yield* start(ResourceManager.allocate(Client, a))
      yield* Fiber.interrupt(one)
      assert.deepStrictEqual(lines, [])
      yield* Fiber.interrupt(two)
      yield* settle
      assert.deepStrictEqual(lines, ["interrupted a"])
      assert.deepStrictEqual(yield* heldNow, [])
      assert.strictEqual(yield* usedBy("", "clients"), 0)
      yield* acquireGate.open
      yield* ResourceManager.allocate(Client, a)
      assert.deepStrictEqual(lines, ["interrupted a", "+a"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that ignores interruption ends by itself when all have left, and gives its value back", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const gate = yield* Latch.make()
      const Stubborn = ResourceDefinition.shared("stubborn", {
        acquire: () => Effect.andThen(gate.await, say("+")),
        release: () => say("-")
      })
      const one = yield* start(ResourceManager.allocate(Stubborn))
      yield* Fiber.interrupt(one)
      assert.deepStrictEqual(yield* heldNow, ["stubborn acquiring"])
      const two = yield* start(ResourceManager.allocate(Stubborn))
      yield* gate.open
      yield* Fiber.join(two)
      yield* settle
      assert.deepStrictEqual(lines.toSorted(), ["+", "+", "-"])
      assert.deepStrictEqual((yield* heldNow).toSorted(), ["stubborn live", "stubborn live"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that fails, fails for all who wait, and the next user tries again", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      let tries = 0
      const Flaky = ResourceDefinition.shared("flaky", {
        acquire: () =>
          Effect.andThen(gate.await, Effect.suspend(() => ++tries === 1 ? Effect.fail("no") : Effect.succeed(tries)))
      })
      const fibers = yield* Effect.forEach([1, 2, 3], () => start(Effect.exit(ResourceManager.allocate(Flaky))))
      yield* gate.open
      const exits = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(exits.map(failureOf), ["no", "no", "no"])
      assert.deepStrictEqual(yield* heldNow, [])
      assert.strictEqual((yield* ResourceManager.allocate(Flaky)).value, 2)
      assert.deepInclude((yield* ResourceManager.snapshot).resources[0], { acquired: 1, failed: 1, live: 1, shares: 1 })
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("does not hold a user past its deadline, and goes on for the others", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const gate = yield* Latch.make()
      const Slow = ResourceDefinition.shared("slow", {
        acquire: () => Effect.andThen(gate.await, say("+")),
        release: () => say("-")
      })
      const hasty = yield* ResourceManager.allocate(Slow).pipe(
        TimeFrame.run({ name: "hasty", timeout: "1 second" }),
        Effect.exit,
        start
      )
      const patient = yield* ResourceManager.allocate(Slow).pipe(TimeFrame.run({ name: "patient" }), start)
      yield* TestClock.adjust("1 second")
      assert.deepInclude(failureOf(yield* Fiber.join(hasty)), { _tag: "DeadlineExceeded", waitingFor: ["slow"] })
      assert.deepStrictEqual(lines, [])
      yield* gate.open
      yield* Fiber.join(patient)
      assert.deepStrictEqual(lines, ["+", "-"])
    }).pipe(managed()))
})

describe("An idle shared value", () => {
  it.effect("stays for its idle time, then ends", () =>
    Effect.gen(function*() {
      const { Client, lines } = makeClients({ idleTimeToLive: "10 seconds" })
      const use = ResourceManager.use(Client, a, (client) => Effect.succeed(client.id)).pipe(
        TimeFrame.run({ name: "frame" })
      )
      assert.strictEqual(yield* use, 1)
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* use, 1)
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(lines, ["+a"])
      assert.strictEqual(yield* usedBy("", "clients"), 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(lines, ["+a", "-a"])
      assert.strictEqual(yield* usedBy("", "clients"), 0)
      assert.strictEqual(yield* use, 2)
    }).pipe(managed()))

  it.effect("does not end under a user who came back within its idle time", () =>
    Effect.gen(function*() {
      const { Client, lines } = makeClients({ idleTimeToLive: "10 seconds" })
      yield* ResourceManager.allocate(Client, a).pipe(TimeFrame.run({ name: "first" }))
      yield* TestClock.adjust("5 seconds")
      const frame = yield* TimeFrame.make({ name: "second" })
      yield* ResourceManager.allocate(Client, a).pipe(TimeFrame.provide(frame))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(lines, ["+a"])
      yield* TimeFrame.close(frame)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(lines, ["+a", "-a"])
    }).pipe(Effect.scoped, managed()))

  it.effect("ends at once with the manager, and leaves no timer running", () =>
    Effect.gen(function*() {
      const { Client, lines } = makeClients({ idleTimeToLive: "10 seconds" })
      yield* ResourceManager.use(Client, a, () => Effect.void).pipe(TimeFrame.run({ name: "frame" }), managed())
      assert.deepStrictEqual(lines, ["+a", "-a"])
    }))
})

describe("ResourceManager.retire", () => {
  it.effect("releases an idle value before it returns, of all params or of those given", () =>
    Effect.gen(function*() {
      const { Client, lines } = makeClients({ idleTimeToLive: "10 seconds" })
      for (const host of ["a", "b", "c"]) {
        yield* ResourceManager.use(Client, { host, ports: [] }, () => Effect.void).pipe(
          TimeFrame.run({ name: "frame" })
        )
      }
      yield* ResourceManager.retire(Client, { host: "b", ports: [] })
      assert.deepStrictEqual(lines, ["+a", "+b", "+c", "-b"])
      yield* ResourceManager.retire(Client, { host: "x", ports: [] })
      const exit = yield* Effect.exit(ResourceManager.retire(Client, { host: 5, ports: [] } as never))
      assert.strictEqual(tagOf(exit), "InvalidParams")
      yield* ResourceManager.retire(Client)
      assert.deepStrictEqual(lines.toSorted(), ["+a", "+b", "+c", "-a", "-b", "-c"])
      yield* ResourceManager.retire(Client)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(lines.length, 6)
    }).pipe(managed()))

  it.effect("lets a value in use end with its last user, while new users get a new one", () =>
    Effect.gen(function*() {
      const { Client, lines } = makeClients({ idleTimeToLive: "10 seconds" })
      const old = yield* TimeFrame.make({ name: "old" })
      const before = yield* ResourceManager.allocate(Client, a).pipe(TimeFrame.provide(old))
      yield* ResourceManager.retire(Client)
      assert.strictEqual(before.value.id, 1)
      const next = yield* TimeFrame.make({ name: "next" })
      const after = yield* ResourceManager.allocate(Client, a).pipe(TimeFrame.provide(next))
      assert.strictEqual(after.value.id, 2)
      yield* TimeFrame.close(old)
      assert.deepStrictEqual(lines, ["+a", "+a", "-a"])
      assert.strictEqual(after.value.id, 2)
    }).pipe(Effect.scoped, managed()))

  it.effect("of a value that is being acquired lets those who wait have it, and nobody else", () =>
    Effect.gen(function*() {
      const acquireGate = yield* Latch.make()
      const { Client, lines } = makeClients({ acquireGate })
      yield* Effect.gen(function*() {
        const waiting = yield* start(ResourceManager.allocate(Client, a))
        yield* ResourceManager.retire(Client)
        const later = yield* start(ResourceManager.allocate(Client, a))
        yield* acquireGate.open
        assert.deepStrictEqual([(yield* Fiber.join(waiting)).value.id, (yield* Fiber.join(later)).value.id], [1, 2])
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+a", "+a", "-a", "-a"])
    }).pipe(managed()))

  it.effect("tells when the release of an idle value dies, and ends the others", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Dying = ResourceDefinition.shared("dying", {
        params: Schema.Int,
        idleTimeToLive: "1 hour",
        acquire: (id) => Effect.succeed(id),
        release: (id) => id === 2 ? Effect.die("bug") : Effect.andThen(Effect.yieldNow, say(`-${id}`))
      })
      yield* Effect.forEach([1, 2, 3], (id) => ResourceManager.allocate(Dying, id)).pipe(
        TimeFrame.run({ name: "frame" })
      )
      const exit: Exit.Exit<void> = yield* Effect.exit(ResourceManager.retire(Dying))
      assert.deepStrictEqual(defectsOf(exit), ["bug"])
      assert.deepStrictEqual(lines.toSorted(), ["-1", "-3"])
      assert.deepStrictEqual(yield* heldNow, [])
    }).pipe(managed()))
})

import { ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Schema } from "effect"
import { defectsOf, failureOf, makeLog, managed, start, tagOf } from "./fixtures.ts"

describe("A definition", () => {
  it.effect("is pure: it can be used by several managers at once", () =>
    Effect.gen(function*() {
      const { lines, Thing } = makeLog()
      const use = ResourceManager.use(Thing, "a", () => Effect.void).pipe(TimeFrame.run({ name: "frame" }), managed())
      yield* Effect.all([use, use, use], { concurrency: "unbounded" })
      assert.deepStrictEqual(lines.toSorted(), ["+a", "+a", "+a", "-a", "-a", "-a"])
    }))

  it("is told from other things, and says what it is", () => {
    const { Thing } = makeLog()
    assert.isTrue(ResourceDefinition.isResourceDefinition(Thing))
    assert.isFalse(ResourceDefinition.isResourceDefinition({ name: "thing" }))
    assert.isFalse(ResourceDefinition.isResourceDefinition(null))
    assert.deepInclude({ access: Thing.access, kind: Thing.kind, name: Thing.name }, {
      access: "direct",
      kind: "temporal",
      name: "thing"
    })
  })

  it("needs a name", () => {
    assert.throws(() => ResourceDefinition.temporal("", { acquire: () => Effect.void }), /name/)
    assert.throws(() => ResourceDefinition.rename(makeLog().Thing, ""), /name/)
  })

  it.effect("can be renamed, and is another one then", () =>
    Effect.gen(function*() {
      const One = ResourceDefinition.persistent("one", { acquire: () => Effect.sync(() => ({})) })
      const Two = One.pipe(ResourceDefinition.rename("two"))
      assert.deepStrictEqual([One.name, Two.name, Two.kind], ["one", "two", "persistent"])
      const one = yield* ResourceManager.allocate(One)
      const two = yield* ResourceManager.allocate(Two)
      assert.strictEqual(two.resource, "two")
      assert.notStrictEqual(one.value, two.value)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("can be acquired in another way: retried, provided for, with other errors", () =>
    Effect.gen(function*() {
      const Host = Context.Service<string>("test/Host")
      let tries = 0
      const released: Array<string> = []
      const Connection = ResourceDefinition.temporal("connection", {
        params: Schema.Int,
        cost: () => ({ connections: 1 }),
        acquire: (port) =>
          Effect.flatMap(Effect.service(Host), (host) =>
            ++tries < 3 ? Effect.fail("refused") : Effect.succeed(`${host}:${port}`)),
        release: (value) =>
          Effect.sync(() => released.push(value))
      }).pipe(
        ResourceDefinition.mapAcquire(Effect.retry({ times: 2 })),
        ResourceDefinition.mapAcquire(Effect.provideService(Host, "localhost")),
        ResourceDefinition.mapAcquire(Effect.mapError((error) => ({ error })))
      )
      yield* Effect.gen(function*() {
        const connection = yield* ResourceManager.allocate(Connection, 80)
        assert.strictEqual(connection.value, "localhost:80")
        assert.strictEqual(tries, 3)
        tries = -10
        const exit = yield* Effect.exit(ResourceManager.allocate(Connection, 81))
        assert.deepStrictEqual(failureOf(exit), { error: "refused" } as never)
      }).pipe(TimeFrame.run({ name: "frame" }), Effect.provideService(Host, "not this one"))
      assert.deepStrictEqual(released, ["localhost:80"])
    }).pipe(managed()))

  it.effect("keeps the scope of its acquisition when that is mapped", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const Scoped = ResourceDefinition.temporal("scoped", {
        acquire: () => Effect.acquireRelease(say("+"), () => say("-"))
      }).pipe(ResourceDefinition.mapAcquire(Effect.tap(() => say("mapped"))))
      const scoped = yield* ResourceManager.allocate(Scoped)
      yield* scoped.release
      assert.deepStrictEqual(lines, ["+", "mapped", "-"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that says so can be interrupted in spite of its release, which then does not run", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const gate = yield* Latch.make()
      const Polite = ResourceDefinition.temporal("polite", {
        acquire: () => Effect.onInterrupt(gate.await, () => say("interrupted")),
        interruptible: true,
        release: () => say("-")
      })
      const fiber = yield* start(ResourceManager.allocate(Polite))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(lines, ["interrupted"])
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that says so can not be interrupted though its acquisition is scoped", () =>
    Effect.gen(function*() {
      const { lines, say } = makeLog()
      const gate = yield* Latch.make()
      const Stubborn = ResourceDefinition.temporal("stubborn", {
        acquire: () => Effect.andThen(gate.await, Effect.acquireRelease(say("+"), () => say("-"))),
        interruptible: false
      })
      yield* Effect.gen(function*() {
        const fiber = yield* start(ResourceManager.allocate(Stubborn))
        const interrupting = yield* start(Fiber.interrupt(fiber))
        assert.isUndefined(fiber.pollUnsafe())
        yield* gate.open
        yield* Fiber.join(interrupting)
      }).pipe(TimeFrame.run({ name: "frame" }))
      assert.deepStrictEqual(lines, ["+", "-"])
    }).pipe(managed()))
})

describe("Params", () => {
  it.effect("are decoded: the recipe gets the decoded ones", () =>
    Effect.gen(function*() {
      const Timed = ResourceDefinition.temporal("timed", {
        params: Schema.Struct({ size: Schema.NumberFromString }),
        cost: ({ size }) => ({ memory: size }),
        acquire: ({ size }) => Effect.succeed(size + 1)
      })
      assert.strictEqual((yield* ResourceManager.allocate(Timed, { size: "41" })).value, 42)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("whose schema throws, die", () =>
    Effect.gen(function*() {
      const Broken = ResourceDefinition.temporal("broken", {
        params: Schema.String.check(Schema.makeFilter((): boolean => {
          throw new Error("filter")
        })),
        cost: () => ({ memory: 1 }),
        acquire: () => Effect.void
      })
      const exit = yield* Effect.exit(ResourceManager.allocate(Broken, "x"))
      assert.isTrue(Exit.isFailure(exit))
      assert.match(String(defectsOf(exit)[0]), /filter/)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("that do not fit are told with the path into them", () =>
    Effect.gen(function*() {
      const Deep = ResourceDefinition.temporal("deep", {
        params: Schema.Struct({ hosts: Schema.Array(Schema.Struct({ port: Schema.Int })) }),
        acquire: () => Effect.void
      })
      const exit = yield* Effect.exit(
        ResourceManager.allocate(Deep, { hosts: [{ port: 1 }, { port: "2" as unknown as number }] })
      )
      assert.strictEqual(tagOf(exit), "InvalidParams")
      assert.match(failureOf(exit)!.message, /hosts.*1.*port/s)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))
})

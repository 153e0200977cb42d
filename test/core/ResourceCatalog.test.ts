import { ResourceCatalog, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { failureOf, heldNow, managed } from "./fixtures.ts"

const Buffer = ResourceDefinition.temporal("temporal_buffer", {
  params: Schema.Int.check(Schema.isGreaterThan(0)),
  cost: (bytes) => ({ memory: bytes }),
  acquire: (bytes) => Effect.sync(() => new Uint8Array(bytes))
})
const Region = ResourceDefinition.shared("region_client", {
  params: Schema.String,
  acquire: (region) => Effect.succeed({ region })
})
const Settings = ResourceDefinition.persistent("settings", { acquire: () => Effect.succeed("settings") })
const catalog = ResourceCatalog.make(Buffer, Region, Settings)

describe("A catalog", () => {
  it.effect("allocates by name", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(catalog.names, ["temporal_buffer", "region_client", "settings"])
      const buffer = yield* catalog.allocate("temporal_buffer", 16)
      const region = yield* catalog.allocate("region_client", "eu")
      const settings = yield* catalog.allocate("settings")
      assert.strictEqual(buffer.value.length, 16)
      assert.strictEqual(region.value.region, "eu")
      assert.strictEqual(settings.value, "settings")
      assert.strictEqual((yield* ResourceManager.allocate(Region, "eu")).value, region.value)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("allocates by a name and params that nobody checked", () =>
    Effect.gen(function*() {
      const params: unknown = JSON.parse("16")
      const buffer = yield* catalog.allocateUnknown("temporal_buffer", params)
      assert.strictEqual(buffer.resource, "temporal_buffer")
      assert.strictEqual((yield* catalog.allocateUnknown("settings")).resource, "settings")
      for (const params of [-1, 1.5, "16", null, undefined, {}, [16]]) {
        const exit = yield* Effect.exit(catalog.allocateUnknown("temporal_buffer", params))
        assert.deepInclude(failureOf(exit), { _tag: "InvalidParams", resource: "temporal_buffer" })
      }
      assert.strictEqual((yield* heldNow).filter((held) => held.startsWith("temporal_buffer")).length, 1)
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("refuses names that it does not have, and tells those that it has", () =>
    Effect.gen(function*() {
      for (const name of ["", "buffer", "__proto__", "constructor", "toString", "names"]) {
        const error = failureOf(yield* Effect.exit(catalog.allocateUnknown(name, 1)))
        assert.deepInclude(error, { _tag: "UnknownResource", resource: name, known: catalog.names })
        assert.include(error!.message, `"region_client"`)
      }
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it.effect("has no use for params where there are none", () =>
    Effect.gen(function*() {
      const settings = yield* catalog.allocateUnknown("settings", { some: "thing" })
      assert.strictEqual(settings.resource, "settings")
    }).pipe(TimeFrame.run({ name: "frame" }), managed()))

  it("does not take two definitions of one name", () => {
    assert.throws(() => ResourceCatalog.make(Buffer, Buffer), /temporal_buffer/)
    assert.throws(
      () => ResourceCatalog.make(Buffer, Region.pipe(ResourceDefinition.rename("temporal_buffer"))),
      /temporal_buffer/
    )
  })

  it("can be empty, and takes many", () => {
    assert.deepStrictEqual(ResourceCatalog.make().names, [])
    const many = Array.from({ length: 100 }, (_, index) => Buffer.pipe(ResourceDefinition.rename(`buffer ${index}`)))
    assert.strictEqual(ResourceCatalog.make(...many).names.length, 100)
  })
})

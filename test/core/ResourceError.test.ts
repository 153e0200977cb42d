import { ResourceError } from "@chronovyan/core"
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const holder = (allocation: number, more: Partial<ResourceError.Holder> = {}) =>
  new ResourceError.Holder({
    age: 95 * allocation,
    allocation,
    amount: 10 * allocation,
    frame: "server/request",
    resource: "buffer",
    since: 5,
    state: "live",
    ...more
  })

const errors = {
  AllocationReleased: new ResourceError.AllocationReleased({
    allocation: 7,
    frame: "server/request",
    resource: "buffer"
  }),
  BudgetExceeded: new ResourceError.BudgetExceeded({
    frame: "server",
    holders: [holder(3), holder(2, { state: "acquiring" }), holder(1, { callSite: "handleRequest", frame: "" })],
    limit: 100,
    requested: 50,
    requestedBy: "server/request",
    resource: "buffer",
    unit: "memory",
    used: 60
  }),
  DeadlineExceeded: new ResourceError.DeadlineExceeded({
    frame: "server/request",
    holders: [1, 2, 3, 4, 5, 6, 7].map((id) => holder(id, { amount: 0 })),
    timeout: 250,
    waitingFor: ["connection", "lock"]
  }),
  FrameClosed: new ResourceError.FrameClosed({ frame: "server/request", resource: "buffer" }),
  InvalidParams: new ResourceError.InvalidParams({ issue: "Expected number, got \"x\"", resource: "buffer" }),
  UnknownResource: new ResourceError.UnknownResource({ known: ["buffer", "client"], resource: "bufer" })
}

describe("The message of", () => {
  it("InvalidParams says which resource and what is wrong", () => {
    expect(errors.InvalidParams.message).toMatchInlineSnapshot(
      `"The params of "buffer" do not fit its schema, so nothing was acquired: Expected number, got "x""`
    )
  })

  it("UnknownResource says which names there are", () => {
    expect(errors.UnknownResource.message).toMatchInlineSnapshot(
      `"No resource is called "bufer": this catalog has "buffer", "client". Add it to ResourceCatalog.make"`
    )
  })

  it("FrameClosed says which frame, and what to do", () => {
    expect(errors.FrameClosed.message).toMatchInlineSnapshot(
      `"The frame server/request is closed, so it can not own "buffer". A fiber that outlives its frame has to open one of its own with TimeFrame.run"`
    )
    const root = new ResourceError.FrameClosed({ frame: "", resource: "settings" })
    expect(root.message).toMatchInlineSnapshot(
      `"The manager is closed, so nothing can own "settings". Do the work while its layer is open"`
    )
  })

  it("DeadlineExceeded says what was waited for and what was held", () => {
    expect(errors.DeadlineExceeded.message).toMatchInlineSnapshot(`
      "The frame server/request did not end within 250 ms while waiting for "connection", "lock": give it more time, or less to do. It held:
        - "buffer" by server/request for 95 ms
        - "buffer" by server/request for 190 ms
        - "buffer" by server/request for 285 ms
        - "buffer" by server/request for 380 ms
        - "buffer" by server/request for 475 ms
        - and 2 more"
    `)
    const idle = new ResourceError.DeadlineExceeded({ frame: "a", holders: [], timeout: 1, waitingFor: [] })
    expect(idle.message).toMatchInlineSnapshot(
      `"The frame a did not end within 1 ms: give it more time, or less to do. It held nothing"`
    )
  })

  it("BudgetExceeded says who has it, and when it can never fit", () => {
    expect(errors.BudgetExceeded.message).toMatchInlineSnapshot(`
      ""buffer" in server/request needs 50 of "memory", but server has 40 of 100 left. Held by:
        - 30 of "memory" in "buffer" by server/request for 285 ms
        - 20 of "memory" in "buffer" by server/request for 190 ms [acquiring]
        - 10 of "memory" in "buffer" by the manager for 95 ms (handleRequest)
      Release one of them earlier, or raise the limit"
    `)
    const never = new ResourceError.BudgetExceeded({ ...errors.BudgetExceeded, requested: 101 })
    expect(never.message).toMatchInlineSnapshot(
      `""buffer" in server/request needs 101 of "memory", but server has 40 of 100 left. It can never fit: raise the limit or ask for less"`
    )
  })

  it("BudgetExceeded of a rate says when enough is back, and who took of it as far as that is known", () => {
    const { holders, ...refused } = errors.BudgetExceeded
    const rate = new ResourceError.BudgetExceeded({ ...refused, holders, unit: "calls", requested: 1, readyIn: 200 })
    expect(rate.message).toMatchInlineSnapshot(`
      ""buffer" in server/request needs 1 of "calls", but server has 40 of 100 left. Enough is back in 200 ms. Of what is still held, these took it:
        - 30 of "calls" in "buffer" by server/request for 285 ms
        - 20 of "calls" in "buffer" by server/request for 190 ms [acquiring]
        - 10 of "calls" in "buffer" by the manager for 95 ms (handleRequest)
      Their release brings nothing back: wait, ask for less, or raise the rate"
    `)
    const unknown = new ResourceError.BudgetExceeded({ ...rate, holders: [], waiting: 1, waited: 50, readyIn: 0 })
    expect(unknown.message).toMatchInlineSnapshot(
      `""buffer" in server/request needs 1 of "calls", but server has 40 of 100 left, and 1 waits for it, after waiting 50 ms. Enough is there, but those who wait come first. A rate has no holders: it comes back with time alone"`
    )
  })

  it("AllocationReleased says what to do", () => {
    expect(errors.AllocationReleased.message).toMatchInlineSnapshot(
      `""buffer" (allocation 7 of server/request) has been released. Use the value before its frame ends and before its release, or move it to a longer frame with Allocation.transfer"`
    )
  })
})

describe("Every error", () => {
  for (const [tag, error] of Object.entries(errors)) {
    it.effect(`survives JSON, is an Error and has a tag: ${tag}`, () =>
      Effect.gen(function*() {
        assert.strictEqual(error._tag, tag)
        assert.instanceOf(error, Error)
        const schema = error.constructor as unknown as Schema.Codec<unknown>
        const encoded = yield* Schema.encodeEffect(schema)(error)
        const decoded = yield* Schema.decodeUnknownEffect(schema)(JSON.parse(JSON.stringify(encoded)))
        assert.instanceOf(decoded, error.constructor as new() => unknown)
        assert.strictEqual((decoded as Error).message, error.message)
        assert.strictEqual(yield* Effect.flip(Effect.fail(error)), error)
      }))
  }
})

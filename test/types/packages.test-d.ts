import type * as Core from "@chronovyan/core"
import type * as Node from "@chronovyan/node"
import type * as Testing from "@chronovyan/testing"
import { expectTypeOf, test } from "vitest"

test("type tests reach the packages they are about", () => {
  expectTypeOf<typeof Core>().not.toBeAny()
  expectTypeOf<typeof Node>().not.toBeAny()
  expectTypeOf<typeof Testing>().not.toBeAny()
})

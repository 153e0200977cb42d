// A program as a user of the published packages writes it: npm run check:packages compiles and runs it against the
// packed packages, outside of this repository.
import * as Core from "@chronovyan/core"
import * as Node from "@chronovyan/node"
import * as Testing from "@chronovyan/testing"
import { Effect } from "effect"

const packages = { Core, Node, Testing }

await Effect.runPromise(Effect.sync(() => {
  for (const [name, modules] of Object.entries(packages)) {
    console.log(`${name}: ${Object.keys(modules).join(", ") || "nothing yet"}`)
  }
}))

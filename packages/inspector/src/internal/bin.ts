/**
 * The command `chronovyan` as a program.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { run } from "./cli.ts"

// Who reads the output may have heard enough, as `head` has.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0)
  throw error
})

NodeRuntime.runMain(Effect.map(run(process.argv.slice(2)), (code) => {
  process.exitCode = code
}))

/**
 * Runs the command with what was said, and answers what to exit with. Owned by the command.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import { command } from "./command.ts"
import { clean } from "./text.ts"
import { exitCodes, Trouble } from "./trouble.ts"

const versionOf = (): string => JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version

/** Whatever goes wrong is told in one line. */
const complain = (message: string) =>
  message === "" ? Effect.void : Console.error(`chronovyan: ${clean(message.replace(/\s+/g, " "))}`)

const config = CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })

const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? complain(`${event.errors.map((error) => error.message).join("; ")} (--help tells what there is)`)
      : CliOutput.defaultPresenter.present(event)
})

/** Interruption goes on; a defect exits with 70, as the software errors of other commands do. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<number> =>
  Command.runWith(command, { version: versionOf() })(args).pipe(
    Effect.as(0),
    Effect.catch((error) => {
      if (error instanceof Trouble) return Effect.as(complain(error.message), exitCodes[error.kind])
      return CliError.isCliError(error)
        ? Effect.succeed(exitCodes.usage)
        : Effect.as(complain(String(error)), exitCodes.refused)
    }),
    Effect.catchDefect((defect) => Effect.as(complain(Cause.pretty(Cause.die(defect))), 70)),
    Effect.provide(Layer.mergeAll(NodeServices.layer, config, presenter))
  )

/**
 * Indexes the files of a directory: sizes, lines, checksums, distinct words, duplicates. `--help` says more.
 */
// By module: the barrel would load what HTTP and Redis need as well.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Console, Effect, Layer } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import * as display from "./display.ts"
import * as Indexer from "./indexer.ts"
import { parameters } from "./options.ts"
import { isTerminal } from "./progress.ts"
import { toText } from "./report-text.ts"
import { toJson } from "./report.ts"

const indexer = Command.make("indexer", parameters, (options) =>
  Indexer.run(
    { ...options, watched: isTerminal },
    (report) => Console.log(options.json ? toJson(report) : toText(report))
  )).pipe(
    Command.withDescription("Index the regular files of a directory. Links are not followed.")
  )

/** Whatever goes wrong is told in one line. */
const complain = (message: string) => Console.error(`indexer: ${display.oneLine(message)}`)

const config = CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })

const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? complain(event.errors.map((error) => error.message).join("; "))
      : CliOutput.defaultPresenter.present(event)
})

indexer.pipe(
  Command.run({ version: "0.0.0" }),
  Effect.tapError((error) => CliError.isCliError(error) ? Effect.void : complain(error.message)),
  Effect.tapDefect((defect) => complain(Cause.pretty(Cause.die(defect)))),
  Effect.provide(Layer.mergeAll(NodeServices.layer, config, presenter)),
  // Ctrl-C interrupts the run, which reports what there is; the exit code is 130 then.
  NodeRuntime.runMain({ disableErrorReporting: true })
)

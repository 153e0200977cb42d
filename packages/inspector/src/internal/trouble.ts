/**
 * What goes wrong with the command, as a person understands it, and what it exits with. Owned by the command.
 */
import * as Schema from "effect/Schema"

export const exitCodes = {
  /** The program refused, or there is no such thing. */
  refused: 1,
  /** It was called in a way that makes no sense. */
  usage: 2,
  /** No program was found, or nothing answers. */
  unreachable: 3,
  /** A token is needed, or it is another one. */
  token: 4,
  /** The program does not allow control. */
  control: 5
}

export class Trouble extends Schema.TaggedError<Trouble>()("Trouble", {
  kind: Schema.Literals(["refused", "usage", "unreachable", "token", "control"]),
  text: Schema.String
}) {
  override get message(): string {
    return this.text
  }
}

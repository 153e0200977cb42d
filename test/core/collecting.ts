import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Starts the garbage collector, where that can be done. */
export const findGc = (): (() => void) | undefined => {
  if (typeof globalThis.gc === "function") return () => void globalThis.gc!()
  try {
    setFlagsFromString("--expose-gc")
    return runInNewContext("gc") as () => void
  } catch {
    return undefined
  }
}

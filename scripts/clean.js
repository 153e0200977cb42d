// Removes what the scripts build.
import { globSync, rmSync } from "node:fs"

for (const path of globSync(["packages/*/dist", "test/examples/generated", "node_modules/.cache/chronovyan"])) {
  rmSync(path, { recursive: true, force: true })
}

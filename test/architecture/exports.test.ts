import { expect, test } from "vitest"
import { publishedNames, sourcesOf } from "./source.ts"

test.each(publishedNames)("what %s exports changes only on purpose", async (name) => {
  const modules = sourcesOf(name).filter(({ module }) => !module.startsWith("internal/"))
  const surface = modules.map(({ exports, module }) =>
    [module, ...exports.map((exported) => `  ${exported}`)].join("\n")
  )
  await expect(`${surface.join("\n")}\n`).toMatchFileSnapshot(`exports/${name}.txt`)
})

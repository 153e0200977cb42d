import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

const packages = resolve(import.meta.dirname, "../../../packages")

// Runs one file, the one in the environment; the config of the project takes only its own tests.
export default defineConfig({
  root: process.env["FIXTURE_ROOT"] ?? import.meta.dirname,
  cacheDir: resolve(import.meta.dirname, "../../../node_modules/.vite/fixtures"),
  resolve: {
    alias: [
      { find: /^@chronovyan\/(\w+)$/, replacement: `${packages}/$1/src/index.ts` },
      { find: /^@chronovyan\/(\w+)\/(\w+)$/, replacement: `${packages}/$1/src/$2.ts` }
    ]
  },
  server: { fs: { strict: false } },
  test: { include: ["*.fixture.ts"] }
})

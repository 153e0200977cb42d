import { defineConfig } from "vitest/config"

export default defineConfig({
  cacheDir: "node_modules/.vite",
  resolve: { tsconfigPaths: true },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/examples/generated/**"],
    typecheck: {
      enabled: true,
      include: ["test/types/**/*.test-d.ts"],
      tsconfig: "test/types/tsconfig.json",
      // `npm run check` is what reports errors outside of the type tests
      ignoreSourceErrors: true
    }
  }
})

/**
 * Takes the pictures of packages/inspector/docs again: `node test/inspector/pageShots.ts`. It takes about two minutes,
 * for the plots to have something to show.
 */
import { join } from "node:path"
import type { Page } from "puppeteer-core"
import { buildPage } from "../../scripts/page.ts"
import { openBrowser } from "./pageBrowser.ts"
import { large, Program, small } from "./pageProgram.ts"
import type { Size } from "./pageProgram.ts"
import { servePage } from "./pageServer.ts"

const images = join(import.meta.dirname, "..", "..", "packages", "inspector", "docs", "images")
const page = await buildPage()
await using browser = await openBrowser()

interface Shot {
  readonly name: string
  readonly size: Size
  readonly theme: "light" | "dark"
  /** How long the program runs before, in seconds. */
  readonly after: number
  readonly go: (tab: Page) => Promise<void>
}

const sleep = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

const shots: ReadonlyArray<Shot> = [
  {
    name: "tree",
    size: large,
    theme: "light",
    after: 4,
    go: async (tab) => {
      await tab.focus(".rows")
      await tab.keyboard.press("Home")
      for (let row = 0; row < 6; row++) await tab.keyboard.press("ArrowDown")
    }
  },
  { name: "timeline", size: small, theme: "dark", after: 40, go: (tab) => tab.keyboard.press("2") },
  { name: "gauges", size: small, theme: "light", after: 75, go: (tab) => tab.keyboard.press("3") },
  { name: "waits", size: large, theme: "dark", after: 6, go: (tab) => tab.keyboard.press("4") },
  { name: "leaks", size: small, theme: "light", after: 4, go: (tab) => tab.keyboard.press("5") }
]

const take = async ({ after, go, name, size, theme }: Shot): Promise<void> => {
  await using server = await servePage({ program: new Program(size), page, control: name === "gauges" })
  const context = await browser.createBrowserContext()
  const tab = await context.newPage()
  await tab.setViewport({ width: 1280, height: 760 })
  await tab.emulateTimezone("Etc/UTC")
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }])
  await tab.goto(server.url)
  await sleep(after * 1000)
  await go(tab)
  await sleep(1500)
  await tab.screenshot({ path: join(images, `${name}.png`) as `${string}.png` })
  await tab.close()
}

await Promise.all(shots.map(take))

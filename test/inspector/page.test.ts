/**
 * The page in Chromium, before a made-up program with 10,000 live allocations. Without Chromium these tests are skipped:
 * install it (`apt-get install chromium`), or name it in the environment variable CHROMIUM.
 */
import { Snapshot } from "@chronovyan/core"
import { Schema } from "effect"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Browser, Page } from "puppeteer-core"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { buildPage } from "../../scripts/page.ts"
import { chromium, openBrowser } from "./pageBrowser.ts"
import { startLive } from "./pageLive.ts"
import { large, Program, small } from "./pageProgram.ts"
import { servePage } from "./pageServer.ts"
import type { PageServer, ServerOptions } from "./pageServer.ts"

if (chromium === undefined) console.warn("The page is not tested: there is no Chromium on this machine.")

const patience = 30_000
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

let browser: Browser
let file: string
let downloads: string
let big: PageServer
let tab: Page
/** For small programs, one after the other. */
let side: Page
const program = new Program(large)
const complaints: Array<string> = []

const openTab = async (url: string, theme: "light" | "dark" = "light"): Promise<Page> => {
  const context = await browser.createBrowserContext({ downloadBehavior: { policy: "allow", downloadPath: downloads } })
  const page = await context.newPage()
  await page.setViewport({ width: 1280, height: 800 })
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }])
  await page.evaluateOnNewDocument(() => {
    const updates: Array<number> = []
    Object.assign(globalThis, { updates })
    new PerformanceObserver((list) => {
      for (const entry of list.getEntriesByName("chronovyan.update")) updates.push(entry.duration)
    }).observe({ entryTypes: ["measure"] })
  })
  page.on("pageerror", (error) => complaints.push(String(error)))
  page.on("console", (message) => {
    // What a program that has gone away does not answer is told by the browser itself
    if (message.type() === "error" && !/net::ERR_|status of 401/.test(message.text())) complaints.push(message.text())
  })
  page.on("request", (request) => {
    if (!/^(http:\/\/127\.0\.0\.1|file:|data:|blob:)/.test(request.url())) complaints.push(`asked ${request.url()}`)
  })
  await page.goto(url)
  return page
}

/** As when it is opened anew: a page that differs in its fragment only would not be loaded again. */
const visit = async (url: string): Promise<Page> => {
  await side.goto("about:blank")
  await side.goto(url)
  return side
}

const textOf = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent ?? "")

const waitFor = (page: Page, selector: string, text: string | RegExp): Promise<unknown> =>
  page.waitForFunction(
    (selector, source) => new RegExp(source).test(document.querySelector(selector)?.textContent ?? ""),
    { timeout: 8000, polling: 50 },
    selector,
    typeof text === "string" ? text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : text.source
  )

/** What is drawn comes a moment after the text around it. */
const waitForMore = (page: Page, selector: string, than: number): Promise<unknown> =>
  page.waitForFunction(
    (selector, than) => document.querySelectorAll(selector).length > than,
    { timeout: 8000, polling: 50 },
    selector,
    than
  )

const withServer = async (
  options: Omit<ServerOptions, "page" | "program">,
  use: (server: PageServer) => Promise<void>
): Promise<void> => {
  await using server = await servePage({ program: new Program(small), page: file, ...options })
  await use(server)
}

/** On a machine with other things to do all takes longer: the figures are printed, the bounds are generous. */
const report = (what: string, figures: ReadonlyArray<number>): void =>
  console.log(`${what}: ${figures.map((figure) => `${Math.round(figure)} ms`).join(", ")}`)

describe.skipIf(chromium === undefined)("the page", { timeout: patience }, () => {
  beforeAll(async () => {
    file = await buildPage()
    downloads = mkdtempSync(join(tmpdir(), "chronovyan-page-"))
    browser = await openBrowser()
    big = await servePage({ program, page: file })
    tab = await openTab(big.url)
    side = await openTab("about:blank", "dark")
  }, patience)

  afterAll(async () => {
    await browser?.close()
    if (downloads !== undefined) rmSync(downloads, { recursive: true, force: true })
  })

  test("is painted at once, and shows 10,000 live allocations soon", async () => {
    const page = await visit(big.url)
    await page.waitForSelector(".row")
    const rows = await page.evaluate(() => performance.now())
    const paint = await page.evaluate(async () => {
      for (;;) {
        const entry = performance.getEntriesByName("first-contentful-paint")[0]
        if (entry !== undefined) return entry.startTime
        await new Promise((resolve) => requestAnimationFrame(resolve))
      }
    })
    await waitFor(page, ".summary", /^\d+ frames, 1\d,\d\d\d allocations$/)
    report("first paint, first rows", [paint, rows])
    expect(paint).toBeLessThan(2500)
    expect(rows).toBeLessThan(5000)
  })

  test("takes in 10,000 allocations again and again, and says so soon", async () => {
    await tab.waitForSelector(".row")
    await tab.waitForFunction(() => (globalThis as unknown as { updates: Array<number> }).updates.length >= 2)
    const updates = await tab.evaluate(() => (globalThis as unknown as { updates: Array<number> }).updates)
    report("updates, from the question to the paint", updates)
    expect(updates.toSorted((a, b) => a - b)[Math.floor(updates.length / 2)]).toBeLessThan(1500)
    // However many there are, only what is seen is drawn
    expect((await tab.$$(".row")).length).toBeLessThan(80)
  })

  test("finds a few of 10,000 allocations as they are typed", async () => {
    await tab.keyboard.press("/")
    expect(await tab.evaluate(() => document.activeElement?.id)).toBe("search")
    await tab.keyboard.type("session.ts:23")
    await waitFor(tab, ".summary", "900 found")
    expect(await textOf(tab, ".rows")).toContain("src/session.ts:23:18")
    const took = await tab.evaluate(async () => {
      const input = document.querySelector<HTMLInputElement>("#search")!
      const start = performance.now()
      input.value = "buffer"
      input.dispatchEvent(new Event("input", { bubbles: true }))
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
      return performance.now() - start
    })
    await waitFor(tab, ".summary", /^8,\d\d\d found$/)
    report("a search that finds 8,500", [took])
    expect(took).toBeLessThan(1500)
    await tab.keyboard.press("Escape")
    await waitFor(tab, ".summary", "frames")
  })

  test("moves in the tree by keys, opens what is folded, and shows details", async () => {
    await tab.focus(".rows")
    await tab.keyboard.press("Home")
    expect(await textOf(tab, ".row.selected")).toContain("manager")
    expect(await textOf(tab, ".details")).toContain("512 MiB")
    const active = await tab.$eval(".rows", (rows) => rows.getAttribute("aria-activedescendant"))
    expect(active).toBe("row-f1")
    await tab.keyboard.press("ArrowLeft")
    await tab.waitForFunction(() => document.querySelectorAll(".row").length === 1)
    await tab.keyboard.press("ArrowRight")
    await tab.waitForFunction(() => document.querySelectorAll(".row").length > 5)
    await tab.keyboard.press("+")
    await tab.waitForFunction(() => document.querySelector(".rows > [role=rowgroup]")!.clientHeight > 20_000)
    await tab.keyboard.press("End")
    await waitFor(tab, ".row.selected", "file_handle")
    expect(await textOf(tab, ".details")).toContain("openPart (file:///srv/shop/src/indexer.ts:77:9)")
    await tab.keyboard.press("-")
    await tab.keyboard.press("Home")
  })

  test("sorts by age and by cost, by a click on the head", async () => {
    await tab.select(".options select", "none")
    const clickHead = (name: string) =>
      tab.$$eval(
        ".heads button",
        (heads, name) => heads.find((head) => head.textContent?.startsWith(name))!.click(),
        name
      )
    await clickHead("Cost")
    await waitFor(tab, ".row", "image_decoder")
    await clickHead("Age")
    await waitFor(tab, ".row", "settings")
    await clickHead("Age")
    await waitFor(tab, ".heads [aria-sort=ascending]", "Age")
    await clickHead("Age")
    expect((await tab.$$(".heads [aria-sort=none]")).length).toBe(5)
    await tab.select(".options select", "frames")
  })

  test("stands still when it is paused, and goes on", async () => {
    await tab.evaluate(() => (document.activeElement as HTMLElement | null)?.blur())
    await tab.keyboard.press(" ")
    await waitFor(tab, ".state", "paused")
    const before = await textOf(tab, ".rows")
    const at = program.now
    await new Promise((resolve) => setTimeout(resolve, 1200))
    expect(program.now).toBeGreaterThan(at)
    expect(await textOf(tab, ".rows")).toBe(before)
    await tab.keyboard.press(" ")
    await waitFor(tab, ".state", "live")
    await tab.waitForFunction((before) => document.querySelector(".rows")!.textContent !== before, {}, before)
  })

  test("saves what is shown, and shows what was saved", async () => {
    await tab.keyboard.press("d")
    await waitFor(tab, ".notice", /Saved as shop-.*\.json/)
    const path = join(downloads, (await textOf(tab, ".notice")).slice("Saved as ".length))
    for (let round = 0; round < 100 && !existsSync(path); round++) {
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    expect(readdirSync(downloads)).toEqual([path.slice(downloads.length + 1)])
    const snapshot = Schema.decodeUnknownSync(Snapshot.Snapshot)(JSON.parse(readFileSync(path, "utf8")))
    expect(snapshot.allocations.length).toBeGreaterThan(10_000)

    const input = await tab.$("#file")
    await (input as unknown as { uploadFile: (path: string) => Promise<void> }).uploadFile(path)
    await waitFor(tab, ".state", "file")
    await waitFor(tab, ".banner", `${snapshot.frames.length} frames`)
    await tab.keyboard.press("5")
    await waitFor(tab, ".summary", "5 leaks from 3 places")
    await tab.keyboard.press("1")
    await tab.keyboard.press("Escape")
    await waitFor(tab, ".state", "live")

    // The page needs no program for this
    const alone = await visit(pathToFileURL(file).href)
    await waitFor(alone, ".empty", "No program")
    const other = await alone.$("#file")
    await (other as unknown as { uploadFile: (path: string) => Promise<void> }).uploadFile(path)
    await waitFor(alone, ".summary", `${snapshot.frames.length} frames`)
  })

  test("shows the timeline of 10,000 allocations, which follows, scrolls and zooms", async () => {
    await tab.keyboard.press("2")
    await tab.waitForSelector(".lanes canvas")
    const inkOf = (): Promise<number> =>
      tab.$eval(".lanes canvas", (canvas) => {
        const { data } = (canvas as HTMLCanvasElement).getContext("2d")!
          .getImageData(200, 30, (canvas as HTMLCanvasElement).width - 200, 400)
        let ink = 0
        for (let at = 3; at < data.length; at += 4) if (data[at]! > 0) ink++
        return ink
      })
    await tab.waitForFunction(() => document.querySelector<HTMLElement>(".lanes .spacer")!.clientHeight > 2000)
    expect(await inkOf()).toBeGreaterThan(10_000)
    await tab.focus(".lanes")
    await tab.keyboard.press("ArrowLeft")
    await waitFor(tab, ".timeline .options", "To the end")
    await tab.keyboard.press("n")
    await waitFor(tab, ".timeline .options", "Following")
    await tab.keyboard.press("+")
    const frames = await tab.evaluate(async () => {
      const gaps: Array<number> = []
      let last = performance.now()
      for (let frame = 0; frame < 30; frame++) {
        await new Promise((resolve) => requestAnimationFrame(resolve))
        gaps.push(performance.now() - last)
        last = performance.now()
      }
      return gaps.sort((a, b) => a - b)
    })
    report("frames of the timeline: median, slowest", [frames[15]!, frames.at(-1)!])
    expect(frames[15]).toBeLessThan(400)
  })

  test("shows gauges, waits, leaks and help by their keys", async () => {
    await tab.keyboard.press("3")
    await waitFor(tab, ".gauges", /connections.*12 of 12 in use.*waiting/)
    await waitForMore(tab, ".card canvas", 4)
    // This program may not be controlled
    expect((await tab.$$(".controls")).length).toBe(0)
    await tab.keyboard.press("4")
    await waitFor(tab, ".waits", /server\/request\/query.*connections/)
    await waitForMore(tab, ".graph .node", 5)
    await tab.keyboard.press("5")
    await waitFor(tab, ".leaks", /overdue.*login \(file:\/\/\/srv\/shop\/src\/session\.ts:23:18\)/)
    await tab.$$eval(
      ".leak button",
      (buttons) => (buttons as Array<HTMLElement>).find((button) => button.textContent === "Show in the tree")!.click()
    )
    await waitFor(tab, ".row.selected", "session")
    await waitFor(tab, ".details", "session #")
    await tab.keyboard.press("?")
    await waitFor(tab, "dialog[open]", "Keys")
    await tab.keyboard.press("Escape")
    await tab.waitForFunction(() => document.querySelector("dialog[open]") === null)
    // The rest is about other programs, and has the machine for itself
    await tab.close()
    await big[Symbol.asyncDispose]()
  })

  test("tells that the program is gone, and finds it again", () =>
    withServer({}, async (server) => {
      const page = await visit(server.url)
      await page.waitForSelector(".row")
      server.hangUp()
      await waitFor(page, ".banner", /The program does not answer.*What you see is from/)
      expect(await textOf(page, ".state")).toBe("disconnected")
      expect((await page.$$(".row")).length).toBeGreaterThan(10)
      server.comeBack()
      await page.click(".banner button")
      await waitFor(page, ".state", "live")
      expect(await page.$(".banner")).toBeNull()
    }))

  test("needs the token of the program, and asks for nothing without it", () =>
    withServer({ token: "s3cret" }, async (server) => {
      const refused = await visit(server.url)
      await waitFor(refused, ".banner", /A token is needed/)
      for (const fragment of ["#token=s3cret", "#s3cret"]) {
        const page = await visit(`${server.url}${fragment}`)
        await page.waitForSelector(".row")
        await page.waitForSelector(".state.live[title^='Events']")
        expect(await textOf(page, "h1")).toBe("shop")
      }
    }))

  test("shows a real program with 10,000 live allocations, by its own endpoint", async () => {
    const token = "0123456789abcdef"
    await using program = await startLive({ token, control: true })
    const page = await visit(`${program.url}#token=${token}`)
    await waitFor(page, ".summary", /^1\d\d frames, 10,\d\d\d allocations$/)
    await page.waitForSelector(".state.live[title^='Events']")
    expect(await textOf(page, ".rows")).toMatch(/session.*× 100/)
    await page.keyboard.press("/")
    await page.keyboard.type("session buffer")
    await waitFor(page, ".summary", "10,000 found")
    await page.keyboard.press("Escape")
    await page.keyboard.press("4")
    await waitFor(page, ".waits", /server\/query.*connection/)
    await page.keyboard.press("3")
    await waitFor(page, ".card", /connection.*2 of 2 in use.*3 waiting/)
    await page.click(".card .controls button")
    await page.waitForSelector("dialog[open] label:last-child input")
    await page.focus("dialog[open] label:last-child input")
    await page.keyboard.press("Backspace")
    await page.keyboard.type("4")
    await page.keyboard.press("Enter")
    await waitFor(page, ".card", /connection.*4 of 4 in use.*1 waiting/)
    await page.keyboard.press("1")
    const updates = await page.evaluate(() => (globalThis as unknown as { updates: Array<number> }).updates)
    report("updates of a real program, from the question to the paint", updates)
  })

  test("asks before it drains a pool", () =>
    withServer({ control: true }, async (server) => {
      const page = await visit(server.url)
      await page.waitForSelector(".row")
      await page.keyboard.press("3")
      await page.waitForSelector(".controls .danger")
      await page.click(".controls .danger")
      await waitFor(page, "dialog[open]", "Drain connections")
      expect(server.controls).toEqual([])
      await page.click("dialog[open] button[type=submit]")
      await waitFor(page, ".notice", "It was done.")
      expect(server.controls).toEqual([{ _tag: "Drain", pool: "connections", frameId: 3 }])
    }))

  test("has names and contrast for everyone, dark and light", () =>
    withServer({ control: true }, async (server) => {
      const page = await visit(server.url)
      await page.waitForSelector(".row")
      const check = async (what: string, rules: ReadonlyArray<string> = []): Promise<void> => {
        const found = await page.evaluate(async (rules) => {
          const { axe } = globalThis as unknown as {
            axe: { run: (options: unknown) => Promise<{ violations: ReadonlyArray<Violation> }> }
          }
          interface Violation {
            readonly id: string
            readonly nodes: ReadonlyArray<{ readonly html: string }>
          }
          const { violations } = await axe.run({
            resultTypes: ["violations"],
            ...(rules.length > 0 && { runOnly: rules })
          })
          return violations.map(({ id, nodes }) => `${id}: ${nodes[0]!.html.slice(0, 200)}`)
        }, rules)
        expect(found, what).toEqual([])
      }
      await page.evaluate(axe)
      expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe("rgb(18, 23, 26)")
      await page.focus(".rows")
      await page.keyboard.press("Home")
      for (const view of ["1", "2", "3", "4", "5"] as const) {
        await page.keyboard.press(view)
        await check(`view ${view}, dark`)
      }
      await page.keyboard.press("t")
      await page.waitForFunction(() => getComputedStyle(document.body).backgroundColor === "rgb(246, 247, 248)")
      for (const view of ["1", "3", "4", "5"] as const) {
        await page.keyboard.press(view)
        await check(`view ${view}, light`, ["color-contrast"])
      }
    }))

  test("asks nobody else for anything, and breaks no rule of its own policy", () => {
    expect(complaints).toEqual([])
  })
})

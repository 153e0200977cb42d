/** Chromium without a window, when there is one on this machine. */
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import type { Browser } from "puppeteer-core"
import { launch } from "puppeteer-core"

const candidates = [
  process.env["CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
]

const onPath = (name: string): string | undefined => {
  try {
    return execFileSync("which", [name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  } catch {
    return undefined
  }
}

export const chromium: string | undefined = candidates.find((path) => path !== undefined && existsSync(path)) ??
  onPath("chromium") ?? onPath("google-chrome")

export const openBrowser = (): Promise<Browser> =>
  launch({
    executablePath: chromium!,
    headless: true,
    args: [
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--hide-scrollbars=false",
      // Chromium's sandbox does not start for the administrator, as which containers run
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])
    ]
  })

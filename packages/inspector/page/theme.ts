/** Dark or light: as the system has it, or as it was chosen. */
import { computed, effect, signal } from "@preact/signals"

export type Choice = "system" | "light" | "dark"

const key = "chronovyan.theme"

// Storage may be forbidden: then the choice lasts as long as the page.
const stored = (): Choice => {
  try {
    const value = localStorage.getItem(key)
    return value === "light" || value === "dark" ? value : "system"
  } catch {
    return "system"
  }
}

export const choice = signal<Choice>(stored())
const query = matchMedia("(prefers-color-scheme: dark)")
const system = signal<"light" | "dark">(query.matches ? "dark" : "light")
query.addEventListener("change", () => system.value = query.matches ? "dark" : "light")

export const theme = computed(() => choice.value === "system" ? system.value : choice.value)

export const nextTheme = (): void => {
  // Two presses always change what is seen, the third goes back to the system's.
  const order: ReadonlyArray<Choice> = system.value === "dark"
    ? ["system", "light", "dark"]
    : ["system", "dark", "light"]
  choice.value = order[(order.indexOf(choice.value) + 1) % order.length]!
  try {
    localStorage.setItem(key, choice.value)
  } catch {
    // As above.
  }
}

let colors = new Map<string, string>()

effect(() => {
  document.documentElement.dataset["theme"] = theme.value
  colors = new Map()
})

/** What a color of the style is now: for what is drawn on a canvas. */
export const color = (name: string): string => {
  void theme.value
  let value = colors.get(name)
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
    colors.set(name, value)
  }
  return value
}

const hues = 8

const hueByName = new Map<string, number>()

/** One of the colors for definitions: the first ones that are met all differ. */
export const hueOf = (name: string): number => {
  let hue = hueByName.get(name)
  if (hue === undefined) hueByName.set(name, hue = hueByName.size % hues)
  return hue
}

export const colorOf = (name: string): string => color(`hue-${hueOf(name)}`)

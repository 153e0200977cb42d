/**
 * Values that arrived after their frame had ended: they are counted, and released at once. Owned by `LeakDetector`.
 */
import type { Suspect } from "./alarms.ts"
import type { Config } from "./leakConfig.ts"
import * as words from "./leakWords.ts"
import type { Standing } from "./standing.ts"

interface Episode {
  readonly since: number
  last: number
  count: number
}

export class LateArrivals {
  private readonly config: Config
  private before: Standing["resources"] | undefined = undefined
  private readonly episodes = new Map<string, Episode>()
  /** Where the last one was seen that was still on its way when its frame had ended. */
  private readonly frames = new Map<string, string>()

  constructor(config: Config) {
    this.config = config
  }

  look({ at, resources, snapshot }: Standing): Array<Suspect> {
    for (const { frame, orphaned, resource, state } of snapshot.allocations) {
      if (orphaned && state === "acquiring") this.frames.set(resource, frame)
    }
    for (const [resource, { late }] of resources) {
      const more = late - (this.before === undefined ? late : this.before.get(resource)?.late ?? 0)
      if (more <= 0 || this.config.ignored.has(resource)) continue
      const episode = this.episodes.get(resource)
      if (episode === undefined) this.episodes.set(resource, { since: at, last: at, count: more })
      else {
        episode.count += more
        episode.last = at
      }
    }
    this.before = resources
    const suspects: Array<Suspect> = []
    for (const [resource, { count, last, since }] of this.episodes) {
      // Over when there was none for as long as growth is looked at.
      if (at - last >= this.config.window * this.config.windows) {
        this.episodes.delete(resource)
        this.frames.delete(resource)
        continue
      }
      const frame = this.frames.get(resource) ?? ""
      suspects.push({
        key: `late ${resource}`,
        reason: "late",
        kind: "definition",
        resource,
        frame,
        since,
        count,
        ...words.late(resource, count, frame)
      })
    }
    return suspects
  }
}

/**
 * Takes one snapshot after another, and answers what is to be told. Owned by `LeakDetector`.
 */
import type { Snapshot } from "@chronovyan/core/Snapshot"
import type { LeakReport } from "../LeakReport.ts"
import { Alarms } from "./alarms.ts"
import { Growth } from "./growth.ts"
import { Holds } from "./holds.ts"
import { LateArrivals } from "./lateArrivals.ts"
import type { Config } from "./leakConfig.ts"
import { kindOfPath, Standing } from "./standing.ts"
import { Suspects } from "./suspects.ts"

export class Detector {
  private readonly holds: Holds
  private readonly suspects: Suspects
  private readonly late: LateArrivals
  private readonly growth: Growth
  private readonly alarms: Alarms

  constructor(config: Config) {
    this.holds = new Holds(config)
    this.suspects = new Suspects(config, this.holds)
    this.late = new LateArrivals(config)
    this.growth = new Growth(config)
    this.alarms = new Alarms(config.limit)
  }

  look(snapshot: Snapshot): ReadonlyArray<LeakReport> {
    const standing = new Standing(snapshot)
    this.holds.learn(standing)
    return this.alarms.settle(standing, [
      ...this.suspects.in(standing),
      ...this.late.look(standing),
      ...this.growth.look(standing)
    ])
  }

  /** Raised, and not taken back. */
  get current(): ReadonlyArray<LeakReport> {
    return this.alarms.current
  }

  /** Does it need to be told of frames that end, since no snapshot shows those that last for a moment? */
  get wantsFrames(): boolean {
    return this.growth.wantsFrames
  }

  frameEnded(path: string): void {
    this.growth.frameEnded(kindOfPath(path))
  }
}

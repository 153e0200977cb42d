/**
 * The floors of `@chronovyan/core`, from the lowest to the highest: `[floor, ...sub-floors]`.
 *
 * A module imports only from strictly lower floors or sub-floors, types included; modules of one sub-floor do not import
 * each other. An internal module stands on the floor of the module that owns it. Every file of `packages/core/src` is
 * here once, as its path without the extension.
 */
export const floors: ReadonlyArray<readonly [floor: string, ...subFloors: ReadonlyArray<ReadonlyArray<string>>]> = [
  [
    "words",
    ["Cost", "Deadline", "internal/list", "internal/primitive", "internal/recent", "internal/sampling"],
    ["internal/callSite"],
    ["CallSite"]
  ],
  [
    "facts",
    ["ResourceError", "ResourceEvent", "internal/definition"],
    ["ResourceDefinition", "Snapshot"]
  ],
  [
    "ledgers",
    [
      "internal/events",
      "internal/exhaustion",
      "internal/ledger",
      "internal/queue",
      "internal/statistics",
      "internal/timers",
      "internal/trampoline"
    ],
    ["internal/beyond", "internal/budgetLine", "internal/limits", "internal/registry"]
  ],
  [
    "lifetime",
    ["internal/owned"],
    ["internal/closing", "internal/finalizers", "internal/holding", "internal/visit"],
    ["internal/frame"],
    ["internal/deadlock", "internal/holders", "internal/manager", "internal/observe"],
    ["internal/admission", "internal/charging", "internal/orders", "internal/reserves"],
    ["internal/budgetRoom"],
    ["internal/budgetRequest"],
    ["internal/budgetWait"],
    ["internal/budgetTx", "internal/run"],
    ["TimeFrame"],
    ["Budget"]
  ],
  [
    "door",
    ["internal/access", "internal/trace"],
    ["internal/allocation"],
    ["internal/temporal"],
    ["internal/allocate"],
    ["internal/handle"],
    ["Allocation"]
  ],
  [
    "sharing",
    ["internal/root"],
    ["internal/sharedValue"],
    ["internal/share"]
  ],
  [
    "pooling",
    ["internal/aside", "internal/changes", "internal/codel", "internal/poolOptions", "internal/poolStats"],
    ["internal/lease"],
    ["internal/borrow", "internal/places", "internal/poolItem", "internal/poolQuota"],
    ["internal/poolGrowth", "internal/poolReport", "internal/poolStock"],
    ["internal/poolCare", "internal/poolWait"],
    ["internal/poolAdmission"],
    ["internal/pool"],
    ["internal/ownedPool"],
    ["internal/poolGround"],
    ["internal/poolFrame"],
    ["internal/keyedPool"],
    ["ResourcePool"]
  ],
  [
    "manager",
    ["internal/allocateAll", "internal/strategies"],
    ["ResourceManager"]
  ],
  [
    "catalog",
    ["ResourceCatalog"]
  ],
  [
    "roof",
    ["index"]
  ]
]

/** What each package may import from the others. Examples and the benchmark may import them all. */
export const arrows: Readonly<Record<string, ReadonlyArray<string>>> = {
  core: [],
  node: ["core"],
  inspector: ["core"],
  testing: ["core", "inspector"]
}

/** The most lines of code a source file may have, without blank lines and comments. */
export const maximumLines = 400

export * as Explore from "./Explore.ts"
export * as Leaks from "./Leaks.ts"
export * as ScriptedResource from "./ScriptedResource.ts"
export * as Sweep from "./Sweep.ts"

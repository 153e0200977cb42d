export * as ContentionReport from "./ContentionReport.ts"
export * as LeakReport from "./LeakReport.ts"
export * as Protocol from "./Protocol.ts"

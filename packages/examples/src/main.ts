// What `npm start` runs.
import "./indexer/main.ts"

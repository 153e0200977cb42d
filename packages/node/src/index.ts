/**
 * Ready-made definitions for Node, each by its own name, with the errors and types that belong to it.
 */
export { ChildProcess, KilledBySignal, OutputError, type RunningProcess, SpawnError } from "./ChildProcess.ts"
export { FileHandle, FileOpenError, NotRegularFile } from "./FileHandle.ts"
export { type Listener, ListenError, ListeningPort, PortInUse } from "./ListeningPort.ts"
export { SqliteConnection, SqliteDatabase, SqliteOpenError } from "./SqliteDatabase.ts"
export { sweep, TempDirectory, TempPathError } from "./TempDirectory.ts"
export { TempFile } from "./TempFile.ts"
export { OutOfMemory, TemporalBuffer } from "./TemporalBuffer.ts"
export { Worker, WorkerError, type WorkerThread } from "./Worker.ts"

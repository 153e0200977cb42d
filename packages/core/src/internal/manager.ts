/**
 * The manager as a service: the frame around all frames. Owned by `ResourceManager`; it stands down here because frames
 * have to find it.
 */
import * as Context from "effect/Context"
import type { Frame } from "./frame.ts"

export const TypeId = "~chronovyan/core/ResourceManager"

export interface Manager {
  readonly [TypeId]: typeof TypeId
}

export class ManagerImpl implements Manager {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly root: Frame

  constructor(root: Frame) {
    this.root = root
  }
}

export const Manager: Context.Service<Manager, Manager> = Context.Service<Manager>("@chronovyan/core/ResourceManager")

export const rootOf = (manager: Manager): Frame => (manager as ManagerImpl).root

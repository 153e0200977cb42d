/**
 * The manager's own frame. It keeps the index of what is shared. Owned by `ResourceManager`.
 */
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import { TimeFrame } from "../TimeFrame.ts"
import type { Definition } from "./definition.ts"
import { Frame } from "./frame.ts"
import type { FrameOptions } from "./frame.ts"
import { LinkedList } from "./list.ts"
import type { Owned } from "./owned.ts"
import type { Registry } from "./registry.ts"
import { inFrame } from "./run.ts"

/** A shared value, as far as the index needs to know it. */
export interface Indexed {
  readonly definition: Definition
  readonly params: unknown
}

export class Root<Value extends Indexed = Indexed> extends Frame {
  /** The frames of shared values. They outlive all others, and end last in, first out among themselves. */
  readonly values = new LinkedList<Owned>()
  private readonly index = new Map<Definition, MutableHashMap.MutableHashMap<unknown, Value>>()

  constructor(registry: Registry, options: FrameOptions) {
    super(undefined, registry, options, registry.context)
    this.context = inFrame(registry.context, TimeFrame, this)
  }

  override get last(): Owned | undefined {
    return this.owned.last ?? this.values.last
  }

  override get inside(): ReadonlyArray<LinkedList<Owned>> {
    return [...super.inside, this.values]
  }

  override closed(): void {
    super.closed()
    this.registry.timers.close()
    this.registry.events.close(this.registry.now())
  }

  find(definition: Definition, params: unknown): Value | undefined {
    const values = this.index.get(definition)
    return values === undefined ? undefined : Option.getOrUndefined(MutableHashMap.get(values, params))
  }

  findAll(definition: Definition): Array<Value> {
    const values = this.index.get(definition)
    return values === undefined ? [] : Array.from(MutableHashMap.values(values))
  }

  /** Those that there are values of which new users get. */
  get definitions(): ReadonlyArray<Definition> {
    return Array.from(this.index.keys())
  }

  add(value: Value): void {
    let values = this.index.get(value.definition)
    if (values === undefined) {
      values = MutableHashMap.empty()
      this.index.set(value.definition, values)
    }
    MutableHashMap.set(values, value.params, value)
  }

  remove(value: Value): void {
    const values = this.index.get(value.definition)!
    MutableHashMap.remove(values, value.params)
    if (MutableHashMap.isEmpty(values)) this.index.delete(value.definition)
  }
}

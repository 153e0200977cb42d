/** How much of a whole is in use. */

interface Part {
  readonly name: string
  readonly value: number
  /** The class that colors it. */
  readonly kind: string
}

export interface MeterProps {
  readonly label: string
  readonly parts: ReadonlyArray<Part>
  readonly of: number
  /** A mark at the most that was ever in use. */
  readonly mark?: number
}

const percent = (value: number, of: number): string => `${of <= 0 ? 0 : Math.min(100, (value / of) * 100)}%`

export const Meter = ({ label, mark, of, parts }: MeterProps) => (
  <div
    class="meter"
    role="meter"
    aria-label={label}
    aria-valuemin={0}
    aria-valuemax={of}
    aria-valuenow={Math.min(of, parts[0]?.value ?? 0)}
  >
    <div class="meter-bar">
      {parts.map((part) => (
        <i key={part.name} class={`part-${part.kind}`} title={part.name} style={{ width: percent(part.value, of) }} />
      ))}
    </div>
    {mark !== undefined && mark > 0 && <b style={{ left: percent(mark, of) }} />}
  </div>
)

/** From 0 to 1, as a class of color. */
export const pressure = (fill: number): string => fill >= 0.995 ? "full" : fill >= 0.85 ? "tight" : "used"

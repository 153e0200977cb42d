/** How much time is left until a deadline. */
import { duration } from "../data/format.ts"
import { now } from "../data/store.ts"

export const Left = ({ deadline }: { readonly deadline: number | null }) => {
  if (deadline === null) return null
  const left = deadline - now.value
  if (left < 0) return <span class="late">{duration(-left)} late</span>
  return <span class={left < 1000 ? "soon" : undefined}>{duration(left)}</span>
}

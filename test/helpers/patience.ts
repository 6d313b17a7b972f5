/**
 * How long a test waits for something before it gives up. Only time in which the test's own process was running counts: a machine that stands
 * still for a while, or has no processor to give, uses nobody's patience up.
 */

/** A gap between two looks longer than this, in milliseconds, counts as this. */
const GAP = 100

/** Runs out when that many milliseconds have been used. It is to be asked again and again while waiting. */
export const createPatience = (milliseconds: number): { isOver: () => boolean } => {
  let left = milliseconds
  let last = performance.now()
  return {
    isOver: () => {
      const now = performance.now()
      left -= Math.min(now - last, GAP)
      last = now
      return left <= 0
    }
  }
}

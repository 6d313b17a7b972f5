/** The few statistics that results are made of. */

/** Middle value, or the mean of the two in the middle; NaN of none. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

/** Four significant digits, as a number: what a result file keeps. */
export const rounded = (value: number): number => Number(value.toPrecision(4))

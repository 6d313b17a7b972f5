/** What a mistyped word was probably meant to be. */
import { closest, distance } from 'fastest-levenshtein'

const letters = (word: string): string => [...word].sort().join('')

/** The candidate that is near enough to be meant: its letters in another order, or at most a third of them wrong (one always may be). */
const nearest = (word: string, candidates: readonly string[]): string | undefined => {
  if (candidates.length === 0 || word.length > 64) return undefined
  const swapped = candidates.find((candidate) => letters(candidate) === letters(word))
  if (swapped !== undefined) return swapped
  const best = closest(word, candidates)
  return distance(word, best) <= Math.max(1, Math.ceil(best.length / 3)) ? best : undefined
}

/** `did you mean "via"?`, or the list to choose from. */
export const suggestion = (word: string, candidates: readonly string[]): string => {
  const best = nearest(word, candidates)
  return best === undefined ? `choose one of ${candidates.join(', ')}` : `did you mean "${best}"?`
}

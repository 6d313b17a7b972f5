/**
 * A number for a state of the world, a counter of changes and the second: what was remembered in one epoch is good for no other. The first is 1; it
 * comes back after 2^31 others, and before it does, `forget` is called.
 */

/** Of the state. */
const EPOCH = 0
const CHANGES = 1
const SECOND = 2

export const createEpoch = (forget: () => void) => {
  // In an array: a variable that changes is checked and untagged at each use
  const state = new Int32Array(3)
  state[CHANGES] = state[SECOND] = -1
  return (changes: number, second: number): number => {
    if (changes !== state[CHANGES] || second !== state[SECOND]) {
      state[CHANGES] = changes
      state[SECOND] = second
      if (state[EPOCH] === 0x7fffffff) {
        state[EPOCH] = 0
        forget()
      }
      state[EPOCH]!++
    }
    return state[EPOCH]!
  }
}

/** What both threads of tap-ring.test.ts know of frame `n`. */
export const frameLength = (n: number): number => (n % 97 === 0 ? 30000 : n % 13 === 0 ? 1600 + (n % 50) : 14 + ((n * 31) % 700))
export const frameByte = (n: number, i: number): number => (n * 7 + i * 13 + (i >> 8)) & 255

/** Equality of much at once: all that a network sent and counted. */
import { isDeepStrictEqual } from 'node:util'
import type { ExecutionContext } from 'ava'

/** As `deepEqual`, which says best what differs, and takes a hundred times as long for long frames; so it is asked when something does. */
export const assertSame = (t: ExecutionContext, actual: unknown, expected: unknown, message?: string): void => {
  if (isDeepStrictEqual(actual, expected)) t.pass()
  else t.deepEqual(actual, expected, message)
}

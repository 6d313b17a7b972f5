/** A capture that cannot be done. `code` is the exit code: 2 the words are wrong (the filter), 1 it failed at run time. */
export class CaptureError extends Error {
  constructor(message: string, readonly code: 1 | 2) {
    super(message)
    this.name = 'CaptureError'
  }
}

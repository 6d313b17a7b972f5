/** A capture that cannot be done. `exitCode` 2: the words are wrong (the filter), 1: it failed at run time. */
export class CaptureError extends Error {
  constructor(message: string, readonly exitCode: 1 | 2) {
    super(message)
    this.name = 'CaptureError'
  }
}

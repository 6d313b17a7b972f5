// Namespace tests share machine-wide names, and data planes share two cores: files run one after the other, each in a process.
export default {
  files: ['dist/test/**/*.test.js'],
  workerThreads: false,
  concurrency: 1,
  serial: true,
  timeout: '3m',
  failWithoutAssertions: true
}

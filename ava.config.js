// Namespace tests share machine-wide names, and data planes share two cores: files run one after the other, each in a process.
export default {
  files: ['dist/test/**/*.test.js'],
  workerThreads: false,
  concurrency: 1,
  serial: true,
  // Without a result; a machine that stands still for minutes is no test that hangs (what tests wait for has limits of its own)
  timeout: '8m',
  failWithoutAssertions: true
}

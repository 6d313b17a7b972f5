// Namespace tests share machine-wide names, and data planes share two cores: files run one after the other, each in a process.
export default {
  files: ['dist/test/**/*.test.js'],
  workerThreads: false,
  concurrency: 1,
  serial: true,
  // Without a result; a machine that stands still for minutes is no test that hangs (what tests wait for has limits of its own)
  timeout: '8m',
  // Tests make networks by the thousand. After freeing the first one's tables malloc would keep memory of that size, and clear it for the next;
  // fresh from the kernel it is clear, and untouched pages cost nothing: half of the time of what compares with the kernel
  environmentVariables: { MALLOC_MMAP_THRESHOLD_: '131072' },
  failWithoutAssertions: true
}

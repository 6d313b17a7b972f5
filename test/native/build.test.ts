/** The build of the native part: from nothing, not twice, and in one line what is missing. */
import test from 'ava'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** A copy of what the build needs, and a way to run it there with nothing in the environment but what is given. */
const setUp = (t: { teardown: (f: () => void) => void }, withHeaders = true) => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-build-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'scripts'))
  cpSync(join(root, 'native'), join(folder, 'native'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  cpSync(join(root, 'scripts/build-native.js'), join(folder, 'scripts/build-native.js'))
  if (withHeaders) symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const home = join(folder, 'empty')
  mkdirSync(home)
  return {
    output: join(folder, 'build/tapway.node'),
    source: join(folder, 'native/turn.c'),
    home,
    build: (env: Record<string, string> = {}) => {
      const result = spawnSync(process.execPath, [join(folder, 'scripts/build-native.js')], {
        env: { PATH: process.env.PATH!, HOME: home, ...env }, encoding: 'utf8'
      })
      return { status: result.status, said: result.stdout + result.stderr }
    }
  }
}

test('builds with an empty home, then only when a source is newer', (t) => {
  const { build, output, source } = setUp(t)
  t.deepEqual(build(), { status: 0, said: '' })
  const first = statSync(output).ino
  t.deepEqual(build({ CC: 'no-such-compiler' }), { status: 0, said: '' }, 'up to date: no compiler is needed')
  t.is(statSync(output).ino, first)
  const later = statSync(output).mtimeMs / 1000 + 10
  utimesSync(source, later, later)
  t.deepEqual(build({ CC: 'cc -g' }), { status: 0, said: '' })
  t.not(statSync(output).ino, first)
})

test('says in one line what is missing', (t) => {
  const { build, output, home } = setUp(t)
  t.deepEqual(build({ PATH: home }), {
    status: 1, said: 'tapway: no C compiler found: apt-get install gcc libc6-dev (or set CC)\n'
  })
  t.deepEqual(build({ CC: 'no-such-cc' }), {
    status: 1, said: 'tapway: the C compiler CC=no-such-cc was not found: correct CC, or unset it to use cc\n'
  })
  const missing = /^tapway: the C header \S+\.h is missing: apt-get install libc6-dev linux-libc-dev\n$/
  t.regex(build({ CC: 'cc -nostdinc' }).said, missing)
  t.false(existsSync(output))
  t.deepEqual(setUp(t, false).build(), {
    status: 1, said: 'tapway: the package node-api-headers is missing: run npm install\n'
  })
})

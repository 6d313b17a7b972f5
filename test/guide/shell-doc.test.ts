/** The guide's test is worth what its comparison is: what it takes for equal, and that it fails when it should. */
import test, { type ExecutionContext } from 'ava'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { matchOutput, parseShellDoc } from '../helpers/shell-doc.js'
import { runDoc } from './run-doc.js'
import { Terminal } from './terminal.js'

const block = (info: string, ...lines: string[]): string => [`\`\`\`${info}`, ...lines, '```', ''].join('\n')

const whole = (t: ExecutionContext, line: string, actual: string, matches: boolean): void => {
  t.is(matchOutput([line], `${actual}\n`, true) >= 0, matches, `${JSON.stringify(line)} for ${JSON.stringify(actual)}`)
}

test('a line stands for itself, and for nothing else', (t) => {
  whole(t, 'ttl=64 (a.b) [x] $1', 'ttl=64 (a.b) [x] $1', true)
  whole(t, 'ttl=64', 'ttl=63', false)
  whole(t, 'ttl=6', 'ttl=64', false)
  whole(t, 'a.b', 'axb', false)
  whole(t, 'one line', 'one line  ', true)
  t.is(matchOutput([], 'something\n', true), -1)
  t.is(matchOutput(['a', 'b'], 'a\n', true), -1)
  t.is(matchOutput(['a'], 'a\nb\n', true), -1)
})

test('times, milliseconds, ICMP ids and columns may differ', (t) => {
  whole(t, '14:22:06.103215 IP', '00:59:59.999999 IP', true)
  whole(t, '14:22:06.103215 IP', '14:22:06 IP', false)
  whole(t, 'seq=1 time=0.54 ms', 'seq=1 time=123 ms', true)
  whole(t, 'seq=1 time=0.54 ms', 'seq=2 time=0.54 ms', false)
  whole(t, 'time 0ms', 'time 1014ms', true)
  whole(t, 'mdev = 0.5/1.9/3.3/1.3 ms', 'mdev = 10.5/11/12/0.003 ms', true)
  whole(t, 'request, id 7, seq 1', 'request, id 65535, seq 1', true)
  whole(t, 'request, id 7, seq 1', 'request, id 7, seq 2', false)
  whole(t, 'name        2  help', 'name  2    help', true)
  whole(t, 'name        2  help', 'name        3  help', false)
  whole(t, 'a  b', 'a b', false)
})

test('an ellipsis stands for some text in a line, and for any lines alone', (t) => {
  whole(t, 'in … ms', 'in 460 ms', true)
  whole(t, 'in …', 'in ', false)
  t.is(matchOutput(['…', 'b', '…'], 'b\n', true), 2)
  t.is(matchOutput(['…', 'b', '…'], 'a\na\nb\nc\n', true), 8)
  t.is(matchOutput(['…', 'b', '…'], 'a\nc\n', true), -1)
  t.is(matchOutput(['a…c'], 'a\nc\n', true), -1)
})

test('the beginning of what is shown matches by whole lines', (t) => {
  t.is(matchOutput(['a'], 'a\nb\n', false), 2)
  t.is(matchOutput(['ab'], 'a', false), -1)
  t.is(matchOutput(['…', 'b'], 'a\nb\nb\n', false), 4)
  t.is(matchOutput([], 'a\n', false), 0)
})

test('blocks become steps, and only those of the right kind', (t) => {
  const steps = parseShellDoc([
    block('console', '# terminal 3', '$ watch', 'begun'),
    block('sh', '$ not looked at'),
    block('console exit=2', '$ cat <<end', '> text', '> end', 'text', '$ false'),
    block('console', '# terminal 3', 'seen', '^C', 'ended'),
    block('yaml', '# save as a.yaml', 'a: 1'),
    block('yaml', 'only: shown'),
  ].join('\n'))
  t.like(steps[0], { terminal: 3, command: 'watch', expected: { lines: ['begun'] }, exit: 'left running' })
  t.like(steps[1], { terminal: 2, command: 'cat <<end\ntext\nend', expected: { lines: ['text'] }, exit: 0 })
  t.like(steps[2], { terminal: 2, command: 'false', exit: 2 })
  t.like(steps[3], { terminal: 3, command: '', expected: { lines: ['seen'], afterInterrupt: ['^C', 'ended'] }, exit: 0 })
  t.like(steps[4], { kind: 'save', path: 'a.yaml', text: 'a: 1\n' })
  t.is(steps.length, 5)
})

test('a document that breaks the rules is refused', (t) => {
  t.throws(() => parseShellDoc('```console\n$ a\n'), { message: /without an end/ })
  t.throws(() => parseShellDoc(block('console exit=x', '$ a')), { message: /unknown/ })
  t.throws(() => parseShellDoc(block('console', '# terminal two', '$ a')), { message: /unknown/ })
  t.throws(() => parseShellDoc(block('console', '$ a', '…')), { message: /nothing to compare/ })
  t.throws(() => parseShellDoc(block('console')), { message: /nothing in it/ })
  t.throws(() => parseShellDoc(block('console', '$ a', '^C') + block('console', 'more')), { message: /nothing running/ })
})

/** Runs a document in a shell of one's own, without any namespace; the message of what went wrong, or undefined. */
const outcome = async (t: ExecutionContext, markdown: string): Promise<string | undefined> => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-doc-'))
  const shells = new Map<number, Terminal>()
  t.teardown(() => {
    for (const shell of shells.values()) shell.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const open = async (number: number): Promise<Terminal> => {
    const shell = await Terminal.open(folder, [])
    shells.set(number, shell)
    return shell
  }
  try {
    await runDoc(parseShellDoc(markdown), { folder, terminal: async (number) => shells.get(number) ?? open(number) })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test('what is as the document says passes', async (t) => {
  t.is(await outcome(t, [
    block('console', '$ a=5', '$ echo $a', '5', '$ cat <<end', '> x', '> end', 'x'),
    block('console', '# terminal 3', '$ bash -c \'trap "echo off; exit" INT; echo on; while :; do sleep 0.05; done\'', 'on'),
    block('console exit=1', '$ false'),
    block('console', '# terminal 3', '^Coff'),
    block('yaml', '# save as a.yaml', 'a: 1', 'b: 2'),
    block('yaml', '# from a.yaml', 'b: 2'),
    block('console', '$ cat a.yaml', 'a: 1', 'b: 2'),
  ].join('\n')), undefined)
})

test('what is not is told, with its line', async (t) => {
  const tells = async (message: RegExp, ...blocks: string[]): Promise<void> => {
    t.regex(await outcome(t, blocks.join('\n')) ?? 'passed', message)
  }
  await tells(/^line 3: terminal 2: \$ echo a\nexpected:\n {4}b\nshown:\n {4}a/, block('console', '$ true', '$ echo a', 'b'))
  await tells(/shown:\n {4}a/, block('console', '$ echo a'))
  await tells(/expected:\n {4}a/, block('console', '$ true', 'a'))
  await tells(/exit status 1, expected 0/, block('console', '$ false'))
  await tells(/exit status 0, expected 1/, block('console exit=1', '$ true'))
  await tells(/has ended|expected:\n {4}more/, block('console', '$ echo a', 'a'), block('console', 'more'))
  await tells(/not found/, block('console', '$ no-such-command'))
  await tells(/a has no such lines/, block('yaml', '# save as a', 'x'), block('yaml', '# from a', 'y'))
})

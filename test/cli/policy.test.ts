/** What `app`, `policy` and `flow` print, and how `policy check` ends. */
import test from 'ava'
import fc from 'fast-check'
import { formatApps, formatDenied, formatFlows, formatPolicies, formatPolicyCheck } from '../../src/cli/format-policy.js'
import { main } from '../../src/cli/main.js'
import { parseCommandLine } from '../../src/cli/parse.js'
import type { PolicyCheckRow, PolicyRow } from '../../src/network/operations.js'
import { fakeInstance, memoryIo } from './fake-instance.js'

test('apps and their ports', (t) => {
  t.is(formatApps([
    { name: 'web', id: 1001, members: [{ port: 'a1.eth0', mac: 'ee:ee:0a:ff:60:03', addresses: ['10.255.96.3', '10.255.96.4'] }] },
    { name: 'db', id: 7, members: [] }
  ]), 'web id 1001\n    port a1.eth0 address ee:ee:0a:ff:60:03 inet 10.255.96.3 10.255.96.4\ndb id 7\n')
})

test('policies, in the words that add them', (t) => {
  t.is(formatPolicies([
    { from: 'web', to: 'db', protocol: 'tcp', ports: [5432, 5432], hits: 3 }, { from: 'web', to: 'db', protocol: 'udp', ports: [1, 65535], hits: 0 },
    { from: 'db', to: 'web', protocol: 'icmp', hits: 1 }
  ]), 'from web to db protocol tcp port 5432 hits 3\nfrom web to db protocol udp port 1-65535 hits 0\nfrom db to web protocol icmp hits 1\n')
})

test('a policy as it is printed is read back as the same', (t) => {
  const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/).filter((text) => !text.startsWith('-'))
  const ports = fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 1, max: 65535 })).map(([a, b]): [number, number] => (a < b ? [a, b] : [b, a]))
  const policy = fc.oneof(
    fc.record({ from: name, to: name, protocol: fc.constantFrom('tcp' as const, 'udp' as const), ports }),
    fc.record({ from: name, to: name, protocol: fc.constant('icmp' as const) })
  )
  fc.assert(fc.property(policy, (expected) => {
    const printed = formatPolicies([{ ...expected, hits: 5 }]).trim().split(' ').slice(0, -2)
    t.deepEqual(parseCommandLine(['policy', 'add', ...printed]).command, { kind: 'apply', operation: { op: 'policy.add', ...expected } })
  }))
})

test('what was denied: known apps, other marks, no mark', (t) => {
  t.is(formatDenied([
    { from: 'web', mark: 1001, to: 'db', to_id: 7, protocol: 'tcp', port: 22, packets: 12, source: '10.0.0.1', destination: '10.0.0.2', age: 3 },
    { mark: 4711, to: 'db', to_id: 7, protocol: 'icmp', packets: 1, source: '10.0.0.3', destination: '10.0.0.2', age: 0 },
    { mark: 0, to_id: 8, protocol: 47, packets: 2, source: '10.0.0.1', destination: '10.0.0.4', age: 60 }
  ]), `from web to db protocol tcp port 22 packets 12 src 10.0.0.1 dst 10.0.0.2 age 3sec
from mark 4711 to db protocol icmp packets 1 src 10.0.0.3 dst 10.0.0.2 age 0sec
from unmarked to mark 8 protocol 47 packets 2 src 10.0.0.1 dst 10.0.0.4 age 60sec
`)
})

test('conversations', (t) => {
  t.is(formatFlows([
    {
      protocol: 'tcp', source: '10.0.0.1', sport: 40000, destination: '10.0.0.2', dport: 8080, from: 'web', mark: 1001, to: 'db', state: 'established',
      verdict: 'admitted', age: 100, expires: 7100
    },
    { protocol: 'icmp', source: '10.0.0.1', destination: '10.0.0.2', id: 77, icmp_type: 8, mark: 4711, state: 'query', verdict: 'denied', age: 1, expires: 29 },
    { protocol: 'udp', source: '10.0.0.2', sport: 5000, destination: '10.0.0.9', dport: 53, from: 'db', mark: 7, state: 'unreplied', verdict: 'sent', age: 0, expires: 30 }
  ]), `tcp established src 10.0.0.1 sport 40000 dst 10.0.0.2 dport 8080 from web to db admitted age 100sec expires 7100sec
icmp query src 10.0.0.1 dst 10.0.0.2 id 77 from mark 4711 denied age 1sec expires 29sec
udp unreplied src 10.0.0.2 sport 5000 dst 10.0.0.9 dport 53 from db sent age 0sec expires 30sec
`)
})

const POLICY: PolicyRow = { from: 'web', to: 'db', protocol: 'tcp', ports: [8000, 8100], hits: 0 }
const ALLOWED: PolicyCheckRow = { from: 'web', to: 'db', protocol: 'tcp', port: 8080, allowed: true, policy: POLICY }
const DENIED: PolicyCheckRow = { from: 'web', to: 'db', protocol: 'tcp', port: 80, allowed: false }

test('policy check says which policy allows it, with exit 0, or that none does, with exit 1', async (t) => {
  t.is(formatPolicyCheck(DENIED), 'denied: no policy\n')
  for (const [row, out, status] of [[ALLOWED, 'allowed by policy from web to db protocol tcp port 8000-8100\n', 0], [DENIED, 'denied: no policy\n', 1]] as const) {
    const instance = await fakeInstance(t, ({ id }, send) => send({ id, result: [row] }))
    for (const [option, expected] of [[[], out], [['-j'], `${JSON.stringify([row])}\n`]] as const) {
      const io = memoryIo(instance.directory)
      t.is(await main([...option, 'policy', 'check', 'from', 'web', 'to', 'db', 'tcp', String(row.port)], io), status)
      t.deepEqual(io.printed, { out: expected, err: '' })
    }
    t.like(instance.requests[0], { method: 'show', query: { show: 'policy-check', from: 'web', to: 'db', protocol: 'tcp', port: row.port } })
  }
})

test('rows are printed as text and as JSON', async (t) => {
  const tables = { app: [{ name: 'web', id: 1001, members: [] }], policy: [POLICY], denied: [], flow: [] }
  const instance = await fakeInstance(t, (request, send) => {
    if (request.method === 'show') send({ id: request.id, result: tables[request.query.show as keyof typeof tables] })
  })
  const run = async (...words: string[]): Promise<string> => {
    const io = memoryIo(instance.directory)
    t.is(await main(words, io), 0)
    return io.printed.out
  }
  t.is(await run('app'), 'web id 1001\n')
  t.is(await run('app', '-j'), '[{"name":"web","id":1001,"members":[]}]\n')
  t.is(await run('policy'), 'from web to db protocol tcp port 8000-8100 hits 0\n')
  t.is(await run('policy', 'denied'), '')
  t.is(await run('flow', '-j'), '[]\n')
})

test('an app that is not there is a usage error', async (t) => {
  const instance = await fakeInstance(t, ({ id }, send) => send({ id, error: { code: 2, message: 'no app "wep"; did you mean "web"?' } }))
  const io = memoryIo(instance.directory)
  t.is(await main(['policy', 'check', 'from', 'wep', 'to', 'db', 'icmp'], io), 2)
  t.deepEqual(io.printed, { out: '', err: 'tapway: no app "wep"; did you mean "web"?\n' })
})

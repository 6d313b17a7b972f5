/** Apps, policies, what was denied and conversations: operations and queries, over cells in memory. */
import test from 'ava'
import fc from 'fast-check'
import type { AppRow, DeniedRow, FlowRow, Operation, PolicyCheckRow, PolicyProtocol, PolicyRow, Query } from '../../src/network/operations.js'
import { arpFrame } from '../helpers/frames.js'
import { echo, ethernet, ipv4, tcp, udp } from '../oracle/naive-frames.js'
import { arrive, cellFile, createCell, macOf, sentBy, settle, type Cell, type CellPlan } from './cells-lab.js'

const ONE = '192.168.77.1'
const TWO = '192.168.77.2'
const A = '10.255.96.3'
const B = '10.255.97.3'
const C = '10.255.96.4'

/** Cell one has web's host a and job's host c, cell two db's host b; web may reach db on 8080-8081 and by ICMP. */
const cells = (more: Partial<CellPlan> = {}): [Cell, Cell] => {
  const policies = 'policies: [ { from: web, to: db, protocol: tcp, ports: 8080-8081 }, { from: web, to: db, protocol: icmp } ]'
  const apps = (a: string, b: string, c: string): string =>
    `apps: { web: { id: 1001, hosts: [${a}] }, db: { id: 1002, hosts: [${b}] }, job: { id: 1003, hosts: [${c}] } }\n${policies}`
  return [
    createCell(cellFile({ subnet: 96, underlay: ONE, remote: { subnet: 97, underlay: TWO }, containers: { a: 3, c: 4 }, more: apps('a', '', 'c'), ...more }), 1),
    createCell(cellFile({ subnet: 97, underlay: TWO, remote: { subnet: 96, underlay: ONE }, containers: { b: 3 }, more: apps('', 'b', ''), ...more }), 2)
  ]
}

const rows = <T>(cell: Cell, query: Exclude<Query, { show: 'stats' }>): T[] =>
  [...cell.lab.network.show(query)].filter((row) => row !== undefined) as T[]

const ip = (from: string, protocol: number, to: string, payload: number[]): Uint8Array =>
  Uint8Array.from(ethernet(macOf('aa:aa', from), macOf('ee:ee', from), 0x0800, ipv4(protocol, from, to, payload)))
const SYN = 2
const segment = (from: string, sport: number, to: string, dport: number, flags: number): Uint8Array =>
  ip(from, 6, to, tcp(from, sport, to, dport, [], { flags }))

/** Whether the frame reaches the other container. */
const reaches = ([one, two]: [Cell, Cell], from: [Cell, string], frame: Uint8Array, to: [Cell, string]): boolean => {
  from[0].lab.send(from[1], frame)
  settle(one, two)
  return to[0].lab.taken(to[1]).length === 1
}

const failure = (t: { throws: (f: () => unknown) => unknown }, f: () => unknown): { message: string; code: number } =>
  t.throws(f) as { message: string; code: number }

test('apps, with the ports that are here', (t) => {
  const [one, two] = cells()
  t.deepEqual(rows<AppRow>(one, { show: 'app' }), [
    { name: 'web', id: 1001, members: [{ port: 'a.eth0', mac: 'ee:ee:0a:ff:60:03', addresses: [A] }] },
    { name: 'db', id: 1002, members: [] },
    { name: 'job', id: 1003, members: [{ port: 'c.eth0', mac: 'ee:ee:0a:ff:60:04', addresses: [C] }] }
  ])
  t.deepEqual(rows<AppRow>(two, { show: 'app', name: 'web' }), [{ name: 'web', id: 1001, members: [] }])
})

test('policies come and go, and are shown in their order', (t) => {
  const [one] = cells()
  const policy = (op: 'policy.add' | 'policy.del', protocol: PolicyProtocol, ports?: [number, number]): Operation =>
    ({ op, from: 'job', to: 'web', protocol, ...(ports === undefined ? {} : { ports }) })
  one.lab.apply(policy('policy.add', 'udp', [53, 53]), policy('policy.add', 'icmp'))
  const all: PolicyRow[] = [
    { from: 'web', to: 'db', protocol: 'tcp', ports: [8080, 8081], hits: 0 }, { from: 'web', to: 'db', protocol: 'icmp', hits: 0 },
    { from: 'job', to: 'web', protocol: 'udp', ports: [53, 53], hits: 0 }, { from: 'job', to: 'web', protocol: 'icmp', hits: 0 }
  ]
  t.deepEqual(rows(one, { show: 'policy' }), all)
  t.deepEqual(rows(one, { show: 'policy', from: 'job' }), all.slice(2))
  t.deepEqual(rows(one, { show: 'policy', to: 'db' }), all.slice(0, 2))
  t.deepEqual(rows(one, { show: 'policy', from: 'job', to: 'db' }), [])
  t.like(failure(t, () => one.lab.apply(policy('policy.add', 'udp', [53, 53]))), { message: 'policy from job to web protocol udp port 53 exists already', code: 1 })
  t.like(failure(t, () => one.lab.apply(policy('policy.add', 'icmp'))), { message: 'policy from job to web protocol icmp exists already', code: 1 })
  t.like(failure(t, () => one.lab.apply(policy('policy.del', 'udp', [53, 54]))), { message: 'no policy from job to web protocol udp port 53-54', code: 1 })
  one.lab.apply(policy('policy.del', 'icmp'), policy('policy.del', 'udp', [53, 53]))
  t.deepEqual(rows(one, { show: 'policy' }), all.slice(0, 2))
})

test('what is wrong is said, and changes nothing', (t) => {
  const [one] = cells()
  const { lab } = one
  const before = JSON.stringify([rows(one, { show: 'app' }), rows(one, { show: 'policy' }), [...lab.network.engine.ports.app]])
  const add = { op: 'policy.add', from: 'web', to: 'db', protocol: 'tcp', ports: [1, 1] } as const
  const member = { op: 'app.member', name: 'db', port: 'c.eth0', addresses: ['10.0.0.1'], mac: '02:00:00:00:00:01' } as const
  const wrong: readonly [o: unknown, message: string | RegExp, code: number][] = [
    [{ ...add, from: 'wep' }, 'no app "wep"; did you mean "web"?', 2],
    [{ ...add, to: 'x' }, 'no app "x"; there is web, db, job', 2],
    [{ ...add, protocol: 'sctp' }, '"sctp" is no protocol of a policy; there is tcp, udp, icmp', 2],
    [{ ...add, protocol: 'toString' }, /is no protocol/, 2],
    [{ ...add, protocol: 'icmp' }, 'icmp has no ports', 2],
    [{ ...add, ports: undefined }, 'tcp needs ports from 1 to 65535, the lower one first', 2],
    [{ ...add, ports: [0, 5] }, /needs ports/, 2], [{ ...add, ports: [2, 1] }, /needs ports/, 2], [{ ...add, ports: [1, 65536] }, /needs ports/, 2],
    [{ ...add, ports: [1.5, 2] }, /needs ports/, 2], [{ ...add, ports: ['1', '2'] }, /needs ports/, 2],
    [{ op: 'app.add', name: 'web', id: 5 }, '"web" exists already', 1], [{ op: 'app.add', name: 'a.eth0', id: 5 }, '"a.eth0" exists already', 1],
    [{ op: 'app.add', name: 'new', id: 1001 }, 'id 1001 is that of app "web" already', 1],
    [{ op: 'app.add', name: 'new', id: 0 }, 'the id of an app is 1 to 65535', 2], [{ op: 'app.add', name: 'new', id: 65536 }, /1 to 65535/, 2],
    [{ op: 'bridge.add', name: 'web', mac: '02:00:00:00:00:01', mtu: 1500, ageing_time: 0, fdb_max_learned: 0 }, '"web" exists already', 1],
    [{ op: 'app.del', name: 'nothing' }, /no app "nothing"/, 2],
    [{ op: 'app.del', name: 'web' }, 'app "web" has ports here: a.eth0; remove them first', 1],
    [{ ...member, name: 'x' }, /no app "x"/, 2], [{ ...member, port: 'd.eth0' }, /no port "d.eth0"; did you mean "[ac].eth0"\?/, 2],
    [{ ...member, port: 'link-a' }, /no port "link-a"/, 2],
    [member, 'c.eth0 is a port of app "job" already', 1]
  ]
  for (const [o, message, code] of wrong) {
    const error = failure(t, () => lab.apply(o as Operation))
    if (typeof message === 'string') t.is(error.message, message)
    else t.regex(error.message, message)
    t.is(error.code, code, error.message)
  }
  lab.port('d.eth0', 'link-a')
  const free = { ...member, port: 'd.eth0' }
  for (const [o, message, code] of [
    [{ ...free, addresses: [] }, /needs an address/, 2], [{ ...free, addresses: ['10.0.0'] }, /no IPv4 address/, 2],
    [{ ...free, addresses: ['224.0.0.1'] }, /no address a host can have/, 2], [{ ...free, mac: 'ff:ff:ff:ff:ff:ff' }, /no address of a station/, 2],
    [{ ...free, addresses: ['10.0.0.1', A] }, `a.eth0 of an app has one of these addresses already: 10.0.0.1, ${A}`, 1]
  ] as const) {
    const error = failure(t, () => lab.apply(o as Operation))
    if (typeof message === 'string') t.is(error.message, message)
    else t.regex(error.message, message)
    t.is(error.code, code)
  }
  for (const q of [
    { show: 'policy', from: 'x' }, { show: 'app', name: 'x' }, { show: 'policy-check', from: 'web', to: 'x', protocol: 'icmp' },
    { show: 'policy-check', from: 'web', to: 'db', protocol: 'tcp' }, { show: 'policy-check', from: 'web', to: 'db', protocol: 'tcp', port: 0 },
    { show: 'policy-check', from: 'web', to: 'db', protocol: 'icmp', port: 8 }, { show: 'policy-check', from: 'web', to: 'db', protocol: 'gre' }
  ]) t.is(failure(t, () => rows(one, q as Exclude<Query, { show: 'stats' }>)).code, 2, JSON.stringify(q))
  lab.apply({ op: 'port.del', name: 'd.eth0' })
  t.is(JSON.stringify([rows(one, { show: 'app' }), rows(one, { show: 'policy' }), [...lab.network.engine.ports.app]]), before)
})

test('a conversation that a policy allows: shown on both cells, with hits; what is denied is listed with its names', (t) => {
  const both = cells()
  const [one, two] = both
  t.true(reaches(both, [one, 'a.eth0'], segment(A, 40000, B, 8080, SYN), [two, 'b.eth0']))
  t.true(reaches(both, [two, 'b.eth0'], segment(B, 8080, A, 40000, SYN | 16), [one, 'a.eth0']))
  t.true(reaches(both, [one, 'a.eth0'], segment(A, 40000, B, 8080, 16), [two, 'b.eth0']))
  t.true(reaches(both, [one, 'a.eth0'], ip(A, 1, B, echo(8, 77, 1, [1])), [two, 'b.eth0']))
  t.false(reaches(both, [one, 'a.eth0'], segment(A, 40000, B, 22, SYN), [two, 'b.eth0']))
  t.false(reaches(both, [one, 'a.eth0'], segment(A, 40001, B, 22, SYN), [two, 'b.eth0']))
  t.false(reaches(both, [one, 'c.eth0'], segment(C, 40000, B, 8080, SYN), [two, 'b.eth0']))
  t.false(reaches(both, [one, 'c.eth0'], ip(C, 17, B, udp(C, 5, B, 53, [1])), [two, 'b.eth0']))

  for (const [cell, named] of [[one, {}], [two, { to: 'db' }]] as const) {
    const flows = rows<FlowRow>(cell, { show: 'flow' })
    t.like(flows.find(({ source, dport }) => source === A && dport === 8080), {
      protocol: 'tcp', source: A, destination: B, from: 'web', mark: 1001, state: 'established', age: 0, expires: 7200, ...named
    })
    t.like(flows.find(({ protocol }) => protocol === 'icmp'), { source: A, destination: B, id: 77, icmp_type: 8, from: 'web', ...named })
  }
  // Cell one has let nobody in and denied nobody: it has sent, also what was denied
  t.deepEqual(rows<FlowRow>(one, { show: 'flow' }).map(({ dport, verdict }) => `${dport} ${verdict}`).sort(), [
    '22 sent', '22 sent', '53 sent', '8080 sent', '8080 sent', 'undefined sent'
  ])
  t.deepEqual(rows<FlowRow>(two, { show: 'flow' }).map(({ dport, verdict }) => `${dport} ${verdict}`).sort(), ['8080 admitted', 'undefined admitted'])
  t.deepEqual(rows<PolicyRow>(two, { show: 'policy' }).map(({ hits }) => hits), [1, 1])
  two.lab.clock.now += 2500
  two.lab.run()
  const denied = rows<DeniedRow>(two, { show: 'denied' })
  t.deepEqual(denied, [
    { from: 'job', mark: 1003, to: 'db', to_id: 1002, protocol: 'udp', port: 53, source: C, destination: B, packets: 1, age: 2 },
    { from: 'job', mark: 1003, to: 'db', to_id: 1002, protocol: 'tcp', port: 8080, source: C, destination: B, packets: 1, age: 2 },
    { from: 'web', mark: 1001, to: 'db', to_id: 1002, protocol: 'tcp', port: 22, source: A, destination: B, packets: 2, age: 2 }
  ])
  t.deepEqual(rows(one, { show: 'denied' }), [])
  t.is(two.lab.drops('policy-denied'), 4)
})

test('policies live: what is added is let in at once, what is taken away ends in both directions', (t) => {
  const both = cells()
  const [one, two] = both
  const change = (op: 'policy.add' | 'policy.del'): void =>
    two.lab.apply({ op, from: 'web', to: 'db', protocol: 'udp', ports: [53, 53] })
  const ask = (): boolean => reaches(both, [one, 'a.eth0'], ip(A, 17, B, udp(A, 5000, B, 53, [1])), [two, 'b.eth0'])
  const answer = (): boolean => reaches(both, [two, 'b.eth0'], ip(B, 17, A, udp(B, 53, A, 5000, [1])), [one, 'a.eth0'])
  t.false(ask())
  change('policy.add')
  const verdict = (cell: Cell): string | undefined => rows<FlowRow>(cell, { show: 'flow' }).find(({ dport }) => dport === 53)?.verdict
  t.true(ask())
  t.true(answer())
  t.deepEqual([verdict(one), verdict(two)], ['sent', 'admitted'])
  change('policy.del')
  t.deepEqual([verdict(one), verdict(two)], ['sent', 'denied'])
  t.false(ask())
  t.false(answer())
  change('policy.add')
  t.true(ask())
  t.true(answer())
})

test('a conversation among containers of one cell is let in or denied there', (t) => {
  const both = cells()
  const [one] = both
  const verdicts = (): string[] => rows<FlowRow>(one, { show: 'flow' }).map(({ from, to, verdict }) => `${from} ${to} ${verdict}`)
  t.false(reaches(both, [one, 'c.eth0'], segment(C, 40000, A, 80, SYN), [one, 'a.eth0']))
  t.deepEqual(verdicts(), ['job web denied'])
  one.lab.apply({ op: 'policy.add', from: 'job', to: 'web', protocol: 'tcp', ports: [80, 80] })
  t.true(reaches(both, [one, 'c.eth0'], segment(C, 40000, A, 80, SYN), [one, 'a.eth0']))
  t.deepEqual(verdicts(), ['job web admitted'])
})

test('a peer without gbp has no marks: denied, and listed as unmarked', (t) => {
  const both = cells({ gbp: false })
  const [one, two] = both
  t.false(reaches(both, [one, 'a.eth0'], segment(A, 40000, B, 8080, SYN), [two, 'b.eth0']))
  t.is(two.lab.drops('policy-unmarked'), 1)
  const [row] = rows<DeniedRow>(two, { show: 'denied' })
  t.like(row, { mark: 0, to: 'db', protocol: 'tcp', port: 8080, packets: 1 })
  t.false('from' in row!)
})

test('a peer whose packets are denied for want of a mark is told: its address, and once a minute', (t) => {
  const said: string[] = []
  const both = cells({ gbp: false })
  const two = createCell(cellFile({
    subnet: 97, underlay: TWO, remote: { subnet: 96, underlay: ONE }, containers: { b: 3, n: 9 },
    more: 'apps: { db: { id: 1002, hosts: [b] } }'
  }), 2, { onNotice: (level, text) => said.push(`${level} ${text}`) })
  const [one] = both
  const ask = (to: string): void => {
    one.lab.send('a.eth0', segment(A, 40000, to, 8080, SYN))
    one.lab.run()
    arrive(two, ONE, sentBy(one))
  }
  ask('10.255.97.9')
  t.is(two.lab.taken('n.eth0').length, 1, 'no app: anybody')
  t.deepEqual(said, [])
  for (let i = 0; i < 10; i++) ask(B)
  const line = 'warn vtep: packets from peer 192.168.77.1 have no mark, and apps here let none of them in (is gbp on there?)'
  t.deepEqual(said, [line])
  // A host of no app beside it is no peer
  two.lab.send('n.eth0', segment('10.255.97.9', 1, B, 8080, SYN))
  two.lab.run()
  t.is(two.lab.drops('policy-unmarked'), 11)
  t.is(said.length, 1)
  one.lab.send('a.eth0', segment(A, 40000, B, 8080, SYN))
  one.lab.run()
  arrive(two, '192.168.77.9', sentBy(one))
  t.deepEqual(said.splice(0), [line, line.replace('77.1', '77.9')])
  two.lab.wait(60_000, 1000)
  ask(B)
  t.deepEqual(said, [line])
  t.deepEqual(rows<DeniedRow>(two, { show: 'denied' }).map(({ mark, port }) => [mark, port]), [[0, 8080]])
})

test('apps on one bridge, without a router: the same rules, and a host of no app beside them has none', (t) => {
  const [web, db, none] = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
  const mac = (address: string): string => macOf('ee:ee', address)
  const host = (name: string, address: string): string => `${name}: { interfaces: { eth0: { bridge: br0, address: ${address}/24, mac: ${mac(address)} } } }`
  const cell = createCell(`version: 1
bridges: { br0: {} }
hosts: { ${host('a', web)}, ${host('b', db)}, ${host('n', none)} }
apps: { web: { id: 1, hosts: a }, db: { id: 2, hosts: b } }
policies: [ { from: web, to: db, protocol: tcp, ports: 80 } ]
`)
  const names: Record<string, string> = { [web]: 'a', [db]: 'b', [none]: 'n' }
  /** Who gets a frame. */
  const got = (from: string, to: string, frame: (o: { from: string; to: string }) => number[]): string => {
    cell.lab.send(`${names[from]}.eth0`, Uint8Array.from(frame({ from, to })))
    cell.lab.run()
    return Object.values(names).filter((name) => cell.lab.taken(`${name}.eth0`).length > 0).join('')
  }
  const syn = (port: number, target?: string) => ({ from, to }: { from: string; to: string }): number[] =>
    ethernet(target ?? mac(to), mac(from), 0x0800, ipv4(6, from, to, tcp(from, 1000, to, port, [], { flags: SYN })))
  const arp = ({ from, to }: { from: string; to: string }): number[] => [...arpFrame({ senderMac: mac(from), sender: from, target: to })]
  const all = 'ff:ff:ff:ff:ff:ff'
  // Stations are looked for as ever
  t.is(got(web, db, arp), 'bn')
  t.is(got(db, web, arp), 'an')
  t.is(got(none, web, arp), 'ab')
  t.is(got(web, db, syn(80)), 'b')
  t.is(got(web, db, syn(81)), '')
  t.is(got(db, web, syn(80)), '')
  t.is(got(none, db, syn(80)), '')
  t.is(got(web, none, syn(80)), 'n')
  // A frame to all reaches who may have the packet in it
  t.is(got(web, '10.0.0.255', syn(81, all)), 'n')
  t.is(got(web, db, syn(80, all)), 'bn')
  t.deepEqual(rows<DeniedRow>(cell, { show: 'denied' }).map(({ from, to, port }) => `${from} ${to} ${port}`).sort(), ['undefined db 80', 'db web 80', 'web db 81'].sort())
  cell.lab.held()
})

test('check says which policy, and what is denied', (t) => {
  const [one] = cells()
  const check = (from: string, to: string, protocol: PolicyProtocol, port?: number): PolicyCheckRow =>
    rows<PolicyCheckRow>(one, { show: 'policy-check', from, to, protocol, ...(port === undefined ? {} : { port }) })[0]!
  const policy = { from: 'web', to: 'db', protocol: 'tcp', ports: [8080, 8081], hits: 0 } as const
  t.deepEqual(check('web', 'db', 'tcp', 8081) as unknown, { from: 'web', to: 'db', protocol: 'tcp', port: 8081, allowed: true, policy })
  t.deepEqual(check('web', 'db', 'tcp', 8082), { from: 'web', to: 'db', protocol: 'tcp', port: 8082, allowed: false })
  t.false(check('db', 'web', 'tcp', 8080).allowed)
  t.false(check('web', 'web', 'tcp', 8080).allowed)
  t.true(check('web', 'db', 'icmp').allowed)
  t.false(check('web', 'db', 'udp', 8080).allowed)
})

test('an app goes with its policies, but not before its ports; its name and id are free then', (t) => {
  const [one] = cells()
  const { lab } = one
  lab.apply({ op: 'port.del', name: 'a.eth0' })
  t.true(lab.network.engine.ports.app.every((id) => id === 0 || id === 1003))
  t.deepEqual(rows<AppRow>(one, { show: 'app', name: 'web' })[0]!.members, [])
  lab.apply({ op: 'app.del', name: 'web' })
  t.deepEqual(rows(one, { show: 'policy' }), [])
  t.deepEqual(rows<AppRow>(one, { show: 'app' }).map(({ name }) => name), ['db', 'job'])
  lab.apply({ op: 'app.add', name: 'web', id: 1001 })
  lab.port('a.eth0', 'link-a')
  lab.apply({ op: 'app.member', name: 'web', port: 'a.eth0', addresses: [A, '10.255.96.30'], mac: 'EE-EE-0A-FF-60-03' })
  t.deepEqual(rows<AppRow>(one, { show: 'app', name: 'web' })[0]!.members, [{ port: 'a.eth0', mac: 'ee:ee:0a:ff:60:03', addresses: [A, '10.255.96.30'] }])
})

test('after any changes, rows and checks are those of a list of policies', (t) => {
  const app = fc.constantFrom('web', 'db', 'job')
  const policy = fc.record({
    from: app, to: app, protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'icmp' as const),
    low: fc.integer({ min: 1, max: 6 }), size: fc.nat(3)
  }).map(({ from, to, protocol, low, size }) => ({ from, to, protocol, ...(protocol === 'icmp' ? {} : { ports: [low, low + size] as [number, number] }) }))
  const [one] = cells()
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), policy), { maxLength: 40 }), fc.array(fc.tuple(app, app, fc.integer({ min: 1, max: 10 })), { maxLength: 10 }), (changes, questions) => {
    for (const { hits: _, ...row } of rows<PolicyRow>(one, { show: 'policy' })) one.lab.apply({ op: 'policy.del', ...row })
    const model: string[] = []
    for (const [isAdd, p] of changes) {
      const text = JSON.stringify(p)
      const there = model.includes(text)
      const run = (): void => one.lab.apply({ op: isAdd ? 'policy.add' : 'policy.del', ...p })
      if (isAdd === there) t.is(failure(t, run).code, 1)
      else {
        run()
        if (isAdd) model.push(text)
        else model.splice(model.indexOf(text), 1)
      }
    }
    const listed = rows<PolicyRow>(one, { show: 'policy' }).map(({ hits: _, ...row }) => JSON.stringify(row))
    t.deepEqual(listed.sort(), [...model].sort())
    for (const [from, to, port] of questions) {
      for (const protocol of ['tcp', 'udp'] as const) {
        const allowed = model.map((text) => JSON.parse(text) as PolicyRow)
          .some((p) => p.from === from && p.to === to && p.protocol === protocol && p.ports![0] <= port && port <= p.ports![1])
        t.is(rows<PolicyCheckRow>(one, { show: 'policy-check', from, to, protocol, port })[0]!.allowed, allowed)
      }
    }
  }), { numRuns: 60 })
})

test('a long list of conversations comes in parts', (t) => {
  const [, two] = cells()
  const { policy, clock } = two.lab.network.engine
  for (let port = 1; port <= 3000; port++) policy.flows.open(1, 2, port, 17, 0, 0, 1001, clock.second)
  const all = [...two.lab.network.show({ show: 'flow' })]
  t.true(all.includes(undefined))
  t.is(new Set((all.filter((row) => row !== undefined) as FlowRow[]).map(({ sport, dport }) => `${sport} ${dport}`)).size, 3000)
})

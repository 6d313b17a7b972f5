import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { loadNetworkFile, type LoadOptions, parseNetworkFile } from '../../src/config/load.js'
import { macOfName } from '../../src/config/mac-default.js'
import { type Underlay, vxlanMtu } from '../../src/config/mtu.js'
import { type NetworkFile, type Vxlan } from '../../src/config/types.js'
import { parseUnderlay } from '../../src/config/underlay.js'
import { parseIp4 } from '../../src/wire/ip4.js'
import { run } from './bad-rows.js'

const BR = 'version: 1\nbridges: { br0: {}, br1: {} }\n'
const parse = (text: string): NetworkFile => parseNetworkFile(text, 'net.yaml')
const vxlansOf = (...entries: string[]): readonly Vxlan[] =>
  parse(`${BR}vxlans:\n${entries.map((keys, i) => `  vxlan${i + 1}: { bridge: br0, ${keys} }\n`).join('')}`).vxlans

test('every default', (t) => {
  t.deepEqual(vxlansOf('id: 42'), [{
    name: 'vxlan1', bridge: 'br0', mac: macOfName('default', 'vxlan1'), mtu: 1450, id: 42, family: 4, dstport: 4789, srcport: [49152, 65535],
    remote: [], learning: true, proxy: false, neighSuppress: false, ttl: 64, tos: 0, df: 'unset', udpcsum: true, ageing: 300, maxaddress: 0,
    l2miss: false, l3miss: false, gbp: false, innerVlan: 'pass', uplink: 'auto', fdb: [], neighbors: []
  }])
})

test('every key', (t) => {
  const { vxlans: [unicast, multicast] } = parse(`${BR}
vxlans:
  vx1:
    bridge: br1
    id: 16777215
    local: 192.168.77.1
    dstport: 8472
    remote: [192.168.77.2, 192.168.77.3]
    dev: eth0
    srcport: [50000, 50015]
    learning: false
    proxy: true
    neigh_suppress: true
    ttl: inherit
    tos: inherit
    df: inherit
    udpcsum: false
    ageing: 0
    maxaddress: 100
    l2miss: true
    l3miss: true
    gbp: true
    uplink: socket
    inner_vlan: drop
    mtu: 1400
    mac: 02:00:00:00:00:42
    netns: 4711
    fdb:
      - { mac: 02:42:0a:00:0a:0b, dst: 192.168.77.2, vni: 43, port: 4790 }
      - { mac: 00:00:00:00:00:00, dst: 192.168.77.4 }
      - { mac: 00:00:00:00:00:00, dst: 192.168.77.5 }
      - { mac: 01:00:5e:00:00:01, dst: 192.168.77.4 }
      - { mac: 01:00:5e:00:00:01, dst: 192.168.77.5 }
    neighbors:
      - { address: 10.0.10.11, lladdr: 02:42:0a:00:0a:0b }
  vx2: { bridge: br0, id: 1, group: 239.1.1.1, dev: eth0, ttl: auto, tos: 0xb8, df: set, srcport: [4789, 4789], netns: /run/netns/under }
`)
  t.deepEqual(unicast, {
    name: 'vx1', bridge: 'br1', mac: [0x0002, 0x42000000], mtu: 1400, id: 16777215, local: '192.168.77.1', family: 4, dstport: 8472,
    srcport: [50000, 50015], remote: ['192.168.77.2', '192.168.77.3'], dev: 'eth0', learning: false, proxy: true, neighSuppress: true,
    ttl: 'inherit', tos: 'inherit', df: 'inherit', udpcsum: false, ageing: 0, maxaddress: 100, l2miss: true, l3miss: true, gbp: true,
    innerVlan: 'drop', netns: '/proc/4711/ns/net', uplink: 'socket',
    fdb: [
      { mac: [0x4202, 0x0b0a000a], dst: '192.168.77.2', vni: 43, port: 4790 },
      { mac: [0, 0], dst: '192.168.77.4' }, { mac: [0, 0], dst: '192.168.77.5' },
      { mac: [0x0001, 0x0100005e], dst: '192.168.77.4' }, { mac: [0x0001, 0x0100005e], dst: '192.168.77.5' }
    ],
    neighbors: [{ address: parseIp4('10.0.10.11')!, lladdr: [0x4202, 0x0b0a000a] }]
  })
  t.like(multicast, { group: '239.1.1.1', dev: 'eth0', remote: [], ttl: 0, tos: 184, df: 'set', srcport: [4789, 4789], netns: 'under' })
})

test('one remote is a list of one', (t) => {
  t.deepEqual(vxlansOf('id: 1, remote: 192.168.77.2')[0]!.remote, ['192.168.77.2'])
})

test('the family is that of the addresses, their text the same for the same address', (t) => {
  t.like(vxlansOf('id: 1, local: "FD00:0:0::01", remote: fd00:0000:0:0:0:0:0:2')[0], { family: 6, local: 'fd00::1', remote: ['fd00::2'], mtu: 1430 })
  t.like(vxlansOf('id: 1, group: FF05::0100, dev: eth0')[0], { family: 6, group: 'ff05::100' })
  t.like(vxlansOf('id: 1, fdb: [ { mac: 02:42:0a:00:0a:0b, dst: "::1" } ]')[0], { family: 6, fdb: [{ dst: '::1' }] })
  t.like(vxlansOf('id: 1, local: fe80::1, remote: fe80::2, dev: eth0')[0], { family: 6, local: 'fe80::1' })
})

test('an unspecified local address is any address of its family', (t) => {
  for (const [local, family] of [['0.0.0.0', 4], ['"::"', 6], ['0:0::0:0', 6]] as const) {
    const [vxlan] = vxlansOf(`id: 1, local: ${local}`)
    t.false('local' in vxlan!)
    t.is(vxlan!.family, family)
  }
})

test('several on one UDP port, told apart by id, local address, family or namespace', (t) => {
  t.is(vxlansOf('id: 1, local: 10.9.0.1', 'id: 2, local: 10.9.0.1, gbp: true, udpcsum: false', 'id: 1, local: 10.9.0.2').length, 3)
  t.is(vxlansOf('id: 1', 'id: 2', 'id: 1, dstport: 8472', 'id: 1, local: "::"', 'id: 1, netns: a', 'id: 1, netns: b').length, 6)
  t.is(vxlansOf('id: 1, local: 10.9.0.1', 'id: 2', 'id: 3, local: 10.9.0.2').length, 3)
  t.is(vxlansOf('id: 1, local: fe80::1, dev: eth0', 'id: 1, local: fe80::1, dev: eth1').length, 2)
})

test('one destination for several stations, and other VNIs and ports of one peer', (t) => {
  t.is(vxlansOf(`id: 1, local: 10.9.0.1, remote: 10.9.0.2, fdb: [
    { mac: 02:00:00:00:00:01, dst: 10.9.0.2 }, { mac: 02:00:00:00:00:02, dst: 10.9.0.2 }, { mac: 00:00:00:00:00:00, dst: 10.9.0.2, vni: 2 },
    { mac: 00:00:00:00:00:00, dst: 10.9.0.2, port: 8472 }, { mac: 02:00:00:00:00:03, dst: 10.9.0.1, vni: 2 } ]`)[0]!.fdb.length, 5)
})

// MTU

const load = async (text: string, options: LoadOptions): Promise<NetworkFile> => {
  const directory = mkdtempSync(join(tmpdir(), 'tapway-vxlans-'))
  try {
    writeFileSync(join(directory, 'net.yaml'), text)
    return await loadNetworkFile(join(directory, 'net.yaml'), options)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const TUNNELS = `
version: 1
bridges: { one: {}, two: {}, said: { mtu: 1500 }, none: {} }
vxlans:
  a: { bridge: one, id: 1, local: 10.9.0.1, remote: [10.9.0.2, 10.9.0.3], netns: under, fdb: [ { mac: 02:00:00:00:00:01, dst: 10.9.0.4 }, { mac: 02:00:00:00:00:02, dst: 10.9.0.2 } ] }
  b: { bridge: two, id: 2, local: 10.9.0.1, netns: under }
  c: { bridge: two, id: 3, group: ff05::1, dev: eth0 }
  d: { bridge: said, id: 4, local: 10.9.0.1, mtu: 1200 }
hosts:
  h: { interfaces: { e0: { bridge: one }, e1: { bridge: two }, e2: { bridge: said }, e3: { bridge: none }, e4: { bridge: one, mtu: 1300 } } }
routers:
  r: { interfaces: { e0: { bridge: one }, e1: { bridge: two } } }
`
const mtusOf = ({ bridges, vxlans, hosts, routers }: NetworkFile): object => ({
  bridges: bridges.map(({ mtu }) => mtu), vxlans: vxlans.map(({ mtu }) => mtu),
  hosts: hosts[0]!.interfaces.map(({ mtu }) => mtu), routers: routers[0]!.interfaces.map(({ mtu }) => mtu)
})

test('MTUs where the underlay\'s is not known: 1500', (t) => {
  t.deepEqual(mtusOf(parse(TUNNELS)), {
    bridges: [1450, 1430, 1500, 1500], vxlans: [1450, 1450, 1430, 1200], hosts: [1450, 1430, 1500, 1500, 1300], routers: [1450, 1430]
  })
})

test('MTUs that fit the underlay; it is asked for where it matters, with every peer', async (t) => {
  const asked: Underlay[] = []
  const file = await load(TUNNELS, {
    underlayMtu: (underlay) => {
      asked.push(underlay)
      return Promise.resolve(underlay.family === 6 ? 1280 : underlay.remote.length > 0 ? 9000 : undefined)
    }
  })
  t.deepEqual(asked, [
    { family: 4, local: '10.9.0.1', remote: ['10.9.0.2', '10.9.0.3', '10.9.0.4'], netns: 'under' },
    { family: 4, local: '10.9.0.1', remote: [], netns: 'under' },
    { family: 6, remote: [], group: 'ff05::1', dev: 'eth0' }
  ])
  t.deepEqual(mtusOf(file), {
    bridges: [8950, 1210, 1500, 1500], vxlans: [8950, 1450, 1210, 1200], hosts: [8950, 1210, 1500, 1500, 1300], routers: [8950, 1210]
  })
})

test('an MTU stays within what a link must and a packet can carry', (t) => {
  t.is(vxlanMtu(100, 4), 68)
  t.is(vxlanMtu(0, 6), 68)
  t.is(vxlanMtu(65536, 4), 65485)
  t.is(vxlanMtu(65536, 6), 65465)
  t.is(vxlansOf('id: 1, mtu: 68')[0]!.mtu, 68)
  t.is(vxlansOf('id: 1, mtu: 65485')[0]!.mtu, 65485)
})

// Addresses

test('property: every spelling of an IPv6 address becomes the one of RFC 5952', (t) => {
  const group = fc.oneof(fc.constant(0), fc.nat(0xffff))
  fc.assert(fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.boolean(), fc.boolean(), (groups, long, upper) => {
    const spelled = groups.map((g) => g.toString(16).padStart(long ? 4 : 1, '0')).join(':')
    const parsed = parseUnderlay(upper ? spelled.toUpperCase() : spelled)
    const text = parsed!.text
    t.is(parsed!.family, 6)
    // Read back by hand: what :: stands for is filled in.
    const [head = '', tail] = text.split('::')
    const count = (part: string): string[] => (part === '' ? [] : part.split(':'))
    const filled = tail === undefined
      ? count(head)
      : [...count(head), ...Array<string>(8 - count(head).length - count(tail).length).fill('0'), ...count(tail)]
    t.deepEqual(filled.map((g) => parseInt(g, 16)), groups)
    t.regex(text, /^[0-9a-f:]+$/)
    t.notRegex(text, /(^|:)0[0-9a-f]/)
    t.is(parseUnderlay(text)!.text, text)
    t.is(parsed!.multicast, groups[0]! >> 8 === 0xff)
    t.is(parsed!.linkLocal, groups[0]! >> 6 === 0xfe80 >> 6)
    t.is(parsed!.unspecified, groups.every((g) => g === 0))
  }), { numRuns: 300 })
})

test('what is no address', (t) => {
  for (const text of ['', 'a', '1.2.3', '1.2.3.4.5', '01.2.3.4', '::1%eth0', '[::1]', ':::', '1::2::3', 'fd00::1/64', '10.0.0.1/8', ' ::1', '::1 ', '::g', '::1]@[::2']) {
    t.is(parseUnderlay(text), undefined, text)
  }
  t.is(parseUnderlay('::1.2.3.4')!.text, '::102:304')
})

// Mistakes. The keys begin in line 4, column 29.
const vxlan = (keys: string): string => `${BR}vxlans:\n  vx: { bridge: br0, id: 5, ${keys} }\n`
const two = (one: string, other: string): string => `${BR}vxlans:\n  vx: { bridge: br0, ${one} }\n  vy: { bridge: br1, ${other} }\n`
run([
  ['no bridge', `${BR}vxlans: { vx: { id: 42 } }\n`, '3:11', 'vxlans.vx.bridge', 'missing: expected the name of a bridge'],
  ['no id', `${BR}vxlans: { vx: { bridge: br0 } }\n`, '3:11', 'vxlans.vx.id', 'missing: expected a whole number from 1 to 16777215'],
  ['nothing', `${BR}vxlans:\n  vx:\n`, '4:3', 'vxlans.vx.bridge', 'missing'],
  ['vxlans that are a list', `${BR}vxlans: [vx]\n`, '3:9', 'vxlans', 'expected a mapping of names, got a list'],
  ['an id of 0', `${BR}vxlans: { vx: { bridge: br0, id: 0 } }\n`, '3:34', 'vxlans.vx.id', 'from 1 to 16777215, got 0'],
  ['an id of 25 bits', `${BR}vxlans: { vx: { bridge: br0, id: 16777216 } }\n`, '3:34', 'vxlans.vx.id', 'got 16777216'],
  ['an unknown bridge', `${BR}vxlans: { vx: { bridge: br2, id: 1 } }\n`, '3:25', 'vxlans.vx.bridge', 'unknown bridge "br2"; did you mean "br0"?'],
  ['an unknown key', vxlan('dst_port: 4789'), '4:29', 'vxlans.vx.dst_port', 'unknown key; did you mean "dstport"?'],
  ['a key of ip that is not built', vxlan('external: true'), '4:29', 'vxlans.vx.external', 'unknown key; expected one of bridge, id, local'],
  ['a bad name', `${BR}vxlans: { vx.1: { bridge: br0, id: 1 } }\n`, '3:11', 'vxlans["vx.1"]', 'a name is made of'],
  ['the name of a bridge', `${BR}vxlans: { br0: { bridge: br0, id: 1 } }\n`, '3:11', 'vxlans.br0', 'a bridge has this name already'],
  ['the name of a router', `${BR}routers: { r: {} }\nvxlans: { r: { bridge: br0, id: 1 } }\n`, '4:11', 'vxlans.r', 'a router has this name already'],
  ['a host by the name of a VXLAN port', `${BR}vxlans: { vx: { bridge: br0, id: 1 } }\nhosts: { vx: {} }\n`, '4:10', 'hosts.vx', 'a VXLAN port has this name already'],
  ['a name for a local address', vxlan('local: eth0'), '4:36', 'vxlans.vx.local', 'expected an IPv4 or IPv6 address such as 192.168.77.1, got "eth0"'],
  ['a local address with prefix length', vxlan('local: 10.9.0.1/24'), '4:36', 'vxlans.vx.local', 'without prefix length: 10.9.0.1'],
  ['a local address with zone', vxlan('local: FE80::1%eth0'), '4:36', 'vxlans.vx.local', 'without zone (the device is dev): fe80::1'],
  ['a local address for all', vxlan('local: 239.1.1.1'), '4:36', 'vxlans.vx.local', 'a multicast address'],
  ['a local address of no class', vxlan('local: 255.255.255.255'), '4:36', 'vxlans.vx.local', 'no address of one end'],
  ['IPv4 as IPv6', vxlan('local: "::ffff:10.9.0.1"'), '4:36', 'vxlans.vx.local', '::ffff:a09:1 is no address of one end'],
  ['a number for an address', vxlan('remote: 10.9'), '4:37', 'vxlans.vx.remote', 'a number to YAML'],
  ['nobody as remote', vxlan('remote: 0.0.0.0'), '4:37', 'vxlans.vx.remote', 'the address of nobody'],
  ['a group as remote', vxlan('remote: [10.9.0.1, 239.1.1.1]'), '4:48', 'vxlans.vx.remote[1]', 'belongs to the keys group and dev'],
  ['a remote twice', vxlan('remote: [fd00::1, "fd00:0::1"]'), '4:47', 'vxlans.vx.remote[1]', 'fd00::1 stands here twice'],
  ['a remote that is local', vxlan('local: 10.9.0.1, remote: 10.9.0.1'), '4:54', 'vxlans.vx.remote', 'the address of this end'],
  ['a peer as group', vxlan('group: 10.9.0.1, dev: eth0'), '4:36', 'vxlans.vx.group', '10.9.0.1 is no multicast address; a single peer\'s is remote'],
  ['a group without dev', vxlan('group: 239.1.1.1'), '4:29', 'vxlans.vx.group', 'group needs dev'],
  ['a group and a remote', vxlan('group: 239.1.1.1, dev: eth0, remote: 10.9.0.1'), '4:58', 'vxlans.vx.remote', 'exclude each other'],
  ['a dev of 16 bytes', vxlan('dev: abcdefghijklmnop'), '4:34', 'vxlans.vx.dev', 'at most 15 bytes, this one has 16'],
  ['a link-local address without dev', vxlan('remote: fe80::2'), '4:37', 'vxlans.vx.remote', 'fe80::2 is a link-local address: it needs dev'],
  ['two scopes', vxlan('local: fd00::1, remote: fe80::2, dev: eth0'), '4:53', 'vxlans.vx.remote', 'one is link-local, the other is not'],
  ['two families', vxlan('local: 10.9.0.1, remote: fd00::2'), '4:54', 'vxlans.vx.remote', 'fd00::2 is an IPv6 address, and the underlay of vx is IPv4: local is 10.9.0.1'],
  ['two families in fdb', vxlan('remote: fd00::2, fdb: [ { mac: 02:00:00:00:00:01, dst: 10.9.0.2 } ]'), '4:84', 'vxlans.vx.fdb[0].dst', 'the underlay of vx is IPv6: remote is fd00::2'],
  ['two families of group and local', vxlan('local: fd00::1, group: 239.1.1.1, dev: eth0'), '4:52', 'vxlans.vx.group', 'is IPv6: local is fd00::1'],
  ['port 0', vxlan('dstport: 0'), '4:38', 'vxlans.vx.dstport', 'from 1 to 65535, got 0'],
  ['one source port', vxlan('srcport: 50000'), '4:38', 'vxlans.vx.srcport', 'expected [low, high], two ports from 1 to 65535, got 50000'],
  ['three source ports', vxlan('srcport: [1, 2, 3]'), '4:38', 'vxlans.vx.srcport', 'got a list'],
  ['source ports the wrong way round', vxlan('srcport: [50001, 50000]'), '4:38', 'vxlans.vx.srcport', '50001 is above 50000'],
  ['a source port of 0', vxlan('srcport: [0, 50000]'), '4:38', 'vxlans.vx.srcport', 'two ports from 1 to 65535, got 0'],
  ['a source port that is text', vxlan('srcport: [1, a]'), '4:38', 'vxlans.vx.srcport', 'got "a"'],
  ['a TTL of 256', vxlan('ttl: 256'), '4:34', 'vxlans.vx.ttl', 'from 0 to 255, auto or inherit, got 256'],
  ['a TTL in words', vxlan('ttl: inherited'), '4:34', 'vxlans.vx.ttl', 'got "inherited"'],
  ['a TOS that is negative', vxlan('tos: -1'), '4:34', 'vxlans.vx.tos', 'from 0 to 255 or inherit, got -1'],
  ['df of another kind', vxlan('df: inherti'), '4:33', 'vxlans.vx.df', 'expected unset, set or inherit, got "inherti"; did you mean "inherit"?'],
  ['an uplink over IPv6', vxlan('local: fd00::1, uplink: tap'), '4:53', 'vxlans.vx.uplink', 'it works over IPv4 only'],
  ['an uplink without local', vxlan('uplink: tap'), '4:37', 'vxlans.vx.uplink', 'it needs local, the address to send from'],
  ['an uplink and dev', vxlan('local: 10.9.0.1, dev: eth0, uplink: tap'), '4:65', 'vxlans.vx.uplink', 'it sends by the route: leave dev out'],
  ['inner_vlan of another kind', vxlan('inner_vlan: keep'), '4:41', 'vxlans.vx.inner_vlan', 'expected pass or drop, got "keep"'],
  ['a flag in words', vxlan('learning: off'), '4:39', 'vxlans.vx.learning', 'expected true or false, got "off"'],
  ['ageing in words', vxlan('ageing: never'), '4:37', 'vxlans.vx.ageing', 'of seconds'],
  ['a negative maxaddress', vxlan('maxaddress: -1'), '4:41', 'vxlans.vx.maxaddress', 'got -1'],
  ['an MTU below 68', vxlan('mtu: 67'), '4:34', 'vxlans.vx.mtu', 'from 68 to 65485, got 67'],
  ['an MTU beyond an IPv6 packet', vxlan('mtu: 65485, local: "::"'), '4:34', 'vxlans.vx.mtu', 'at most 65465 over IPv6'],
  ['a group MAC address', vxlan('mac: 01:00:00:00:00:01'), '4:34', 'vxlans.vx.mac', 'group address'],
  ['a MAC address that another has', `${BR}vxlans: { vx: { bridge: br0, id: 1, mac: 02:00:00:00:00:01 } }\nhosts: { h: { interfaces: { e: { bridge: br0, mac: 02:00:00:00:00:01 } } } }\n`, '4:52', 'hosts.h.interfaces.e.mac', 'the MAC address of vx on bridge br0'],
  ['a netns by a relative path', vxlan('netns: a/b'), '4:36', 'vxlans.vx.netns', 'expected a name under'],
  ['fdb that is no list', vxlan('fdb: { mac: 02:00:00:00:00:01 }'), '4:34', 'vxlans.vx.fdb', 'expected a list'],
  ['an entry without dst', vxlan('fdb: [ { mac: 02:00:00:00:00:01 } ]'), '4:36', 'vxlans.vx.fdb[0].dst', 'missing: expected an IPv4 or IPv6 address'],
  ['an entry without mac', vxlan('fdb: [ { dst: 10.9.0.2 } ]'), '4:36', 'vxlans.vx.fdb[0].mac', 'missing: expected a MAC address'],
  ['an unknown key of an entry', vxlan('fdb: [ { mac: 02:00:00:00:00:01, dst: 10.9.0.2, vin: 42 } ]'), '4:77', 'vxlans.vx.fdb[0].vin', 'did you mean "vni"?'],
  ['an entry to a group', vxlan('fdb: [ { mac: 00:00:00:00:00:00, dst: 239.1.1.1 } ]'), '4:67', 'vxlans.vx.fdb[0].dst', 'a multicast address'],
  ['an entry with id 0', vxlan('fdb: [ { mac: 02:00:00:00:00:01, dst: 10.9.0.2, vni: 0 } ]'), '4:82', 'vxlans.vx.fdb[0].vni', 'from 1 to 16777215'],
  ['an entry to this end', vxlan('local: 10.9.0.1, fdb: [ { mac: 02:00:00:00:00:01, dst: 10.9.0.1 } ]'), '4:84', 'vxlans.vx.fdb[0].dst', 'the address of this end'],
  ['two entries of a station', vxlan('fdb: [ { mac: 02:00:00:00:00:01, dst: 10.9.0.2 }, { mac: "2-0-0-0-0-1", dst: 10.9.0.3 } ]'), '4:86', 'vxlans.vx.fdb[1].mac', '02:00:00:00:00:01 stands here twice; several dst are for group addresses'],
  ['a flood entry twice', vxlan('fdb: [ { mac: 00:00:00:00:00:00, dst: 10.9.0.2 }, { mac: 0:0:0:0:0:0, dst: 10.9.0.2, vni: 5 } ]'), '4:104', 'vxlans.vx.fdb[1].dst', '10.9.0.2 stands here already for 00:00:00:00:00:00'],
  ['a flood entry that is in remote', vxlan('remote: 10.9.0.2, fdb: [ { mac: 00:00:00:00:00:00, dst: 10.9.0.2 } ]'), '4:85', 'vxlans.vx.fdb[0].dst', '10.9.0.2 stands in remote already'],
  ['a neighbour without lladdr', vxlan('neighbors: [ { address: 10.0.10.2 } ]'), '4:42', 'vxlans.vx.neighbors[0].lladdr', 'missing'],
  ['a neighbour with dev', vxlan('neighbors: [ { address: 10.0.10.2, lladdr: 02:00:00:00:00:01, dev: vx } ]'), '4:91', 'vxlans.vx.neighbors[0].dev', 'unknown key'],
  ['a neighbour over IPv6', vxlan('neighbors: [ { address: fd00::2, lladdr: 02:00:00:00:00:01 } ]'), '4:53', 'vxlans.vx.neighbors[0].address', 'expected an IPv4 address'],
  ['a neighbour twice', vxlan('neighbors: [ &n { address: 10.0.10.2, lladdr: 02:00:00:00:00:01 }, *n ]'), '4:56', 'vxlans.vx.neighbors[1].address', '10.0.10.2 stands here twice'],
  ['one id twice', two('id: 42', 'id: 42'), '5:26', 'vxlans.vy.id', 'id 42 on UDP port 4789 is vx\'s already'],
  ['one id and address twice', two('id: 42, local: 10.9.0.1', 'id: 42, local: 10.9.0.1, gbp: true'), '5:26', 'vxlans.vy.id', 'id 42 on UDP port 4789 is vx\'s already'],
  ['one id on one address and on all', two('id: 42, local: 10.9.0.1', 'id: 42'), '5:26', 'vxlans.vy.id', 'is vx\'s already'],
  ['one id in one namespace by two names', two('id: 42, netns: a', 'id: 42, netns: /run/netns/a'), '5:26', 'vxlans.vy.id', 'is vx\'s already'],
  ['one id on two addresses beside a port on all', `${two('id: 42, local: 10.9.0.1', 'id: 42, local: 10.9.0.2')}  vz: { bridge: br0, id: 5 }\n`, '5:26', 'vxlans.vy.id', 'is vx\'s already; vz has no local, so theirs do not tell them apart']
])

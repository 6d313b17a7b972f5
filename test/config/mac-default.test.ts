import test from 'ava'
import fc from 'fast-check'
import { parseNetworkFile } from '../../src/config/load.js'
import { assignMacs, macOfAddress, macOfName } from '../../src/config/mac-default.js'
import { type Station } from '../../src/config/stations.js'
import { parseIp4 } from '../../src/wire/ip4.js'
import { formatMac, isGroup } from '../../src/wire/mac.js'

/** MAC addresses by port name. */
const macsOf = (text: string, instance?: string): Record<string, string> => {
  const file = parseNetworkFile(text, 'net.yaml', instance === undefined ? {} : { instance })
  const entries: [string, string][] = file.bridges.map(({ name, mac }) => [name, formatMac(...mac)])
  for (const { name, interfaces } of [...file.routers, ...file.hosts]) {
    for (const i of interfaces) entries.push([`${name}.${i.name}`, formatMac(...i.mac)])
  }
  return Object.fromEntries(entries)
}

test('02:42 and the address', (t) => {
  t.is(formatMac(...macOfAddress(parseIp4('10.1.1.2')!)), '02:42:0a:01:01:02')
  t.is(formatMac(...macOfAddress(parseIp4('192.168.255.254')!)), '02:42:c0:a8:ff:fe')
})

test('made from names: locally administered, unicast, the same at every time, another for another name', (t) => {
  const seen = new Set<string>()
  for (const instance of ['default', 'other']) {
    for (let i = 0; i < 200; i++) {
      const mac = macOfName(instance, `host${i}.eth0`)
      t.false(isGroup(mac[0]))
      t.is(mac[0] & 2, 2)
      t.deepEqual(macOfName(instance, `host${i}.eth0`), mac)
      seen.add(formatMac(...mac))
    }
  }
  t.is(seen.size, 400)
  // Written down: an upgrade that changes it would change every network.
  t.is(formatMac(...macOfName('default', 'br0')), 'ee:d6:19:60:ef:17')
  t.not(formatMac(...macOfName('default', 'br0', 1)), 'ee:d6:19:60:ef:17')
})

const NET = `
version: 1
bridges: { br0: { address: 10.1.1.1/24 }, br1: {} }
routers: { r: { interfaces: { a: { bridge: br0, address: [10.1.1.3/24, 10.1.1.4/24] }, b: { bridge: br1 } } } }
hosts: { h: { interfaces: { a: { bridge: br0, address: 10.1.1.2/24 }, b: { bridge: br1, address: 10.1.1.2/24 } } } }
`

test('the first address decides, and a name where there is none or it is taken in the namespace', (t) => {
  const macs = macsOf(NET)
  t.is(macs['br0'], '02:42:0a:01:01:01')
  t.is(macs['br1'], formatMac(...macOfName('default', 'br1')))
  t.is(macs['r.a'], '02:42:0a:01:01:03')
  t.is(macs['r.b'], formatMac(...macOfName('default', 'r.b')))
  t.is(macs['h.a'], '02:42:0a:01:01:02')
  t.is(macs['h.b'], formatMac(...macOfName('default', 'h.b')))
})

test('the instance counts only for those made from names', (t) => {
  const [one, two] = [macsOf(NET, 'one'), macsOf(NET, 'two')]
  t.is(one['h.a'], two['h.a'])
  t.not(one['br1'], two['br1'])
  t.deepEqual(macsOf(NET, 'one'), one)
})

test('a default gives way to what the file says, also further down', (t) => {
  const macs = macsOf(`
version: 1
bridges: { br0: {} }
hosts:
  a: { interfaces: { e: { bridge: br0, address: 10.1.1.2/24 } } }
  b: { interfaces: { e: { bridge: br0, mac: 02:42:0a:01:01:02 } } }
`)
  t.is(macs['b.e'], '02:42:0a:01:01:02')
  t.is(macs['a.e'], formatMac(...macOfName('default', 'a.e')))
})

test('property: no duplicate on a bridge or in a namespace, except where the file says so', (t) => {
  const name = fc.constantFrom('a', 'b', 'c')
  const station = fc.record({
    owner: name, bridge: name, address: fc.option(fc.constantFrom(1, 2, 3)), mac: fc.option(fc.constantFrom(1, 2))
  })
  fc.assert(fc.property(fc.array(station, { maxLength: 20 }), (list) => {
    const stations = list.map(({ owner, bridge, address, mac }, i): Station => ({
      kind: 'host', owner, bridge, name: `${owner}.${i}`, path: [],
      addresses: address === null ? [] : [{ address, prefixLength: 24 }],
      mac: mac === null ? undefined : macOfAddress(mac)
    }))
    const assigned = assignMacs(stations, 'test')
    stations.forEach((one, i) => {
      const mac = assigned.get(one)!
      if (one.mac !== undefined) return t.deepEqual(mac, one.mac)
      for (const other of stations) {
        if (other !== one && (other.bridge === one.bridge || other.owner === one.owner)) t.notDeepEqual(assigned.get(other), mac, `station ${i}`)
      }
    })
  }), { numRuns: 100 })
  t.pass()
})

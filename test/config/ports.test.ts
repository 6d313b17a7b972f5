import test from 'ava'
import { parseNetworkFile } from '../../src/config/load.js'
import { type Bridge, type NetworkFile } from '../../src/config/types.js'
import { run } from './bad-rows.js'

/** The ports stand in line 3, from column 19 on. */
const ports = (entries: string, more = ''): string => `version: 1
bridges:
  br0: { ports: { ${entries} } }
  br1: {}
routers: { r: { interfaces: { e: { bridge: br0 } } } }
vxlans: { vx: { bridge: br0, id: 1 }, vy: { bridge: br1, id: 2 } }
hosts: { a: { interfaces: { eth0: { bridge: br0 }, eth1: { bridge: br1 } } }, b: { netns: b-ns } }
${more}`
const parse = (entries: string): NetworkFile => parseNetworkFile(ports(entries), 'net.yaml')
const bridgeOf = (entries: string): Bridge => parse(entries).bridges[0]!

test('no ports', (t) => {
  t.like(bridgeOf(''), { devices: [], portOptions: [] })
})

test('devices, with defaults and without', (t) => {
  t.deepEqual(bridgeOf('eth1: { device: eth1 }, uplink: { device: eth0.100, netns: /proc/1/ns/net, learning: false, flood: false, neigh_suppress: true }').devices, [
    { name: 'eth1', device: 'eth1', learning: true, flood: true, neighSuppress: false },
    { name: 'uplink', device: 'eth0.100', netns: '/proc/1/ns/net', learning: false, flood: false, neighSuppress: true }
  ])
})

test('one name of a device in several namespaces; names of devices with dots', (t) => {
  t.is(bridgeOf('eth0: { device: eth0 }, x: { device: eth0, netns: x }, eth0.100: { device: eth0.100 }, y: { device: eth0, netns: b-ns }').devices.length, 4)
})

test('options of ports that the file has elsewhere: what it says and no more', (t) => {
  t.deepEqual(bridgeOf('a.eth0: { learning: false, neigh_suppress: true }, vx: { flood: false, learning: true }').portOptions, [
    { port: 'a.eth0', learning: false, neighSuppress: true }, { port: 'vx', learning: true, flood: false }
  ])
  t.deepEqual(bridgeOf('a.eth0: {}, vx:').portOptions, [])
})

test('neigh_suppress of a VXLAN port, said here or there', (t) => {
  const file = parse('vx: { neigh_suppress: true }')
  t.deepEqual(file.bridges[0]!.portOptions, [])
  t.deepEqual(file.vxlans.map(({ neighSuppress }) => neighSuppress), [true, false])
  t.true(parseNetworkFile(ports('vx: { neigh_suppress: true }').replace('id: 1', 'id: 1, neigh_suppress: true'), 'net.yaml').vxlans[0]!.neighSuppress)
})

run([
  ['ports of the wrong type', 'version: 1\nbridges: { br0: { ports: 3 } }\n', '2:26', 'bridges.br0.ports', 'expected a mapping of names, got 3'],
  ['a port of the wrong type', ports('eth1: eth1'), '3:25', 'bridges.br0.ports.eth1', 'expected a mapping, got "eth1"'],
  ['an unknown key', ports('eth1: { devcie: eth1 }'), '3:27', 'bridges.br0.ports.eth1.devcie', 'did you mean "device"?'],
  ['a key of bridge link that is not built', ports('vx: { isolated: true }'), '3:25', 'bridges.br0.ports.vx.isolated', 'unknown key; expected one of device, netns, learning, flood, neigh_suppress'],
  ['a device of 16 bytes', ports('x: { device: abcdefghijklmnop }'), '3:32', 'bridges.br0.ports.x.device', 'at most 15 bytes, this one has 16: "abcdefghijklmnop"'],
  ['a device that is a number', ports('x: { device: 1 }'), '3:32', 'bridges.br0.ports.x.device', 'a number to YAML'],
  ['the loopback interface', ports('x: { device: lo }'), '3:32', 'bridges.br0.ports.x.device', 'loopback'],
  ['a name with a space', ports('"a b": { device: eth1 }'), '3:19', 'bridges.br0.ports["a b"]', 'no "/"'],
  ['a name of 16 bytes', ports('abcdefghijklmnop: { device: eth1 }'), '3:19', 'bridges.br0.ports.abcdefghijklmnop', 'at most 15 bytes'],
  ['the name of a bridge', ports('br1: { device: eth1 }'), '3:19', 'bridges.br0.ports.br1', 'a bridge has this name already'],
  ['the name of a host', ports('a: { device: eth1 }'), '3:19', 'bridges.br0.ports.a', 'a host has this name already; bridges, routers, vxlans, hosts and apps share'],
  ['the name of a router', ports('r: { device: eth1 }'), '3:19', 'bridges.br0.ports.r', 'a router has this name already'],
  ['a device for a VXLAN port', ports('vx: { device: eth1 }'), '3:25', 'bridges.br0.ports.vx.device', 'vx is a VXLAN port of this file; leave device out'],
  ['a device for a host\'s interface', ports('a.eth0: { device: eth1 }'), '3:29', 'bridges.br0.ports["a.eth0"].device', 'a.eth0 is a host\'s interface of this file'],
  ['a device twice', ports('x: { device: eth1 }, y: { device: eth1 }'), '3:53', 'bridges.br0.ports.y.device', 'eth1 is attached as port x already'],
  ['a device twice in a namespace by two names', ports('x: { device: eth1, netns: n }, y: { netns: /var/run/netns/n, device: eth1 }'), '3:88', 'bridges.br0.ports.y.device', 'attached as port x already'],
  ['a device on two bridges', ports('x: { device: eth1 }').replace('br1: {}', 'br1: { ports: { y: { device: eth1 } } }'), '4:32', 'bridges.br1.ports.y.device', 'attached as port x already'],
  ['a name on two bridges', ports('x: { device: eth1 }').replace('br1: {}', 'br1: { ports: { x: { device: eth2 } } }'), '4:19', 'bridges.br1.ports.x', 'bridge br0 has a port of this name already'],
  ['a device in a namespace that is not there yet', ports('x: { device: eth0, netns: a }'), '3:45', 'bridges.br0.ports.x.netns', 'a is a namespace that the file makes'],
  ['a namespace by a relative path', ports('x: { device: eth0, netns: a/b }'), '3:45', 'bridges.br0.ports.x.netns', 'expected a name under'],
  ['netns without device', ports('vx: { netns: a }'), '3:25', 'bridges.br0.ports.vx.netns', 'here is no device'],
  ['no device, and a name near a port', ports('a.eth9: { learning: false }'), '3:19', 'bridges.br0.ports["a.eth9"]', 'device is missing, and br0 has no such port without it; did you mean "a.eth0"?'],
  ['no device, and a name near none', ports('uplink1: {}'), '3:19', 'bridges.br0.ports.uplink1', 'expected one of vx, a.eth0'],
  ['no device, and no port', 'version: 1\nbridges: { br0: { ports: { x: {} } } }\n', '2:28', 'bridges.br0.ports.x', 'there is no interface of a host, or VXLAN port, on br0'],
  ['no device, and the bridge itself', ports('br0: { flood: false }'), '3:19', 'bridges.br0.ports.br0', 'device is missing'],
  ['options of a router\'s interface', ports('r.e: { flood: false }'), '3:19', 'bridges.br0.ports["r.e"]', 'a router\'s interface, whose port has no options'],
  ['options of a port of another bridge', ports('a.eth1: { flood: false }'), '3:19', 'bridges.br0.ports["a.eth1"]', 'a.eth1 is a port of bridge br1'],
  ['options of a VXLAN port of another bridge', ports('vy: { flood: false }'), '3:19', 'bridges.br0.ports.vy', 'vy is a port of bridge br1'],
  ['neigh_suppress said here and there', ports('vx: { neigh_suppress: true }').replace('id: 1', 'id: 1, neigh_suppress: false'), '3:41', 'bridges.br0.ports.vx.neigh_suppress', 'true here, and vxlans.vx.neigh_suppress is false']
])

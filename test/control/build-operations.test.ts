/** Apps and policies of a file as operations. */
import test from 'ava'
import { parseNetworkFile } from '../../src/config/load.js'
import { buildOperations, type OpenTap } from '../../src/control/build-operations.js'

test('apps and policies come behind all ports, each interface of a host with its addresses and MAC address', (t) => {
  const file = parseNetworkFile(`
version: 1
apps: { web: { id: 1001, hosts: [b, a] }, db: { id: 7 } }
policies: [ { from: web, to: db, protocol: tcp, ports: 80-81 }, { from: db, to: web, protocol: icmp } ]
bridges: { br0: {}, br1: {} }
hosts:
  a: { interfaces: { eth0: { bridge: br0, address: 10.255.96.3/32, peer: 169.254.0.1, mac: ee:ee:0a:ff:60:03 } } }
  b: { interfaces: { eth0: { bridge: br0, address: [10.0.0.1/24, 10.0.1.1/24] }, eth1: { bridge: br1, address: 10.0.2.1/24 } } }
  c: { interfaces: { eth0: { bridge: br0, address: 10.0.0.3/24 } } }
`, 'test.yaml')
  const taps = ['a.eth0', 'b.eth0', 'b.eth1', 'c.eth0'].map((name, fd): OpenTap => {
    const [host, dev] = name.split('.') as [string, string]
    return { host, interface: dev, fd, vnetHeader: 10, offloads: 0 }
  })
  const operations = buildOperations(file, taps)
  const first = operations.findIndex(({ op }) => op === 'app.add')
  t.true(operations.slice(first).every(({ op }) => op.startsWith('app.') || op.startsWith('policy.')))
  t.deepEqual(operations.slice(first), [
    { op: 'app.add', name: 'web', id: 1001 },
    { op: 'app.member', name: 'web', port: 'a.eth0', addresses: ['10.255.96.3'], mac: 'ee:ee:0a:ff:60:03' },
    { op: 'app.member', name: 'web', port: 'b.eth0', addresses: ['10.0.0.1', '10.0.1.1'], mac: '02:42:0a:00:00:01' },
    { op: 'app.member', name: 'web', port: 'b.eth1', addresses: ['10.0.2.1'], mac: '02:42:0a:00:02:01' },
    { op: 'app.add', name: 'db', id: 7 },
    { op: 'policy.add', from: 'web', to: 'db', protocol: 'tcp', ports: [80, 81] },
    { op: 'policy.add', from: 'db', to: 'web', protocol: 'icmp' }
  ])
})

/** Two machines and UDP sockets on them, for tests of sockets in the exchange. */
import { close, openNetns, openUdp, PORT_ERRORS, PORT_UDP, type Udp, type UdpOptions } from '../../src/native.js'
import { addNetns, ip, onSweep } from '../helpers/netns.js'
import { createRig, sockaddr } from './rig.js'

export const PORT = 4789
export const A = [10, 77, 0, 1]
export const B = [10, 77, 0, 2]
/** fd77::LAST */
export const v6 = (last: number): number[] => [0xfd, 0x77, ...Array.from({ length: 13 }, () => 0), last]

/** Two machines, a and b, with a veth pair u0 and both families. */
export const pair = () => {
  const [a, b] = [addNetns(), addNetns()]
  ip('-n', a, 'link', 'add', 'u0', 'type', 'veth', 'peer', 'name', 'u0', 'netns', b)
  for (const [ns, host] of [[a, 1], [b, 2]] as const) {
    ip('-n', ns, 'link', 'set', 'lo', 'up')
    ip('-n', ns, 'link', 'set', 'u0', 'up')
    ip('-n', ns, 'addr', 'add', `10.77.0.${host}/24`, 'dev', 'u0')
    ip('-n', ns, 'addr', 'add', `fd77::${host}/64`, 'dev', 'u0', 'nodad')
  }
  // A device loses what is sent before the kernel has noticed that its far end is up
  for (let i = 0; i < 500 && [a, b].some((ns) => !ip('-n', ns, 'link', 'show', 'u0').includes(' state UP ')); i++);
  const open = (name: string) => {
    const netns = openNetns(name)
    onSweep(() => close(netns))
    return netns
  }
  return { a, b, netnsA: open(a), netnsB: open(b) }
}

/** A socket that is closed after the test. */
export const open = (netns: number, options: Partial<UdpOptions> = {}): Udp => {
  const udp = openUdp({
    netns, family: 4, address: '', port: 0, gro: false, df: false, checksum: true, receive: false, ...options
  })
  onSweep(() => close(udp.fd))
  return udp
}

/** a sends, b receives on PORT; row 0 is b, row 1 is b over IPv6. */
export const setUp = (receive: Partial<UdpOptions> = {}, send: Partial<UdpOptions> = {}) => {
  const names = pair()
  const rig = createRig()
  const receiver = open(names.netnsB, { port: PORT, gro: true, receive: true, ...receive })
  const sender = open(names.netnsA, send)
  rig.io.addPort(5000, receiver.fd, PORT_UDP, 0)
  rig.io.addPort(5001, sender.fd, PORT_ERRORS, 0)
  rig.addresses.set(sockaddr(B, PORT))
  rig.addresses.set(sockaddr(v6(2), PORT), 8)
  for (let i = 0; i < 65536; i++) rig.arena[rig.out + i] = i * 7 + (i >> 8)
  return { ...names, ...rig, rig, receiver, sender }
}

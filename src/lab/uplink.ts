/**
 * Uplinks: TAPs in the underlay's namespaces by which tunnels send super-frames whole (port/uplink.ts). What is written to one comes in by it,
 * from the machine's own address, and is forwarded: no other device's settings are touched for that, and its own go with it. Nothing ever
 * leaves by it but probes.
 *
 * Forwarding may be forbidden (by a firewall, above all), and then packets vanish without a word. So an uplink is used only while a probe comes
 * back: a super-frame in a tunnel, to an address that is routed to the uplink itself. It goes the way of the others, but for the last device.
 */
import { randomBytes } from 'node:crypto'
import { readSync, writeSync } from 'node:fs'
import { openUplink } from '../native.js'
import { fold, sumBytes } from '../wire/checksum.js'
import { ETHERNET_HEADER, ETHERTYPE_IPV4, OFF_ETHERTYPE } from '../wire/ethernet.js'
import { parseIp4 } from '../wire/ip4.js'
import { IPV4_HEADER, OFF_SOURCE, PROTOCOL_TCP, writeIpv4 } from '../wire/ipv4.js'
import { formatMac } from '../wire/mac.js'
import { OFF_CHECKSUM, OFF_DATA_OFFSET, TCP_HEADER } from '../wire/tcp.js'
import { UPLINK_HEADERS, UPLINK_MAC_HI, UPLINK_MAC_LO, UPLINK_VNET, writeUplinkOuter, writeUplinkVnet } from '../wire/uplink.js'
import { VXLAN_PORT } from '../wire/vxlan.js'
import { run } from './run.js'
import type { NamespaceIdentity } from './namespace.js'
import { readSysctls, writeSysctls } from './sysctl.js'
import { codeOf, LabError, messageOf } from './types.js'

/** An uplink as the record of an instance has it. */
export interface MadeUplink {
  readonly name: string
  /** as in the network file; null: the namespace of the process */
  readonly netns: string | null
  readonly identity: NamespaceIdentity
  /** null until it exists */
  readonly ifindex: number | null
}

/** Uplinks that a namespace may have, of all instances. */
const MOST = 200
const nameOf = (n: number): string => `tw-up${n}`
/** Of an uplink, and what its probes go to: addresses that nothing else has (RFC 5737, TEST-NET-1 and TEST-NET-2). */
const addressOf = (n: number): string => `192.0.2.${n + 1}`
const probeOf = (n: number): string => `198.51.100.${n + 1}`

const GSO_TCPV4 = 1
const SEGMENT = 500
const INNER_L4 = ETHERNET_HEADER + IPV4_HEADER
const INNER = INNER_L4 + TCP_HEADER + 2 * SEGMENT
const NONCE = 16

/** A super-frame of two segments, as an uplink takes it; it ends with `nonce`. The header of the tunnel is no valid one. */
const probeFrame = (local: number, to: number, nonce: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(UPLINK_HEADERS + INNER)
  const view = new DataView(bytes.buffer)
  writeUplinkVnet(view, 0, GSO_TCPV4, SEGMENT, ETHERNET_HEADER, INNER_L4, OFF_CHECKSUM, INNER_L4 + TCP_HEADER, true)
  writeUplinkOuter(view, UPLINK_VNET, INNER, local, to, VXLAN_PORT, VXLAN_PORT, 0, 1, false, 0, true, 0, 0)
  view.setUint16(UPLINK_HEADERS + OFF_ETHERTYPE, ETHERTYPE_IPV4)
  const ip = UPLINK_HEADERS + ETHERNET_HEADER
  writeIpv4(view, ip, 0, INNER - ETHERNET_HEADER, 0, 0, 1, PROTOCOL_TCP, to, to)
  const tcp = ip + IPV4_HEADER
  view.setUint8(tcp + OFF_DATA_OFFSET, (TCP_HEADER >> 2) << 4)
  view.setUint16(tcp + OFF_CHECKSUM, fold(sumBytes(view, ip + OFF_SOURCE, 8, PROTOCOL_TCP + TCP_HEADER + 2 * SEGMENT)))
  bytes.set(nonce, bytes.length - NONCE)
  return bytes
}

export class Uplink {
  private constructor(readonly fd: number, readonly name: string, readonly ifindex: number, readonly ttl: number, private readonly probeTo: number) {}

  /**
   * Makes an uplink in a namespace (descriptor); `record` is told its name before it is there, and its index then; `opened` its descriptor at
   * once, to close. Throws LabError: there is none to be had here.
   */
  static async open(netns: number, record: (name: string, ifindex: number | null) => void, opened: (fd: number) => void): Promise<Uplink> {
    const links = await run('ip', ['-o', 'link', 'show'], { netns })
    const taken = new Set([...links.stdout.matchAll(/^\d+: ([^:@]+)/gm)].map(([, name]) => name))
    for (let n = 0; n < MOST; n++) {
      const name = nameOf(n)
      if (taken.has(name)) continue
      record(name, null)
      let tap: ReturnType<typeof openUplink>
      try {
        tap = openUplink({ netns, name })
      } catch (error) {
        if (codeOf(error) === 'EEXIST') continue
        throw new LabError(codeOf(error) === 'EINVAL' ? 'the kernel takes no super-frames inside tunnels from a TAP (Linux 6.17 and later do)' : messageOf(error))
      }
      opened(tap.fd)
      record(name, tap.ifindex)
      await setUp(netns, name, addressOf(n), probeOf(n))
      const [ttl] = await readSysctls(netns, ['net/ipv4/ip_default_ttl'])
      return new Uplink(tap.fd, name, tap.ifindex, Number(ttl?.value ?? 64), parseIp4(probeOf(n))!)
    }
    throw new LabError(`there are ${MOST} uplinks already`)
  }

  /** Whether a super-frame from this IPv4 address is forwarded now. A write to a TAP returns when that is done. */
  passes(local: string): boolean {
    const nonce = randomBytes(NONCE)
    const frame = probeFrame(parseIp4(local)!, this.probeTo, nonce)
    const answer = Buffer.alloc(65536)
    try {
      writeSync(this.fd, frame)
      for (;;) {
        const size = readSync(this.fd, answer) // EAGAIN when there is no more
        if (size === frame.length && answer.subarray(size - NONCE, size).equals(nonce)) return true
      }
    } catch {
      return false
    }
  }
}

/**
 * Forwards what comes in, from the machine's own addresses too. Reverse-path filtering takes the larger of the device's value and that of
 * `all`: with 2, loose, it is never strict. It lets nothing in by a device without an address, though; one of scope host is no source for
 * what the machine sends.
 */
const setUp = async (netns: number, name: string, address: string, probe: string): Promise<void> => {
  const conf = (key: string, value: string) => ({ path: `net/ipv4/conf/${name}/${key}`, value })
  await writeSysctls(name, netns, [conf('forwarding', '1'), conf('accept_local', '1'), conf('rp_filter', '2')])
  // Without ARP, IPv6 and multicast it never sends by itself
  const lines = [
    `link set dev ${name} address ${formatMac(UPLINK_MAC_HI, UPLINK_MAC_LO)} arp off multicast off addrgenmode none txqueuelen 32`,
    `addr add ${address}/32 dev ${name} scope host`, `link set dev ${name} up`, `route add ${probe}/32 dev ${name}`,
  ]
  const { status, stderr } = await run('ip', ['-batch', '-'], { netns, input: `${lines.join('\n')}\n` })
  if (status !== 0) throw new LabError(`cannot set up ${name}: ${stderr.split('\n')[0] ?? ''}`)
}

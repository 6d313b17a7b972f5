/** Frames that do not fit through the underlay: who is told, what is fragmented outside, what is lost; against the kernel's. */
import test from 'ava'
import { be16, be32, ethernet, icmp, zeros } from '../oracle/naive-frames.js'
import { ALL, DF, ICMP, MF, TCP, data, ipPacket, type Ip } from '../helpers/frames.js'
import { doubleTagged, vlanFrame } from '../kernel/bridge-plan.js'
import { datagram, datagram6, ip6 } from './datagram.js'
import { A, D, EXPERIMENTAL, LOCAL, UNDERLAY, UNDERLAY_MAC, deviates, hello, overIpv6, peer, peerMac, plain, send, toPeer2, vtep,
  type Step, type Tunnel } from './plan.js'
import { scenarios, type Scenario } from './scenario.js'

/** An IPv4 packet of `total` bytes from A to D. */
const packet = (total: number, more: Partial<Ip> = {}): number[] => {
  const header = 20 + (more.options?.length ?? 0)
  return ipPacket({ src: '10.0.10.11', dst: '10.0.10.12', protocol: 17, flags: DF, payload: data(total - header), ...more })
}
const say = (what: string, ip: number[], to = D): Step => send('p0', ethernet(to, A, 0x0800, ip), what)
const sixBytes = (total: number, dst = 'fd00::2', src = 'fd00::1', next = 253): number[] =>
  [0x6b, 0x90, 0, 0, ...be16(total - 40), next, 9, ...ip6(src), ...ip6(dst), ...data(total - 40)]
const six = (what: string, ip: number[], to = D): Step => send('p0', ethernet(to, A, 0x86dd, ip), what)

/** D is behind the tunnel, so that nothing for it goes elsewhere. */
const known = send(UNDERLAY, datagram({ inner: hello(D) }), 'D speaks')
const known6 = send(UNDERLAY, datagram6({ inner: hello(D) }), 'D speaks')
/** Bytes more than the MTU that the kernel's bridge lets pass, as if there were a tag. */
const SLACK = 4

const sizes = (fit: number): Step[] => [
  say(`DF, ${fit} bytes`, packet(fit)), say(`DF, ${fit + 1} bytes`, packet(fit + 1)),
  say(`DF, ${fit + SLACK} bytes`, packet(fit + SLACK)),
  say(`without DF, ${fit} bytes`, packet(fit, { flags: 0 })), say('without DF, 1500 bytes', packet(1500, { flags: 0 })),
  send('p0', plain(D, A, data(fit)), 'no IP, that fits'), send('p0', plain(D, A, data(fit + SLACK + 1)), 'no IP')
]
/** Those that are told. */
const told = (fit: number): Step[] => [
  say('TCP', packet(fit + 1, { protocol: TCP })), say('echo request',
    packet(fit + 1, { protocol: ICMP, payload: icmp(8, 0, [0, 1, 0, 1], data(fit - 27)) })),
  say('with options', packet(fit + 1, { options: [1, 1, 1, 1] })), say('tos b9 ttl 1', packet(fit + 1, { tos: 0xb9, ttl: 1 })),
  say('to all stations', packet(fit + 1), ALL), say('to the broadcast address', packet(fit + 1, { dst: '10.0.10.255' }), ALL)
]
/** Those that are not. */
const untold = (fit: number): Step[] => [
  say('to a group', packet(fit + 1, { dst: '239.1.2.3' }), '01:00:5e:01:02:03'),
  say('an ICMP error', packet(fit + 1, { protocol: ICMP, payload: icmp(3, 1, zeros(4), data(fit - 27)) })),
  say('a later fragment', packet(fit + 1, { flags: DF | 100 })), say('a first fragment', packet(fit + 1, { flags: DF | MF })),
  say('from 0.0.0.0', packet(fit + 1, { src: '0.0.0.0' })), say('from all ones', packet(fit + 1, { src: '255.255.255.255' })),
  say('from a group', packet(fit + 1, { src: '224.1.1.1' })), say('without DF', packet(fit + 1, { flags: 0 })),
  send('p0', plain(D, A, data(fit + 1)), 'no IP')
]
const ipv6 = (fit: number): Step[] => [
  six('IPv6', sixBytes(fit + 1)), six('IPv6 that fits', sixBytes(fit)),
  six('IPv6 to a group', sixBytes(fit + 1, 'ff02::5'), '33:33:00:00:00:05'),
  six('IPv6 from a link-local address', sixBytes(fit + 1, 'fe80::2', 'fe80::1'))
]
const untold6 = (fit: number): Step[] => [
  six('IPv6 from ::', sixBytes(fit + 1, 'fd00::2', '::')), six('an ICMPv6 error', sixBytes(fit + 1, 'fd00::2', 'fd00::1', 58))
]
const tagged = (fit: number): Step => send('p0', vlanFrame(D, A, 5, 0, 0x0800, packet(fit - 4)), 'behind a tag, that fits')

/** Lines of what both send. */
const frame = (length: number, flags = ' DF', rest = 'udp 778>4376'): string =>
  `${A} > ${D} 10.0.10.11 > 10.0.10.12 ttl 64 tos 0x0 len ${length}${flags} ${rest}`
const answer = (mtu: number): string =>
  `p0 ${D} > ${A} 10.0.10.12 > 10.0.10.11 ttl 64 tos 0x0 len 576 DF icmp 3/4 rest 0.0.${mtu >> 8}.${mtu & 255}`
const outer = (what: string,
  flags = ''): string => `u0 ${peerMac(2)} ${LOCAL} > ${peer(2)}:4789 ttl 64 tos 0x0${flags} vxlan 0800000000002a00 { ${what}`

const TAGGED_ANSWER = `p0 ${D} > ${A} type 0x8100 length 594`

const MTU = "the MTU of a tunnel's port holds for what is in a frame, with a tag or without"
const SILENT = 'whoever may be told is told'
const TRUSTED = "a tunnel's MTU set by hand is believed: the underlay cuts"
const FIRST = "a tunnel's MTU set by hand is believed, until the underlay says otherwise"
const BROKEN = 'no answer to a packet whose header is wrong'
const CUT6 = 'outer packets of IPv6 are cut too'

/** A router on the underlay says that a packet from the box to peer 2 was too big. */
const fragmentationNeeded = (mtu: number): Step => {
  const quoted = ipPacket({ src: LOCAL, dst: peer(2), protocol: 17, flags: DF,
    payload: [...be16(50000), ...be16(4789), ...be16(1400), 0, 0], total: 1420 })
  const message = icmp(3, 4, be32(mtu), quoted)
  return send(UNDERLAY, ethernet(UNDERLAY_MAC, peerMac(2), 0x0800,
    ipPacket({ src: peer(2), dst: LOCAL, protocol: ICMP, payload: message })), `MTU ${mtu} on the way`)
}

const each = (df: NonNullable<Tunnel['df']>): Scenario[] => [
  { name: `df ${df}: sizes`, plan: toPeer2({ df }), steps: [known, ...sizes(1450)] },
  { name: `df ${df}: who is told`, plan: toPeer2({ df }), steps: [known, ...told(1450), tagged(1450), ...ipv6(1450)] },
  {
    name: `df ${df}: a smaller MTU on the way`, plan: toPeer2({ df }),
    steps: [
      say('DF', packet(1428)), fragmentationNeeded(1400), say('DF', packet(1351)), say('DF, 1350 bytes', packet(1350)),
      say('without DF', packet(1428, { flags: 0 })),
      say('to another peer', packet(1428)), send('p0', plain(D, A, data(1351)), 'no IP')
    ]
  }
]

scenarios(test, [
  ...(['unset', 'set', 'inherit'] as const).flatMap(each),
  { name: 'df set: who is not told', plan: toPeer2({ df: 'set' }),
    steps: [known, ...untold(1450), ...untold6(1450), say('that fits', packet(1450))] },
  {
    name: 'over IPv6: sizes', plan: overIpv6(), steps: [known6, ...sizes(1430)]
  },
  { name: 'over IPv6: who is told and who is not', plan: overIpv6(),
    steps: [known6, ...told(1430), ...untold(1430), tagged(1430), ...ipv6(1430), ...untold6(1430)] },
  {
    name: 'over IPv6: a tagged frame of the full MTU', plan: overIpv6(),
    steps: [known6, deviates(
      CUT6, send('p0', vlanFrame(D, A, 5, 0, EXPERIMENTAL, data(1430)), 'with a tag'), [],
      [1510, 78].map((length) => `u0 ${UNDERLAY_MAC} > ${peerMac(2)} type 0x86dd length ${length}`)
    )]
  },
  { name: 'tagged frames of the full MTU', plan: toPeer2(), steps: [known,
    send('p0', vlanFrame(D, A, 5, 0, EXPERIMENTAL, data(1450)), 'with a tag')] },
  {
    name: 'more than the MTU, and room for a tag', plan: toPeer2(),
    steps: [
      known, deviates(SILENT, say('DF, 1455 bytes', packet(1455)), [], [answer(1450)]),
      deviates(MTU, say('without DF, 1451 bytes', packet(1451, { flags: 0 })), [outer(frame(1451, ''), ' fragments 1480+1')], []),
      deviates(MTU, send('p0', plain(D, A, data(1454)), 'no IP'),
        [outer(`${A} > ${D} type 0x88b5 length 1468`, ' fragments 1480+4')], []),
      deviates(MTU, send('p0', doubleTagged(D, A, 5, 6, data(1450)), 'two tags'),
        [outer(`${A} > ${D} type 0x88a8 length 1472`, ' fragments 1480+8')], [])
    ]
  },
  {
    name: 'too large with a tag', plan: toPeer2({ df: 'set' }),
    steps: [
      known, send('p0', vlanFrame(D, A, 5, 0, 0x0800, packet(1447)), 'from which the path is learned'),
      deviates(SILENT, send('p0', vlanFrame(D, A, 5, 0, 0x0800, packet(1447)), 'DF, 1447 bytes'), [], [TAGGED_ANSWER]),
      deviates(SILENT, send('p0', vlanFrame(D, A, 5, 0, 0x0800, packet(1500)), 'DF, 1500 bytes'), [], [TAGGED_ANSWER]), tagged(1450)
    ]
  },
  {
    name: 'a wrong header checksum', plan: toPeer2(),
    steps: [known, say('DF', packet(1451)), deviates(BROKEN, say('with a wrong checksum', packet(1451, { checksum: 0x1234 })),
      [answer(1450)], [])]
  },
  { name: 'two remotes', plan: vtep({ remote: [peer(2), peer(3)], df: 'set' }),
    steps: [known, say('DF', packet(1451)), say('without DF', packet(1451, { flags: 0 }))] },
  {
    name: 'an MTU of the tunnel port above what fits', plan: toPeer2({ mtu: 1500 }),
    steps: [
      known, say('DF, 1450 bytes', packet(1450)), deviates(TRUSTED, say('DF, 1500 bytes', packet(1500)), [answer(1450)],
        [outer(frame(1500), ' fragments 1480+50')]),
      say('without DF', packet(1500, { flags: 0 }))
    ]
  },
  {
    name: 'an MTU of the tunnel port above what fits, df set', plan: toPeer2({ mtu: 1500, df: 'set' }),
    steps: [
      known, deviates(FIRST, say('DF, 1500 bytes', packet(1500)), [answer(1450)], []), say('DF, 1500 bytes', packet(1500)),
      say('DF, 1451 bytes', packet(1451)),
      say('DF, 1450 bytes', packet(1450)), say('without DF', packet(1500, { flags: 0 }))
    ]
  },
  {
    name: 'a small MTU of the tunnel port', plan: toPeer2({ mtu: 1000 }),
    steps: [
      known, say('DF, 1000 bytes', packet(1000)), deviates(SILENT, say('DF, 1005 bytes', packet(1005)), [], [answer(1000)]),
      deviates(MTU, say('DF, 1001 bytes', packet(1001)), [outer(frame(1001))], [answer(1000)]),
      say('without DF', packet(1005, { flags: 0 }))
    ]
  },
  { name: 'an underlay with a large MTU', plan: toPeer2({}, { underlayMtu: 1600 }),
    steps: [known, say('1500 bytes', packet(1500)), send('p0', plain(D, A, data(1500)), 'no IP')] }
])

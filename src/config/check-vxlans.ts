/** VXLAN ports: what the kernel would refuse (vxlan_config_validate() of drivers/net/vxlan), and what could not work. */
import { formatIp4 } from '../wire/ip4.js'
import { formatMac, isGroup, isZero } from '../wire/mac.js'
import { namespaceOf } from './check-names.js'
import { familyOf, localOf, VXLAN_OVERHEAD, vxlanMaxMtu } from './mtu.js'
import { type Path, type Report } from './problem.js'
import { type NetworkShape, type VxlanShape } from './schema.js'
import { type Family, type UnderlayAddress } from './underlay.js'

type Placed = readonly [path: Path, address: UnderlayAddress]

const addressesOf = ({ local, group, remote, fdb }: VxlanShape, path: Path): Placed[] => [
  ...(local === undefined ? [] : [[[...path, 'local'], local] as const]),
  ...(group === undefined ? [] : [[[...path, 'group'], group] as const]),
  ...remote.map((address, i) => [[...path, 'remote', i], address] as const),
  ...fdb.map(({ dst }, i) => [[...path, 'fdb', i, 'dst'], dst] as const)
]

/** One family, one scope, and a device where an address needs one. */
const checkUnderlay = (name: string, vxlan: VxlanShape, path: Path, report: Report): void => {
  const { local, group, remote, dev, mtu } = vxlan
  const addresses = addressesOf(vxlan, path)
  const family = familyOf(vxlan)
  for (const [at, { family: own, text }] of addresses) {
    if (own === family) continue
    const [[first], { text: address }] = [addresses[0]![0].slice(2), addresses[0]![1]]
    report(at, `${text} is an IPv${own} address, and the underlay of ${name} is IPv${family}: ${first!} is ${address}`)
  }
  if (group !== undefined && remote.length > 0) {
    report([...path, 'remote'], 'remote and group exclude each other; further ends beside a group are entries of fdb', 'key')
  }
  if (group !== undefined && dev === undefined) report([...path, 'group'], 'group needs dev, the device it is joined on', 'key')
  const linkLocal = addresses.find(([, address]) => address.linkLocal)
  if (linkLocal !== undefined && dev === undefined) {
    report(linkLocal[0], `${linkLocal[1].text} is a link-local address: it needs dev, the device it is on`)
  }
  if (local !== undefined && !local.unspecified) {
    remote.forEach((address, i) => {
      if (address.family === local.family && address.linkLocal !== local.linkLocal) {
        report([...path, 'remote', i], `${address.text} cannot be reached from ${local.text}: one is link-local, the other is not`)
      }
    })
  }
  if (vxlan.uplink === 'tap') {
    const [why] = [
      ...(family === 6 ? ['it works over IPv4 only'] : []),
      ...(localOf(vxlan) === undefined ? ['it needs local, the address to send from'] : []),
      ...(dev === undefined ? [] : ['it sends by the route: leave dev out'])
    ]
    if (why !== undefined) report([...path, 'uplink'], `uplink: tap: ${why}`)
  }
  if (mtu !== undefined && mtu > vxlanMaxMtu(family)) {
    const expected = `at most ${vxlanMaxMtu(family)} over IPv${family}, where headers take ${VXLAN_OVERHEAD[family]} bytes`
    report([...path, 'mtu'], `expected ${expected}, got ${mtu}`)
  }
}

/** No destination twice for a station, and none that is this end itself. */
const checkEntries = (vxlan: VxlanShape, path: Path, report: Report): void => {
  const { id, dstport } = vxlan
  const own = localOf(vxlan)
  const ends = new Map<string, string>()
  vxlan.remote.forEach(({ text }, i) => {
    const at = [...path, 'remote', i]
    if (ends.has(text)) report(at, `${text} stands here twice`)
    else if (text === own) report(at, `${text} is the address of this end; remote is the other end`)
    ends.set(text, 'in remote')
  })
  const flooded = new Map([...ends].map(([text, where]) => [`00:00:00:00:00:00 ${text} ${id} ${dstport}`, where]))
  const stations = new Set<string>()
  vxlan.fdb.forEach(({ mac, dst, vni = id, port = dstport }, i) => {
    const at = [...path, 'fdb', i]
    const text = formatMac(...mac)
    if (dst.text === own && vni === id && port === dstport) {
      report([...at, 'dst'], `${dst.text} is the address of this end; dst is where the station is`)
    }
    if (isGroup(mac[0]) || isZero(...mac)) {
      const key = `${text} ${dst.text} ${vni} ${port}`
      const where = flooded.get(key)
      if (where !== undefined) report([...at, 'dst'], `${dst.text} stands ${where} already for ${text}`)
      flooded.set(key, 'here')
    } else if (stations.has(text)) {
      report([...at, 'mac'], `${text} stands here twice; several dst are for group addresses and 00:00:00:00:00:00 (the flood list)`)
    }
    stations.add(text)
  })
  const neighbors = new Set<number>()
  vxlan.neighbors.forEach(({ address }, i) => {
    if (neighbors.has(address)) report([...path, 'neighbors', i, 'address'], `${formatIp4(address)} stands here twice`)
    neighbors.add(address)
  })
}

/**
 * No two ports that one datagram could be for (vxlan_vni_in_use()). Where a port has no `local`, its socket is the only one on that
 * UDP port: then addresses do not tell the others apart either.
 */
const checkIds = (vxlans: NetworkShape['vxlans'], report: Report): void => {
  const socketOf = ({ netns, dstport }: VxlanShape, family: Family): string => JSON.stringify([namespaceOf(netns), family, dstport])
  const wild = new Map<string, string>()
  for (const [name, vxlan] of vxlans) {
    const socket = socketOf(vxlan, familyOf(vxlan))
    if (localOf(vxlan) === undefined && !wild.has(socket)) wild.set(socket, name)
  }
  const seen = new Map<string, string>()
  for (const [name, vxlan] of vxlans) {
    const { id, dstport, local, dev } = vxlan
    const socket = socketOf(vxlan, familyOf(vxlan))
    const any = wild.get(socket)
    // A link-local address means another thing on another device.
    const address = any !== undefined ? '' : local!.linkLocal ? `${local!.text}%${dev}` : local!.text
    const key = `${socket} ${address} ${id}`
    const other = seen.get(key)
    if (other === undefined) seen.set(key, name)
    else {
      const why = any === undefined || any === name || any === other ? '' : `; ${any} has no local, so theirs do not tell them apart`
      report(['vxlans', name, 'id'], `id ${id} on UDP port ${dstport} is ${other}'s already${why}`)
    }
  }
}

export const checkVxlans = (shape: NetworkShape, report: Report): void => {
  for (const [name, vxlan] of shape.vxlans) {
    const path = ['vxlans', name]
    checkUnderlay(name, vxlan, path, report)
    checkEntries(vxlan, path, report)
  }
  checkIds(shape.vxlans, report)
}

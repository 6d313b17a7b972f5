/**
 * Ports: rows with small stable ids. A port is where frames enter and leave a bridge: an I/O port (TAP, memory) or the
 * bridge side of an interface of a router or of the bridge itself.
 *
 * rx and tx are the switch's view: rx is what entered the bridge by this port, tx what left it. Counters are cells in
 * shared memory with one writer, the data plane.
 */

import { createColumns } from './columns.js'

export const PORT_FREE = 0
export const PORT_IO = 1 // frames leave by the I/O layer
export const PORT_INTERFACE = 2 // frames leave to a layer-3 interface, row `layer3`
export const PORT_TUNNEL = 3 // frames leave by a tunnel, row `layer3`

/** Offloads a port takes on transmit; the virtio-net features of linux/if_tun.h. */
export const OFFLOAD_CSUM = 1
export const OFFLOAD_TSO4 = 2
export const OFFLOAD_TSO6 = 4
export const OFFLOAD_USO = 8

/** Port state flags. */
export const P_UP = 1 // administratively up
export const P_CARRIER = 2 // the device behind it takes frames
export const P_LEARNING = 4
export const P_FLOOD = 8 // unknown unicast is flooded to it
export const P_FORWARDING = P_UP | P_CARRIER
export const P_CAPTURE = 16 // somebody watches it
export const P_NEIGH_SUPPRESS = 32 // ARP requests for known neighbours are answered here and not sent

/** Cells of a port's counters. */
export const C_RX_PACKETS = 0
export const C_RX_BYTES = 1
export const C_TX_PACKETS = 2
export const C_TX_BYTES = 3
export const C_TX_ERRORS = 4
export const C_TX_DROPPED = 5
export const C_RX_MULTICAST = 6
export const PORT_CELLS = 8

export type Ports = ReturnType<typeof createPorts>

export const createPorts = (capacity = 4096) => {
  const column = createColumns(capacity, 11, 32)
  const kind = column()
  const state = column() // P_ flags
  const bridge = column() // row of the bridge
  const filter = column() // filtering id: which part of the FDB it sees; one a (bridge, VLAN)
  const mtu = column() // bytes of payload behind the Ethernet header
  const offloads = column() // OFFLOAD_ flags
  const handle = column() // the I/O layer's name for it (a file descriptor, a memory port)
  const vnetHeader = column() // bytes of virtio-net header before each frame of the device: 0 or 10
  const layer3 = column() // interface row for PORT_INTERFACE, tunnel row for PORT_TUNNEL
  const app = column() // id of the app that the host behind it belongs to; 0 for none
  const generation = column() // raised when the row is given to another port
  const counters = new Float64Array(new SharedArrayBuffer(capacity * PORT_CELLS * 8))
  let used = 0

  return {
    capacity, kind, state, bridge, filter, mtu, offloads, handle, vnetHeader, layer3, app, generation, counters,
    /** Rows ever used: 0..count()-1 may hold ports. */
    count: () => used,
    /** A free row, counters cleared, down, learning and flooding on; -1 when all are taken. */
    add: (kindOf: number): number => {
      let p = 0
      while (p < used && kind[p] !== PORT_FREE) p++
      if (p === capacity) return -1
      if (p === used) used++
      kind[p] = kindOf
      state[p] = P_LEARNING | P_FLOOD
      app[p] = 0
      generation[p] = generation[p]! + 1
      counters.fill(0, p * PORT_CELLS, (p + 1) * PORT_CELLS)
      return p
    },
    remove: (p: number): void => {
      kind[p] = PORT_FREE
      state[p] = 0
    }
  }
}

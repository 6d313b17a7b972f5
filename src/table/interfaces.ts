/**
 * Layer-3 interfaces and the stacks they belong to. A stack is a router, or a bridge's own address (a host that does not
 * forward); both have a FIB, neighbours and interfaces. Rows with small stable ids; sysctl names as in
 * Documentation/networking/ip-sysctl.rst.
 */

import { inPrefix } from '../wire/ip4.js'

export const STACK_FREE = 0
export const STACK_ROUTER = 1
export const STACK_BRIDGE = 2

export interface InterfaceAddress {
  /** int32, host order. */
  readonly address: number
  readonly prefixLength: number
  /** The other end of a point-to-point address; then the prefix is the peer's (`ip addr add A peer B`). */
  readonly peer?: number
}

export type Interfaces = ReturnType<typeof createInterfaces>

export const createInterfaces = (capacity = 1024, stackCapacity = 512) => {
  const column = (size: number) => new Int32Array(size)
  // stacks
  const stackKind = column(stackCapacity)
  const forwarding = column(stackCapacity) // net.ipv4.ip_forward
  // interfaces
  const used = column(capacity)
  const stack = column(capacity)
  const port = column(capacity) // bridge side
  const macHi = column(capacity)
  const macLo = column(capacity)
  const mtu = column(capacity)
  const up = column(capacity)
  const interfaceForwarding = column(capacity) // net.ipv4.conf.IF.forwarding
  const proxyArp = column(capacity)
  const rpFilter = column(capacity) // 0 off, 1 strict, 2 loose
  const sendRedirects = column(capacity)
  const broadcastForwarding = column(capacity) // net.ipv4.conf.IF.bc_forwarding
  const primary = column(capacity) // first address, 0 when it has none
  const addresses: InterfaceAddress[][] = []

  const freeRow = (rows: Int32Array): number => rows.indexOf(0)

  return {
    capacity, stackCapacity, stackKind, forwarding,
    used, stack, port, macHi, macLo, mtu, up, interfaceForwarding, proxyArp, rpFilter, sendRedirects, broadcastForwarding, primary,
    /** Addresses of an interface in the order they were added; read only, change them by addAddress and removeAddress. */
    addresses,

    /** A new stack row; -1 when all are taken. */
    addStack: (kind: number): number => {
      const s = freeRow(stackKind)
      if (s >= 0) {
        stackKind[s] = kind
        forwarding[s] = kind === STACK_ROUTER ? 1 : 0
      }
      return s
    },
    removeStack: (s: number): void => {
      stackKind[s] = STACK_FREE
    },
    /** A new interface row of a stack, behind a bridge port; -1 when all are taken. */
    add: (ofStack: number, bridgePort: number, hi: number, lo: number, mtuBytes: number): number => {
      const i = freeRow(used)
      if (i < 0) return -1
      used[i] = 1
      stack[i] = ofStack
      port[i] = bridgePort
      macHi[i] = hi
      macLo[i] = lo
      mtu[i] = mtuBytes
      up[i] = 1
      interfaceForwarding[i] = 1
      proxyArp[i] = 0
      rpFilter[i] = 0
      sendRedirects[i] = 1
      broadcastForwarding[i] = 0
      primary[i] = 0
      addresses[i] = []
      return i
    },
    remove: (i: number): void => {
      used[i] = 0
      addresses[i] = []
    },
    /** Addresses of an interface in the network of `a`, in the order they were added: the first is primary, the others secondary (IFA_F_SECONDARY). */
    inNetworkOf: (i: number, a: InterfaceAddress): InterfaceAddress[] => addresses[i]!.filter((b) =>
      b.prefixLength === a.prefixLength && inPrefix(b.peer ?? b.address, a.peer ?? a.address, a.prefixLength)),
    /** False when the interface has that address already. */
    addAddress: (i: number, entry: InterfaceAddress): boolean => {
      const list = addresses[i]!
      if (list.some((a) => a.address === entry.address && a.prefixLength === entry.prefixLength)) return false
      list.push(entry)
      primary[i] = list[0]!.address
      return true
    },
    /** The entry taken away; undefined when there is none. */
    removeAddress: (i: number, address: number, prefixLength: number): InterfaceAddress | undefined => {
      const list = addresses[i]!
      const at = list.findIndex((a) => a.address === address && a.prefixLength === prefixLength)
      if (at < 0) return undefined
      const [entry] = list.splice(at, 1)
      primary[i] = list[0]?.address ?? 0
      return entry
    }
  }
}

/** A bridge with four ports and stations behind them, and the frames they send. */
import { be16, ethernet, tagged } from '../oracle/naive-frames.js'
import { ALL, data, type Bytes } from '../helpers/frames.js'
import type { BridgePlan, Step } from './box.js'

export const BRIDGE_MAC = '02:00:00:00:00:01'
export const A = '02:00:00:00:00:0a'
export const B = '02:00:00:00:00:0b'
export const C = '02:00:00:00:00:0c'
export const EXPERIMENTAL = 0x88b5

export const bridge = (more: Partial<BridgePlan> = {}): BridgePlan =>
  ({ kind: 'bridge', mac: BRIDGE_MAC, ports: ['p0', 'p1', 'p2', 'p3'], ...more })

/** A frame of 60 bytes that says nothing to anybody. */
export const plain = (to: string, from: string, payload: Bytes = data(46)): number[] => ethernet(to, from, EXPERIMENTAL, payload)
export const send = (port: string, frame: Bytes): Step => ({ send: port, frame })
/** The frame by which a station makes itself known. */
export const hello = (port: string, from: string): Step => send(port, plain(ALL, from))
/** A frame with a VLAN tag, from `from` to `to`. */
export const vlanFrame = (
  to: string, from: string, vlan: number, priority: number, type: number, payload: Bytes, tpid = 0x8100
): number[] => {
  const frame = tagged(vlan, priority, type, payload, tpid)
  return [...ethernet(to, from, 0, []).slice(0, 12), ...frame.slice(12)]
}
export const doubleTagged = (to: string, from: string, outer: number, inner: number, payload: Bytes): number[] =>
  vlanFrame(to, from, outer, 3, 0x8100, [...be16(inner), ...be16(EXPERIMENTAL), ...payload], 0x88a8)

/**
 * Operations as the further workers of a data plane get them. The first worker decides whether an operation can be done; the others
 * follow. Descriptors are those of each worker's own queues and sockets.
 */
import type { Operation } from '../network/operations.js'

/** Addresses of lists of destinations, which nobody learns: of groups, and all zeros. */
const isList = (mac: string): boolean => /^(.[13579bdf]|00:00:00:00:00:00$)/i.test(mac)

/** A worker's own descriptors in place of the first one's. What has only one queue is read by one worker, and written to by all. */
export const operationOf = (o: Operation, worker: number, workers: number): Operation => {
  if (workers === 1) return o
  if (o.op === 'port.add') {
    const { queues = [], ...rest } = o
    if (queues.length === 0) return { ...rest, reads: o.handle % workers === worker }
    return worker === 0 ? rest : { ...rest, handle: queues[worker - 1]! }
  }
  if (o.op === 'vxlan.add') {
    const { others = [], ...rest } = o
    if (worker === 0) return rest
    return { ...rest, ...(others[worker - 1] ?? { receive: [] }) }
  }
  return o
}

/** What packets teach may differ for a moment: an entry that the first worker has made or changed takes the place of whatever is there. */
export const asFollower = (o: Operation): Operation => {
  switch (o.op) {
    case 'fdb.add': case 'fdb.append': return isList(o.mac) ? o : { ...o, op: 'fdb.replace' }
    case 'neigh.add': case 'neigh.change': return { ...o, op: 'neigh.replace' }
    default: return o
  }
}

/** May it fail with a worker that follows? What it takes away may not be known there, or the first worker's table was less full. */
export const mayDiffer = (o: Operation): boolean => o.op.startsWith('fdb.') || o.op.startsWith('neigh.')

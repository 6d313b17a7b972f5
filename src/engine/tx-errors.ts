/** Why the kernel did not take what was sent, as reasons. errno values are those of include/uapi/asm-generic/errno*.h. */
import { PEER_UNREACHABLE, PORT_DOWN, TX_ERROR, TX_QUEUE_FULL, UNDERLAY_MTU, UNDERLAY_UNREACHABLE } from '../reason.js'

const EIO = 5
const EAGAIN = 11
const EINVAL = 22
const EBADFD = 77
const EMSGSIZE = 90
const EADDRNOTAVAIL = 99
const ENETDOWN = 100
const ENETUNREACH = 101
const ENOBUFS = 105
const ECONNREFUSED = 111
const EHOSTDOWN = 112
const EHOSTUNREACH = 113

/** Of a write to a port's device. */
export const whyNotWritten = (errno: number): number => {
  switch (errno) {
    case EAGAIN: case ENOBUFS: return TX_QUEUE_FULL
    case EIO: case EBADFD: case ENETDOWN: return PORT_DOWN
    default: return TX_ERROR
  }
}

/** Of a datagram. A source address that the machine has not (yet) is EINVAL (ip_route_output_key_hash_rcu). */
export const whyNotSent = (errno: number): number => {
  switch (errno) {
    case EAGAIN: case ENOBUFS: return TX_QUEUE_FULL
    case EMSGSIZE: return UNDERLAY_MTU
    case EINVAL: case EADDRNOTAVAIL: case ENETDOWN: case ENETUNREACH: case EHOSTDOWN: case EHOSTUNREACH: return UNDERLAY_UNREACHABLE
    case ECONNREFUSED: return PEER_UNREACHABLE
    default: return TX_ERROR
  }
}

/**
 * How far a conversation has come, and how long it may be silent. Names and times are those of the kernel's connection tracking
 * (net/netfilter/nf_conntrack_proto_tcp.c, _udp.c, _icmp.c), but for established connections, which it keeps five days. Sequence numbers
 * are not watched: the ends do that.
 */
import { FLAG_ACK, FLAG_FIN, FLAG_RST, FLAG_SYN } from '../wire/tcp.js'

export const UDP_UNREPLIED = 1
export const UDP_REPLIED = 2
export const ICMP_QUERY = 3
/** A TCP segment other than a SYN was the first that was seen. */
export const TCP_MIDSTREAM = 4
export const TCP_SYN_SENT = 5
export const TCP_SYN_RECV = 6
export const TCP_ESTABLISHED = 7
/** One end has closed its half. */
export const TCP_FIN_WAIT = 8
export const TCP_TIME_WAIT = 9
export const TCP_CLOSE = 10

/** Names by state. */
export const STATE_NAMES: readonly string[] = [
  'none', 'unreplied', 'replied', 'query', 'midstream', 'syn-sent', 'syn-recv', 'established', 'fin-wait', 'time-wait', 'close'
]
/** Seconds by state. */
export const TIMEOUTS = Int32Array.of(0, 30, 120, 30, 300, 120, 60, 7200, 120, 120, 10)

/** May go to make room: not answered yet, or closing. */
export const isEvictable = (state: number): boolean => state !== UDP_REPLIED && state !== TCP_ESTABLISHED

/** Bits beside the state: which ends have closed, and that the opening was not seen. */
export const ORIGINATOR_FIN = 1
export const RESPONDER_FIN = 2
export const MIDSTREAM = 4

/** A segment that opens a connection. */
export const isSyn = (flags: number): boolean => (flags & (FLAG_SYN | FLAG_ACK | FLAG_RST)) === FLAG_SYN

/** State and bits (`state | bits << 8`) of a connection whose first segment has these flags. */
export const firstTcp = (flags: number): number => (isSyn(flags) ? TCP_SYN_SENT : TCP_MIDSTREAM | (MIDSTREAM << 8))

/** State and bits after a segment of a connection that is at `state`, `bits`. `reply`: from the responder. */
export const nextTcp = (state: number, bits: number, flags: number, reply: boolean): number => {
  if ((flags & FLAG_RST) !== 0) return TCP_CLOSE | (bits << 8)
  if ((flags & FLAG_SYN) !== 0 && (flags & FLAG_ACK) === 0) {
    // A new connection of the same ports; in one that is alive it means nothing
    if (state === TCP_SYN_RECV || state === TCP_ESTABLISHED || (reply && state < TCP_FIN_WAIT)) return state | (bits << 8)
    return TCP_SYN_SENT | (reply ? (bits & MIDSTREAM) << 8 : 0)
  }
  if ((flags & FLAG_FIN) !== 0 && state < TCP_TIME_WAIT) {
    const seen = bits | (reply ? RESPONDER_FIN : ORIGINATOR_FIN)
    const both = (seen & ORIGINATOR_FIN) !== 0 && (seen & RESPONDER_FIN) !== 0
    return (both ? TCP_TIME_WAIT : TCP_FIN_WAIT) | (seen << 8)
  }
  if (reply && state === TCP_SYN_SENT) return TCP_SYN_RECV | (bits << 8)
  if (reply && state === TCP_MIDSTREAM) return TCP_ESTABLISHED | (bits << 8)
  if (!reply && state === TCP_SYN_RECV && (flags & FLAG_SYN) === 0) return TCP_ESTABLISHED | (bits << 8)
  return state | (bits << 8)
}

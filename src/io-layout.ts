/**
 * The layout of the arrays that the data plane and the native part share: words, entries and flags. The same numbers stand in
 * native/tapway.h; memory ports in tests work on the same arrays.
 */

/** Words of `control`: in = written by the caller before `turn`, out = by the native part. */
export const CTL_TX_COUNT = 0 // in: entries of tx to send; not reset by the native part
export const CTL_TIMEOUT_MS = 1 // in: how long to sleep when nothing is there; -1 and all above 1000 mean 1000
export const CTL_SPIN_US = 2 // in: before sleeping, poll without sleeping for that long (at most the timeout)
export const CTL_RX_SLOTS = 3 // in: entries of rxSlots that may be used; with 0 only the eventfd is waited for
export const CTL_PORT_BUDGET = 4 // in: frames a port may give in one turn; 0 is no limit
export const CTL_BYTE_BUDGET = 5 // in: no further read when that many bytes of frames were read; 0 is no limit
export const CTL_RX_COUNT = 6 // out: entries in rx; what turn() returns
export const CTL_WOKEN = 7 // out: 1 when the eventfd had been signalled; it is cleared
export const CTL_SLEPT = 8 // out: 1 when the thread really slept
export const CTL_TX_FAILED = 9 // out: tx entries with an errno
export const CTL_EVENTS = 10 // out: ports that were ready
export const CTL_SLOT_BYTES = 11 // in: bytes of frame a slot can take, at least 1
export const CTL_GSO_FALLBACKS = 12 // out: TX_SENDMSG entries that the kernel did not cut, since the context was made: sent one by one
export const CTL_RX_REFUSED = 13 // out: reads of packet sockets that gave an error in place of a frame, since the context was made
export const CTL_TIME = 14 // out: two words, a float64: CLOCK_MONOTONIC in milliseconds at the end of the turn
export const CTL_WITHOUT = 16 // in: SKIP_ bits
export const CTL_RING_LEAST = 17 // in: reads and writes are submitted together when there are so many; 0: as pays by measurement
export const CTL_WORDS = 18 // least length of `control`

/** Bits of CTL_WITHOUT, what is not to be done: offer the processor to others while polling, */
export const SKIP_YIELD = 1
/** read a port as often as it gave frames the last time (it is asked until it has none), */
export const SKIP_BURSTS = 2
/** receive several datagrams by one system call, */
export const SKIP_RECEIVE_BATCH = 4
/** read ports that gave something a moment ago, while polling, without asking whether they are ready, */
export const SKIP_NEAR = 8
/** send many frames for many ports with the help of another thread, */
export const SKIP_SPREAD = 16
/** submit several reads and writes by one system call. */
export const SKIP_RING = 32

/** What a port is, which says how it is read: a TAP (or anything else that read() takes frames from). */
export const PORT_FILE = 0
/** A UDP socket: datagrams, in runs where UDP_GRO has joined them, and what its error queue has. */
export const PORT_UDP = 1
/** A packet socket of `openPacket`. */
export const PORT_PACKET = 2
/** A UDP socket that only sends: what its error queue has. */
export const PORT_ERRORS = 3

/**
 * A tx entry. [0] kind, [1] descriptor, [2] arena offset, or index of the first gather pair, [3] bytes, or number of pairs,
 * [4..6] of TX_SENDMSG, [7] out: 0 or a positive errno (EAGAIN is an answer like any other; EMSGSIZE: taken in part, or too long).
 */
export const TX_STRIDE = 8
/** One write of bytes that lie together; a port's virtio-net header is part of them. */
export const TX_WRITE = 0
/** One write of the ranges in `gather`: up to 256 pairs of arena offset and length. */
export const TX_WRITEV = 1
/**
 * One send of the ranges in `gather` (up to 512 pairs): [4] 0 for one datagram, or the bytes of each of several (UDP_SEGMENT: at
 * most 128, the last may be shorter), [5] row in `addresses` of the destination, [6] -1, or ttl | tos << 8 (ttl 0: the socket's).
 * What the kernel does not cut (EIO, EINVAL, EMSGSIZE) is sent one by one, all of them; [7] is then the first error.
 */
export const TX_SENDMSG = 2

/**
 * An rx entry. [0] tag of the port, [1] index into rxSlots, [2] length of the frame without virtio-net header, [3] flags.
 * Each frame has a slot of its own, in any order. When a port's device is gone, [1] is -1 and [2] a negative errno: it takes
 * no slot, comes once, and the port is not read again.
 *
 * Of a PORT_UDP: [2] length of the payload, which begins 8 bytes before the slot, so that behind a VXLAN header a frame lies where
 * frames lie; the sender's sockaddr_in or sockaddr_in6 stands 42 bytes before the slot.
 */
export const RX_STRIDE = 4
/** rx flag: the frame fills its slot to the last byte, so it may have been cut; of a socket: it has been cut. */
export const RX_FULL = 1
/** rx flag of a UDP socket: TOS or traffic class << 8, bytes of each datagram when there are several (else 0) << 16. */
export const RX_META = 2
/**
 * rx flag: an entry of the error queue. In place of a frame struct sock_extended_err (linux/errqueue.h): u32 errno, u8 origin (1 local,
 * 2 ICMP, 3 ICMPv6), u8 type, u8 code, u8 0, u32 info (MTU), u32 0; in place of the sender where the datagram was sent to.
 */
export const RX_ERROR = 4
/** rx flag of a packet socket: a VLAN tag was taken out of the frame; its TCI << 16. */
export const RX_VLAN = 8
/** rx flag: the TPID of that tag is 0x88a8, not 0x8100. */
export const RX_QINQ = 16

/** Parts that one entry may be gathered from, by kind. */
export const MAX_WRITEV_PAIRS = 256
export const MAX_SENDMSG_PAIRS = 512
/** Bytes before the place of a frame where a datagram's payload begins, and its sender's sockaddr. */
export const DATAGRAM_LEAD = 8
export const SENDER_LEAD = 42
/** int32 words of a row in `addresses`. */
export const ADDRESS_WORDS = 8

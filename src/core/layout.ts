/**
 * The shape of a packet's memory. All sizes in bytes.
 *
 * A slot is headroom, then the Ethernet frame. The frame starts at an offset that is 2 modulo 4, so that the IPv4 header
 * (14 bytes further) lies on a 4-byte boundary and MAC addresses, TTL and addresses are aligned loads. Whoever puts a
 * frame into a slot keeps this rule: `start & 3 === 2`.
 */

/** Room before a frame for what encapsulation may add: VXLAN over IPv6 (70) behind a 24-byte virtio-net header. */
export const HEADROOM = 130

/** Bytes of frame a large slot holds: a 64 KiB super-frame with Ethernet header and two VLAN tags. */
export const LARGE_DATA = 65536 + 14 + 8

/** Bytes of frame a small slot holds: a full-size Ethernet frame with room to spare. */
export const SMALL_DATA = 1982

/** Strides are an odd number of 64-byte cache lines, so that the heads of slots spread over all cache sets. */
export const LARGE_STRIDE = 64 * 1033
export const SMALL_STRIDE = 64 * 33

/** virtio_net_hdr stands right before the frame (linux/virtio_net.h): flags, gso_type, hdr_len, gso_size, csum_start, csum_offset. */
export const VNET_HDR = 10
export const VNET_F_NEEDS_CSUM = 1
export const VNET_F_DATA_VALID = 2
export const GSO_NONE = 0
export const GSO_TCPV4 = 1
export const GSO_UDP = 3
export const GSO_TCPV6 = 4
export const GSO_UDP_L4 = 5
export const GSO_ECN = 0x80

/**
 * Every way a packet can be lost, numbered. `drop(packet, reason)` is the only way to lose one, and every reason is a
 * counter that `tapway stats` prints with its line of help. Names are stable: scripts and tests rely on them.
 *
 * 0 is not a reason: a codec's `check` returns OK when the header may be read without further tests.
 */

export interface ReasonRow {
  readonly name: string
  readonly help: string
}

export const OK = 0

const rows: ReasonRow[] = [{ name: 'ok', help: 'not a drop' }]
const reason = (name: string, help: string): number => rows.push({ name, help }) - 1

// Ports and frames
export const FRAME_TOO_SHORT = reason('frame-too-short', 'shorter than an Ethernet header (14 bytes)')
export const BAD_OFFLOAD_HEADER = reason('bad-offload-header', 'the virtio-net header does not fit the frame it stands before')
export const PORT_DOWN = reason('port-down', 'the port is set down, or its device is')
export const PORT_GONE = reason('port-gone', 'the port was removed while the packet was on its way')
export const TX_QUEUE_FULL = reason('tx-queue-full', 'the device did not take the frame: its queue is full')
export const TX_ERROR = reason('tx-error', 'the kernel refused the frame (see the log for the errno)')
export const NO_BUFFER = reason('no-buffer', 'no free packet buffer; the pool is bounded')
export const MTU_EXCEEDED = reason('mtu-exceeded', 'the frame is larger than the MTU of the port it would leave by')
export const CANNOT_SEGMENT = reason('cannot-segment', 'a super-frame of a kind that cannot be cut, for a port without offloads')

// Bridge
export const SOURCE_MAC_INVALID = reason('source-mac-invalid', 'source MAC address is a group address or zero')
export const LINK_LOCAL_RESERVED = reason('link-local-reserved', 'destination 01-80-C2-00-00-0X is never forwarded by a bridge (IEEE 802.1D 7.12.6)')
export const SAME_PORT = reason('same-port', 'the destination is on the port the frame came from')
export const NO_OTHER_PORT = reason('no-other-port', 'nobody to flood to: no other port of the bridge is up')

// Interfaces of routers and bridges
export const NOT_FOR_US = reason('not-for-us', 'flooded to a router or bridge address whose MAC it is not')
export const PROTOCOL_UNKNOWN = reason('protocol-unknown', 'neither IPv4 nor ARP')

// ARP
export const ARP_MALFORMED = reason('arp-malformed', 'not an Ethernet/IPv4 ARP packet, or cut short (RFC 826)')
export const ARP_IGNORED = reason('arp-ignored', 'an ARP packet for somebody else, or one that needs no answer')
export const ARP_SENDER_INVALID = reason('arp-sender-invalid', 'the sender MAC or IPv4 address of an ARP packet is no station address (RFC 1812 3.3.2)')
export const ARP_DUPLICATE_ADDRESS = reason('arp-duplicate-address', 'another station claims one of our own addresses (RFC 5227); nothing was learned')
export const NEIGH_TABLE_FULL = reason('neigh-table-full', 'the neighbour table is at its limit')
export const NEIGH_FAILED = reason('neigh-failed', 'the next hop did not answer ARP')
export const NEIGH_QUEUE_FULL = reason('neigh-queue-full', 'too many packets were waiting for ARP; the oldest went')

// IPv4, received
export const IP_TRUNCATED = reason('ip-truncated', 'the packet ends before its IPv4 header or total length does')
export const IP_HEADER_INVALID = reason('ip-header-invalid', 'IPv4 version, header length or total length is wrong')
export const IP_CHECKSUM = reason('ip-checksum', 'the IPv4 header checksum is wrong')
export const IP_OPTIONS_INVALID = reason('ip-options-invalid', 'malformed IPv4 options; parameter problem sent where one is due')
export const SOURCE_ROUTE_REFUSED = reason('source-route-refused', 'source-routed packet (LSRR or SSRR)')
export const MARTIAN_SOURCE = reason('martian-source', 'a source address that cannot be one (RFC 1812 5.3.7)')
export const MARTIAN_DESTINATION = reason('martian-destination', 'a destination address that must not be forwarded (RFC 1812 5.3.7)')
export const RP_FILTER = reason('rp-filter', 'the source is not reachable by the interface it came from (RFC 1812 5.3.8)')
export const LINK_BROADCAST = reason('link-broadcast', 'unicast IPv4 packet in a link-layer broadcast or multicast frame')
export const MULTICAST_NOT_ROUTED = reason('multicast-not-routed', 'IPv4 multicast nobody here listens to; it is not routed')
export const DIRECTED_BROADCAST = reason('directed-broadcast', 'broadcast to a connected network, not forwarded (RFC 2644)')

// IPv4, forwarded
export const FORWARDING_DISABLED = reason('forwarding-disabled', 'not for this host, and forwarding is off')
export const NO_ROUTE = reason('no-route', 'no route to the destination')
export const ROUTE_BLACKHOLE = reason('route-blackhole', 'a blackhole route')
export const ROUTE_UNREACHABLE = reason('route-unreachable', 'an unreachable route; host unreachable sent')
export const ROUTE_PROHIBIT = reason('route-prohibit', 'a prohibit route; administratively prohibited sent')
export const TTL_EXCEEDED = reason('ttl-exceeded', 'time to live ran out; time exceeded sent')
export const FRAGMENTATION_NEEDED = reason('fragmentation-needed', 'too big for the next link and DF is set; fragmentation needed sent')

// IPv4, delivered here
export const REASSEMBLY_TIMEOUT = reason('reassembly-timeout', 'not all fragments came in time')
export const REASSEMBLY_OVERLAP = reason('reassembly-overlap', 'overlapping or inconsistent fragments')
export const REASSEMBLY_FULL = reason('reassembly-full', 'too many datagrams were being reassembled')
export const REASSEMBLY_DUPLICATE = reason('reassembly-duplicate', 'a fragment that was there already')
export const PROTOCOL_UNREACHABLE = reason('protocol-unreachable', 'a transport protocol nobody takes here')
export const PORT_UNREACHABLE = reason('port-unreachable', 'a UDP or TCP port nobody listens on here')
export const BROADCAST_IGNORED = reason('broadcast-ignored', 'broadcast or multicast that nobody takes here')
export const ICMP_MALFORMED = reason('icmp-malformed', 'ICMP message too short or with a wrong checksum')
export const ICMP_IGNORED = reason('icmp-ignored', 'ICMP message that needs no action here')
export const UDP_MALFORMED = reason('udp-malformed', 'UDP datagram with a wrong length or checksum')
export const TCP_MALFORMED = reason('tcp-malformed', 'TCP segment too short or with a wrong checksum')

// Tunnels, received
export const VXLAN_TRUNCATED = reason('vxlan-truncated', 'shorter than a VXLAN header (8 bytes)')
export const VXLAN_FLAGS_INVALID = reason('vxlan-flags-invalid', 'the I flag of the VXLAN header is not set (RFC 7348 5)')
export const VXLAN_RESERVED_BITS = reason('vxlan-reserved-bits', 'a reserved bit of the VXLAN header is set (group policy without gbp?)')
export const VXLAN_VNI_UNKNOWN = reason('vxlan-vni-unknown', 'no VXLAN port here has that VNI')
export const VXLAN_INNER_MALFORMED = reason('vxlan-inner-malformed', 'the frame in the tunnel is shorter than an Ethernet header, or too large to be one')
export const VXLAN_INNER_VLAN = reason('vxlan-inner-vlan', 'the frame in the tunnel has a VLAN tag, and inner_vlan is drop (RFC 7348 6.1)')
export const VXLAN_OWN_SOURCE = reason('vxlan-own-source', 'the frame in the tunnel claims the source address of the VXLAN port itself')
export const VXLAN_STATION_ELSEWHERE = reason('vxlan-station-elsewhere', 'a static entry says that this station is behind another peer')
export const ECN_INVALID = reason('ecn-invalid', 'congestion was marked on the way for a packet that does not take part (RFC 6040 4.2)')

// Tunnels, sent
export const NO_REMOTE = reason('no-remote', 'the tunnel has no entry for the station and no peer to flood to')
export const UNDERLAY_MTU = reason('underlay-mtu', 'the underlay did not take a packet of that size')
export const UNDERLAY_UNREACHABLE = reason('underlay-unreachable', 'the underlay has no route, link or source address to send from')
export const PEER_UNREACHABLE = reason('peer-unreachable', 'the peer said that nobody listens at its UDP port')

// ARP of tunnels
export const TUNNEL_ARP_NO_REQUEST = reason('tunnel-arp-no-request', 'an ARP packet other than a request for a station; none goes into a tunnel with proxy')
export const TUNNEL_ARP_UNANSWERED = reason('tunnel-arp-unanswered', 'ARP request into a tunnel with proxy: its target has no usable neighbour entry there, or is on this side')
export const TUNNEL_ARP_SUPPRESSED = reason('tunnel-arp-suppressed', 'ARP request for a station on this side, kept out of a tunnel with neigh_suppress')

// Apps and policies
export const APP_SOURCE_FORGED = reason('app-source-forged', 'the MAC or IPv4 source address is not the one of the app\'s host it comes from')
export const APP_NOT_IP = reason('app-not-ip', 'from or to an app: neither IPv4 nor ARP, or with a VLAN tag')
export const APP_ADDRESS_FOREIGN = reason('app-address-foreign', 'to an app\'s port, but for an address that its host does not have')
export const POLICY_DENIED = reason('policy-denied', 'no policy lets the source app reach the destination app there')
export const POLICY_UNMARKED = reason('policy-unmarked', 'to an app without the mark of a source app: from a host of no app, or from a peer without gbp')
export const POLICY_FRAGMENT = reason('policy-fragment', 'a fragment whose first one was not let in, or has not been seen')
export const FLOW_TABLE_FULL = reason('flow-table-full', 'a new conversation with an app, and no room for it: the flow table is bounded')

/** All reasons by number; row 0 is OK. */
export const REASONS: readonly ReasonRow[] = rows
export const REASON_COUNT = rows.length

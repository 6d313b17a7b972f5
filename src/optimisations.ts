/**
 * What makes Tapway faster and must not change what it does: none of it is needed. Each can be left out, by `tapway up --without NAME` or as an
 * option of a network, so that experiments can tell what it is worth, and tests that nothing comes to depend on it.
 *
 * What is left out is decided once, when things are made: on the packet path it costs nothing that all of it is there.
 */

/** By name: what it is, as the sentence "without it ..." says it. */
export const OPTIMISATIONS = {
  'offload': "hosts' devices hand over no super-frames, and checksums are complete",
  'noqueue': "hosts' devices have the queueing discipline that the kernel gives a device",
  'udp-segment': 'every datagram of a tunnel is sent by itself',
  'udp-gro': 'every datagram of a tunnel is received by itself',
  'uplink': 'super-frames for a tunnel are cut and sent by its socket, whatever the file says',
  'coalesce-tcp': 'TCP segments for a port are not joined to super-frames',
  'coalesce-udp': 'UDP datagrams for a port are not joined to super-frames',
  'coalesce-tunnel': 'what came out of a tunnel in one piece goes on frame by frame',
  'bridge-cache': 'the bridge looks up every frame in its tables',
  'fast-path': 'every packet that is forwarded goes through all elements',
  'policy-cache': 'every packet from and to an app has its conversation looked at and its policies asked',
  'peer-cache': 'a tunnel looks up the sender of every datagram',
  'tunnel-way': 'the peer, the socket and the outer header of every packet for a tunnel are found anew',
  'flat-routes': 'a large routing table stays a trie',
  'trie-routes': 'a small routing table is flat, too, unless flat-routes is left out',
  'aligned-headers': 'IPv4 headers are read and changed field by field',
  'shared-frames': 'the copies of a flooded frame have bytes of their own',
  'slices': 'frames that came in one piece of memory are moved apart',
  'pieces': 'a super-frame that came in pieces is put together',
  'headroom': "a port's or a tunnel's header stands apart from the frame, never before it",
  'tunnel-gather': 'the segments of a super-frame for a tunnel are copies',
  'native-sums': 'all checksums are summed in JavaScript',
  'bundle': 'the thread loads its modules one by one, and the compiler knows no constant that one has from another',
  'inlining': 'the compiler inlines no more than it does by default',
  'batches': 'one frame is received a turn',
  'receive-batch': 'a system call receives one datagram, or one frame of a device',
  'bursts': 'a port is asked for more until it has nothing',
  'polling': 'the thread sleeps as soon as nothing is there, whatever --poll says',
  'ring': 'every read and write of a device is a system call of its own',
  'spread': 'the thread sends the many frames of a flood alone',
  'near-ports': 'while the thread polls, it asks which ports have something before it reads any',
  'yield': 'the thread does not offer its processor to others while it polls',
  'batch-thread': "the thread is none of the scheduler's batch class",
  'affinity': 'the thread runs wherever the scheduler likes, also while there is much to do'
} as const

export type Optimisation = keyof typeof OPTIMISATIONS

/** What is left out. */
export type Without = readonly Optimisation[]

export const OPTIMISATION_NAMES = Object.keys(OPTIMISATIONS) as Optimisation[]

/** What joins packets to super-frames: `coalesce` stands for all of it. */
export const COALESCE: Without = ['coalesce-tcp', 'coalesce-udp', 'coalesce-tunnel']

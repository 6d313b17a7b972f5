/** Usage texts, in the manner of `ip help` and `ip route help`: what is built, and nothing else. */
import { OPTIMISATIONS } from '../optimisations.js'

const OVERVIEW = `Usage: tapway [ OPTIONS ] COMMAND
       tapway [ OPTIONS ] OBJECT { show | add | del | ... | help }
COMMAND := { up FILE | check FILE | down |
             exec HOST [ -- ] CMD... | shell HOST |
             ping ADDRESS | capture PORT... |
             help [ COMMAND | OBJECT ] | version }
OBJECT := { link | addr | route | neigh | fdb | vxlan | app | policy | flow | stats }
OPTIONS := { --name NAME | -j[son] | -p[retty] | -s[tats] | -d[etails] |
             -br[ief] | --log-level { debug | info | warn | error | silent } |
             -V[ersion] | -h[elp] }

Objects and verbs may be abbreviated (tapway ro sh). Options stand before or after the other words.
NAME is the instance, "default" unless said. Start with: tapway up FILE
`

const LINK = `Usage: tapway link show [ [ dev ] NAME ] [ router ROUTER ] [ master BRIDGE ] [ up ] [ type TYPE ]
       tapway link set [ dev ] NAME [ router ROUTER ]
               [ { up | down } ]
               [ mtu MTU ]
               [ address LLADDR ]
               [ forwarding { on | off } ]
               [ [ type bridge_slave ] [ learning { on | off } ] [ flood { on | off } ] [ neigh_suppress { on | off } ] ]
       tapway link set ROUTER forwarding { on | off }
NAME := HOST.IF | ROUTER.IF | BRIDGE | VXLAN, or IF alone where it is unique
TYPE := { bridge | tap | router | vxlan | device }
`

const ADDR = `Usage: tapway addr { add | replace | del } IFADDR dev NAME [ router ROUTER ]
       tapway addr show [ [ dev ] NAME ] [ router ROUTER ] [ up ]
IFADDR := PREFIX [ peer ADDRESS ] [ brd + ]
NAME := an interface of a router, or a bridge
`

const ROUTE = `Usage: tapway route show [ PREFIX ] [ router ROUTER ] [ dev NAME ] [ table TABLE ] [ type TYPE ] [ proto RTPROTO ]
       tapway route get ADDRESS [ from ADDRESS ] [ iif NAME ] [ router ROUTER ]
       tapway route { add | replace | append | del } ROUTE [ router ROUTER ]
ROUTE := [ TYPE ] PREFIX [ NH ] [ metric METRIC ] [ src ADDRESS ] [ proto RTPROTO ] [ nexthop NH [ weight NUMBER ] ]...
NH := [ via ADDRESS ] [ dev NAME ] [ onlink ]
PREFIX := ADDRESS/LENGTH | default
TYPE := { unicast | local | broadcast | blackhole | unreachable | prohibit }
TABLE := { main | local | all }
RTPROTO := { kernel | boot | static | NUMBER }
`

const NEIGH = `Usage: tapway neigh { add | replace | change | del } ADDR [ lladdr LLADDR ] [ nud STATE ] dev NAME [ router ROUTER ]
       tapway neigh show [ [ to ] ADDR ] [ dev NAME ] [ nud STATE ] [ router ROUTER ]
       tapway neigh get ADDR dev NAME [ router ROUTER ]
       tapway neigh flush [ dev NAME ] [ router ROUTER ]
NAME := an interface of a router, a bridge, or a VXLAN port
STATE := { permanent | noarp | reachable | stale | delay | probe | failed | incomplete | none }
`

const FDB = `Usage: tapway fdb { add | append | replace | del } LLADDR dev PORT
               [ dst ADDRESS ] [ vni VNI ] [ port PORT ]
               [ self ] [ master ] [ permanent | local | static | dynamic ] [ sticky ]
       tapway fdb [ show [ br BRIDGE ] [ { brport | dev } PORT ] ]
       tapway fdb get [ to ] LLADDR { br BRIDGE | { brport | dev } PORT } [ self ]
       tapway fdb flush { br BRIDGE | dev PORT [ self ] [ master ] }
Without a state the entry is permanent: it belongs to the bridge itself and is not forwarded to, as with bridge fdb add.
A VXLAN port has a table of its own, which is meant unless master is said. Its entries have a destination (dst), and several for group
addresses and for 00:00:00:00:00:00, where all that is unknown is flooded to (append).
`

const VXLAN = `Usage: tapway [ -j ] vxlan [ show [ [ dev ] NAME ] ]
VXLAN ports with their options, sockets, peers and counters. The network file makes them.
`

const APP = `Usage: tapway [ -j ] app [ show [ NAME ] ]
Apps with their marks and the ports here that are theirs. The network file makes them.
`

const POLICY = `Usage: tapway policy { add | del } from APP to APP protocol PROTOCOL [ port PORTS ]
       tapway [ -j ] policy [ show [ from APP ] [ to APP ] ]
       tapway [ -j ] policy check from APP to APP protocol PROTOCOL [ port PORT ]
       tapway [ -j ] policy denied
PROTOCOL := { tcp | udp | icmp }
PORTS := PORT | PORT-PORT
What no policy allows is denied between apps; replies of what is allowed pass. The words "protocol" and "port" may be left out.
check says what would be decided, with exit status 0 for allowed and 1 for denied. denied lists what was not let in, the latest first.
`

const FLOW = `Usage: tapway [ -j ] flow [ show ]
Conversations from and to apps, with their states and the seconds until they are forgotten.
`

const STATS = `Usage: tapway [ -j ] [ -s ] stats
Packets by port, every drop by its reason, and the balance of all packets.
With -s also the reasons that never happened, and drops by port.
`

const UP = `Usage: tapway up FILE [ --no-offload ] [ --no-udp-segment ] [ --no-udp-gro ] [ --no-coalesce ]
               [ --without WORD[,WORD...] ] [ --poll { sleep | adaptive | busy } ] [ --workers N ] [ --name NAME ] [ --log-level LEVEL ]
Runs the network of FILE in the foreground, and prints a line that begins with "ready" when all ports forward.
Ctrl-C or tapway down ends it and removes what it made.
--no-offload      hosts' devices hand over no super-frames and complete their checksums themselves
--no-udp-segment  tunnels send datagrams one by one
--no-udp-gro      tunnels receive datagrams one by one
--no-coalesce     nothing is joined to super-frames
--workers N       N threads forward, each with a queue of every TAP; 1 when left out
--without WORDS   leaves optimisations out, for experiments: what Tapway does stays the same, how fast it is does not
WORD := all | coalesce | NAME
NAME, and what happens without it:
${Object.entries(OPTIMISATIONS).map(([name, text]) => `  ${name.padEnd(16)}${text}`).join('\n')}
`

const CHECK = `Usage: tapway check FILE
Says what is wrong with a network file, a line each, with exit status 2; 0 when it can be brought up.
`

const DOWN = `Usage: tapway down [ --name NAME ]
Stops the instance and returns when all that it made is gone; removes what a killed one left.
`

const EXEC = `Usage: tapway exec HOST [ -- ] CMD...
Runs a command in the network namespace of a host; its exit status is passed on.
`

const SHELL = `Usage: tapway shell HOST
Opens a shell in the network namespace of a host.
`

const PING = `Usage: tapway ping [ -c COUNT ] [ -i SECONDS ] [ -s SIZE ] [ -t TTL ] [ -I IF ] [ -q ] ADDRESS [ router ROUTER | bridge BRIDGE ]
Pings from a router or a bridge, which is no network namespace; prints and exits as ping does.
`

const CAPTURE = `Usage: tapway capture PORT... [ -e ] [ -c COUNT ] [ -s SNAPLEN ] [ -w { FILE | - } ] [ EXPRESSION ]
Prints packets of ports as tcpdump -n does, or writes them in pcapng. EXPRESSION is a filter of pcap-filter(7).
PORT := HOST.IF | ROUTER.IF | BRIDGE | VXLAN, or IF alone where it is unique; -i PORT names one, too
`

const TOPICS: Readonly<Record<string, string>> = {
  link: LINK, addr: ADDR, route: ROUTE, neigh: NEIGH, fdb: FDB, vxlan: VXLAN, app: APP, policy: POLICY, flow: FLOW, stats: STATS, up: UP,
  check: CHECK, down: DOWN, exec: EXEC, shell: SHELL, ping: PING, capture: CAPTURE,
}

/** The usage of a command or object; of all of them for any other word. */
export const helpText = (topic: string): string => (Object.hasOwn(TOPICS, topic) ? TOPICS[topic]! : OVERVIEW)

/**
 * Tapway as a library: everything the command does, as functions with types.
 *
 * - A network in this thread over memory ports: `createNetwork` with `createMemoryIo`; `apply` operations, `engine.turn`, `show`.
 * - An instance as `tapway up` runs it: `loadNetworkFile` (with `underlayMtu`), `Lab`, `Underlay`, `buildOperations`, `DataPlane`; or all at
 *   once `runInstance`.
 * - A running instance from outside: `ControlClient`, which sends operations and queries and gives rows as `-j` prints them.
 * - What a capture is made of: `compileFilter`, `createFilter`, `sectionHeader` and the others of pcapng, `format`.
 */

// The network file
export { loadNetworkFile, parseNetworkFile, type LoadOptions, type NetworkFileOptions } from './config/load.js'
export { ConfigError, formatProblem, formatWarning, type Problem } from './config/problem.js'
export type {
  Address, App, Bridge, BridgeDevice, Host, HostInterface, Mac, Neighbor, NetworkFile, NextHop, Policy, PortOptions, Prefix, Route, Router,
  RouterInterface, Vxlan, VxlanFdbEntry
} from './config/types.js'

// A network: operations, queries and their rows
export { createNetwork, type Network, type NetworkOptions } from './network/network.js'
export {
  NetworkError, type AddrRow, type AppRow, type ApplyResult, type DeniedRow, type FdbRow, type FlowRow, type FlowVerdict, type LinkRow, type NeighRow,
  type NextHopText, type Operation, type OperationOf, type PolicyCheckRow, type PolicyProtocol, type PolicyRow, type Query, type RouteRow,
  type RouteType, type StatsResult, type VxlanPeer, type VxlanRow
} from './network/operations.js'
export { createEngine, type Engine, type EngineOptions } from './engine/engine.js'
export { createMemoryIo, type MemoryArrival, type MemoryDatagram, type MemoryFrame, type MemoryIo } from './port/memory.js'
export { createNativeIo, type NativeIo } from './port/native-io.js'
export type { Io, Rings } from './port/rings.js'
export { COALESCE, OPTIMISATION_NAMES, OPTIMISATIONS, type Optimisation, type Without } from './optimisations.js'
export { REASONS, type ReasonRow } from './reason.js'

// An instance
export { buildOperations, type OpenDevice, type OpenPorts, type OpenTap, type OpenTunnel } from './control/build-operations.js'
export { DataPlane, type DataPlaneOptions } from './control/data-plane.js'
export { MAX_WORKERS } from './control/messages.js'
export { runInstance, type InstanceOptions } from './control/instance.js'
export { execInHost } from './lab/exec.js'
export { Lab, type LabOptions } from './lab/lab.js'
export { isAlive, readRecord, startTimeOf, type InstanceRecord } from './lab/record.js'
export { LabError, type LabDevice, type LabInterface, type LabLog } from './lab/types.js'
export { Underlay, type TunnelSockets, type UnderlayOptions } from './lab/underlay.js'
export { underlayMtu } from './lab/underlay-look.js'

// A running instance from outside
export { ClientError, ControlClient, runDirectory, type RequestBody, type Stream } from './control/client.js'
export type { CaptureEvent, CaptureResult, InfoResult, LostEvent, PingEvent, PingResult, Request, StreamEvent } from './control/protocol.js'

// Captures, and addresses as text
export { createFilter, type Filter, type Program } from './capture/bpf.js'
export { CaptureError } from './capture/error.js'
export { compileFilter } from './capture/filter.js'
export { enhancedPacket, INBOUND, interfaceDescription, OUTBOUND, sectionHeader } from './capture/pcapng.js'
export { format } from './wire/format.js'
export { broadcastOf, formatIp4, parseIp4, parsePrefix } from './wire/ip4.js'
export { formatMac, parseMac } from './wire/mac.js'

export { VERSION } from './version.js'

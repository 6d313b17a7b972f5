/**
 * Tapway as a library: everything the command does, as functions with types.
 *
 * - A network in this thread over memory ports: `createNetwork` with `createMemoryIo`; `apply` operations, `engine.turn`, `show`.
 * - An instance as `tapway up` runs it: `loadNetworkFile`, `Lab`, `buildOperations`, `DataPlane`; or all at once `runInstance`.
 * - A running instance from outside: `ControlClient`.
 */
export { loadNetworkFile, parseNetworkFile } from './config/load.js'
export { ConfigError } from './config/problem.js'
export type { LoadOptions } from './config/load.js'
export type { NetworkFile, Vxlan } from './config/types.js'
export { createNetwork, type Network, type NetworkOptions } from './network/network.js'
export {
  NetworkError, type AddrRow, type FdbRow, type LinkRow, type NeighRow, type Operation, type Query, type RouteRow, type StatsResult,
  type VxlanPeer, type VxlanRow
} from './network/operations.js'
export { createMemoryIo, type MemoryArrival, type MemoryDatagram, type MemoryFrame, type MemoryIo } from './port/memory.js'
export { createNativeIo, type NativeIo } from './port/native-io.js'
export type { Io, Rings } from './port/rings.js'
export { createEngine, type Engine, type EngineOptions } from './engine/engine.js'
export { REASONS, type ReasonRow } from './reason.js'
export { buildOperations } from './control/build-operations.js'
export { DataPlane, type DataPlaneOptions } from './control/data-plane.js'
export { runInstance, type InstanceOptions } from './control/instance.js'
export { ControlClient } from './control/client.js'
export { Lab } from './lab/lab.js'
export { format } from './wire/format.js'
export { enhancedPacket, interfaceDescription, sectionHeader } from './capture/pcapng.js'
export { VERSION } from './version.js'

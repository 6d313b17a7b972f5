/** What `up` prints when it ends: every port's counters and every drop that happened. */
import type { StatsResult } from '../network/operations.js'

export const formatLastCounters = (stats: StatsResult): string => {
  const lines = stats.ports.map((p) => `${p.name}: received ${p.rx_packets} packets ${p.rx_bytes} bytes, sent ${p.tx_packets} packets ${p.tx_bytes} bytes`)
  for (const d of stats.drops) if (d.packets > 0) lines.push(`dropped ${d.packets} ${d.reason}: ${d.help}`)
  return lines.map((line) => line + '\n').join('')
}

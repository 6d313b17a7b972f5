/** Text of TCP segments (RFC 9293), for `format.ts`. */
import * as tcp from './tcp.js'

const FLAG_URG = 0x20
const FLAG_ECE = 0x40

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [tcp.FLAG_FIN, 'F'], [tcp.FLAG_SYN, 'S'], [tcp.FLAG_RST, 'R'], [tcp.FLAG_PSH, 'P'], [tcp.FLAG_ACK, '.'],
  [FLAG_URG, 'U'], [FLAG_ECE, 'E'], [tcp.FLAG_CWR, 'W']
]
const OFF_URGENT = 18

const OPTION_END = 0
const OPTION_NOP = 1
const OPTION_MSS = 2
const OPTION_WSCALE = 3
const OPTION_SACK_PERMITTED = 4
const OPTION_SACK = 5
const OPTION_TIMESTAMPS = 8
const OPTION_FAST_OPEN = 34

const hexText = (view: DataView, o: number, end: number): string => {
  let text = ''
  for (let at = o; at < end; at++) text += view.getUint8(at).toString(16).padStart(2, '0')
  return text
}

/** One option of `length` bytes, kind and length included. */
const formatOption = (view: DataView, o: number, kind: number, length: number): string => {
  switch (kind) {
    case OPTION_MSS: return length === 4 ? `mss ${view.getUint16(o + 2)}` : 'mss [bad]'
    case OPTION_WSCALE: return length === 3 ? `wscale ${view.getUint8(o + 2)}` : 'wscale [bad]'
    case OPTION_SACK_PERMITTED: return 'sackOK'
    case OPTION_SACK: {
      let text = `sack ${(length - 2) >> 3} `
      for (let at = o + 2; at + 8 <= o + length; at += 8) text += `{${view.getUint32(at)}:${view.getUint32(at + 4)}}`
      return text
    }
    case OPTION_TIMESTAMPS: return length === 10 ? `TS val ${view.getUint32(o + 2)} ecr ${view.getUint32(o + 6)}` : 'TS [bad]'
    case OPTION_FAST_OPEN: return length === 2 ? 'tfo  cookiereq' : `tfo  cookie ${hexText(view, o + 2, o + length)}`
    default: return `unknown-${kind}${length > 2 ? ` 0x${hexText(view, o + 2, o + length)}` : ''}`
  }
}

/** Options between `o` and `header`; ends early, without the closing bracket's rest, when they are malformed or cut off. */
const formatOptions = (view: DataView, o: number, header: number, end: number): { text: string; whole: boolean } => {
  const list: string[] = []
  let at = o
  while (at < header) {
    if (at >= end) return { text: `${list.join(',')}, [|tcp]`, whole: false }
    const kind = view.getUint8(at)
    if (kind === OPTION_END) {
      list.push('eol')
      break
    }
    if (kind === OPTION_NOP) {
      list.push('nop')
      at++
      continue
    }
    const length = at + 1 < Math.min(end, header) ? view.getUint8(at + 1) : 0
    if (length < 2 || at + length > header) return { text: [...list, '[bad opt]'].join(',') + ']', whole: false }
    if (at + length > end) return { text: `${list.join(',')}, [|tcp]`, whole: false }
    list.push(formatOption(view, at, kind, length))
    at += length
  }
  return { text: list.join(','), whole: true }
}

/** What a segment of `length` bytes says; sequence numbers as they are. */
export const formatTcp = (view: DataView, o: number, end: number, length: number): string => {
  if (o + tcp.TCP_HEADER > end) return ' [|tcp]'
  const header = tcp.headerLength(view, o)
  if (header < tcp.TCP_HEADER) return ` tcp ${length - header} [bad hdr length ${header} - too short, < ${tcp.TCP_HEADER}]`
  const bits = tcp.flags(view, o)
  const names = FLAG_NAMES.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name).join('')
  const flags = `Flags [${names || 'none'}]`
  if (header > length) return `${flags} [bad hdr length ${header} - too long, > ${length}]`
  const data = length - header
  const sequence = tcp.sequence(view, o) >>> 0
  let text = flags
  if (data > 0) text += `, seq ${sequence}:${(sequence + data) >>> 0}`
  else if ((bits & (tcp.FLAG_SYN | tcp.FLAG_FIN | tcp.FLAG_RST)) !== 0) text += `, seq ${sequence}`
  if ((bits & tcp.FLAG_ACK) !== 0) text += `, ack ${tcp.acknowledgment(view, o) >>> 0}`
  text += `, win ${view.getUint16(o + tcp.OFF_WINDOW)}`
  if ((bits & FLAG_URG) !== 0) text += `, urg ${view.getUint16(o + OFF_URGENT)}`
  if (header > tcp.TCP_HEADER) {
    const options = formatOptions(view, o + tcp.TCP_HEADER, o + header, end)
    text += `, options [${options.text}`
    if (!options.whole) return text
    text += ']'
  }
  return `${text}, length ${data}`
}

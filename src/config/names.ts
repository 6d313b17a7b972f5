/** What may be called what, and what was probably meant. */
import { closest, distance } from 'fastest-levenshtein'

const letters = (name: string): string => [...name.toLowerCase()].sort().join('')

/** The name that was probably meant: two letters swapped, or at most half of them (and three) wrong; else undefined. */
export const nearest = (name: string, names: readonly string[]): string | undefined => {
  if (names.length === 0) return undefined
  const candidate = names.find((other) => other.toLowerCase() === name.toLowerCase()) ?? closest(name, names)
  const near = distance(name.toLowerCase(), candidate.toLowerCase())
  const swapped = near === 2 && letters(name) === letters(candidate)
  return swapped || near <= Math.min(3, Math.floor(candidate.length / 2)) ? candidate : undefined
}

const SHOWN = 12

/** `did you mean "br0"?`, or what there is to choose from. */
export const suggest = (name: string, names: readonly string[], kind: string): string => {
  const meant = nearest(name, names)
  if (meant !== undefined) return `did you mean "${meant}"?`
  if (names.length === 0) return `there is no ${kind}`
  const shown = names.slice(0, SHOWN).join(', ')
  return `expected ${names.length === 1 ? shown : `one of ${shown}`}${names.length > SHOWN ? ', ...' : ''}`
}

/** What is wrong with the name of a bridge, router, VXLAN port, host or app; undefined when nothing is. */
export const elementNameFault = (name: string): string | undefined => {
  if (!/^[A-Za-z0-9_-]+$/.test(name)) return 'a name is made of A-Z, a-z, 0-9, "_" and "-"'
  // It becomes a file name under /var/run/netns.
  return name.length > 255 ? 'a name has at most 255 characters' : undefined
}

/** What is wrong with the name of an interface (dev_valid_name() of net/core/dev.c); undefined when nothing is. */
export const interfaceNameFault = (name: string): string | undefined => {
  if (name === '') return 'the name of an interface is empty'
  const bytes = Buffer.byteLength(name)
  if (bytes > 15) return `the name of an interface has at most 15 bytes, this one has ${bytes}`
  if (/[/:%\s\p{Cc}]/u.test(name)) return 'the name of an interface has no "/", ":", "%", space or control character'
  if (name === '.' || name === '..') return `"${name}" cannot be the name of an interface`
  if (name === 'lo') return 'lo is the loopback interface that every namespace has; choose another name'
  // net.ipv4.conf.all and .default are no interfaces (sysctl_dev_name_is_allowed() of net/ipv4/devinet.c).
  return name === 'all' || name === 'default' ? `"${name}" cannot be the name of an interface: it is taken by sysctls` : undefined
}

/** What is wrong with the name of a sysctl of a network namespace; undefined when nothing is. */
export const sysctlNameFault = (name: string): string | undefined => {
  const expected = 'expected the name of a sysctl of a network namespace, such as net.ipv4.ip_forward'
  if (!name.startsWith('net.')) return expected
  // As in sysctl(8), "/" stands for a dot within a part: net.ipv4.conf.eth0/10.forwarding
  const parts = name.split('.').map((part) => part.replaceAll('/', '.'))
  const sound = parts.length >= 3 && parts.every((part) => /^[A-Za-z0-9_.:@+-]+$/.test(part) && part !== '.' && part !== '..')
  return sound ? undefined : expected
}

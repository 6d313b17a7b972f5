/** Apps and policies: unique ids, hosts and apps that are there, addresses to tell a host by, nothing twice. */
import { formatIp4 } from '../wire/ip4.js'
import { suggest } from './names.js'
import { type Path, type Report } from './problem.js'
import { type NetworkShape, type PolicyShape } from './schema.js'

/**
 * Every host belongs to one app at most. Every interface of it has an address, as other packets are taken for forged, and addresses that no
 * other host of an app has: they tell whose packet it is.
 */
const checkHosts = (shape: NetworkShape, report: Report): void => {
  const hosts = new Map(shape.hosts)
  const owners = new Map<string, string>()
  const stations = new Map<number, string>()
  for (const [app, { hosts: members }] of shape.apps) {
    members.forEach((name, i) => {
      const path = ['apps', app, 'hosts', i]
      const host = hosts.get(name)
      const owner = owners.get(name)
      if (host === undefined) {
        return report(path, `unknown host "${name}"; ${suggest(name, [...hosts.keys()], 'host in this file')}`)
      }
      if (owner === app) return report(path, `${name} stands here twice`)
      if (owner !== undefined) return report(path, `${name} is a host of app ${owner} already`)
      owners.set(name, app)
      for (const [dev, { address }] of host.interfaces) {
        if (address.length === 0) report(path, `${name}.${dev} has no address, and whatever it sent would count as forged`)
        for (const { address: own } of address) {
          const other = stations.get(own)
          if (other !== undefined) report(path, `${name}.${dev} has the address ${formatIp4(own)} of ${other}; among hosts of apps it is one's alone`)
          stations.set(own, `${name}.${dev}`)
        }
      }
    })
  }
}

const checkIds = (shape: NetworkShape, report: Report): void => {
  const names = new Map<number, string>()
  for (const [name, { id }] of shape.apps) {
    const other = names.get(id)
    if (other === undefined) names.set(id, name)
    else report(['apps', name, 'id'], `${id} is the id of app ${other} already`)
  }
}

/** Ports go with the protocols that have some. */
const checkPorts = ({ protocol, ports }: PolicyShape, path: Path, report: Report): void => {
  const at = [...path, 'ports']
  if (protocol === 'icmp' && ports !== undefined) report(at, 'icmp has no ports; leave ports out', 'key')
  if (protocol !== 'icmp' && ports === undefined) report(at, `missing: ${protocol} needs a port such as 8080 or a range such as 8000-8100 (all: 1-65535)`)
}

const checkPolicies = (shape: NetworkShape, report: Report): void => {
  const apps = shape.apps.map(([name]) => name)
  const seen = new Map<string, number>()
  shape.policies.forEach((policy, i) => {
    const path = ['policies', i]
    for (const key of ['from', 'to'] as const) {
      const name = policy[key]
      if (!apps.includes(name)) report([...path, key], `unknown app "${name}"; ${suggest(name, apps, 'app in this file')}`)
    }
    checkPorts(policy, path, report)
    const { from, to, protocol, ports } = policy
    const text = JSON.stringify([from, to, protocol, ports ?? []])
    const other = seen.get(text)
    if (other === undefined) seen.set(text, i)
    else report(path, `policies[${other}] says the same already`)
  })
}

export const checkApps = (shape: NetworkShape, report: Report): void => {
  checkIds(shape, report)
  checkHosts(shape, report)
  checkPolicies(shape, report)
}

/** What is allowed, but hardly meant: apps here, and a tunnel that carries no marks. */
export const warnOfApps = (shape: NetworkShape, warn: Report): void => {
  if (shape.apps.every(([, { hosts }]) => hosts.length === 0)) return
  for (const [name, { gbp }] of shape.vxlans) {
    if (!gbp) warn(['vxlans', name, 'gbp'], 'without gbp no marks go through this tunnel, and apps let nothing in without one, neither here nor at its other ends', 'key')
  }
}

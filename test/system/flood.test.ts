/** A broadcast on a bridge with many hosts: the kernel of each of them gets each frame once, also when another thread helps to send it. */
import test from 'ava'
import { readdirSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StatsResult } from '../../src/network/operations.js'
import { ipJson, netnsTest } from '../helpers/netns.js'
import { startTapway, until } from '../helpers/tapway.js'
import { isLeftOut } from '../helpers/without.js'

const systemTest = netnsTest(test)

const HOSTS = 150
const FRAMES = 200

interface Link { stats64: { rx: { packets: number } } }
const received = (host: string): number => ipJson<Link[]>(host, '-s', 'link', 'show', 'dev', 'eth0')[0]!.stats64.rx.packets

systemTest(`${FRAMES} broadcasts reach each of ${HOSTS} hosts once`, async (t) => {
  const hosts = Array.from({ length: HOSTS }, (_, i) => `flood${i + 1}`)
  const folder = mkdtempSync(join(tmpdir(), 'flood-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'network.yaml')
  // Without IPv6, whose own announcements would be counted
  writeFileSync(file, [
    'version: 1', 'bridges: { br1: {} }', 'hosts:',
    ...hosts.map((name, i) => `  ${name}: { interfaces: { eth0: { bridge: br1, address: 10.1.0.${i + 1}/24 } }, `
      + 'sysctls: { net.ipv6.conf.all.disable_ipv6: 1, net.ipv6.conf.default.disable_ipv6: 1 } }'), ''
  ].join('\n'))
  const network = await startTapway(file)
  const threads = (): number => readdirSync(`/proc/${network.pid}/task`).length
  const threadsBefore = threads()
  const others = hosts.slice(1)
  const before = others.map(received)
  await network.exec('flood1', 'ping', '-b', '-q', '-c', String(FRAMES), '-i', '0.002', '-W', '1', '10.1.0.255')
  const all = (): number[] => others.map((host, i) => received(host) - before[i]!)
  await until('all have them', () => all().every((n) => n >= FRAMES))
  t.deepEqual(all(), others.map(() => FRAMES))
  t.true((await network.json<StatsResult>('stats')).balance.ok)
  const helps = availableParallelism() > 1 && !isLeftOut('spread')
  t.is(threads() - threadsBefore, helps ? 1 : 0)
})

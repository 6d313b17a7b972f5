/** Instances with optimisations left out: they forward, and what the words say of hosts' devices is so. */
import test from 'ava'
import type { StatsResult } from '../../src/network/operations.js'
import { ipJson, netnsTest } from '../helpers/netns.js'
import { SMOL_INTERNET, startTapway } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

for (const words of ['bundle', 'near-ports,noqueue', 'all']) {
  systemTest(`up --without ${words}: packets of all sizes cross the router`, async (t) => {
    const network = await startTapway(SMOL_INTERNET, { args: ['--without', words] })
    for (const size of ['56', '1400', '60000']) {
      const { status, stdout } = await network.exec('client', 'ping', '-c', '3', '-i', '0.05', '-W', '5', '-s', size, '10.1.2.2')
      t.is(status, 0, stdout)
    }
    const [eth0] = ipJson<{ ifname: string, qdisc: string }[]>('client', 'link', 'show', 'dev', 'eth0')
    t.is(eth0!.qdisc === 'noqueue', words === 'bundle')
    t.true((await network.json<StatsResult>('stats')).balance.ok)
  })
}

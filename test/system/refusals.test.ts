/** What tapway says when it cannot: one line on stderr, what to do, an exit status, and nothing touched. */
import { existsSync } from 'node:fs'
import test from 'ava'
import { netnsNames, netnsTest, uniqueName } from '../helpers/netns.js'
import {
  BIN,
  example,
  type Finished,
  recordOf,
  run,
  SMOL_INTERNET,
  startTapway,
  tapway,
  temporaryFile
} from '../helpers/tapway.js'

const systemTest = netnsTest(test)

const NODE = process.execPath

/** `up` by a shell that changes something for itself before: the last words of `prelude` start the rest. */
const upAfter = async (prelude: string): Promise<Finished & { name: string }> => {
  const name = uniqueName('t')
  const finished = await run('sh', ['-c', `${prelude} "$@"`, 'sh', NODE, BIN, '--name', name, 'up', SMOL_INTERNET])
  return { ...finished, name }
}

/** Runs in a mount namespace of its own, in which a command hides something. */
const hiding = (command: string): string => `exec unshare --mount --propagation private sh -c '${command} && exec "$@"' sh`

for (const [what, prelude, expected] of [
  ['without capabilities', 'exec setpriv --bounding-set -all --', /CAP_NET_ADMIN, CAP_SYS_ADMIN.*sudo/],
  ['with CAP_NET_ADMIN alone', 'exec setpriv --bounding-set -sys_admin --', /missing: CAP_SYS_ADMIN\b/],
  [
    'without ip',
    hiding('for f in $(which -a ip) /sbin/ip /usr/sbin/ip; do [ ! -e "$f" ] || mount --bind /dev/null "$f"; done'),
    /\bip is not installed.*iproute2/
  ],
  ['without /dev/net/tun', hiding('mount -t tmpfs t /dev/net'), /\/dev\/net\/tun.*modprobe tun/],
  ['where /run/tapway cannot be written', hiding('mount -o remount,ro,bind /run/tapway'), /\/run\/tapway.*read-only/i]
] as const) {
  systemTest(`up ${what}: exit 1, one line that says so and what to do`, async (t) => {
    const before = netnsNames()
    const { status, stdout, stderr, name } = await upAfter(prelude)
    t.deepEqual([status, stdout], [1, ''], stderr)
    t.regex(stderr, /^tapway: [^\n]+\n$/)
    t.regex(stderr, expected)
    t.deepEqual(netnsNames(), before)
    t.false(existsSync(recordOf(name)))
  })
}

systemTest('commands of somebody who may not open the socket', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  const { status, stdout, stderr } = await run('setpriv', [
    '--reuid',
    '65534',
    '--regid',
    '65534',
    '--clear-groups',
    '--',
    'test',
    '-w',
    network.socket
  ])
  t.deepEqual([status, stdout, stderr], [1, '', ''], 'nobody may write to it')
})

systemTest('a wrong file: exit 2 with file, line, column and the path of the key, and nothing touched', async (t) => {
  const before = netnsNames()
  const cases: [text: string, place: string, says: RegExp][] = [
    [
      'version: 1\nbridges: { br0: {} }\nhosts:\n  a:\n    interfaces:\n      eth0: { bridge: br0, adress: 10.0.0.1/24 }\n',
      '6:28',
      /hosts\.a\.interfaces\.eth0.*adress.*address/
    ],
    [
      'version: 1\nbridges: { br0: {} }\nhosts:\n  a:\n    interfaces:\n      eth0: { bridge: br1 }\n',
      '6:23',
      /hosts\.a\.interfaces\.eth0\.bridge.*br1.*br0/
    ],
    ['version: 1\nbridges:\n  br0: { mtu: much }\n', '3:15', /bridges\.br0\.mtu/],
    ['version: 1\nbridges:\n  br0: { address: 10.0.0.1/33 }\n', '3:19', /bridges\.br0\.address/],
    ['version: 1\nbridges:\n  br0: { stp_state: true }\n', '3:10', /not supported yet: .*stp_state/],
    ['version: 1\nvxlans: { v: { bridge: b, id: 1 } }\n', '2:24', /vxlans\.v\.bridge.*"b"/],
    ['version: 1\nbridges:\n  br0: { vlan_filtering: true }\n', '3:10', /not supported yet: .*vlan_filtering/],
    ['version: 1\nbridges: [\n', '3:1', /./]
  ]
  for (const [i, [text, place, says]] of cases.entries()) {
    const file = temporaryFile(text)
    for (const word of i < 2 ? ['up', 'check'] : ['check']) {
      const { status, stdout, stderr } = await tapway('--name', uniqueName('t'), word, file)
      t.deepEqual([status, stdout], [2, ''], text)
      t.true(stderr.startsWith(`${file}:${place}: `), `${stderr} should be at ${place}`)
      t.regex(stderr.split('\n')[0]!, says)
      if (word === 'up') t.is(stderr.split('\n').length, 2, 'one line')
    }
  }
  t.deepEqual(netnsNames(), before)
})

systemTest('a file that is not there, or is a folder: exit 2, one line', async (t) => {
  for (const path of [`/nowhere/${uniqueName('f')}`, '/tmp']) {
    const { status, stdout, stderr } = await tapway('up', path)
    t.deepEqual([status, stdout], [2, ''])
    t.regex(stderr, new RegExp(`^${path}: [^\\n]+\\n$`))
  }
})

systemTest('check of the examples: exit 0', async (t) => {
  for (const name of ['smol-internet.yaml', 'two-networks.yaml']) t.is((await tapway('check', example(name))).status, 0, name)
})

systemTest('wrong words: exit 2, one line with the nearest right one, whether an instance runs or not', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  const cases: [words: string[], says: RegExp][] = [
    [['rout', 'shwo'], /shwo.*show/],
    [['route', 'add', '10.9.0.0/33', 'via', '10.1.1.1'], /10\.9\.0\.0\/33/],
    [['route', 'add', '10.9.0.0/16', 'vai', '10.1.1.1'], /vai.*via/],
    [['link', 'set', 'client.eth9', 'up'], /client\.eth9.*client\.eth0/],
    [['route', 'show', 'router', 'rooter'], /rooter.*router/],
    [['link', 'show', 'eth0'], /eth0.*(client\.eth0.*server\.eth0|router\.eth0)/],
    [['capture', 'client.eth7'], /client\.eth7.*client\.eth0/],
    [['capture', 'client.eth0', 'tcp', 'prot', '80'], /filter|syntax|expression/i],
    [['fdb', 'show', 'br', 'nobridge'], /nobridge.*ten-one-net/]
  ]
  for (const [words, says] of cases) {
    const { status, stdout, stderr } = await network.tapway(...words)
    t.deepEqual([status, stdout], [2, ''], `${words.join(' ')}: ${stderr}`)
    t.regex(stderr, /^tapway: [^\n]+\n$/)
    t.regex(stderr, says)
  }
})

systemTest('what cannot be done: exit 1, one line', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  for (const words of [
    ['route', 'add', '10.9.0.0/16', 'via', '192.0.2.1', 'router', 'router'], // nobody reaches that next hop
    ['route', 'del', '10.9.0.0/16', 'router', 'router'],
    ['addr', 'add', '10.1.1.3/24', 'dev', 'router.eth1'],
    ['addr', 'del', '10.7.7.7/24', 'dev', 'router.eth1'],
    ['neigh', 'del', '10.1.1.77', 'dev', 'router.eth1'],
    ['fdb', 'del', '02:00:00:00:00:77', 'dev', 'client.eth0', 'master']
  ]) {
    const { status, stdout, stderr } = await network.tapway(...words)
    t.deepEqual([status, stdout], [1, ''], `${words.join(' ')}: ${stderr}`)
    t.regex(stderr, /^tapway: [^\n]+\n$/)
  }
})

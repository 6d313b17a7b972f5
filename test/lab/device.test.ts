/** Existing devices attached to bridges: their own stack is kept out while they are, and nothing of it is left in whatever way it ends. */
import { spawnSync } from 'node:child_process'
import test from 'ava'
import type { Host } from '../../src/config/types.js'
import type { DevicePlan } from '../../src/lab/device.js'
import { Lab, type LabOptions } from '../../src/lab/lab.js'
import { readRecord, removeRecord, writeRecord } from '../../src/lab/record.js'
import { LabError, SILENT } from '../../src/lab/types.js'
import { addNetns, inNs, ip, ipJson, netnsTest, onSweep, removeNetns, uniqueName } from '../helpers/netns.js'

const deviceTest = netnsTest(test)

const plan = (netns: string, device = 'eth1', more: Partial<DevicePlan> = {}): DevicePlan =>
  ({ bridge: 'br0', name: 'port', device, netns, learning: true, flood: true, neighSuppress: false, ...more })

const options = (devices: readonly DevicePlan[], more: Partial<LabOptions> = {}): LabOptions =>
  ({ instance: uniqueName('dev'), offload: true, log: SILENT, devices, ...more })

const create = async (devices: readonly DevicePlan[], more: Partial<LabOptions> = {}): Promise<Lab> => {
  const lab = await Lab.create([], options(devices, more))
  onSweep(() => lab.destroy())
  return lab
}

/** Attaches in another process, which then kills itself. */
const createAndDie = (devices: readonly DevicePlan[], instance: string): void => {
  const module = new URL('../../src/lab/lab.js', import.meta.url).href
  const code = `const { Lab } = await import('${module}')
    const log = { info() {}, warn() {}, debug() {} }
    await Lab.create([], { instance: '${instance}', offload: true, log, devices: ${JSON.stringify(devices)} })
    process.kill(process.pid, 'SIGKILL')`
  const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  if (signal !== 'SIGKILL') throw new Error(stderr)
  onSweep(() => Lab.cleanLeftovers(instance, SILENT))
}

/** A namespace with a device `eth1`, whose other end `far` is in a second one; 10.0.0.1 and 10.0.0.2. */
const machine = (): { near: string, far: string } => {
  const [near, far] = [addNetns(), addNetns()]
  ip('-n', near, 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'far', 'netns', far)
  for (const [netns, dev, address] of [[near, 'eth1', '10.0.0.1/24'], [far, 'far', '10.0.0.2/24']] as const) {
    ip('-n', netns, 'addr', 'add', address, 'dev', dev)
    ip('-n', netns, 'link', 'set', dev, 'up')
  }
  return { near, far }
}

/** What tc(8) has at a device's ingress. */
const ingress = (netns: string, dev = 'eth1'): string =>
  inNs(netns, 'tc', 'qdisc', 'show', 'dev', dev, 'ingress').trim() + inNs(netns, 'tc', 'filter', 'show', 'dev', dev, 'ingress')

const promiscuity = (netns: string, dev = 'eth1'): number =>
  ipJson<{ promiscuity: number }[]>(netns, '-d', 'link', 'show', 'dev', dev)[0]!.promiscuity

/** Whether the device's own stack answers a ping; asked a few times, since a neighbour that did not answer is not asked again at once. */
const answers = (far: string): boolean =>
  spawnSync('ip', ['netns', 'exec', far, 'ping', '-c', '4', '-i', '0.5', '-W', '1', '10.0.0.1']).status === 0

deviceTest('its stack takes nothing while it is attached, and everything afterwards', async (t) => {
  const { near, far } = machine()
  t.true(answers(far))
  const lab = await create([plan(near)])
  t.like(lab.devices, { length: 1, 0: { name: 'port', bridge: 'br0', device: 'eth1', mtu: 1500, vnetHeader: 10 } })
  t.is(lab.devices[0]!.mac, ipJson<{ address: string }[]>(near, 'link', 'show', 'dev', 'eth1')[0]!.address)
  t.is(promiscuity(near), 1)
  t.false(answers(far))
  t.like(readRecord(lab.options.instance)!.devices, { length: 1, 0: { port: 'port', device: 'eth1', netns: near, qdisc: true } })
  t.deepEqual((await lab.destroy()).devices, [`${near} eth1`])
  t.is(promiscuity(near), 0)
  t.is(ingress(near), '')
  t.true(answers(far))
  t.is(readRecord(lab.options.instance), undefined)
})

deviceTest('after kill -9 the next one sets it free', async (t) => {
  const { near, far } = machine()
  const instance = uniqueName('dev')
  createAndDie([plan(near)], instance)
  t.is(promiscuity(near), 0, 'that ends with the socket')
  t.false(answers(far))
  const again = await create([plan(near)], { instance })
  t.not(ingress(near), '')
  await again.destroy()
  t.is(ingress(near), '')
  createAndDie([plan(near)], instance)
  t.deepEqual((await Lab.cleanLeftovers(instance, SILENT))!.devices, [`${near} eth1`])
  t.is(ingress(near), '')
  t.true(answers(far))
})

deviceTest('after kill -9: a device renamed, moved or gone, and a namespace gone', async (t) => {
  const clean = async (change: (near: string) => void): Promise<string[]> => {
    const { near } = machine()
    const instance = uniqueName('dev')
    createAndDie([plan(near)], instance)
    change(near)
    return (await Lab.cleanLeftovers(instance, SILENT))!.devices.map((text) => text.split(' ')[1]!)
  }
  let renamed = ''
  t.deepEqual(await clean((near) => {
    renamed = near
    ip('-n', near, 'link', 'set', 'eth1', 'down')
    ip('-n', near, 'link', 'set', 'eth1', 'name', 'other')
  }), ['eth1'])
  t.is(ingress(renamed, 'other'), '')
  t.deepEqual(await clean((near) => ip('-n', near, 'link', 'del', 'eth1')), [])
  t.deepEqual(await clean((near) => removeNetns(near)), [])
  const elsewhere = addNetns()
  t.deepEqual(await clean((near) => ip('-n', near, 'link', 'set', 'eth1', 'netns', elsewhere)), [])
  t.is(ingress(elsewhere), '')
})

deviceTest('what somebody else has at its ingress stays', async (t) => {
  const { near } = machine()
  inNs(near, 'tc', 'qdisc', 'add', 'dev', 'eth1', 'clsact')
  inNs(near, 'tc', 'filter', 'add', 'dev', 'eth1', 'egress', 'pref', '7', 'bpf', 'da', 'bytecode', '1,6 0 0 0')
  const theirs = (): string => ingress(near) + inNs(near, 'tc', 'filter', 'show', 'dev', 'eth1', 'egress')
  const before = theirs()
  const lab = await create([plan(near)])
  t.is(readRecord(lab.options.instance)!.devices[0]!.qdisc, false)
  await lab.destroy()
  t.is(theirs(), before)
  // Made by us, but in use by somebody else by the time that we end.
  inNs(near, 'tc', 'qdisc', 'del', 'dev', 'eth1', 'clsact')
  const second = await create([plan(near)])
  inNs(near, 'tc', 'filter', 'add', 'dev', 'eth1', 'egress', 'pref', '7', 'bpf', 'da', 'bytecode', '1,6 0 0 0')
  await second.destroy()
  t.is(theirs(), before)
})

deviceTest('devices that cannot be ports are refused before anything is changed', async (t) => {
  const { near } = machine()
  ip('-n', near, 'link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'member')
  ip('-n', near, 'link', 'add', 'bridge', 'type', 'bridge')
  ip('-n', near, 'link', 'set', 'member', 'master', 'bridge')
  const refused = async (exitCode: 1 | 2, words: RegExp, ...devices: DevicePlan[]): Promise<void> => {
    const error = await t.throwsAsync(create(devices), { instanceOf: LabError })
    t.is(error.exitCode, exitCode, error.message)
    t.regex(error.message, words)
    t.is(ingress(near), '')
  }
  await refused(2, /^bridge "br0": there is no device "nothing" in namespace "/, plan(near), plan(near, 'nothing', { name: 'b' }))
  await refused(2, /^bridge "br0": device "member" .* belongs to "bridge": take it out/, plan(near, 'member'))
  await refused(2, /^bridge "br0": device "lo" .* is no Ethernet device/, plan(near, 'lo'))
  await refused(2, /^bridge "br1": device "eth1" .* is port "port" of bridge "br0" already/, plan(near), plan(near, 'eth1', { bridge: 'br1', name: 'b' }))
  await refused(2, /^device "eth1": namespace "[^"]*" does not exist$/, plan(uniqueName('none')))
})

deviceTest('a device that another instance has, or left when it was killed', async (t) => {
  const { near } = machine()
  const first = await create([plan(near)])
  const running = await t.throwsAsync(create([plan(near)]), { instanceOf: LabError })
  t.is(running.exitCode, 1)
  const owner = `instance "${first.options.instance}" \\(process ${process.pid}\\)`
  t.regex(running.message, new RegExp(`^device "eth1" in namespace "${near}": ${owner} has it: stop that with`))
  t.not(ingress(near), '', 'it is not touched')
  await first.destroy()
  const instance = uniqueName('dev')
  createAndDie([plan(near)], instance)
  const killed = await t.throwsAsync(create([plan(near)]), { instanceOf: LabError })
  t.regex(killed.message, new RegExp(`the killed instance "${instance}" had it: .*tapway down --name ${instance}`))
})

deviceTest('two that start at the same time: the second one leaves the device to the first', async (t) => {
  const { near } = machine()
  const first = await create([plan(near)])
  const theirs = first.record
  removeRecord(theirs.instance) // as if it had been written just after the second one looked
  const host: Host = {
    name: uniqueName('h'), routes: [], sysctls: [], interfaces: [{ name: 'eth0', bridge: 'br0', mac: [0x0200, 1], mtu: 1500, addresses: [] }]
  }
  const openTap = () => {
    writeRecord(theirs)
    return { fd: -1, vnetHeader: 0, offloads: 0, ifindex: 1 }
  }
  const given = options([plan(near)], { taps: { openTap, closeAll: () => {} } })
  const error = await t.throwsAsync(Lab.create([host], given), { instanceOf: LabError })
  t.regex(error.message, /^device "eth1" in namespace .* has it: /)
  t.not(ingress(near), '', 'it is not undone')
  t.is(readRecord(given.instance), undefined)
})

deviceTest('a socket that cannot be opened: the stack gets its device back', async (t) => {
  const { near, far } = machine()
  const openPacket = (): never => { throw Object.assign(new Error('socket AF_PACKET: EMFILE'), { code: 'EMFILE' }) }
  await t.throwsAsync(create([plan(near)], { openPacket }), { instanceOf: LabError, message: /^bridge "br0": cannot attach device "eth1": .*EMFILE/ })
  t.is(ingress(near), '')
  t.true(answers(far))
})

deviceTest('a device that is down is attached as it is, and told', async (t) => {
  const { near } = machine()
  ip('-n', near, 'link', 'set', 'eth1', 'down')
  const warnings: string[] = []
  await create([plan(near)], { log: { ...SILENT, warn: (text) => { warnings.push(text) } } })
  t.deepEqual(warnings, ['device "eth1" of bridge "br0" is down: nothing passes until it is up (ip link set dev eth1 up)'])
  t.false(ipJson<{ flags: string[] }[]>(near, 'link', 'show', 'dev', 'eth1')[0]!.flags.includes('UP'))
})

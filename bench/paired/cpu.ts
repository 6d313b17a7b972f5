/** Processor time, of the whole machine and of one process, in seconds (proc(5)). */
import { readFileSync } from 'node:fs'

/** USER_HZ: the unit of /proc, 100 on all machines that Node runs on. */
const TICKS = 100

/** Seconds that all cores together were busy since boot: all but idle, iowait and what the hypervisor took (steal). */
export const machineSeconds = (): number => {
  const [user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'latin1').split('\n')[0]!.split(/\s+/).slice(1).map(Number)
  return (user! + nice! + system! + irq! + softirq!) / TICKS
}

/** User and system time of a process with all its threads. */
export const processSeconds = (pid: number): number => {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

/** Resident memory of a process in MiB. */
export const residentMiB = (pid: number): number =>
  Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024

/** Processor time, of the whole machine and of one process, in seconds (proc(5)). */
import { readFileSync } from 'node:fs'

/** USER_HZ: the unit of /proc, 100 on all machines that Node runs on. */
const TICKS = 100

/** Seconds that all cores together were busy since boot: all but idle, iowait and what the hypervisor took (steal). */
export const machineSeconds = (): number => {
  const [user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'latin1').split('\n')[0]!.split(/\s+/).slice(1).map(Number)
  return (user! + nice! + system! + irq! + softirq!) / TICKS
}

/** Sum of two fields that follow each other in /proc/PID/stat, by their numbers in proc(5). */
const statSeconds = (pid: number | 'self', field: number): number => {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ') // field 3 on: the name may hold spaces and brackets
  return (Number(fields[field - 3]) + Number(fields[field - 2])) / TICKS
}

/** User and system time of a process with all its threads. */
export const processSeconds = (pid: number): number => statSeconds(pid, 14)

/** The same of all programs that this one has started and that have ended. */
export const endedSeconds = (): number => statSeconds('self', 16)

/** Resident memory of a process in MiB. */
export const residentMiB = (pid: number): number =>
  Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024

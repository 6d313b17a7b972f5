/** What the native part (native/lab.c) does for hosts: namespaces, their names and sysctls, rtnetlink. */
import { addon } from '../native.js'

/** What the kernel refused. */
export interface Refusal {
  /** The request among those sent, from 0. */
  readonly index: number
  /** In the kernel's words. */
  readonly reason: string
}

interface LabAddon {
  newNetns(): number
  shareNetnsFolder(folder: string): void
  nameNetns(netns: number, path: string): void
  writeSysctl(netns: number, path: string, value: string): void
  closeAll(fds: Int32Array): void
  rtnetlink(netns: number, requests: Uint8Array): Refusal | undefined
}

const native = (): LabAddon => addon() as unknown as LabAddon

/** A descriptor of a new namespace, the caller's to close. It goes with the last descriptor unless it has a name. Throws NativeError. */
export const newNetns = (): number => native().newNetns()

/** Prepares a folder for names of namespaces, so that they are seen in other mount namespaces (ip-netns(8)). Throws NativeError. */
export const shareNetnsFolder = (folder: string): void => native().shareNetnsFolder(folder)

/** Gives a namespace a name: mounts it on a new file. Throws NativeError, EEXIST when there is one. */
export const nameNetns = (netns: number, path: string): void => native().nameNetns(netns, path)

/** Writes a file below /proc/sys as seen inside a namespace. Throws NativeError. */
export const writeSysctl = (netns: number, path: string, value: string): void => native().writeSysctl(netns, path, value)

/** Closes what was opened by src/native.ts, many at the same time: a TAP alone takes 20 ms. Others are passed over. */
export const closeAll = (fds: readonly number[]): void => native().closeAll(Int32Array.from(fds))

/** Carries out rtnetlink(7) requests that lie one behind the other, in order, until one is refused. Throws NativeError when it cannot ask. */
export const rtnetlink = (netns: number, requests: Uint8Array): Refusal | undefined => native().rtnetlink(netns, requests)

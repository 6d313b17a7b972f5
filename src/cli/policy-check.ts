/** `tapway policy check`: what would be decided, and the policy that says so. */
import type { ControlClient } from '../control/client.js'
import type { PolicyCheckRow } from '../network/operations.js'
import type { Globals, PolicyCheckCommand } from './command.js'
import { formatPolicyCheck } from './format-policy.js'
import type { Io } from './io.js'
import { formatJson } from './show.js'

/** Exit status 0 when it is allowed, 1 when not. Throws ClientError. */
export const policyCheck = async (client: ControlClient, { query }: PolicyCheckCommand, globals: Globals, io: Io): Promise<number> => {
  const rows = await client.request<PolicyCheckRow[]>({ method: 'show', query })
  const row = rows[0]!
  io.out(globals.json ? formatJson(rows, globals) : formatPolicyCheck(row))
  return row.allowed ? 0 : 1
}

/** `tapway capture`: asks the instance for the frames of its ports and hands them to a CaptureOutput until somebody has had enough. */
import { compileFilter } from '../capture/filter.js'
import type { ControlClient } from '../control/client.js'
import type { CaptureEvent, CaptureResult, LostEvent, StreamEvent } from '../control/protocol.js'
import { CaptureOutput, type CaptureRecord } from './capture-output.js'
import type { CaptureCommand } from './command.js'
import type { Io } from './io.js'

const recordOf = (event: CaptureEvent, names: ReadonlyMap<number, string>): CaptureRecord => ({
  port: names.get(event.port) ?? `port ${event.port}`,
  direction: event.direction,
  time: BigInt(event.time),
  bytes: Buffer.from(event.data, 'base64'),
  length: event.length,
})

/** Feeds events to the output until it has enough or there are no more. */
const feed = async (events: AsyncIterable<StreamEvent>, names: ReadonlyMap<number, string>, output: CaptureOutput): Promise<void> => {
  for await (const event of events as AsyncIterable<CaptureEvent | LostEvent | { event: 'closed' }>) {
    if (event.event === 'packet' && !output.accept(recordOf(event, names))) await output.drained()
    if (event.event === 'lost') output.setLost(event.packets)
    if (output.done) return
  }
}

/** Ends by SIGINT, -c, the end of the reader or of the instance: exit status 0. Throws ClientError and CaptureError. */
export const capture = async (client: ControlClient, command: CaptureCommand, io: Io): Promise<number> => {
  const { ports: wanted, filter, ethernet, count, write, snaplen } = command
  const program = filter === '' ? undefined : await compileFilter(filter) // a wrong filter is told before anything is captured
  const { result: { ports }, events } = await client.stream<CaptureResult>({ method: 'capture', ports: [...wanted], snaplen })
  const names = new Map(ports.map(({ id, name }) => [id, name]))
  io.outliveReader() // CaptureOutput ends when nobody reads
  const output = await CaptureOutput.open({
    ports: [...names.values()], link: ethernet, snaplen,
    ...(program !== undefined && { filter: program }), ...(count !== undefined && { count }), ...(write !== undefined && { write }),
  })
  const release = io.onInterrupt(() => {
    io.err('\n') // behind the terminal's ^C, as tcpdump does
    client.close()
  })
  void output.finished.then(() => client.close())
  await feed(events, names, output)
  release()
  client.close()
  await output.close()
  return 0
}

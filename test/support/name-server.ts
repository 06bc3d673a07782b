import {createSocket} from 'node:dgram';
import type {Stage} from './stage';

const HEADER_BYTES = 12;
const NXDOMAIN = 3;
const TYPE_A = 1;

/** The name of the first question, and where the question ends (RFC 1035, 4.1.2: labels, type, class). */
function questionOf(message: Buffer): {name: string; type: number; end: number} {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = message.readUInt8(at); length > 0; length = message.readUInt8(at)) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return {name: labels.join('.'), type: message.readUInt16BE(at + 1), end: at + 5};
}

function answerTo(message: Buffer, records: ReadonlyMap<string, string>): Buffer {
  const {name, type, end} = questionOf(message);
  const address = records.get(name);
  const found = address !== undefined && type === TYPE_A;
  const header = Buffer.alloc(HEADER_BYTES);
  message.copy(header, 0, 0, 2); // the id
  header.writeUInt16BE(0x8580 | (address === undefined ? NXDOMAIN : 0), 2); // response, authoritative, recursion
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(found ? 1 : 0, 6);
  const record = found
    ? Buffer.concat([
        Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 5, 0, 4]), // the name by pointer, 5 s to live
        Buffer.from(address.split('.').map(Number)),
      ])
    : Buffer.alloc(0);
  return Buffer.concat([header, message.subarray(HEADER_BYTES, end), record]);
}

/** A name server on UDP port 53 of a loopback address, which knows `records` (name → IPv4 address) and nothing else. */
export async function startNameServer(
  stage: Stage,
  address: string,
  records: ReadonlyMap<string, string>,
): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    socket.send(answerTo(message, records), from.port, from.address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.bind(53, address, resolve);
  });
  stage.defer('the name server', () => {
    socket.close();
  });
}

// Serves the files of a directory, and gives back what is posted to /echo, with what Bun and Deno bring for it. Arguments:
// port on 127.0.0.1, directory.
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import process from 'node:process';

const {Bun, Deno} = globalThis;
const [port, root] = process.argv.slice(2);

async function answer(request) {
  const {pathname} = new URL(request.url);
  if (request.method === 'POST') return new Response(await request.arrayBuffer());
  const bytes = await readFile(join(root, pathname));
  return new Response(request.method === 'HEAD' ? null : bytes, {headers: {'content-length': String(bytes.length)}});
}

const where = {port: Number(port), hostname: '127.0.0.1'};
if (Bun !== undefined) Bun.serve({...where, fetch: answer});
else Deno.serve({...where, onListen: () => {}}, answer);
console.log('ready');

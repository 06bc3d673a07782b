// Serves the files of a directory, and gives back what is posted to /echo; /chunked answers in chunks.
// Arguments: the port on 127.0.0.1, the directory.
'use strict';
const {createReadStream, stat} = require('node:fs');
const {createServer} = require('node:http');
const {join, normalize} = require('node:path');

const [port, root] = process.argv.slice(2);

const server = createServer((request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  if (path === '/echo') {
    const parts = [];
    request.on('data', part => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      response.writeHead(200, {'content-length': body.length}).end(body);
    });
    return;
  }
  if (path === '/chunked') {
    response.writeHead(200, {'content-type': 'text/plain'});
    for (const part of ['one\n', 'two\n', 'three\n']) response.write(part);
    response.end();
    return;
  }
  const file = join(root, normalize(path));
  stat(file, (error, info) => {
    if (error !== null || !info.isFile()) {
      response.writeHead(404, {'content-length': 0}).end();
      return;
    }
    response.writeHead(200, {'content-length': info.size});
    if (request.method === 'HEAD') response.end();
    else createReadStream(file).pipe(response);
  });
});
server.keepAliveTimeout = 0;
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));

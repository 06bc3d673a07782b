// An HTTP server of Node's own: GET answers "node".
import {createServer} from 'node:http';

createServer((request, response) => {
  request.resume();
  request.on('end', () => response.end('node\n'));
}).listen(8080);
process.on('SIGTERM', () => process.exit(0));

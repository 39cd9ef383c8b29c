// A lookaside over HTTP for the bench: a folder served from memory by a process of its own, so that
// what it costs is not on the account of whoever is measured. It counts its requests.
//   node lookaside-server.js FOLDER      prints "listening on PORT"
//   GET /.count                          the number of requests since the last time it was asked
//   GET /.reload                         reads the folder again
import { createServer } from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
const files = new Map();
let count = 0;

function load() {
  files.clear();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(folder.length), readFileSync(path));
  }
}

function answer(path) {
  if (path === '/.count') {
    const counted = `${count}`;
    count = 0;
    return counted;
  }
  if (path === '/.reload') {
    load();
    return `${files.size}`;
  }
  count += 1;
  return files.get(path);
}

load();
const server = createServer((request, response) => {
  const body = answer(decodeURIComponent(request.url ?? ''));
  response.statusCode = body === undefined ? 404 : 200;
  response.end(body);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));

// The bare floor: what Node itself costs for the work of `bulla verify`, with nothing of Bulla in it.
// The same requests on kept-alive connections, the manifest hashed, one signature verified.
//   node floor.js REGISTRY LOOKASIDE REPOSITORY REFERENCE...
// LOOKASIDE is a URL; a reference is a tag. 16 at once, as Bulla.
'use strict';

const http = process.getBuiltinModule('node:http');
const crypto = process.getBuiltinModule('node:crypto');
const fs = process.getBuiltinModule('node:fs');

const [registry, lookaside, repository, keyFile, ...references] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
const key = crypto.createPublicKey(fs.readFileSync(keyFile));

function get(url) {
  return new Promise((resolve, reject) => {
    const request = http.get(
      url,
      { agent, headers: { accept: 'application/vnd.oci.image.manifest.v1+json' } },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
      },
    );
    request.on('error', reject);
  });
}

async function signatures(folder) {
  const found = [];
  for (let n = 1; ; n += 1) {
    if (lookaside.startsWith('file://')) {
      const path = `${lookaside.slice('file://'.length)}${folder}/signature-${n}`;
      const bytes = await fs.promises.readFile(path).catch(() => undefined);
      if (bytes === undefined) return found;
      found.push(bytes);
      continue;
    }
    const answer = await get(`${lookaside}${folder}/signature-${n}`);
    if (answer.status !== 200) return found;
    found.push(answer.body);
  }
}

async function one(reference) {
  const manifest = await get(`http://${registry}/v2/${repository}/manifests/${reference}`);
  const digest = crypto.createHash('sha256').update(manifest.body).digest('hex');
  const found = await signatures(`/${repository}@sha256=${digest}`);
  if (found.length === 0) throw new Error(`${reference} has no signature`);
  // as much arithmetic as one signature takes; that it does not hold is of no interest here
  for (const bytes of found) {
    const last = bytes.subarray(
      -(key.asymmetricKeyType === 'rsa' ? key.asymmetricKeyDetails.modulusLength / 8 : 64),
    );
    crypto.verify(key.asymmetricKeyType === 'rsa' ? 'sha512' : null, bytes, key, last);
  }
}

async function main() {
  await get(`http://${registry}/v2/`);
  const queue = references.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const reference of queue) await one(reference);
    }),
  );
  agent.destroy();
}

void main();

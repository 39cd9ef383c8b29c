// The bare floor under `bulla verify --key` of sigstore signatures: the requests that it makes, one after another as it
// must, the manifest hashed, one ECDSA signature verified; Node's own http and crypto, and nothing of Bulla.
//   node floor-sigstore.cjs sig|bundle REGISTRY REPOSITORY KEY.pem REFERENCE...
// 16 references at once, as Bulla.
'use strict';

const http = process.getBuiltinModule('node:http');
const crypto = process.getBuiltinModule('node:crypto');
const fs = process.getBuiltinModule('node:fs');

const [kind, registry, repository, keyFile, ...references] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
const key = crypto.createPublicKey(fs.readFileSync(keyFile));
const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json';

function get(path) {
  return new Promise((resolve, reject) => {
    const url = `http://${registry}/v2/${repository}/${path}`;
    const request = http.get(url, { agent, headers: { accept } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
    });
    request.on('error', reject);
  });
}

function check(message, signature) {
  if (!crypto.verify('sha256', message, key, Buffer.from(signature, 'base64'))) {
    throw new Error('the signature does not verify');
  }
}

async function attachment(tag) {
  const { status, body } = await get(`manifests/${tag}.sig`);
  if (status !== 200) return false;
  const [layer] = JSON.parse(body).layers;
  const payload = await get(`blobs/${layer.digest}`);
  check(payload.body, layer.annotations['dev.cosignproject.cosign/signature']);
  return true;
}

async function bundle(digest, tag) {
  const answer = await get(`referrers/${digest}`);
  const index = answer.status === 200 ? answer : await get(`manifests/${tag}`);
  const manifest = await get(`manifests/${JSON.parse(index.body).manifests[0].digest}`);
  const { body } = await get(`blobs/${JSON.parse(manifest.body).layers[0].digest}`);
  const { payloadType, payload, signatures } = JSON.parse(body).dsseEnvelope;
  const content = Buffer.from(payload, 'base64');
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${content.length} `;
  check(Buffer.concat([Buffer.from(head), content]), signatures[0].sig);
}

async function one(reference) {
  const { body } = await get(`manifests/${reference}`);
  const hex = crypto.createHash('sha256').update(body).digest('hex');
  const found = await attachment(`sha256-${hex}`);
  if (found !== (kind === 'sig')) throw new Error(`${reference}: ${found ? 'an' : 'no'} attachment`);
  if (kind === 'bundle') await bundle(`sha256:${hex}`, `sha256-${hex}`);
}

async function main() {
  const queue = references.values();
  await Promise.all(
    Array.from({ length: Math.min(16, references.length) }, async () => {
      for (const reference of queue) await one(reference);
    }),
  );
  agent.destroy();
}

void main();

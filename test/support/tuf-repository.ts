/** A TUF repository (specification 1.0, Ed25519 keys, consistent snapshots) on loopback, to be signed right or wrong. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { crypto } from '../../src/base/node.ts';

type NodeKey = import('node:crypto').KeyObject;
type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Role = 'root' | 'timestamp' | 'snapshot' | 'targets';

export type TufPlan = {
  readonly version: number;
  readonly targets: Readonly<Record<string, Uint8Array>>;
  /** When timestamp.json expires; default in a week. */
  readonly expires?: Date;
  /** The role that is signed by a key that nobody named. */
  readonly forged?: Role;
  /** What is served in place of a target's bytes. */
  readonly served?: Readonly<Record<string, Uint8Array>>;
};

export type TufServer = AsyncDisposable & {
  readonly url: string;
  /** The first root.json. */
  readonly root: Uint8Array;
  /** What was asked for, since the last look. */
  requests(): readonly string[];
  publish(plan: TufPlan): void;
};

type Signer = { readonly id: string; readonly key: Json; readonly privateKey: NodeKey };

export async function serveTuf(): Promise<TufServer> {
  const signer = newSigner();
  const stranger = newSigner();
  const root = document(signer, { ...head('root', 1, inDays(365)), ...rolesOf(signer) });
  const files = new Map<string, Uint8Array>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const bytes = files.get(path);
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    root,
    requests: () => asked.splice(0),
    publish: (plan) => {
      files.clear();
      for (const [path, bytes] of filesOf(plan, signer, stranger)) files.set(path, bytes);
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function filesOf(plan: TufPlan, signer: Signer, stranger: Signer): ReadonlyMap<string, Uint8Array> {
  const { version, expires = inDays(7), forged, served = {} } = plan;
  const by = (role: Role): Signer => (role === forged ? stranger : signer);
  const entries = Object.entries(plan.targets);
  const targets = document(by('targets'), {
    ...head('targets', version, inDays(30)),
    targets: Object.fromEntries(
      entries.map(([name, bytes]) => [name, { length: bytes.length, hashes: { sha256: sha256(bytes) } }]),
    ),
  });
  const snapshot = document(by('snapshot'), {
    ...head('snapshot', version, inDays(30)),
    meta: { 'targets.json': { version } },
  });
  const timestamp = document(by('timestamp'), {
    ...head('timestamp', version, expires),
    meta: { 'snapshot.json': { version } },
  });
  return new Map([
    ['/timestamp.json', timestamp],
    [`/${version}.snapshot.json`, snapshot],
    [`/${version}.targets.json`, targets],
    ...entries.map(([name, bytes]) => [`/targets/${sha256(bytes)}.${name}`, served[name] ?? bytes] as const),
  ]);
}

function newSigner(): Signer {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
  const key = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: raw } };
  return { id: sha256(Buffer.from(canonical(key))), key, privateKey };
}

function rolesOf({ id, key }: Signer): Record<string, Json> {
  const role = { keyids: [id], threshold: 1 };
  const roles = { root: role, timestamp: role, snapshot: role, targets: role };
  return { keys: { [id]: key }, roles, consistent_snapshot: true };
}

function head(role: Role, version: number, expires: Date): Record<string, Json> {
  return {
    _type: role,
    spec_version: '1.0.31',
    version,
    expires: expires.toISOString().replace(/\.[0-9]+Z$/, 'Z'),
  };
}

function document({ id, privateKey }: Signer, signed: Json): Uint8Array {
  const sig = crypto.sign(null, Buffer.from(canonical(signed)), privateKey).toString('hex');
  return Buffer.from(JSON.stringify({ signatures: [{ keyid: id, sig }], signed }));
}

/** OLPC canonical JSON, for the texts and whole numbers that are here. */
function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`;
}

export function inDays(days: number): Date {
  return new Date(Date.now() + days * 86_400_000);
}

function sha256(bytes: Uint8Array): string {
  return crypto.createHash('sha256').update(bytes).digest('hex');
}

/** An embedded registry that may fail as a test tells it, keys, policies and images: what rotations are tried on. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { utf8 } from '../../src/base/bytes.ts';
import { mediaTypes } from '../../src/base/descriptor.ts';
import { type Digest, digestOf } from '../../src/base/digest.ts';
import { parseReference } from '../../src/base/reference.ts';
import { parseImageName } from '../../src/base/image-name.ts';
import { encryptPrivateKey } from '../../src/keys/sigstore/encrypted-key.ts';
import { encodePem } from '../../src/keys/sigstore/pem.ts';
import { makeKeyPair, openSigstoreKey } from '../../src/keys/sigstore/private-key.ts';
import { openSecretKey } from '../../src/keys/openpgp/sign.ts';
import type { Signer } from '../../src/keys/signer.ts';
import { generateKey } from '../../src/operations/keys.ts';
import { sign } from '../../src/operations/sign.ts';
import type { SigningPlan } from '../../src/operations/sign/plan.ts';
import { openWorld, type World } from '../../src/operations/world.ts';
import { listen } from '../../src/servers/listen.ts';
import { createRegistry } from '../../src/servers/registry/registry.ts';
import { testClock } from './registry-faults.ts';

export type TestKey = {
  readonly signer: Signer;
  /** The file with the public part. */
  readonly file: string;
  /** The file with the revocation certificate. */
  readonly revocation: string;
};

export type Pushed = { readonly mediaType: string; readonly digest: Digest; readonly size: number };

/** Answers in the registry's place, or lets it answer (undefined). */
export type Fault = (line: string, request: Request) => Response | undefined | Promise<Response>;

export interface RotationBench extends AsyncDisposable {
  readonly host: string;
  readonly folder: string;
  readonly world: World;
  /** Another world, that reads its configuration anew. */
  reopen(): Promise<void>;
  readonly warnings: string[];
  /** `METHOD /path?query` of each request. */
  readonly requests: string[];
  /** Changed by a test. */
  fault: Fault;
  /** How far the world's clock is ahead, in milliseconds. */
  ahead: number;
  path(name: string): string;
  key(name: string, expires?: Date): Promise<TestKey>;
  /** A sigstore key. */
  sigstoreKey(name: string): Promise<TestKey>;
  /** An image of its own. */
  push(name: string, content?: string): Promise<Pushed>;
  /** A list of images that are pushed under `NAME-0`, `NAME-1` … and then lose these tags. */
  pushList(
    name: string,
    count: number,
  ): Promise<{ readonly list: Digest; readonly instances: readonly Digest[] }>;
  sign(name: string, signer: Signer | SigningPlan, identities?: readonly string[]): Promise<void>;
  /** Policy of the given requirements for everything; gives its file. */
  policy(name: string, ...requirements: readonly object[]): Promise<string>;
  /** Names of the files in the lookaside of an image. */
  stored(name: string, digest: Digest): Promise<readonly string[]>;
}

export function gpgRule(...files: readonly string[]): object {
  return { type: 'signedBy', keyType: 'GPGKeys', keyPaths: files };
}

export async function openRotationBench(): Promise<RotationBench> {
  const folder = await mkdtemp(join(tmpdir(), 'bulla-rotation-'));
  const handler = createRegistry();
  const state: { fault: Fault; ahead: number } = { fault: () => undefined, ahead: 0 };
  const requests: string[] = [];
  const registry = await listen(async (request) => {
    const { pathname, search } = new URL(request.url);
    const line = `${request.method} ${pathname}${search}`;
    requests.push(line);
    return (await state.fault(line, request)) ?? handler(request);
  }, {});
  const host = new URL(registry.url).host;
  const warnings: string[] = [];
  await mkdir(join(folder, 'registries.d'));
  await writeFile(
    join(folder, 'registries.d', 'x.yaml'),
    `default-docker:\n  lookaside: file://${folder}/sigstore\n  use-sigstore-attachments: true\n`,
  );
  const env = { HOME: folder, XDG_DATA_HOME: join(folder, 'data'), PATH: '' };
  const open = (): World =>
    openWorld({
      environment: { env, home: folder, uid: 1, etc: join(folder, 'etc'), share: join(folder, 'share') },
      tlsVerify: false,
      registriesDFolder: join(folder, 'registries.d'),
      warn: (message) => warnings.push(message),
      clock: testClock(),
      now: () => new Date(Date.now() + state.ahead),
      retryTimes: 1,
    });
  let world = open();
  const path = (name: string): string => join(folder, name);
  const client = async (name: string): ReturnType<World['registries']['open']> =>
    world.registries.open({ reference: parseReference(`${host}/${name}`), insecure: true });
  const push = async (name: string, content = name): Promise<Pushed> => {
    const { path: repository, tag = 'latest' } = parseReference(`${host}/${name}`);
    const to = await client(name);
    const config = utf8(JSON.stringify({ os: 'linux', architecture: 'amd64', content }));
    const described = { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length };
    await to.putBlob(repository, described, config);
    const value = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: described, layers: [] };
    const bytes = utf8(JSON.stringify(value));
    await to.putManifest(repository, tag, { bytes, mediaType: mediaTypes.ociManifest });
    return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  };
  return {
    host,
    folder,
    get world() {
      return world;
    },
    reopen: async () => {
      await world[Symbol.asyncDispose]();
      world = open();
    },
    warnings,
    requests,
    get fault() {
      return state.fault;
    },
    set fault(fault) {
      state.fault = fault;
    },
    get ahead() {
      return state.ahead;
    },
    set ahead(ahead) {
      state.ahead = ahead;
    },
    path,
    push,
    key: async (name, expires) => {
      const request = {
        userId: `${name} <${name}@example.com>`,
        type: 'ed25519',
        passphrase: '',
        ...(expires !== undefined && { expires }),
      } as const;
      await generateKey({ env }, request, { prefix: path(name) });
      const secret = new Uint8Array(await readFile(path(`${name}.private.asc`)));
      const signer = await openSecretKey(secret, { passphrase: async () => '' });
      return { signer, file: path(`${name}.pub.asc`), revocation: path(`${name}.revoke.asc`) };
    },
    sigstoreKey: async (name) => {
      const pair = makeKeyPair('ecdsa-p256');
      await writeFile(path(`${name}.pub`), encodePem('PUBLIC KEY', pair.publicKey.spki));
      const der = pair.privateKey.export({ type: 'pkcs8', format: 'der' });
      const signer = await openSigstoreKey(await encryptPrivateKey(der, 'pw'), {
        passphrase: { given: 'pw' },
      });
      return { signer, file: path(`${name}.pub`), revocation: '' };
    },
    pushList: async (name, count) => {
      const to = await client(name);
      const { path: repository, tag = 'latest' } = parseReference(`${host}/${name}`);
      const manifests = [];
      for (let n = 0; n < count; n += 1) {
        const pushed = await push(`${repository}:part-${n}`, `${name} ${n}`);
        manifests.push({ ...pushed, platform: { os: 'linux', architecture: `cpu${n}` } });
        await handler(
          new Request(`${registry.url}/v2/${repository}/manifests/part-${n}`, { method: 'DELETE' }),
        );
      }
      const bytes = utf8(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
      await to.putManifest(repository, tag, { bytes, mediaType: mediaTypes.ociIndex });
      return { list: digestOf(bytes), instances: manifests.map(({ digest }) => digest) };
    },
    sign: async (name, signer, identities = []) => {
      const image = parseImageName(`docker://${host}/${name}`);
      await sign({ image, signers: [signer], identities: identities.map(parseReference) }, world);
    },
    policy: async (name, ...requirements) => {
      await writeFile(path(name), JSON.stringify({ default: requirements }));
      return path(name);
    },
    stored: async (name, digest) => {
      const { path: repository } = parseReference(`${host}/${name}`);
      const at = path(`sigstore/${repository}@${digest.replace(':', '=')}`);
      const names: readonly string[] = await readdir(at).catch(() => []);
      return names.toSorted();
    },
    [Symbol.asyncDispose]: async () => {
      await world[Symbol.asyncDispose]();
      await registry.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

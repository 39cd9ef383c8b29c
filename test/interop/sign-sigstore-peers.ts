/** What each real verifier makes of an image that Bulla signed with the services of a sigstack. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { crypto } from '../../src/base/node.ts';
import { parseImageName } from '../../src/base/image-name.ts';
import { openFulcioSigner } from '../../src/keys/fulcio/open-fulcio-signer.ts';
import { parseIdentityToken } from '../../src/keys/oidc/identity-token.ts';
import { openSigstoreKey } from '../../src/keys/sigstore/private-key.ts';
import type { SigstoreSigner } from '../../src/keys/signer.ts';
import { parseTrustedRoots } from '../../src/keys/trusted-root/parse.ts';
import { sign, type SignReceipt, type SignRequest } from '../../src/operations/sign.ts';
import type { SigningFormat, Witnesses } from '../../src/operations/sign/plan.ts';
import { openWorld, type World } from '../../src/operations/world.ts';
import { systemEnvironment } from '../../src/registry/environment.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { writeOciImage } from '../support/oci-image.ts';
import { type Bench, openBench, type PeerName } from '../support/peers.ts';
import { openSigstack, type Sigstack } from '../support/sigstack.ts';

/** Who signs, and who sees it. */
export type Row = {
  readonly name: string;
  readonly keyless: boolean;
  readonly log: 1 | 2 | undefined;
  readonly timestamp: boolean;
};

export const rows: readonly Row[] = [
  { name: 'key', keyless: false, log: undefined, timestamp: false },
  { name: 'key, Rekor v1', keyless: false, log: 1, timestamp: false },
  { name: 'key, Rekor v1, timestamp', keyless: false, log: 1, timestamp: true },
  { name: 'key, Rekor v2', keyless: false, log: 2, timestamp: false },
  { name: 'Fulcio, Rekor v1', keyless: true, log: 1, timestamp: false },
  { name: 'Fulcio, Rekor v1, timestamp', keyless: true, log: 1, timestamp: true },
  { name: 'Fulcio, Rekor v2, timestamp', keyless: true, log: 2, timestamp: true },
];

export type Stage = AsyncDisposable & {
  readonly bench: Bench;
  readonly stack: Sigstack;
  readonly world: World;
  readonly host: string;
  readonly digest: string;
  readonly warnings: string[];
  /** cosign's own encrypted key, opened. */
  readonly key: SigstoreSigner;
  /** PEM, the public half. */
  readonly publicKey: string;
  /** Pushes the image; gives `host/name:v1`. */
  push(name: string): Promise<string>;
};

export async function openStage(): Promise<Stage> {
  const bench = await openBench();
  const stack = await openSigstack();
  const { host } = await startRegistry(bench);
  const { digest } = await writeOciImage(bench.path('image'), { tag: 'v1' });
  const registriesD = join(bench.config, 'registries.d');
  writeFileSync(join(registriesD, 'default.yaml'), 'default-docker:\n  use-sigstore-attachments: true\n');
  await bench.ok('cosign', ['generate-key-pair', '--output-key-prefix', 'key']);
  const pem = new Uint8Array(readFileSync(bench.path('key.key')));
  const warnings: string[] = [];
  const world = openWorld({
    environment: { ...systemEnvironment(), env: bench.env, home: bench.path('home'), etc: bench.path('etc') },
    registriesDFolder: registriesD,
    tlsVerify: false,
    warn: (line) => warnings.push(line),
  });
  return {
    ...{ bench, stack, world, host, digest, warnings },
    key: await openSigstoreKey(pem, { passphrase: { given: '' } }),
    publicKey: bench.path('key.pub'),
    push: async (name) => {
      const copy = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${bench.path('image')}:v1`];
      await bench.ok('skopeo', [...copy, `docker://${host}/${name}:v1`]);
      return `${host}/${name}:v1`;
    },
    [Symbol.asyncDispose]: async () => {
      await world[Symbol.asyncDispose]();
      await stack[Symbol.asyncDispose]();
      await bench[Symbol.asyncDispose]();
    },
  };
}

export function keyless({ stack, world }: Stage): Promise<SigstoreSigner> {
  const source = { now: new Date(), source: 'the issuer' };
  const token = { description: 'the issuer', token: async () => parseIdentityToken(stack.token(), source) };
  return openFulcioSigner({ url: stack.urls.fulcio, token, http: world.http });
}

export function witnessesOf({ stack }: Stage, { log, timestamp }: Row): Witnesses {
  const roots = parseTrustedRoots(new Uint8Array(readFileSync(stack.trustedRoot)), 'trusted_root.json');
  const url = log === 2 ? stack.urls.rekor2 : stack.urls.rekor;
  return {
    logs: log === undefined ? [] : [{ url, version: log }],
    timestamps: timestamp ? [{ url: stack.urls.tsa }] : [],
    roots,
  };
}

/** Signs an image as a row says. */
export async function signAs(
  stage: Stage,
  row: Row,
  image: string,
  formats: readonly SigningFormat[],
  more: Partial<SignRequest> = {},
): Promise<SignReceipt> {
  const signer = row.keyless ? await keyless(stage) : stage.key;
  const plan = { signer, formats, witnesses: witnessesOf(stage, row), explicitFormat: true };
  return sign({ image: parseImageName(`docker://${image}`), signers: [plan], ...more }, stage.world);
}

/** Exit codes and what was said. */
export type Answer = { readonly accepted: boolean; readonly said: string };

/** `cosign verify` of the bundle, or of the `.sig`. */
export async function askCosign(
  { bench, stack, publicKey }: Stage,
  row: Row,
  image: string,
  format: 'cosign' | 'bundle',
  program: PeerName = 'cosign',
  more: readonly string[] = [],
): Promise<Answer> {
  const identity = [
    '--certificate-identity',
    'dev@sigstack.test',
    '--certificate-oidc-issuer',
    stack.urls.oidc,
  ];
  const who = row.keyless ? identity : ['--key', publicKey];
  const how = program === 'cosign2' ? [] : [`--new-bundle-format=${format === 'bundle'}`];
  // the old format holds no entry of a Rekor v2
  const isLogged = row.log !== undefined && (format === 'bundle' || row.log === 1);
  const log = isLogged ? [] : ['--insecure-ignore-tlog=true'];
  const time = row.timestamp ? ['--use-signed-timestamps'] : [];
  const isOld = program === 'cosign2';
  const trust = isOld ? [] : ['--trusted-root', stack.trustedRoot];
  const { keys } = stack;
  // cosign 2 reads no trusted root for the old format
  const env = {
    SIGSTORE_REKOR_PUBLIC_KEY: keys.rekor,
    SIGSTORE_CT_LOG_PUBLIC_KEY_FILE: keys.ctLog,
    SIGSTORE_ROOT_FILE: keys.fulcioChain,
    SIGSTORE_TSA_CERTIFICATE_FILE: keys.tsaChain,
  };
  const result = await bench.run(
    program,
    ['verify', ...how, ...who, ...log, ...time, ...trust, ...more, image],
    isOld ? { env } : {},
  );
  return { accepted: result.exitCode === 0, said: result.stderr };
}

/** policy.json that demands the row's key, or certificate, and its log. */
export function policyFor({ bench, stack, publicKey, host }: Stage, row: Row): string {
  const fulcio = {
    caPath: stack.keys.fulcioRoot,
    oidcIssuer: stack.urls.oidc,
    subjectEmail: 'dev@sigstack.test',
  };
  const requirement = {
    type: 'sigstoreSigned',
    ...(row.keyless ? { fulcio } : { keyPath: publicKey }),
    ...(row.log === 1 && { rekorPublicKeyPath: stack.keys.rekor }),
  };
  const policy = { default: [{ type: 'reject' }], transports: { docker: { [host]: [requirement] } } };
  const name = crypto.createHash('sha256').update(JSON.stringify(policy)).digest('hex').slice(0, 12);
  const path = bench.path(`policy-${name}.json`);
  writeFileSync(path, JSON.stringify(policy));
  return path;
}

let copies = 0;

export async function askSkopeoFor(stage: Stage, row: Row, image: string): Promise<Answer> {
  const { bench } = stage;
  const to = `dir:${bench.path(`copy-${(copies += 1)}`)}`;
  const flags = ['--policy', policyFor(stage, row), 'copy', '--quiet', '--src-tls-verify=false'];
  const result = await bench.run('skopeo', [...flags, `docker://${image}`, to]);
  return { accepted: result.exitCode === 0, said: result.stderr };
}

export async function askPodmanFor(stage: Stage, row: Row, image: string): Promise<Answer> {
  const flags = ['pull', '--quiet', '--tls-verify=false', '--signature-policy', policyFor(stage, row)];
  const result = await stage.bench.run('podman', [...flags, image]);
  await stage.bench.run('podman', ['rmi', '--force', image]);
  return { accepted: result.exitCode === 0, said: result.stderr };
}

/** Keys, certificates and client files (trusted root, signing configurations) of a sigstore stack of our own. */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { runProcess } from '../../src/io/process.ts';

/** Where the services listen, as clients name them. */
export type SigstackUrls = {
  /** The issuer of e-mail identities, and the one of CI-shaped identities (GitHub workflow claims). */
  readonly oidc: string;
  readonly ciOidc: string;
  readonly fulcio: string;
  readonly ctLog: string;
  readonly rekor: string;
  readonly rekor2: string;
  /** The whole URL that a time stamp request is sent to. */
  readonly tsa: string;
};

/** PEM files. */
export type SigstackKeys = {
  readonly rekor: string;
  readonly rekor2: string;
  readonly ctLog: string;
  readonly fulcioRoot: string;
  readonly fulcioIntermediate: string;
  /** Intermediate, then root. */
  readonly fulcioChain: string;
  /** Leaf, then root. */
  readonly tsaChain: string;
};

/** The name that Rekor v2 signs its checkpoints with: cosign expects the host of the log's URL, without port. */
export const rekor2Origin: string = '127.0.0.1';

const extensions = `
[dn]
[root]
basicConstraints=critical,CA:TRUE,pathlen:1
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[intermediate]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
extendedKeyUsage=codeSigning
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
[tsa]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,timeStamping
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
`;

/** A new private key at `name.key` and its public key at `name.pub`. */
function newKey(folder: string, name: string, kind: 'ec' | 'ed25519' = 'ec'): void {
  const pair =
    kind === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const text = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(join(folder, `${name}.key`), text, { mode: 0o600 });
  writeFileSync(join(folder, `${name}.pub`), pair.publicKey.export({ type: 'spki', format: 'pem' }));
}

/** Makes every key and certificate of a stack in a folder (needs openssl). */
export async function makeKeys(folder: string): Promise<SigstackKeys> {
  const file = (name: string): string => join(folder, name);
  for (const name of ['fulcio-root', 'fulcio-intermediate', 'tsa-root', 'tsa', 'ct', 'rekor']) {
    newKey(folder, name);
  }
  newKey(folder, 'rekor2', 'ed25519');
  writeFileSync(file('x509.cnf'), `[req]\ndistinguished_name=dn\n${extensions}`);
  const certify = async (name: string, kind: string, by?: string): Promise<void> => {
    const signer = by === undefined ? [] : ['-CA', file(`${by}.crt`), '-CAkey', file(`${by}.key`)];
    const args = ['req', '-x509', '-new', '-sha256', '-days', '3650', '-key', file(`${name}.key`), ...signer];
    const named = ['-subj', `/O=sigstack.test/CN=${name}`, '-config', file('x509.cnf'), '-extensions', kind];
    const result = await runProcess('openssl', [...args, ...named, '-out', file(`${name}.crt`)], {
      timeoutMs: 20_000,
      maxBytes: 100_000,
    });
    if (result.exitCode !== 0) throw new Error(`openssl: ${result.stderr}`);
  };
  await Promise.all([certify('fulcio-root', 'root'), certify('tsa-root', 'root')]);
  await Promise.all([
    certify('fulcio-intermediate', 'intermediate', 'fulcio-root'),
    certify('tsa', 'tsa', 'tsa-root'),
  ]);
  const text = (name: string): string => readFileSync(file(`${name}.crt`), 'utf8');
  writeFileSync(file('fulcio-chain.pem'), text('fulcio-intermediate') + text('fulcio-root'));
  writeFileSync(file('tsa-chain.pem'), text('tsa') + text('tsa-root'));
  return {
    rekor: file('rekor.pub'),
    rekor2: file('rekor2.pub'),
    ctLog: file('ct.pub'),
    fulcioRoot: file('fulcio-root.crt'),
    fulcioIntermediate: file('fulcio-intermediate.crt'),
    fulcioChain: file('fulcio-chain.pem'),
    tsaChain: file('tsa-chain.pem'),
  };
}

const start = '2020-01-01T00:00:00Z';
const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest();

function der(path: string): Buffer {
  const key: KeyObject = createPublicKey(readFileSync(path));
  return key.export({ type: 'spki', format: 'der' });
}

function log(baseUrl: string, path: string, keyDetails: string, keyId: Buffer): object {
  return {
    baseUrl,
    hashAlgorithm: 'SHA2_256',
    publicKey: { rawBytes: der(path).toString('base64'), keyDetails, validFor: { start } },
    logId: { keyId: keyId.toString('base64') },
  };
}

function authority(uri: string, path: string): object {
  const pem = readFileSync(path, 'utf8').match(/-----BEGIN CERT[^]*?-----END CERTIFICATE-----/g) ?? [];
  const chain = pem.map((each) => new X509Certificate(each));
  const from = new Date(chain[0]?.validFrom ?? 0).toISOString().replace('.000', '');
  return {
    subject: { organization: 'sigstack.test', commonName: /CN=(.*)/.exec(chain.at(-1)?.subject ?? '')?.[1] },
    uri,
    certChain: { certificates: chain.map(({ raw }) => ({ rawBytes: raw.toString('base64') })) },
    validFor: { start: from },
  };
}

/** Writes `trusted_root.json`, in the form that `cosign trusted-root create` writes; gives its path. */
export function writeTrustedRoot(folder: string, urls: SigstackUrls, keys: SigstackKeys): string {
  const p256 = 'PKIX_ECDSA_P256_SHA_256';
  // a log's id: SHA-256 of its SPKI; of Rekor v2, an Ed25519 key, the id of a signed note (C2SP), not truncated
  const rekor2Id = sha256(Buffer.from(`${rekor2Origin}\n`), Buffer.of(1), der(keys.rekor2).subarray(-32));
  const root = {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [
      log(urls.rekor, keys.rekor, p256, sha256(der(keys.rekor))),
      log(urls.rekor2, keys.rekor2, 'PKIX_ED25519', rekor2Id),
    ],
    certificateAuthorities: [authority(urls.fulcio, keys.fulcioChain)],
    ctlogs: [log(urls.ctLog, keys.ctLog, p256, sha256(der(keys.ctLog)))],
    timestampAuthorities: [authority(urls.tsa, keys.tsaChain)],
  };
  const path = join(folder, 'trusted_root.json');
  writeFileSync(path, JSON.stringify(root, null, 1));
  return path;
}

/** Paths of signing configurations, by the witnesses that they name; all name Fulcio and the issuer. */
export type SigningConfigs = {
  readonly rekor1: string;
  readonly rekor1AndTsa: string;
  readonly rekor2: string;
  readonly rekor2AndTsa: string;
  readonly tsa: string;
  /** No witness at all. */
  readonly none: string;
};

/** Writes the signing configurations (sigstore's v0.2 form) into a folder. */
export function writeSigningConfigs(folder: string, urls: SigstackUrls): SigningConfigs {
  const service = (url: string, majorApiVersion = 1): object[] => [
    { url, majorApiVersion, validFor: { start }, operator: 'sigstack' },
  ];
  const any = { selector: 'ANY' };
  const rekor1 = { rekorTlogUrls: service(urls.rekor), rekorTlogConfig: any };
  const rekor2 = { rekorTlogUrls: service(urls.rekor2, 2), rekorTlogConfig: any };
  const tsa = { tsaUrls: service(urls.tsa), tsaConfig: any };
  const write = (name: string, witnesses: object): string => {
    const path = join(folder, `signing_config.${name}.json`);
    const mediaType = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';
    const all = { mediaType, caUrls: service(urls.fulcio), oidcUrls: service(urls.oidc), ...witnesses };
    writeFileSync(path, JSON.stringify(all, null, 1));
    return path;
  };
  return {
    rekor1: write('rekor1', rekor1),
    rekor1AndTsa: write('rekor1-tsa', { ...rekor1, ...tsa }),
    rekor2: write('rekor2', rekor2),
    rekor2AndTsa: write('rekor2-tsa', { ...rekor2, ...tsa }),
    tsa: write('tsa', tsa),
    none: write('none', {}),
  };
}

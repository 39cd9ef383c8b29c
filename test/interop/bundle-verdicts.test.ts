/**
 * Bundles by a sigstore instance of our own, good ones and forged ones: cosign 3 and Bulla's witnesses are asked about the same
 * bytes with the same trusted root. They must agree, but for what docs/formats/witnesses.md names.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { utf8 } from '../../src/base/bytes.ts';
import { parseBundle } from '../../src/formats/bundle.ts';
import { parseCertificate } from '../../src/keys/certificates/certificate.ts';
import { publicKeyOf } from '../../src/keys/sigstore/public-key.ts';
import { parseTrustedRoots } from '../../src/keys/trusted-root/parse.ts';
import { verifyLogEntry } from '../../src/witnesses/log-entry-verify.ts';
import { verifySct } from '../../src/witnesses/sct.ts';
import { verifyTimestamp } from '../../src/witnesses/timestamp.ts';
import {
  type BundlePlan,
  forgeBundle,
  forgeInstance,
  issueLeaf,
  type RootJson,
  timestampCertificate,
  trustedRootBytes,
} from '../support/bundle-forge.ts';
import { signatureLine } from '../support/bundle-forge-log.ts';
import { needs, openBench } from '../support/peers.ts';
import * as forge from '../support/sigstore-forge.ts';

const message = utf8('hello');
const instance = forgeInstance(Math.floor(Date.now() / 1000) - 100);
const { time, certificates } = instance;
const key = forge.ecKey();
const other = { key: forge.ecKey() };
const otherCertificate = timestampCertificate(instance, other);

type Case = {
  readonly name: string;
  readonly accepted: boolean;
  /** Where cosign decides otherwise, by docs/formats/witnesses.md. */
  readonly cosignDiffers?: true;
  readonly plan?: Partial<BundlePlan>;
  readonly root?: (root: RootJson) => void;
};

const stamped: Partial<BundlePlan> = { logs: ['v2'], timestamps: 1 };
const embedded = [certificates.timestamp];

function stamp(timestamp: BundlePlan['timestamp'] & object): Partial<BundlePlan> {
  return { ...stamped, timestamp };
}

/** A service's last second. */
function ends(list: 'tlogs' | 'ctlogs' | 'timestampAuthorities', seconds: number): (root: RootJson) => void {
  const end = new Date(seconds * 1000).toISOString();
  return (root) => {
    const first = root[list][0] as {
      validFor?: { end?: string };
      publicKey?: { validFor: { end?: string } };
    };
    Object.assign(first.publicKey?.validFor ?? first.validFor ?? {}, { end });
  };
}

function issuingAlone(root: RootJson): void {
  const [first] = root.timestampAuthorities as { certChain: { certificates: unknown[] } }[];
  first?.certChain.certificates.shift();
}

function witnessed(note: string): string {
  const text = note.slice(0, note.lastIndexOf('\n\n') + 1);
  return note + signatureLine('witness.example', Buffer.from('abcd'), forge.ecKey(), text);
}

const cases: readonly Case[] = [
  { name: 'keyless, Rekor v1', accepted: true },
  { name: 'key, Rekor v1', accepted: true, plan: { signer: key } },
  { name: 'keyless, Rekor v2 and timestamp', accepted: true, plan: stamped },
  { name: 'key, Rekor v2', accepted: true, plan: { signer: key, logs: ['v2'] } },
  { name: 'RSA key', accepted: true, plan: { signer: forge.rsaKey() } },
  { name: 'both logs', accepted: true, plan: { ...stamped, logs: ['v1', 'v2'] } },
  {
    name: 'an unknown log too',
    accepted: true,
    plan: { logs: ['v1', 'v2'] },
    root: (root) => void root.tlogs.pop(),
  },
  { name: 'keyless, Rekor v2, no time', accepted: false, plan: { logs: ['v2'] } },
  { name: 'token with its certificate', accepted: true, plan: stamp({ embedded }) },
  { name: 'root names the issuer', accepted: true, plan: stamp({ embedded }), root: issuingAlone },
  { name: 'root names the issuer, no certificate', accepted: false, plan: stamped, root: issuingAlone },
  {
    name: 'another certificate of the authority',
    accepted: false,
    plan: stamp({ ...other, certificate: otherCertificate, embedded: [otherCertificate] }),
  },
  { name: 'not granted', accepted: false, plan: stamp({ status: 1 }) },
  { name: 'two signers', accepted: false, plan: stamp({ signers: 2 }) },
  {
    name: 'no certificate named',
    accepted: false,
    cosignDiffers: true,
    plan: stamp({ without: ['certificate'] }),
  },
  {
    name: 'another certificate named',
    accepted: false,
    cosignDiffers: true,
    plan: stamp({ named: certificates.timestampRoot }),
  },
  { name: 'SHA-384', accepted: true, cosignDiffers: true, plan: stamp({ hash: 'sha384' }) },
  { name: 'timestamp too late', accepted: false, plan: stamp({ time: time + 10_000 }) },
  { name: 'authority ended', accepted: false, plan: stamped, root: ends('timestampAuthorities', time - 1) },
  { name: 'authority ends', accepted: true, plan: stamped, root: ends('timestampAuthorities', time) },
  { name: 'no promise', accepted: false, plan: { signer: issueLeaf(instance, { promises: [] }) } },
  {
    name: 'promise with extensions',
    accepted: true,
    plan: { signer: issueLeaf(instance, { promises: [{ extensions: message }] }) },
  },
  {
    name: 'promise of a stranger',
    accepted: false,
    plan: { signer: issueLeaf(instance, { promises: [{ key: forge.ecKey() }] }) },
  },
  { name: 'certificate log ended', accepted: false, root: ends('ctlogs', time - 1) },
  { name: 'certificate log ends', accepted: true, root: ends('ctlogs', time) },
  { name: 'log ended', accepted: false, root: ends('tlogs', time - 1) },
  { name: 'log ends', accepted: true, root: ends('tlogs', time) },
  { name: 'witness of Rekor v2', accepted: true, plan: { ...stamped, entry: { note: witnessed } } },
  {
    name: 'extension line',
    accepted: true,
    plan: { ...stamped, entry: { checkpointText: (text) => `${text}extension\n` } },
  },
  {
    name: 'entry about another content',
    accepted: false,
    plan: {
      body: (body) => ({
        ...body,
        spec: { ...body.spec, data: { hash: { algorithm: 'sha256', value: '00'.repeat(32) } } },
      }),
    },
  },
];

/** Every witness by itself, put together as cosign does. */
function judge(json: Uint8Array, rootJson: Uint8Array, signer: BundlePlan['signer']): boolean {
  const [root] = parseTrustedRoots(rootJson, 'root');
  assert.ok(root);
  const { logEntries, timestamps, content } = parseBundle(json);
  const leaf = 'der' in signer ? parseCertificate(signer.der) : undefined;
  const by =
    'der' in signer
      ? ({ kind: 'certificate', certificate: parseCertificate(signer.der) } as const)
      : ({ kind: 'key', key: publicKeyOf(signer.publicKey) } as const);
  const logged = { signer: by, signature: content.signature, content: { kind: 'message', message } } as const;
  const entries = logEntries
    .map((entry) => verifyLogEntry(entry, logged, root.transparencyLogs))
    .filter((result) => result.ok || result.unknownLog !== true);
  if (entries.length === 0 || entries.some(({ ok }) => !ok)) return false;
  if (leaf === undefined) return true;
  const stamps = timestamps.map((each) =>
    verifyTimestamp(each, content.signature, root.timestampAuthorities),
  );
  const times = [
    ...entries.map((result) => (result.ok ? result.integratedTime : undefined)),
    ...stamps.map((result) => (result.ok ? result.time : undefined)),
  ].filter((each) => each !== undefined);
  const [issuer] = root.certificateAuthorities[0]?.chain ?? [];
  assert.ok(issuer);
  const within = times.every((each) => leaf.notBefore <= each && each <= leaf.notAfter);
  return times.length > 0 && within && verifySct(leaf, issuer, root.certificateLogs).ok;
}

test('cosign and Bulla decide alike', needs('cosign'), async (t) => {
  await using bench = await openBench();
  const [bundle, rootFile, text, keyFile] = ['b.json', 'root.json', 'message', 'key.pub'].map((name) =>
    bench.path(name),
  );
  assert.ok(bundle && rootFile && text && keyFile);
  writeFileSync(text, message);
  for (const { name, accepted, cosignDiffers = false, plan = {}, root } of cases) {
    const signer = plan.signer ?? issueLeaf(instance);
    const { json } = forgeBundle(instance, { content: { message }, ...plan, signer });
    const rootJson = trustedRootBytes(instance, (each) => root?.(each));
    writeFileSync(bundle, json);
    writeFileSync(rootFile, rootJson);
    if (!('der' in signer)) writeFileSync(keyFile, forge.pemOf(signer));
    const who =
      'der' in signer
        ? ['--certificate-identity=alice@example.com', '--certificate-oidc-issuer=https://issuer.example.com']
        : [`--key=${keyFile}`];
    const args = ['verify-blob', `--bundle=${bundle}`, `--trusted-root=${rootFile}`, ...who, text];
    const { exitCode, stderr } = await bench.run('cosign', args);
    t.diagnostic(`${name}: ${accepted ? 'accepted' : 'refused'}${cosignDiffers ? ', cosign otherwise' : ''}`);
    assert.equal(judge(json, rootJson, signer), accepted, name);
    assert.equal(exitCode === 0, accepted !== cosignDiffers, `${name}: cosign: ${stderr.slice(-300)}`);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { encodeBase64, utf8 } from '../base/bytes.ts';
import { readLeaf } from '../keys/certificates/pem.ts';
import { parseCertificate } from '../keys/certificates/certificate.ts';
import { publicKeyOf } from '../keys/sigstore/public-key.ts';
import { parseTrustedRoots } from '../keys/trusted-root/parse.ts';
import type { TransparencyLog } from '../keys/trusted-root/trusted-root.ts';
import {
  type BundlePlan,
  forgeBundle,
  forgeInstance,
  issueLeaf,
  trustedRootBytes,
} from '../../test/support/bundle-forge.ts';
import { signatureLine } from '../../test/support/bundle-forge-log.ts';
import {
  bundleSamples,
  leafOf,
  loggedOf,
  parseForgedBundle,
  parseSampleEnvelope,
  sampleBundle,
  sampleRoot,
} from '../../test/support/bundle-samples.ts';
import { ecKey, pemOf, rsaKey, signBytes } from '../../test/support/sigstore-forge.ts';
import type { UntrustedLogEntry } from './log-entry.ts';
import {
  type LoggedArtifact,
  type LogResult,
  parseAnnotatedEntry,
  verifyLogEntry,
} from './log-entry-verify.ts';

const real = sampleRoot().transparencyLogs;

test('entries of real logs, v1 and v2, of every kind, for keys and certificates', () => {
  const names = Object.keys(bundleSamples.bundles);
  assert.equal(names.length, 14);
  for (const name of names) {
    const bundle = sampleBundle(name);
    const [entry] = bundle.logEntries;
    assert.ok(entry, name);
    const result = verifyLogEntry(entry, loggedOf(bundle), real);
    assert.equal(result.ok, true, `${name}: ${result.ok ? '' : result.message}`);
    const leaf = leafOf(bundle);
    if (!result.ok || entry.version === '0.0.2') continue;
    const time = result.integratedTime ?? 0;
    if (leaf !== undefined) assert.ok(leaf.notBefore <= time && time <= leaf.notAfter, name);
  }
});

test("the entry of an old attestation's annotation", () => {
  const { annotations, envelope } = bundleSamples.attestation;
  const text = annotations['dev.sigstore.cosign/bundle'] ?? '';
  const certificate = readLeaf(annotations['dev.sigstore.cosign/certificate'] ?? '');
  const { signature, payload, payloadType } = parseSampleEnvelope(utf8(envelope));
  const logged: LoggedArtifact = {
    signer: { kind: 'certificate', certificate },
    signature,
    content: { kind: 'dsse', payload, payloadType },
  };
  const result = verifyLogEntry(parseAnnotatedEntry(text), logged, real);
  assert.equal(result.ok && result.integratedTime, 1_795_345_770_000);
  const later = text.replace('1795345770', '1795345771');
  assert.equal(verifyLogEntry(parseAnnotatedEntry(later), logged, real).ok, false);
  for (const damaged of [
    '',
    '{}',
    text.replace('logID', 'logId'),
    text.replace('"logIndex":15', '"logIndex":-1'),
  ]) {
    assert.throws(
      () => parseAnnotatedEntry(damaged),
      { code: 'signature.log-entry-invalid' },
      damaged.slice(0, 20),
    );
  }
});

const instance = forgeInstance();
const [root] = parseTrustedRoots(trustedRootBytes(instance), 'root');
const logs = root?.transparencyLogs ?? [];
const leaf = issueLeaf(instance);
const key = ecKey();
const message = utf8('hello');
const content = { message };
const statement = { payloadType: 'application/vnd.in-toto+json', payload: utf8('{"a":1}') };

function artifactOf({ signer, content: what }: BundlePlan, signature: Uint8Array): LoggedArtifact {
  return {
    signer:
      'der' in signer
        ? { kind: 'certificate', certificate: parseCertificate(signer.der) }
        : { kind: 'key', key: publicKeyOf(signer.publicKey) },
    signature,
    content: 'message' in what ? { kind: 'message', ...what } : { kind: 'dsse', ...what },
  };
}

function forged(
  plan: Partial<BundlePlan>,
  change: (entry: UntrustedLogEntry) => UntrustedLogEntry = (entry) => entry,
  changeLogged: (logged: LoggedArtifact) => LoggedArtifact = (logged) => logged,
  trusted: readonly TransparencyLog[] = logs,
): LogResult {
  const whole: BundlePlan = { signer: leaf, content, version: '0.2', ...plan };
  // a fault that the parser finds as well is put into what it has parsed
  const { json, signature } = forgeBundle(instance, whole);
  const [entry] = parseForgedBundle(json).logEntries;
  assert.ok(entry);
  const result = verifyLogEntry(change(entry), changeLogged(artifactOf(whole, signature)), trusted);
  if (!result.ok) assert.equal(result.code, 'signature.log-entry-invalid');
  return result;
}

test('forged instances are good ones', () => {
  for (const signer of [leaf, key]) {
    assert.equal(forged({ signer, logs: ['v1'] }).ok, true);
    assert.equal(forged({ signer, logs: ['v2'] }).ok, true);
    for (const log of ['v1', 'v2', 'v1 intoto'] as const) {
      assert.equal(forged({ signer, content: statement, logs: [log] }).ok, true, log);
    }
  }
});

test('one of the two witnesses of Rekor v1 is enough, and whichever is there must hold', () => {
  const bare = forged({ entry: { set: false } });
  assert.equal(bare.ok, true);
  assert.equal(bare.ok && bare.integratedTime, undefined);
  const promised = forged({}, ({ inclusionProof: _proof, ...entry }) => entry);
  assert.equal(promised.ok && promised.integratedTime, instance.time * 1000);
  assert.equal(forged({ entry: { set: false } }, ({ inclusionProof: _proof, ...entry }) => entry).ok, false);
  assert.equal(forged({}, (entry) => ({ ...entry, signedEntryTimestamp: utf8('x') })).ok, false);
});

test('the time is the signed one', () => {
  assert.equal(forged({}, (entry) => ({ ...entry, integratedTime: 1_795_000_001n })).ok, false);
  assert.equal(forged({}, ({ integratedTime: _time, ...entry }) => entry).ok, false);
  assert.equal(forged({}, (entry) => ({ ...entry, logIndex: entry.logIndex + 1n })).ok, false);
  const v2 = forged({ logs: ['v2'] }, (entry) => ({ ...entry, integratedTime: 5n }));
  assert.equal(v2.ok, true);
  assert.equal(v2.ok && v2.integratedTime, undefined);
});

test('Rekor v2 gives a proof and no signed timestamp', () => {
  assert.equal(forged({ logs: ['v2'] }, ({ inclusionProof: _proof, ...entry }) => entry).ok, false);
  assert.equal(
    forged({ logs: ['v2'] }, (entry) => ({ ...entry, signedEntryTimestamp: utf8('x') })).ok,
    false,
  );
  assert.equal(forged({ logs: ['v2'] }, (entry) => ({ ...entry, logIndex: 1n })).ok, false);
  // not even one that its key has made
  const promised = (entry: UntrustedLogEntry): UntrustedLogEntry => {
    const { body, logId, logIndex } = entry;
    const signed = `{"body":"${encodeBase64(body)}","integratedTime":${instance.time},"logID":"${Buffer.from(logId).toString('hex')}","logIndex":${logIndex}}`;
    const signedEntryTimestamp = signBytes(instance.rekor2.key, utf8(signed));
    return { ...entry, integratedTime: BigInt(instance.time), signedEntryTimestamp };
  };
  assert.equal(forged({ logs: ['v2'] }, promised).ok, false);
});

test('another signer, signature or content than the entry is about', () => {
  const other = issueLeaf(instance, { key: leaf.key });
  for (const log of ['v1', 'v2', 'v1 intoto', 'v1 dsse'] as const) {
    const plan: Partial<BundlePlan> =
      log === 'v1' || log === 'v2'
        ? { logs: [log] }
        : { content: statement, logs: [log === 'v1 dsse' ? 'v1' : log] };
    const differs = (change: Partial<LoggedArtifact>): boolean =>
      forged(plan, undefined, (logged) => ({ ...logged, ...change })).ok;
    assert.equal(differs({}), true);
    // the same key, another certificate
    assert.equal(
      differs({ signer: { kind: 'certificate', certificate: parseCertificate(other.der) } }),
      false,
      log,
    );
    assert.equal(differs({ signer: { kind: 'key', key: publicKeyOf(leaf.key.publicKey) } }), false, log);
    assert.equal(differs({ signer: { kind: 'key', key: publicKeyOf(key.publicKey) } }), false, log);
    assert.equal(differs({ signature: utf8('x') }), false, log);
    assert.equal(differs({ content: { kind: 'message', message: utf8('other') } }), false, log);
    assert.equal(differs({ content: { kind: 'message' } }), false, log);
    assert.equal(differs({ content: { kind: 'dsse', payloadType: 'x', payload: message } }), false, log);
  }
});

test('a digest in place of the message', () => {
  const digest = (value: string, algorithm = 'sha256'): boolean =>
    forged({}, undefined, (logged) => ({
      ...logged,
      content: { kind: 'message', digest: { algorithm, value: Buffer.from(value, 'hex') } },
    })).ok;
  const known = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
  assert.equal(digest(known), true);
  assert.equal(digest(known, 'sha512'), false);
  assert.equal(digest(known.replace('2', '3')), false);
  assert.equal(digest(''), false);
});

type Spec = Record<string, Record<string, unknown>>;

test('bodies that are not what they must be', () => {
  const body = (log: 'v1' | 'v2', change: (spec: Spec) => unknown, what: Partial<BundlePlan> = {}): boolean =>
    forged({
      ...what,
      logs: [log],
      body: (entry) => {
        const spec = structuredClone(entry.spec) as Spec;
        return { ...entry, spec: (change(spec) ?? spec) as Record<string, unknown> };
      },
    }).ok;
  assert.equal(
    body('v1', () => undefined),
    true,
  );
  // what Rekor may come to know is passed over
  assert.equal(
    body('v1', (spec) => void (spec['more'] = {})),
    true,
  );
  for (const change of [
    (spec: Spec) => void delete spec['data'],
    (spec: Spec) => void delete spec['signature'],
    (spec: Spec) => void (spec['data'] = { hash: { algorithm: 'sha1', value: 'aa' } }),
    (spec: Spec) => void (spec['data'] = { hash: { algorithm: 'sha256', value: 'zz' } }),
    (spec: Spec) => void (spec['data'] = { hash: { algorithm: 'sha256', value: '' } }),
  ]) {
    assert.equal(body('v1', change), false);
    assert.equal(
      body('v2', () => ({})),
      false,
    );
  }
  const two = (spec: Spec): void => {
    const list = spec['signatures'] as unknown as unknown[];
    list.push(list[0]);
  };
  assert.equal(body('v1', two, { content: statement }), false);
});

test('a key in PEM with company', () => {
  const pem = (text: string): boolean =>
    forged({
      signer: key,
      body: (entry) => ({
        ...entry,
        spec: {
          ...entry.spec,
          signature: {
            ...(entry.spec['signature'] as object),
            publicKey: { content: encodeBase64(utf8(text)) },
          },
        },
      }),
    }).ok;
  assert.equal(pem(pemOf(key)), true);
  assert.equal(pem(pemOf(key) + pemOf(ecKey())), false);
  assert.equal(pem(pemOf(ecKey()) + pemOf(key)), false);
  assert.equal(pem(pemOf(key).replaceAll('PUBLIC KEY', 'CERTIFICATE')), false);
  assert.equal(pem(''), false);
});

test('kinds and versions', () => {
  assert.equal(forged({}, (entry) => ({ ...entry, version: '0.0.3' })).ok, false);
  assert.equal(forged({}, (entry) => ({ ...entry, kind: 'dsse' })).ok, false);
  const said = (apiVersion: string): boolean =>
    forged({ body: (entry) => ({ ...entry, apiVersion }) }, (entry) => ({ ...entry, version: apiVersion }))
      .ok;
  assert.equal(said('0.0.1'), true);
  assert.equal(said('0.0.3'), false);
  // an entry of v1 that calls itself one of v2 has a signed timestamp
  assert.equal(said('0.0.2'), false);
});

test('checkpoints', () => {
  for (const log of ['v1', 'v2'] as const) {
    const own = log === 'v1' ? instance.rekor1 : instance.rekor2;
    const other = log === 'v1' ? instance.rekor2 : instance.rekor1;
    const stranger = (text: string): string =>
      signatureLine('witness.example', Buffer.from('abcd'), rsaKey(), text);
    const note = (change: (note: string) => string): boolean =>
      forged({ logs: [log], entry: { note: change } }).ok;
    const text = (change: (text: string) => string): boolean =>
      forged({ logs: [log], entry: { checkpointText: change } }).ok;
    const signed = (whole: string): string => whole.slice(0, whole.lastIndexOf('\n\n') + 1);
    const line = (whole: string): string => whole.slice(whole.lastIndexOf('\n\n') + 2);
    assert.equal(
      note((whole) => whole),
      true,
      log,
    );
    // witnesses before and behind it
    assert.equal(
      note((whole) => whole + stranger(signed(whole))),
      true,
    );
    assert.equal(
      note((whole) => `${signed(whole)}\n${stranger(signed(whole))}${line(whole)}`),
      true,
    );
    // a witness alone, the log twice, another log
    assert.equal(
      note((whole) => `${signed(whole)}\n${stranger(signed(whole))}`),
      false,
    );
    assert.equal(
      note((whole) => whole + line(whole)),
      false,
    );
    assert.equal(
      note(
        (whole) => `${signed(whole)}\n${signatureLine(other.host, other.logId, other.key, signed(whole))}`,
      ),
      false,
    );
    // the right name and number, another key
    assert.equal(
      note((whole) => `${signed(whole)}\n${signatureLine(own.host, own.logId, ecKey(), signed(whole))}`),
      false,
    );
    assert.equal(
      note((whole) => `${signed(whole)}\n${signatureLine('x', own.logId, own.key, signed(whole))}`),
      false,
    );
    // broken notes
    for (const broken of [
      (whole: string) => whole.slice(0, -1),
      (whole: string) => signed(whole),
      (whole: string) => `${whole}\n`,
      (whole: string) => `${whole}x\n`,
      (whole: string) => `x\n${whole}`,
      (whole: string) => whole.replace('\u2014', '-'),
      (whole: string) => whole + stranger(signed(whole)).repeat(100),
      (whole: string) => whole.repeat(500),
      () => '\n\n',
    ]) {
      assert.equal(note(broken), false, String(broken));
    }
    // what the log itself would have to sign
    assert.equal(
      text((whole) => `${whole}extension\n`),
      true,
    );
    assert.equal(
      text((whole) => `${whole}\nextension\n`),
      false,
    );
    assert.equal(
      text((whole) => `first\n${whole}`),
      false,
    );
    assert.equal(
      text((whole) => whole.replace(/\n(\d+)\n/, '\n0$1\n')),
      false,
    );
    assert.equal(
      text((whole) => whole.replace(/\n(\d+)\n/, '\n-$1\n')),
      false,
    );
    assert.equal(
      text((whole) => whole.split('\n').slice(0, 2).join('\n')),
      false,
    );
    assert.equal(
      text((whole) => whole.replace(own.origin, 'elsewhere.example')),
      false,
    );
  }
});

test('size and root are those of the checkpoint, which the proof may leave out and not contradict', () => {
  for (const log of ['v1', 'v2'] as const) {
    const proof = (change: Partial<NonNullable<UntrustedLogEntry['inclusionProof']>>): boolean =>
      forged({ logs: [log] }, (entry) => ({
        ...entry,
        ...(entry.inclusionProof !== undefined && { inclusionProof: { ...entry.inclusionProof, ...change } }),
      })).ok;
    assert.equal(proof({ treeSize: 0n, rootHash: new Uint8Array() }), true);
    assert.equal(proof({ treeSize: 3n }), false);
    assert.equal(proof({ rootHash: new Uint8Array(32) }), false);
    assert.equal(proof({ logIndex: 0n }), false);
    assert.equal(proof({ logIndex: -1n }), false);
    assert.equal(proof({ hashes: [] }), false);
  }
});

test('logs: unknown, known for another time, listed twice, with another key', () => {
  const unknown = forged({}, (entry) => ({ ...entry, logId: new Uint8Array(32) }));
  assert.equal(!unknown.ok && unknown.unknownLog, true);
  assert.equal(forged({}, undefined, undefined, []).ok, false);
  const [rekor] = logs;
  assert.ok(rekor);
  const time = instance.time * 1000;
  const valid = (validFor: TransparencyLog['validFor'], ...more: readonly TransparencyLog[]): LogResult =>
    forged({}, undefined, undefined, [{ ...rekor, validFor }, ...more]);
  assert.equal(valid({ start: time }).ok, true);
  assert.equal(valid({ start: time, end: time }).ok, true);
  assert.equal(valid({ start: time + 1 }).ok, false);
  const ended = valid({ start: 0, end: time - 1 });
  assert.equal(!ended.ok && ended.unknownLog, undefined);
  assert.equal(valid({ start: Number.NaN }).ok, false);
  assert.equal(valid({ start: 0, end: time - 1 }, rekor).ok, true);
  const imposter = { ...rekor, key: publicKeyOf(ecKey().publicKey) };
  assert.equal(forged({}, undefined, undefined, [imposter]).ok, false);
});

test('a log ID of nothing is nobody', () => {
  const [rekor] = logs;
  assert.ok(rekor);
  const empty = { ...rekor, logId: new Uint8Array() };
  const result = forged({}, (entry) => ({ ...entry, logId: new Uint8Array() }), undefined, [empty]);
  assert.equal(!result.ok && result.unknownLog, true);
});

test('a damaged entry is refused, and nothing is thrown', () => {
  const bundle = sampleBundle('blob keyless-rekor1+tsa');
  const [entry] = bundle.logEntries;
  assert.ok(entry?.inclusionProof && entry.signedEntryTimestamp);
  const { body, signedEntryTimestamp: set, inclusionProof: proof } = entry;
  const logged = loggedOf(bundle);
  const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
    const copy = Uint8Array.from(bytes);
    const at = (bit >> 3) % copy.length;
    copy[at] = (copy[at] ?? 0) ^ (1 << (bit & 7));
    return copy;
  };
  fc.assert(
    fc.property(fc.nat(8000), fc.nat(3), (bit, part) => {
      const hashes = proof.hashes.map((hash, index) =>
        index === bit % proof.hashes.length ? flipped(hash, bit) : hash,
      );
      const at = bit % proof.checkpoint.length;
      const checkpoint = `${proof.checkpoint.slice(0, at)}x${proof.checkpoint.slice(at + 1)}`;
      const damaged = [
        { ...entry, body: flipped(body, bit) },
        { ...entry, signedEntryTimestamp: flipped(set, bit) },
        { ...entry, inclusionProof: { ...proof, hashes } },
        { ...entry, inclusionProof: { ...proof, checkpoint } },
      ][part];
      assert.ok(damaged);
      if (checkpoint === proof.checkpoint && part === 3) return;
      assert.equal(verifyLogEntry(damaged, logged, real).ok, false);
    }),
    { numRuns: 400 },
  );
});

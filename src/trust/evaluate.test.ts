import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { type Digest, digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { utf8 } from '../base/bytes.ts';
import { encodeSimpleSigning } from '../formats/simple-signing.ts';
import { parseKeyring } from '../keys/openpgp/keyring.ts';
import { evaluate, evaluateKeys, type EvaluateContext } from './evaluate.ts';
import { parsePolicy } from './policy.ts';
import { dockerScopes } from './scopes.ts';
import type { StoredLike, Subject, Verdict } from './verdict.ts';

const manifestDigest = digestOf(utf8('the manifest'));
// after the keys and signatures that this file makes, however slow the machine
const now = new Date(Date.now() + 3_600_000);

type Signer = { readonly publicKey: Uint8Array; sign(content: Uint8Array): Promise<Uint8Array> };

async function makeSigner(email: string): Promise<Signer> {
  const openpgp = await import('openpgp');
  const { privateKey, publicKey } = await openpgp.generateKey({
    type: 'ecc',
    curve: 'ed25519Legacy',
    userIDs: [{ name: 'Test', email }],
    format: 'object',
  });
  return {
    publicKey: publicKey.write(),
    async sign(binary) {
      const message = await openpgp.createMessage({ binary });
      const signed = await openpgp.sign({ message, signingKeys: privateKey, format: 'binary' });
      return signed as Uint8Array;
    },
  };
}

let alice: Signer;
let mallory: Signer;
before(async () => {
  [alice, mallory] = await Promise.all([makeSigner('alice@example.com'), makeSigner('mallory@example.com')]);
});

async function signed(
  by: Signer,
  dockerReference: string,
  digest: Digest = manifestDigest,
): Promise<StoredLike> {
  const blob = await by.sign(
    encodeSimpleSigning({ manifestDigest: digest, dockerReference, creator: 'test' }),
  );
  return { signature: { format: 'simple', blob }, location: 'file:///sigs/signature-1' };
}

const cosign: StoredLike = {
  signature: { format: 'cosign', mediaType: 'x', payload: new Uint8Array(), annotations: {} },
  location: 'https://r/sig',
};

function subjectOf(name: string, ...signatures: readonly StoredLike[]): Subject {
  const dockerReference = parseReference(name);
  return {
    transport: 'docker',
    ...dockerScopes(dockerReference),
    dockerReference,
    manifestDigest,
    async *signatures() {
      yield* signatures;
    },
  };
}

const byAlice = { type: 'signedBy', keyType: 'GPGKeys', keyPath: 'alice' };
const byMallory = { type: 'signedBy', keyType: 'GPGKeys', keyPath: 'mallory' };

const context: EvaluateContext = {
  now,
  async keyring(path) {
    if (path === 'alice') return alice.publicKey;
    if (path === 'mallory') return mallory.publicKey;
    if (path === 'garbage') return utf8('no key at all');
    throw new BullaError('io.not-found', `cannot read ${path}`);
  },
};

function judged(
  requirements: readonly object[],
  subject: Subject,
  more: Partial<EvaluateContext> = {},
): Promise<Verdict> {
  const policy = parsePolicy(
    JSON.stringify({ default: [{ type: 'reject' }], transports: { docker: { 'h.x': requirements } } }),
    'p',
  );
  return evaluate(policy, subject, { ...context, ...more });
}

function codes(verdict: Verdict): readonly unknown[] {
  return verdict.requirements.map(({ type, accepted, code }) => (accepted ? type : code));
}

function lacking(error: unknown): boolean {
  return isBullaError(error, 'trust.key-unavailable');
}

test('a good signature is accepted, and the verdict says by whom and where', async () => {
  const verdict = await judged([byAlice], subjectOf('h.x/a:1', await signed(alice, 'h.x/a:1')));
  assert.equal(verdict.accepted, true);
  assert.deepEqual(verdict.scope, { transport: 'docker', name: 'h.x' });
  const [signature] = verdict.requirements[0]?.signatures ?? [];
  assert.ok(signature !== undefined);
  assert.equal(signature.code, 'accepted');
  assert.equal(signature.key, parseKeyring(alice.publicKey).certificates[0]?.fingerprint);
  assert.equal(signature.identity, 'h.x/a:1');
  assert.equal(signature.store, 'file:///sigs/signature-1');
  assert.equal(signature.untrusted, undefined);
});

test('any one signature suffices, all requirements must accept', async () => {
  const [a, m] = await Promise.all([signed(alice, 'h.x/a:1'), signed(mallory, 'h.x/a:1')]);
  assert.equal((await judged([byAlice], subjectOf('h.x/a:1', m, a))).accepted, true);
  assert.equal((await judged([byAlice, byMallory], subjectOf('h.x/a:1', m, a))).accepted, true);
  assert.deepEqual(codes(await judged([byAlice, byMallory], subjectOf('h.x/a:1', a))), [
    'signedBy',
    'trust.not-accepted',
  ]);
  const either = { ...byAlice, keyPath: undefined, keyPaths: ['alice', 'mallory'] };
  assert.equal((await judged([either], subjectOf('h.x/a:1', m))).accepted, true);
});

async function refusal(stored: StoredLike): Promise<unknown[]> {
  const verdict = await judged([byAlice], subjectOf('h.x/a:1', stored));
  assert.equal(verdict.accepted, false);
  assert.deepEqual(codes(verdict), ['trust.not-accepted']);
  const [signature] = verdict.requirements[0]?.signatures ?? [];
  return [signature?.code, signature?.key !== undefined, signature?.untrusted !== undefined];
}

test('each way of being wrong has its code, and a key is named only where the signature holds', async () => {
  assert.deepEqual(await refusal(await signed(mallory, 'h.x/a:1')), ['signature.unknown-key', false, true]);
  assert.deepEqual(await refusal(await signed(alice, 'h.x/a:2')), ['signature.wrong-identity', true, false]);
  const other = await signed(alice, 'h.x/a:1', digestOf(utf8('another manifest')));
  assert.deepEqual(await refusal(other), ['signature.wrong-digest', true, false]);
  const sha512 = await signed(alice, 'h.x/a:1', digestOf(utf8('the manifest'), 'sha512'));
  assert.deepEqual(await refusal(sha512), ['signature.wrong-digest', true, false]);
  const noPayload: StoredLike = {
    ...other,
    signature: { format: 'simple', blob: await alice.sign(utf8('{}')) },
  };
  assert.deepEqual(await refusal(noPayload), ['signature.payload-malformed', false, true]);
});

test('no signature, and only signatures of another kind', async () => {
  assert.deepEqual(codes(await judged([byAlice], subjectOf('h.x/a:1'))), ['trust.no-signature']);
  const verdict = await judged([byAlice], subjectOf('h.x/a:1', cosign));
  assert.deepEqual(codes(verdict), ['trust.no-signature']);
  assert.equal(verdict.requirements[0]?.signatures[0]?.code, 'signature.wrong-type');
});

test('reject, signedBaseLayer and the key types that nobody implements accept nothing', async () => {
  const subject = subjectOf('h.x/a:1', await signed(alice, 'h.x/a:1'));
  assert.deepEqual(codes(await judged([{ type: 'reject' }, byAlice], subject)), ['trust.rejected']);
  const base = { type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchExact' } };
  assert.deepEqual(codes(await judged([base], subject)), ['trust.rejected']);
  for (const keyType of ['signedByGPGKeys', 'X509Certificates', 'signedByX509CAs']) {
    assert.deepEqual(codes(await judged([{ ...byAlice, keyType }], subject)), ['trust.not-accepted']);
  }
});

test('the first refusal ends it; accepting anything beside a signature requirement changes nothing', async () => {
  const subject = subjectOf('h.x/a:1', await signed(alice, 'h.x/a:1'));
  const anything = { type: 'insecureAcceptAnything' };
  assert.deepEqual(codes(await judged([anything, byMallory, byAlice], subject)), [
    'insecureAcceptAnything',
    'trust.not-accepted',
  ]);
});

test('outside its scopes the global default holds', async () => {
  const verdict = await judged([byAlice], subjectOf('h.y/a:1', await signed(alice, 'h.y/a:1')));
  assert.deepEqual(verdict.scope, { transport: '', name: '' });
  assert.deepEqual(codes(verdict), ['trust.rejected']);
});

test('--require-signed refuses what asks for no signature', async () => {
  const anything = [{ type: 'insecureAcceptAnything' }];
  const subject = subjectOf('h.x/a:1', await signed(alice, 'h.x/a:1'));
  assert.equal((await judged(anything, subject)).accepted, true);
  const verdict = await judged(anything, subject, { requireSigned: true });
  assert.equal(verdict.accepted, false);
  assert.deepEqual(codes(verdict), ['insecureAcceptAnything', 'trust.not-required']);
  assert.equal((await judged([byAlice], subject, { requireSigned: true })).accepted, true);
});

test('signatures are read once, and only where a requirement wants them', async () => {
  let reads = 0;
  const subject = {
    ...subjectOf('h.x/a:1'),
    async *signatures() {
      reads += 1;
      yield await signed(alice, 'h.x/a:1');
    },
  };
  await judged([{ type: 'insecureAcceptAnything' }], subject);
  await judged([{ type: 'reject' }], subject);
  assert.equal(reads, 0);
  await judged([byAlice, byAlice], subject);
  assert.equal(reads, 1);
});

test('a store that fails, even after a good signature, leaves no verdict', async () => {
  const good = await signed(alice, 'h.x/a:1');
  const subject = {
    ...subjectOf('h.x/a:1'),
    async *signatures() {
      yield good;
      throw new BullaError('store.unreadable', 'answered 403');
    },
  };
  await assert.rejects(judged([byAlice], subject), (error) => isBullaError(error, 'store.unreadable'));
});

test('a key that cannot be had leaves no verdict; without signatures it is not asked for', async () => {
  const subject = subjectOf('h.x/a:1', await signed(alice, 'h.x/a:1'));
  await assert.rejects(judged([{ ...byAlice, keyPath: 'missing' }], subject), lacking);
  await assert.rejects(judged([{ ...byAlice, keyPath: 'garbage' }], subject), lacking);
  const { keyPath: _, ...noKey } = byAlice;
  await assert.rejects(judged([{ ...noKey, keyPaths: ['alice', 'missing'] }], subject), lacking);
  await assert.rejects(judged([{ ...noKey, keyPaths: ['garbage', 'garbage'] }], subject), lacking);
  // as gpg imports them one after the other, a file without keys beside one with keys does not matter
  assert.equal((await judged([{ ...noKey, keyPaths: ['garbage', 'alice'] }], subject)).accepted, true);
  await assert.rejects(judged([{ ...noKey, keyPaths: [] }], subject), lacking);
  await assert.rejects(judged([{ ...noKey, keyData: '' }], subject), lacking);
  const unsigned = await judged([{ ...byAlice, keyPath: 'missing' }], subjectOf('h.x/a:1'));
  assert.deepEqual(codes(unsigned), ['trust.no-signature']);
});

test('sigstoreSigned needs a signature attachment', async () => {
  const sigstore = { type: 'sigstoreSigned', keyPath: 'alice' };
  const subject = subjectOf('h.x/a:1', cosign, await signed(alice, 'h.x/a:1'));
  const verdict = await judged([{ type: 'insecureAcceptAnything' }, sigstore], subject);
  assert.deepEqual(codes(verdict), ['insecureAcceptAnything', 'trust.no-signature']);
  assert.match(verdict.requirements[1]?.message ?? '', /1 of another kind, 1 sigstore attachments/);
});

test('a key file is read once for many images', async () => {
  let reads = 0;
  const counting: EvaluateContext = {
    now,
    async keyring() {
      reads += 1;
      return alice.publicKey;
    },
  };
  const policy = parsePolicy(JSON.stringify({ default: [byAlice] }), 'p');
  const stored = await signed(alice, 'h.x/a:1');
  const verdicts = await Promise.all(
    Array.from({ length: 20 }, () => evaluate(policy, subjectOf('h.x/a:1', stored), counting)),
  );
  assert.ok(verdicts.every(({ accepted }) => accepted));
  assert.equal(reads, 1);
});

test('a key file that could not be read is tried again for the next image', async () => {
  let failing = true;
  const flaky: EvaluateContext = {
    now,
    async keyring() {
      if (failing) throw new BullaError('io.failed', 'disk trouble');
      return alice.publicKey;
    },
  };
  const policy = parsePolicy(JSON.stringify({ default: [byAlice] }), 'p');
  const subject = subjectOf('h.x/a:1', await signed(alice, 'h.x/a:1'));
  await assert.rejects(evaluate(policy, subject, flaky), (error) =>
    isBullaError(error, 'trust.key-unavailable'),
  );
  failing = false;
  assert.equal((await evaluate(policy, subject, flaky)).accepted, true);
});

test('by keys alone: the key, the digest and the default identity rule decide', async () => {
  const keyring = parseKeyring(alice.publicKey);
  const good = await signed(alice, 'h.x/a:1');
  const accepted = await evaluateKeys(
    { keyring },
    subjectOf('h.x/a:1', await signed(mallory, 'h.x/a:1'), good),
    now,
  );
  assert.equal(accepted.accepted, true);
  assert.equal(accepted.scope, null);
  assert.equal((await evaluateKeys({ keyring }, subjectOf('h.x/a:2', good), now)).accepted, false);
  assert.deepEqual(codes(await evaluateKeys({ keyring }, subjectOf('h.x/a:1'), now)), ['trust.no-signature']);
  const { dockerReference: _, ...nameless } = subjectOf('h.x/a:1', good);
  const verdict = await evaluateKeys({ keyring }, nameless, now);
  assert.equal(verdict.requirements[0]?.signatures[0]?.code, 'signature.wrong-identity');
});

const unreadable: StoredLike = {
  signature: { format: 'unreadable', code: 'signature.empty', message: 'the stored signature is empty' },
  location: 'file:///sigs/signature-2',
};

test('what is no signature refuses the image under a policy, even beside a good one', async () => {
  const name = 'h.x/a:1';
  const good = await signed(alice, name);
  for (const stored of [[good, unreadable], [unreadable, good], [unreadable]]) {
    const verdict = await judged([byAlice], subjectOf(name, ...stored));
    assert.equal(verdict.accepted, false);
    assert.equal(verdict.requirements[0]?.code, 'signature.empty');
    assert.deepEqual(
      verdict.requirements[0]?.signatures.map(({ store }) => store),
      [unreadable.location],
    );
  }
});

async function* unreadableThenError(): AsyncGenerator<StoredLike> {
  yield unreadable;
  throw new BullaError('store.too-many-signatures', 'it was read on');
}

test('nothing is read after what is no signature: it has decided', async () => {
  const verdict = await judged([byAlice], { ...subjectOf('h.x/a:1'), signatures: unreadableThenError });
  assert.equal(verdict.requirements[0]?.code, 'signature.empty');
});

test('for a key named by hand it is one signature that does not count', async () => {
  const name = 'h.x/a:1';
  const keyring = parseKeyring(alice.publicKey);
  const both = await evaluateKeys({ keyring }, subjectOf(name, unreadable, await signed(alice, name)), now);
  assert.deepEqual(
    both.requirements[0]?.signatures.map(({ code }) => code),
    ['signature.empty', 'accepted'],
  );
  assert.equal(both.accepted, true);
  const alone = await evaluateKeys({ keyring }, subjectOf(name, unreadable), now);
  assert.equal(alone.accepted, false);
  assert.equal(alone.requirements[0]?.code, 'trust.not-accepted');
});

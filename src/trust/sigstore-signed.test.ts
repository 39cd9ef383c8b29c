import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { isBullaError } from '../base/errors.ts';
import { openCases, type SigstoreCase, signedIdentity } from '../../test/support/sigstore-case.ts';
import { allCases } from '../../test/support/sigstore-cases.ts';
import { evaluate } from './evaluate.ts';
import { parsePolicy } from './policy.ts';
import type { StoredLike, Verdict } from './verdict.ts';

const manifestDigest = digestOf(utf8('the manifest'));
const bench = openCases(manifestDigest);

async function judged(
  requirement: Readonly<Record<string, unknown>>,
  ...signatures: readonly StoredLike['signature'][]
): Promise<Verdict> {
  const policy = parsePolicy(
    JSON.stringify({ default: [{ type: 'sigstoreSigned', signedIdentity, ...requirement }] }),
    'policy.json',
  );
  const subject = {
    transport: 'dir',
    identity: '/image',
    namespaces: [],
    manifestDigest,
    async *signatures() {
      for (const signature of signatures) yield { signature, location: 'signature-1' };
    },
  };
  return evaluate(policy, subject, { now: new Date(), keyring: async () => new Uint8Array() });
}

async function codeOf({ requirement, attachment }: SigstoreCase): Promise<string> {
  try {
    const verdict = await judged(requirement, attachment);
    const [signature] = verdict.requirements[0]?.signatures ?? [];
    assert.equal(verdict.accepted, signature?.code === 'accepted');
    return signature?.code ?? '';
  } catch (error) {
    if (isBullaError(error)) return error.code;
    throw error;
  }
}

for (const each of allCases(bench)) {
  test(each.name, async () => {
    assert.equal(await codeOf(each), each.code);
  });
}

test('a forged signature is refused whatever is changed, and nothing else comes of it', async () => {
  const good = allCases(bench).find(({ name }) => name === 'fulcio');
  assert.ok(good !== undefined);
  const parts = ['payload', ...Object.keys(good.attachment.annotations)];
  const change = fc.record({
    part: fc.constantFrom(...parts),
    at: fc.nat(),
    cut: fc.nat(4),
    put: fc.string({ maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(change, async ({ part, at, cut, put }) => {
      const { payload, annotations } = good.attachment;
      const text = part === 'payload' ? Buffer.from(payload).toString('latin1') : (annotations[part] ?? '');
      const place = at % (text.length + 1);
      const damaged = `${text.slice(0, place)}${put}${text.slice(place + cut)}`;
      if (damaged === text) return;
      const attachment =
        part === 'payload'
          ? { ...good.attachment, payload: Buffer.from(damaged, 'latin1') }
          : { ...good.attachment, annotations: { ...annotations, [part]: damaged } };
      const code = await codeOf({ ...good, attachment });
      // proof may be spelt otherwise (blanks in JSON, in PEM); what is proven may not
      const isProof = part !== 'payload' && !part.endsWith('/signature');
      assert.ok(code.startsWith('signature.') || (isProof && code === 'accepted'), code);
    }),
    { numRuns: 400 },
  );
});

test('the verdict names the key, or whose certificate it is, only where the signature holds', async () => {
  for (const { requirement, attachment, code, name } of allCases(bench)) {
    if (code === 'trust.key-unavailable') continue;
    const [verdict] = (await judged(requirement, attachment)).requirements[0]?.signatures ?? [];
    assert.ok(verdict !== undefined);
    const unproven = !/^(?:accepted|signature\.(?:payload-malformed|wrong-(?:digest|identity)))$/.test(code);
    const isType = name.startsWith('payload: ') && code === 'signature.wrong-type';
    if (unproven && !isType) assert.deepEqual([verdict.key, verdict.identity], [undefined, undefined], name);
    else if (/^(?:fulcio$|(?:fulcio|chain|time|text|pki): )/.test(name))
      assert.equal(verdict.key, undefined, name);
    else assert.match(verdict.key ?? '', /^[0-9a-f]{64}$/, name);
  }
});

test('keys are parsed once, however many images are judged', async () => {
  let reads = 0;
  const [one] = allCases(bench);
  assert.ok(one !== undefined);
  const pem = Buffer.from(String(one.requirement['keyData']), 'base64');
  const policy = parsePolicy(
    JSON.stringify({ default: [{ type: 'sigstoreSigned', signedIdentity, keyPath: 'key.pub' }] }),
    'policy.json',
  );
  const keyring = async (): Promise<Uint8Array> => {
    reads += 1;
    return pem;
  };
  const subject = {
    transport: 'dir',
    identity: '/image',
    namespaces: [],
    manifestDigest,
    async *signatures() {
      yield { signature: one.attachment, location: 'signature-1' };
    },
  };
  for (let round = 0; round < 5; round += 1) {
    assert.equal((await evaluate(policy, subject, { now: new Date(), keyring })).accepted, true);
  }
  assert.equal(reads, 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

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

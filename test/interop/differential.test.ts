/**
 * Bulla and skopeo are asked about the same (policy, image, signatures), some hundred of them: every
 * value of every part once, then parts drawn at random. They must agree, but for what
 * docs/reference/differences.md names and justifies.
 *
 *   BULLA_DIFFERENTIAL_SEED=7 BULLA_DIFFERENTIAL_COUNT=2000 BULLA_DIFFERENTIAL_NAMES=2000 npm run test:interop -- test/interop/differential.test.ts
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { mapBounded } from '../../src/io/bounded.ts';
import { askBulla, askSkopeo, type OurAnswer, type PeerAnswer } from '../support/peer-verdicts.ts';
import { openpgpCases } from '../support/openpgp-cases.ts';
import { needs, openBench, peerVersion } from '../support/peers.ts';
import { payloadFor } from '../support/simple-signing.ts';
import { type Case, drawCases, type Place } from './differential/cases.ts';
import type { PayloadKind } from './differential/payloads.ts';
import { filesOf, openPlace, writeCase } from './differential/stage.ts';

const seed = Number(process.env['BULLA_DIFFERENTIAL_SEED'] ?? '20261122');
const count = Number(process.env['BULLA_DIFFERENTIAL_COUNT'] ?? '150');
const names = Number(process.env['BULLA_DIFFERENTIAL_NAMES'] ?? '120');

type Answers = { readonly one: Case; readonly ours: OurAnswer; readonly theirs: PeerAnswer };

/** Disagreements that are meant. Each name is one of differences.md, in backquotes. */
const meant: readonly { readonly name: string; readonly covers: (answers: Answers) => boolean }[] = [
  { name: 'payload-nesting', covers: stricterFor('optional nested 100 deep') },
  { name: 'payload-not-utf8', covers: stricterFor('not UTF-8 in optional') },
  {
    // the policy accepts; skopeo then reads the signatures to carry them, and fails
    name: 'nothing-required',
    covers: ({ ours, theirs }) =>
      ours.accepted &&
      ours.signatures.length === 0 &&
      /^(?:copying system image from manifest list: )?reading signatures: parsing signature /.test(
        theirs.message,
      ),
  },
];

/** Bulla refuses for a payload of that kind, which skopeo takes. */
function stricterFor(kind: PayloadKind): (answers: Answers) => boolean {
  return ({ one, ours, theirs }) =>
    theirs.accepted &&
    ours.signatures.includes('signature.payload-malformed') &&
    one.signatures.some(({ payload }) => payload === kind);
}

/** What skopeo's messages of refusal mean in our codes: both must refuse for the same reason, too. */
const reasons: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^Error loading trust policy: /, ['policy.malformed']],
  [/ rejected: parsing signature /, ['signature.empty', 'signature.malformed', 'signature.unrecognized']],
  [/ is rejected by policy\.$|signedBaseLayer not implemented/, ['trust.rejected']],
  [/ but no signature exists/, ['trust.no-signature']],
  [/ rejected: No signature verification policy found/, ['trust.not-required']],
  [/(?:^|: )Source image rejected: /, ['trust.not-accepted', 'trust.key-unavailable']],
];

/** Undefined where both refuse for the same reason. A failure of skopeo that is no refusal is never that. */
function otherReason({ ours, theirs }: Answers): string | undefined {
  const codes = reasons.find(([pattern]) => pattern.test(theirs.message))?.[1];
  if (codes?.includes(ours.code) === true) return undefined;
  return codes === undefined ? 'no refusal of skopeo’s' : `wanted ${codes.join(' or ')}`;
}

const differences = readFileSync(
  join(import.meta.dirname, '..', '..', 'docs', 'reference', 'differences.md'),
  'utf8',
);

test('every difference that is meant is explained in differences.md', () => {
  const content = Buffer.from(payloadFor(`sha256:${'0'.repeat(64)}`, 'registry.example.com/ns/app:1'));
  const openpgp = openpgpCases(content).filter(({ peer }) => peer !== undefined);
  const names = [...meant, ...openpgp].map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => !differences.includes(`\`${name}\``)),
    [],
  );
});

test(
  `skopeo ${await peerVersion('skopeo')} and Bulla agree`,
  { ...needs('skopeo', 'docker-registry', 'gpg'), timeout: 600_000 },
  async (t) => {
    await using bench = await openBench();
    const place = await openPlace(bench);
    const cases = drawCases({ seed, count, names }, place);
    assert.equal(new Set(cases.map(({ id }) => id)).size, cases.length);
    const answers = await mapBounded(cases, 2, async (one): Promise<Answers> => {
      const question = await writeCase(one, place);
      const [theirs, ours] = await Promise.all([askSkopeo(bench, question), askBulla(bench, question)]);
      return { one, ours, theirs };
    });
    const apart = answers.filter(({ ours, theirs }) => ours.accepted !== theirs.accepted);
    const unexplained = apart.filter((each) => !meant.some(({ covers }) => covers(each)));
    const refused = answers.filter(({ ours, theirs }) => !ours.accepted && !theirs.accepted);
    const reasonsApart = refused.filter((each) => otherReason(each) !== undefined);
    const accepted = answers.filter(({ theirs }) => theirs.accepted).length;
    t.diagnostic(
      `seed ${seed}: ${answers.length} cases, ${accepted} accepted and ${answers.length - accepted} refused by skopeo, ` +
        `${apart.length} disagreements, ${unexplained.length} of them unexplained; ${reasonsApart.length} refused for different reasons`,
    );
    assert.ok(answers.length >= 300);
    assert.ok(accepted >= 80 && answers.length - accepted >= 80, 'the cases decide something');
    assert.equal(unexplained.map((each) => reportOf(each, place)).join('\n\n'), '');
    const apartFor = reasonsApart.map((each) => `${otherReason(each) ?? ''}\n${reportOf(each, place)}`);
    assert.equal(apartFor.join('\n\n'), '');
    // an explanation that explains nothing is out of date
    assert.deepEqual(
      meant.filter(({ covers }) => !apart.some(covers)).map(({ name }) => name),
      [],
    );
  },
);

function reportOf({ one, ours, theirs }: Answers, place: Place): string {
  return [
    `${one.id}: ${one.image}${one.requireSigned ? ' --require-signed' : ''}`,
    `Bulla: ${ours.accepted ? 'accepted' : 'refused'} ${ours.code} [${ours.signatures.join(', ')}] ${ours.message}`,
    `skopeo: ${theirs.accepted ? 'accepted' : 'refused'} ${theirs.message}`,
    `signatures: ${JSON.stringify(one.signatures)} filed under the ${one.filed}`,
    `files: ${filesOf(one, place).join(' ')}`,
    `policy: ${one.policy}`,
  ].join('\n');
}

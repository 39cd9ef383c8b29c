/**
 * sigstoreSigned: Bulla and skopeo are asked about the same (policy, image, attachments): every value of every part once, then
 * parts drawn at random. They must agree, but for what docs/reference/differences.md names.
 *
 *   BULLA_DIFFERENTIAL_SEED=7 BULLA_DIFFERENTIAL_SIGSTORE=2000 npm run test:interop -- test/interop/differential-sigstore.test.ts
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import type { ErrorCode } from '../../src/base/errors.ts';
import { mapBounded } from '../../src/io/bounded.ts';
import { needs, openBench, peerVersion } from '../support/peers.ts';
import { askBulla, askSkopeo, type OurAnswer, type PeerAnswer } from '../support/peer-verdicts.ts';
import { drawSigstoreCases, type SigstoreOne } from './differential/sigstore-cases.ts';
import type { SigstoreRecipe } from './differential/sigstore-signatures.ts';
import { openSigstoreStage } from './differential/sigstore-stage.ts';

const seed = Number(process.env['BULLA_DIFFERENTIAL_SEED'] ?? '20261122');
const count = Number(process.env['BULLA_DIFFERENTIAL_SIGSTORE'] ?? '180');
const names = Number(process.env['BULLA_DIFFERENTIAL_NAMES'] ?? '60');

type Meant = { readonly name: string; readonly covers: (answers: Answers) => boolean };
type Answers = { readonly one: SigstoreOne; readonly ours: OurAnswer; readonly theirs: PeerAnswer };

/** Disagreements that are meant. Each name is one of differences.md, in backquotes. */
const meant: readonly Meant[] = [
  {
    name: 'payload-nesting',
    covers: stricterWhere('signature.payload-malformed', { payload: 'optional nested 100 deep' }),
  },
  {
    name: 'payload-not-utf8',
    covers: stricterWhere('signature.payload-malformed', { payload: 'not UTF-8 in optional' }),
  },
  {
    name: 'attachment-size',
    covers: (answers) => isStricter(answers) && answers.one.form.startsWith('size '),
  },
  {
    name: 'pki-no-intermediates',
    covers: (answers) =>
      isStricter(answers) &&
      answers.ours.code === 'trust.key-unavailable' &&
      /"caIntermediates(?:Data": ""|Path": "[^"]*\/empty")/.test(answers.one.policy),
  },
  {
    name: 'signature-base64',
    covers: (answers) =>
      isStricter(answers) &&
      answers.ours.signatures.includes('signature.malformed') &&
      answers.one.sigstore.some(
        (each) =>
          'recipe' in each &&
          each.recipe.annotation?.name === 'signature' &&
          each.recipe.annotation.fault === 'line end before',
      ),
  },
];

/** Those of test/support/sigstore-cases.ts, drawn together with others. */
function isForgedDifference(answers: Answers): boolean {
  return (
    isStricter(answers) &&
    answers.one.sigstore.some((each) => 'forged' in each && each.stricter !== undefined)
  );
}

function isStricter({ ours, theirs }: Answers): boolean {
  return theirs.accepted && !ours.accepted;
}

/** Bulla refuses, with that code, a signature made so, which skopeo takes. */
function stricterWhere(code: ErrorCode, made: Partial<SigstoreRecipe>): (answers: Answers) => boolean {
  return (answers) =>
    isStricter(answers) &&
    answers.ours.signatures.includes(code) &&
    answers.one.sigstore.some((each) => 'recipe' in each && each.recipe.payload === made.payload);
}

/** What skopeo's messages of refusal mean in our codes: both must refuse for the same reason, too. */
const reasons: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^Error loading trust policy: /, ['policy.malformed']],
  [/ rejected: parsing signature /, ['signature.empty', 'signature.malformed', 'signature.unrecognized']],
  [/ rejected: (?:unexpected MIME type for sigstore attachment|parsing manifest )/, ['signature.malformed']],
  [/ rejected: (?:reading manifest sha256-|fetching blob: )/, ['store.unreadable']],
  [/ rejected: digest mismatch, /, ['blob.digest-mismatch']],
  [/ is rejected by policy\.$|signedBaseLayer not implemented/, ['trust.rejected']],
  [/ but no signature exists/, ['trust.no-signature']],
  [/(?:^|: )Source image rejected: /, ['trust.not-accepted', 'trust.key-unavailable']],
];

/**
 * What it says of a single signature, in our codes for it. Several codes: we read certificate and signature before the log's
 * entry is compared with them, and a subject before its chain.
 */
const signatureReasons: readonly (readonly [RegExp, readonly ErrorCode[]])[] = [
  [
    /missing dev\.cosignproject\.cosign\/signature annotation|decoding signature base64/,
    ['signature.malformed'],
  ],
  [/missing dev\.sigstore\.cosign\/certificate annotation/, ['signature.certificate-missing']],
  [/missing dev\.sigstore\.cosign\/bundle annotation/, ['signature.log-entry-missing']],
  [/Rekor ?SET/, ['signature.log-entry-invalid', 'signature.certificate-invalid', 'signature.malformed']],
  [/cryptographic signature verification failed/, ['signature.invalid', 'signature.malformed']],
  [
    /veryfing leaf certificate failed|loading certificate chain|parsing leaf certificate|missing the issuer extension/,
    ['signature.certificate-invalid', 'signature.wrong-signer'],
  ],
  [/Required email|Unexpected Fulcio OIDC issuer|Unexpected subject hostname/, ['signature.wrong-signer']],
  [/Signature for digest/, ['signature.wrong-digest']],
  [/Signature for identity/, ['signature.wrong-identity', 'signature.payload-malformed']],
  [/Unrecognized signature type/, ['signature.wrong-type']],
  // what a JSON reader says, of payloads and of entries
  [
    /invalid character|unexpected end|JSON object expected|[Kk]ey .* missing|Unknown key|Duplicate key|cannot unmarshal|not an integer|docker-manifest-digest/,
    ['signature.payload-malformed', 'signature.log-entry-invalid'],
  ],
];

/** Undefined where both refuse for the same reason. A failure of skopeo that is no refusal is never that. */
function otherReason({ one, ours, theirs }: Answers): string | undefined {
  // the descriptor is judged before what skopeo stumbles over, see attachment-size
  if (one.form.startsWith('size ') && /^(?:blob|signature)\./.test(ours.code)) return undefined;
  const codes = reasons.find(([pattern]) => pattern.test(theirs.message))?.[1];
  if (codes?.includes(ours.code) === true) return otherSignatureReason(one, ours, theirs);
  return codes === undefined ? 'no refusal of skopeo’s' : `wanted ${codes.join(' or ')}`;
}

function otherSignatureReason(one: SigstoreOne, ours: OurAnswer, theirs: PeerAnswer): string | undefined {
  const [code, ...more] = ours.signatures;
  const isOne = one.sigstore.length === 1 && one.gpg.length === 0 && more.length === 0;
  // GPG's requirements see no sigstore signature, and none else does another media type
  if (!isOne || code === undefined || /no signature exists/.test(theirs.message)) return undefined;
  if (ours.code !== 'trust.not-accepted') return undefined;
  const said = theirs.message.replace(/^.*Source image rejected: /, '');
  const codes = signatureReasons.find(([pattern]) => pattern.test(said))?.[1];
  if (codes?.some((each) => each === code) === true) return undefined;
  return `of the signature: wanted ${codes?.join(' or ') ?? 'nothing that is known'}, not ${code}`;
}

const differences = readFileSync(
  join(import.meta.dirname, '..', '..', 'docs', 'reference', 'differences.md'),
  'utf8',
);

test('every difference that is meant is explained in differences.md', () => {
  const missing = meant.map(({ name }) => name).filter((name) => !differences.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
});

test(
  `skopeo ${await peerVersion('skopeo')} and Bulla agree about sigstoreSigned`,
  { ...needs('skopeo', 'docker-registry', 'gpg'), timeout: 600_000 },
  async (t) => {
    await using bench = await openBench();
    await using stage = await openSigstoreStage(bench);
    const cases = drawSigstoreCases({ seed, count, names }, stage);
    assert.equal(new Set(cases.map(({ id }) => id)).size, cases.length);
    const answers = await mapBounded(cases, 3, async (one): Promise<Answers> => {
      const question = await stage.write(one);
      const [theirs, ours] = await Promise.all([askSkopeo(bench, question), askBulla(bench, question)]);
      return { one, ours, theirs };
    });
    const apart = answers.filter(({ ours, theirs }) => ours.accepted !== theirs.accepted);
    const unexplained = apart.filter(
      (each) => !isForgedDifference(each) && !meant.some(({ covers }) => covers(each)),
    );
    const refused = answers.filter(({ ours, theirs }) => !ours.accepted && !theirs.accepted);
    const reasonsApart = refused.filter((each) => otherReason(each) !== undefined);
    const accepted = answers.filter(({ theirs }) => theirs.accepted).length;
    t.diagnostic(
      `seed ${seed}: ${answers.length} cases, ${accepted} accepted and ${answers.length - accepted} refused by skopeo, ` +
        `${apart.length} disagreements, ${unexplained.length} of them unexplained; ${reasonsApart.length} refused for different reasons`,
    );
    assert.ok(answers.length >= 500);
    assert.ok(accepted >= 120 && answers.length - accepted >= 120, 'the cases decide something');
    assert.equal(unexplained.map(reportOf).join('\n\n'), '');
    const apartFor = reasonsApart.map((each) => `${otherReason(each) ?? ''}\n${reportOf(each)}`);
    assert.equal(apartFor.join('\n\n'), '');
    // an explanation that explains nothing is out of date
    assert.deepEqual(
      meant.filter(({ covers }) => !apart.some(covers)).map(({ name }) => name),
      [],
    );
  },
);

function reportOf({ one, ours, theirs }: Answers): string {
  const signatures = one.sigstore.map((each) => ('recipe' in each ? each.recipe : each.forged));
  return [
    `${one.id}: ${one.image}`,
    `Bulla: ${ours.accepted ? 'accepted' : 'refused'} ${ours.code} [${ours.signatures.join(', ')}] ${ours.message}`,
    `skopeo: ${theirs.accepted ? 'accepted' : 'refused'} ${theirs.message}`,
    `signatures: ${JSON.stringify(signatures)} ${JSON.stringify(one.gpg)} filed under the ${one.filed}, ${one.form}, attachments ${one.attachments}`,
    `policy: ${one.policy}`,
  ].join('\n');
}

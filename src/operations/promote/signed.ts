/** Whether a signature that is to be made is there already, so that a second run makes none. */
import { isBullaError } from '../../base/errors.ts';
import { formatReference } from '../../base/reference.ts';
import type { Image } from '../../images/image.ts';
import type { Signer } from '../../keys/signer.ts';
import { evaluateKeys, type Subject } from '../../trust/evaluate.ts';
import type { GivenKeys } from '../../trust/given-keys.ts';
import type { SignatureVerdict, StoredLike } from '../../trust/verdict.ts';
import { exportPublicKeys } from '../keys.ts';
import type { SigningTask } from '../sign.ts';
import { isSigstore } from '../sign/places.ts';
import type { SigningPlan } from '../sign/plan.ts';
import { subjectOf } from '../subject.ts';
import type { InstanceVerdict } from '../verify.ts';
import type { World } from '../world.ts';

/** Where the destination stood before. */
export type BeforeSigning = {
  /** As `keysOf`, each key asked for once. */
  readonly keysFor: (signer: Signer) => Promise<GivenKeys | undefined>;
  readonly image: Image;
  /** The destination policy's verdict on what its name meant, where that is what is promoted now. */
  readonly verdicts: readonly InstanceVerdict[];
};

/**
 * Where a signature is that verifies by the same key, in the same format, for the same reference. One that logs or authorities are to see,
 * or that is made without a lasting key, is there if the destination's policy accepted it before under the destination's name.
 * @param world reads what was written
 * @throws BullaError `store.*`, `registry.*`, `key.*`
 */
export async function findSigned(
  task: SigningTask,
  { image, verdicts, keysFor }: BeforeSigning,
  world: World,
): Promise<string | undefined> {
  const keys = isWitnessed(task.plan) ? undefined : await keysFor(task.plan.signer);
  if (keys === undefined) return findAccepted(task, { image, verdicts }, world);
  const { digest, identity, format } = task;
  const subject = await subjectOf({ image, digest, as: identity, looks: looksFor(format) }, world);
  for await (const stored of subject.signatures()) {
    if (stored.signature.format !== format) continue;
    const { requirements } = await evaluateKeys(keys, only(subject, stored), world.now());
    const found = requirements
      .flatMap(({ signatures }) => signatures)
      .find((each) => each.accepted && namesIt(each, task));
    if (found !== undefined) return found.store;
  }
  return undefined;
}

/** A subject with one signature. */
export function only(subject: Subject, stored: StoredLike): Subject {
  return {
    ...subject,
    async *signatures() {
      yield stored;
    },
  };
}

function looksFor(format: SigningTask['format']): 'for-simple' | 'for-sigstore' {
  return format === 'simple' ? 'for-simple' : 'for-sigstore';
}

/** A bundle names no reference. */
function namesIt(
  { reference, identity: signed }: SignatureVerdict,
  { format, identity }: SigningTask,
): boolean {
  return format === 'bundle' || (reference ?? signed) === formatReference(identity);
}

function isWitnessed({ signer, witnesses }: SigningPlan): boolean {
  return (
    (isSigstore(signer) && 'certificates' in signer) ||
    witnesses.logs.length + witnesses.timestamps.length > 0
  );
}

/** The public part of a key that signs; undefined where there is none that lasts, or none at hand. */
export async function keysOf(signer: Signer, world: World): Promise<GivenKeys | undefined> {
  if (isSigstore(signer)) return 'certificates' in signer ? undefined : { sigstore: [signer.publicKey] };
  const { parseKeyring } = await import('../../keys/openpgp/keyring.ts');
  try {
    return { keyring: parseKeyring(await exportPublicKeys([signer.keyId], world.environment.env)) };
  } catch (error) {
    // a key file that is in no keyring
    if (isBullaError(error, 'key.not-found')) return undefined;
    throw error;
  }
}

/** A list has a signature for each instance, and GnuPG is a process. */
export function rememberKeys(world: World): BeforeSigning['keysFor'] {
  const known = new Map<Signer, ReturnType<typeof keysOf>>();
  return (signer) => {
    const keys = known.get(signer) ?? keysOf(signer, world);
    known.set(signer, keys);
    return keys;
  };
}

/**
 * By what the policy accepted: it may not look at bundles, which were stored together with what it looks at, before the name was given. So one that
 * it accepted by this key, or by a certificate, speaks for the other format, if that is there at all.
 */
async function findAccepted(
  task: SigningTask,
  { image, verdicts }: Pick<BeforeSigning, 'image' | 'verdicts'>,
  world: World,
): Promise<string | undefined> {
  // a list is not judged by itself: it was signed when all its images were
  const judged = verdicts.filter((each) => each.digest === task.digest);
  const accepted = (judged.length > 0 ? judged : verdicts)
    .flatMap(({ requirements }) => requirements.flatMap(({ signatures }) => signatures))
    .filter((each) => each.accepted && isOurs(each, task));
  const found = accepted.find(({ format }) => format === task.format);
  if (accepted.length === 0) return undefined;
  if (found !== undefined && judged.length > 0) return found.store;
  const { digest, identity, format } = task;
  const subject = await subjectOf({ image, digest, as: identity, looks: looksFor(format) }, world);
  for await (const { signature, location } of subject.signatures())
    if (signature.format === format) return location;
  return undefined;
}

/** By the same key, or by somebody's certificate; whose it is was the policy's to say. */
function isOurs(accepted: SignatureVerdict, task: SigningTask): boolean {
  const { signer } = task.plan;
  if (accepted.format !== 'bundle' && !namesIt(accepted, { ...task, format: 'cosign' })) return false;
  if (!isSigstore(signer) || !('certificates' in signer)) return accepted.key === signer.keyId;
  return accepted.signer?.startsWith('identity:') === true || accepted.key === undefined;
}

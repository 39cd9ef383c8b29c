/** Which signatures of an image the old key has made, and whether what is known today lets them count. */
import type { Digest } from '../../base/digest.ts';
import type { ErrorCode } from '../../base/errors.ts';
import type { Image } from '../../images/image.ts';
import { type GivenKeys, judgeBy } from '../../trust/given-keys.ts';
import { asBeforeItsEnd } from '../../trust/key-view.ts';
import { windowFault } from '../../trust/time-window.ts';
import type { SignatureVerdict, StoredLike } from '../../trust/verdict.ts';
import type { RememberingWorld } from './remember-signatures.ts';
import { type Annotations, annotationsOf } from './annotations.ts';
import type { KnownKeys } from './keys.ts';
import { storesToRead } from '../subject.ts';

/** Why something is not signed anew. */
export type Reason = { readonly code: ErrorCode; readonly message: string; readonly hint?: string };

/** A signature that the old key has made for this very manifest. */
export type OldSignature = {
  readonly format: string;
  /** Where it was found, as verdicts name it. */
  readonly store: string;
  readonly key: string;
  /** Why it counts for nothing unless the image is known to be good from elsewhere. */
  readonly doubt: Reason | undefined;
  /** What else it says; nothing where there is a doubt. */
  readonly annotations: Annotations;
};

export type OldSignatures = {
  readonly signatures: readonly OldSignature[];
  /** What is there besides, the worst first: a signature that says it is the old key's and is not, or what is none at all. */
  readonly fault: Reason | undefined;
  /** How many signatures were looked at. */
  readonly count: number;
};

/**
 * Judges every signature that is found under any of the image's names by the old key alone: mathematics, key and digest. For whom it
 * was made is the policy's to judge.
 * @param images the image under each of its names
 * @param since when the key was compromised, milliseconds since 1970
 * @throws BullaError `store.*`, `registry.*`: what cannot be read may be anything
 */
export async function findOldSignatures(
  images: readonly Image[],
  digest: Digest,
  { old, since }: { readonly old: KnownKeys; readonly since: number | undefined },
  world: RememberingWorld,
): Promise<OldSignatures> {
  const now = world.now();
  const subject = { manifestDigest: digest };
  const judge = judgeBy(old.keys, subject, now);
  // the same mathematics; a key that has ended has signed all the same
  const judgeEnded = judgeBy(inItsTime(old), subject, now);
  const signatures: OldSignature[] = [];
  const faults: Reason[] = [];
  const stored = await readAll(images, digest, old, world);
  for (const each of stored) {
    const today = await judge(each);
    const ended = endOf(today);
    const verdict = ended === undefined ? today : await judgeEnded(each);
    const { format, store, key, code, message } = verdict;
    if (key !== undefined && isByOld(verdict)) {
      const doubt = ended ?? doubtOf(today, since, now);
      // a record vouches for images, not for what a thief may have said of them
      const annotations = doubt === undefined ? annotationsOf(each, digest) : {};
      signatures.push({ format, store, key, doubt, annotations });
    } else if (code !== 'accepted' && isFault(each, verdict, old)) faults.push({ code, message });
  }
  return { signatures, fault: faults[0], count: stored.length };
}

async function readAll(
  images: readonly Image[],
  digest: Digest,
  { looks }: KnownKeys,
  world: RememberingWorld,
): Promise<readonly StoredLike[]> {
  // read again under another name, a store gives the very same
  const found = new Set<StoredLike>();
  for (const image of images) {
    for (const store of storesToRead(await world.stores(image), looks)) {
      for await (const each of store.list(world.imageId(image, digest))) found.add(each);
    }
  }
  return [...found];
}

function inItsTime({ keys, names }: KnownKeys): GivenKeys {
  const { keyring } = keys;
  return keyring === undefined ? keys : { ...keys, keyring: asBeforeItsEnd(names).keyring(keyring) };
}

/** The identity is not asked for here: it is the one thing that may be wrong. */
function isByOld({ accepted, code }: SignatureVerdict): boolean {
  return accepted || code === 'signature.wrong-identity';
}

/** What says that it is the old key's and is not so, or may be anything. A sigstore signature that does not fit is somebody else's. */
function isFault({ signature }: StoredLike, { key, code }: SignatureVerdict, { names }: KnownKeys): boolean {
  if (key !== undefined || signature.format === 'unreadable') return true;
  if (signature.format === 'simple') return names.openpgp.size > 0 && code !== 'signature.unknown-key';
  return code === 'signature.log-entry-invalid' || code === 'signature.timestamp-invalid';
}

const elsewhere =
  'name its digest in a file that whoever has the key cannot have written, and give that by --digests';

/** Whoever has a revoked key signs what they like, and says when as they like; an expired one is as good as none to verifiers. */
function endOf({ code, message }: SignatureVerdict): Reason | undefined {
  if (code !== 'signature.key-revoked' && code !== 'signature.key-expired') return undefined;
  return { code, message, hint: elsewhere };
}

function doubtOf(today: SignatureVerdict, since: number | undefined, now: Date): Reason | undefined {
  if (since === undefined) return undefined;
  const times = (today.times ?? []).map((time) => Date.parse(time));
  const message = windowFault({ name: 'the old key', window: { until: since } }, times, now);
  return message === undefined ? undefined : { code: 'resign.no-trusted-time', message, hint: elsewhere };
}

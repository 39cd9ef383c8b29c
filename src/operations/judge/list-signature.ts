/**
 * Signatures of a list, as cosign makes them: it signs the list alone, which names its instances by digest, so
 * that they are signed with it. containers/image never looks at them, and no policy does here.
 */
import type { Digest } from '../../base/digest.ts';
import type { SignatureVerdict, StoredLike, Subject, Verdict } from '../../trust/verdict.ts';

/**
 * Judges a list by its sigstore signatures. GPG signatures of lists stand for nothing, here as in podman.
 * @param subject the list, whose bytes have named the instance
 * @returns undefined where the list is not accepted: the instance's own verdict says why
 */
export async function judgeListSignature(
  subject: Subject,
  judge: (subject: Subject) => Promise<Verdict>,
): Promise<Verdict | undefined> {
  const verdict = await judge({ ...subject, signatures: () => withoutSimple(subject.signatures()) });
  if (!verdict.accepted) return undefined;
  const told = (each: SignatureVerdict): SignatureVerdict =>
    each.accepted
      ? {
          ...each,
          list: subject.manifestDigest,
          message: `${each.message}; ${ofList(subject.manifestDigest)}`,
        }
      : each;
  const requirements = verdict.requirements.map((each) => ({
    ...each,
    signatures: each.signatures.map(told),
  }));
  return { ...verdict, requirements };
}

function ofList(digest: Digest): string {
  return `the signature is of the list ${digest}, which names this manifest`;
}

async function* withoutSimple(all: AsyncIterable<StoredLike>): AsyncGenerator<StoredLike> {
  for await (const each of all) if (each.signature.format !== 'simple') yield each;
}

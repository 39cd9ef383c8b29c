/** From a claim and a key to a signature: which format each kind of key signs in. */
import { creator } from '../../base/version.ts';
import type { SignedClaim } from '../../formats/claim.ts';
import { cosignAttachment, encodeCosignPayload } from '../../formats/cosign.ts';
import { encodeSimpleSigning } from '../../formats/simple-signing.ts';
import type { KeyKind, Signer } from '../../keys/signer.ts';
import { isSigstore } from './places.ts';
import type { Made } from './sigstore.ts';
import type { SigningFormat, SigningPlan } from './plan.ts';
import type { World } from '../world.ts';

/** The format that podman and skopeo know for a kind of key. */
export const formatOf: Readonly<Record<KeyKind, 'simple' | 'cosign'>> = {
  openpgp: 'simple',
  gnupg: 'simple',
  sigstore: 'cosign',
};

/** A key alone makes what podman and skopeo make of it, and nobody is asked. */
export function planOf(signer: Signer | SigningPlan): SigningPlan {
  if ('formats' in signer) return signer;
  return {
    signer,
    formats: [formatOf[signer.kind]],
    witnesses: { logs: [], timestamps: [] },
    explicitFormat: false,
  };
}

export type ClaimToSign = Omit<SignedClaim, 'creator'> & {
  readonly annotations?: Readonly<Record<string, string>>;
};

/**
 * Signs a claim, which is said to be made by this version of Bulla.
 * @throws BullaError `usage.invalid` (an empty reference, an annotation whose name is taken), `key.*`, `oidc.*`, `fulcio.*`, `log.*`, `timestamp.*`
 */
export async function makeSignature(
  format: SigningFormat,
  { signer, witnesses }: SigningPlan,
  claim: ClaimToSign,
  world: World,
): Promise<Omit<Made, 'witnessed'> & Partial<Made>> {
  const { annotations, ...rest } = claim;
  const full = { ...rest, creator };
  if (!isSigstore(signer)) {
    return { signature: { format: 'simple', blob: await signer.sign(encodeSimpleSigning(full)) } };
  }
  const plan = { signer, witnesses };
  if (format === 'cosign') {
    const payload = encodeCosignPayload(full, annotations);
    // nobody sees it: the usual case loads nothing more
    if (isAlone(plan)) return { signature: cosignAttachment(payload, await signer.sign(payload)) };
    return (await import('./sigstore.ts')).makeAttachment(payload, plan, world);
  }
  const { cosignSignPredicateType, encodeStatement } = await import('../../formats/statement.ts');
  const statement = encodeStatement({
    subjects: [
      { digests: digestsOf(claim.manifestDigest), ...(annotations !== undefined && { annotations }) },
    ],
    predicateType: cosignSignPredicateType,
  });
  return (await import('./sigstore.ts')).makeStatementBundle(statement, plan, world);
}

/** A key without a certificate and without witnesses. */
function isAlone({ signer, witnesses }: Pick<SigningPlan, 'signer' | 'witnesses'>): boolean {
  return !('certificates' in signer) && witnesses.logs.length + witnesses.timestamps.length === 0;
}

/** A digest as a statement's subject has it. */
export function digestsOf(digest: SignedClaim['manifestDigest']): ReadonlyMap<string, string> {
  const [algorithm = '', hex = ''] = digest.split(':');
  return new Map([[algorithm, hex]]);
}

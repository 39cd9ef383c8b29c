/** Where the signatures of a plan go. Asked before anything is signed, logged or written. */
import { BullaError } from '../../base/errors.ts';
import { formatImageName } from '../../base/image-name.ts';
import type { Image } from '../../images/image.ts';
import type { Signer, SigstoreSigner } from '../../keys/signer.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import type { SignatureStore } from '../../stores/store.ts';
import type { SigningFormat, SigningPlan } from './plan.ts';
import type { World } from '../world.ts';

/** One format of one key, and the store that takes it. */
export type Place = {
  readonly plan: SigningPlan;
  readonly format: SigningFormat;
  readonly store: SignatureStore;
};

/** A key of `--sign-by` and the like makes GPG signatures, the others sigstore's. */
export function isSigstore(signer: Signer): signer is SigstoreSigner {
  return signer.kind === 'sigstore';
}

/**
 * A place for each format of each plan. A default format for which there can be no place is left out with a warning.
 * @throws BullaError `store.attachments-off`, `store.unsupported`, `usage.*`
 */
export function placesOf(
  plans: readonly SigningPlan[],
  { image, stores }: { readonly image: Image; readonly stores: LocatedStores },
  world: World,
): readonly Place[] {
  return plans.flatMap((plan) => {
    const places = plan.formats.flatMap((format): readonly Place[] => {
      checkFormat(plan, format);
      if (!isPossible(plan, format, image, world)) return [];
      return [{ plan, format, store: storeFor(plan, format, stores, world) }];
    });
    if (places.length > 0) return places;
    throw new BullaError('usage.unsupported', `there is no format for what ${plan.signer.keyId} is to sign`, {
      hint: 'name one by --signature-format',
    });
  });
}

function checkFormat({ signer }: SigningPlan, format: SigningFormat): void {
  if (isSigstore(signer) === (format !== 'simple')) return;
  throw new BullaError(
    'usage.invalid',
    isSigstore(signer)
      ? 'a sigstore key makes no GPG signature (simple)'
      : `a GPG key makes no sigstore signature (${format})`,
  );
}

/** What cannot be kept, or would be no proof of anything. */
function isPossible(plan: SigningPlan, format: SigningFormat, image: Image, world: World): boolean {
  const why = whyNot(plan, format, image);
  if (why === undefined) {
    if (format === 'cosign' && losesLog(plan)) {
      world.warn('a .sig attachment has no place for an entry of a Rekor v2: it is made without a log entry');
    }
    return true;
  }
  if (plan.explicitFormat) throw new BullaError('usage.unsupported', why);
  world.warn(`${why}; none is made`);
  return false;
}

function whyNot({ signer, witnesses }: SigningPlan, format: SigningFormat, image: Image): string | undefined {
  const { transport } = image.name;
  if (format === 'bundle' && !['docker', 'oci', 'oci-archive'].includes(transport)) {
    return `${formatImageName(image.name)} has no place for a bundle, which only registries and OCI layouts hold`;
  }
  const isKeyless = 'certificates' in signer;
  const isLogged = witnesses.logs.some(({ version }) => version === 1);
  if (format === 'cosign' && isKeyless && witnesses.timestamps.length === 0 && !isLogged) {
    return 'a .sig attachment has no place for an entry of a Rekor v2, and without one its certificate proves nothing';
  }
  return undefined;
}

/** Logs were asked for, and none of them signs the timestamp that an attachment holds. */
function losesLog({ witnesses: { logs } }: SigningPlan): boolean {
  return logs.length > 0 && logs.every(({ version }) => version !== 1);
}

/**
 * podman's and skopeo's own flags write attachments only where registries.d turns them on; cosign knows no registries.d,
 * and neither do its flags.
 */
function storeFor(
  plan: SigningPlan,
  format: SigningFormat,
  stores: LocatedStores,
  world: World,
): SignatureStore {
  const isCosignStyle = plan.explicitFormat || plan.formats.includes('bundle');
  const isOff = stores.configuration?.useSigstoreAttachments === false;
  if (format !== 'cosign' || stores.attachments === undefined || !isCosignStyle || !isOff) {
    return stores.writerFor(format);
  }
  world.warn(
    'registries.d turns sigstore attachments off here: podman, skopeo and CRI-O will not read the .sig',
  );
  return stores.attachments;
}

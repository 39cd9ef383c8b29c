/** What a promotion would come to: the destination's stores with all that would go there, and nothing written. */
import type { Digest } from '../../base/digest.ts';
import type { Signature } from '../../formats/signature.ts';
import type { Image } from '../../images/image.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import type { SignatureStore } from '../../stores/store.ts';
import { type CopyPlan, signedDigests } from '../copy.ts';
import { joined } from './stores.ts';
import { type MadeSignature, signTargets, type SigningChoices } from '../sign.ts';
import type { World } from '../world.ts';

export type Preview = {
  /** The destination as it would be. */
  readonly world: World;
  /** Signatures that would be made; none is stored. */
  readonly signatures: readonly MadeSignature[];
  /** Every one of them could be made without asking anybody; else the verdict cannot be told. */
  readonly isWhole: boolean;
};

/**
 * Makes what can be made without logs, authorities and Fulcio.
 * @param worlds `to` reads what was written
 * @throws BullaError `store.*`, `registry.*`, `key.*`
 */
export async function preview(
  plan: CopyPlan,
  there: NonNullable<SigningChoices['there']>,
  { from, to }: { readonly from: World; readonly to: World },
): Promise<Preview> {
  const { destination, signing, source } = plan;
  const made: { readonly digest: Digest; readonly signature: Signature }[] = [];
  const stores = withCarried(await to.stores(destination.image), await from.stores(source), {
    plan,
    made,
    worlds: { from, to },
  });
  const job = { image: destination.image, stores, ...signing, targets: signedDigests(plan) };
  const signatures =
    signing.places.length === 0
      ? []
      : await signTargets(
          job,
          { dryRun: true, there, made: async (signature, digest) => void made.push({ digest, signature }) },
          to,
        );
  const isWhole = signing.places.every(({ plan: { signer, witnesses } }) => {
    return !('certificates' in signer) && witnesses.logs.length + witnesses.timestamps.length === 0;
  });
  const goesTo = await lookasideOf(plan, stores);
  return {
    world: { ...to, stores: async () => stores },
    signatures: signatures.map((each) =>
      each.format === 'simple' && each.there !== true && goesTo !== undefined
        ? { ...each, location: goesTo }
        : each,
    ),
    isWhole,
  };
}

/** Where a GPG signature would go, unless the registry itself takes it. */
async function lookasideOf(
  { destination: { registry } }: CopyPlan,
  { configuration }: LocatedStores,
): Promise<string | undefined> {
  return (await registry?.ping())?.supportsSignatures === true ? undefined : configuration?.write.url;
}

type Going = {
  readonly plan: CopyPlan;
  /** Grows while signatures are made. */
  readonly made: readonly { readonly digest: Digest; readonly signature: Signature }[];
  readonly worlds: { readonly from: World; readonly to: World };
};

/** Each of the destination's stores with what would be added to it: carried, and made. */
function withCarried(here: LocatedStores, there: LocatedStores, going: Going): LocatedStores {
  const { attachments, referrers } = here;
  const [reader, ...others] = here.readers;
  const simple = reader && joined(reader, [carriedIn(going, 'simple'), madeOf(going, 'simple')]);
  const sigs =
    attachments &&
    joined(attachments, [
      carriedIn(going, 'cosign'),
      ...carriedFrom(there.attachments, '.sig', going),
      madeOf(going, 'cosign'),
    ]);
  const bundles =
    referrers &&
    joined(referrers, [...carriedFrom(there.referrers, undefined, going), madeOf(going, 'bundle')]);
  const rest = others.map((each) => (each === attachments && sigs !== undefined ? sigs : each));
  return {
    ...here,
    readers: simple === undefined ? rest : [simple, ...rest],
    ...(sigs !== undefined && { attachments: sigs }),
    ...(bundles !== undefined && { referrers: bundles }),
  };
}

type Listing = Pick<SignatureStore, 'list'>;

function madeOf({ made }: Going, format: Signature['format']): Listing {
  return {
    async *list({ digest }) {
      for (const each of made) {
        if (each.digest === digest && each.signature.format === format)
          yield { signature: each.signature, location: 'to be made' };
      }
    },
  };
}

/** What the copy carries as signatures, not as manifests. */
function carriedIn({ plan }: Going, format: Signature['format']): Listing {
  return {
    async *list({ digest }) {
      for (const { of, signature } of plan.carried.signatures) {
        if (of === digest && signature.format === format)
          yield { signature, location: 'to be carried along' };
      }
    },
  };
}

/** What is in the source's store, where it goes along. */
function carriedFrom(
  store: SignatureStore | undefined,
  suffix: '.sig' | undefined,
  { plan, worlds: { from } }: Going,
): readonly Listing[] {
  if (store === undefined) return [];
  const goes = (digest: Digest): boolean =>
    plan.carried.satellites.some((each) => each.of === digest && each.suffix === suffix);
  const source: Image = plan.source;
  return [
    {
      async *list({ digest }, hint) {
        if (goes(digest)) yield* store.list(from.imageId(source, digest), hint);
      },
    },
  ];
}

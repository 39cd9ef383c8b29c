/** What of an image is copied: one instance of a list, all, some, or the list alone. Read once, held, and never asked for again. */
import type { Descriptor, Platform } from '../../base/descriptor.ts';
import type { Digest } from '../../base/digest.ts';
import { type IndexManifest, type Manifest, parseManifest } from '../../base/manifest.ts';
import { chooseInstance, hostPlatform } from '../../images/choose-instance.ts';
import type { Image } from '../../images/image.ts';
import { type Parts, readParts } from './image.ts';
import type { SignedInstances } from '../sign/targets.ts';

/** Which manifests of a list are copied: skopeo's `--multi-arch`. */
export type CopiedInstances = SignedInstances;

export type Chosen = {
  /** What the destination's name is to mean: the list, or one image. */
  readonly top: Manifest;
  readonly isList: boolean;
  /** What goes with it. */
  readonly parts: Parts;
  /** The images that are judged: those that go, or where the list goes alone all that it stands for. */
  readonly judged: readonly { readonly digest: Digest; readonly platform?: Platform }[];
};

const nothing: Parts = { images: [], indexes: [], blobs: [] };

/** An image that asks for each manifest once, so that what was judged is what is used. */
export function held<T extends Image>(image: T): T {
  const known = new Map<Digest | undefined, Promise<Manifest>>();
  return {
    ...image,
    manifest: (digest) => {
      const before = known.get(digest);
      if (before !== undefined) return before;
      const asked = image.manifest(digest);
      known.set(digest, asked);
      return asked;
    },
  };
}

/**
 * Chooses and reads all manifests that are copied or judged.
 * @throws BullaError `image.no-such-platform`, `image.too-deep`, `image.unsupported`, `manifest.*`, `image.not-found`
 */
export async function chooseParts(
  source: Image,
  options: { readonly instances?: CopiedInstances; readonly platform?: Platform },
): Promise<Chosen> {
  const manifest = await source.manifest();
  const parsed = parseManifest(manifest);
  const instances = options.instances ?? { kind: 'system' };
  if (parsed.kind !== 'index') return chosenImage(source, manifest);
  switch (instances.kind) {
    case 'system': {
      const { digest } = chooseInstance(parsed, options.platform ?? hostPlatform());
      return chosenImage(source, await source.manifest(digest));
    }
    case 'all':
      return chosenList(parsed, manifest, await readParts(source, manifest));
    case 'platforms': {
      const wanted = new Set(instances.platforms.map((each) => chooseInstance(parsed, each).digest));
      const parts = await readParts(source, manifest, ({ digest }) => wanted.has(digest));
      return chosenList(parsed, manifest, parts);
    }
    case 'index-only': {
      const { judged } = chosenList(parsed, manifest, await readParts(source, manifest));
      return { top: manifest, isList: true, parts: nothing, judged };
    }
  }
}

async function chosenImage(source: Image, top: Manifest): Promise<Chosen> {
  const parts = await readParts(source, top);
  return { top, isList: false, parts, judged: [{ digest: top.digest }] };
}

function chosenList(index: IndexManifest, top: Manifest, parts: Parts): Chosen {
  const entries = new Map<string, Descriptor>(index.manifests.map((each) => [each.digest, each]));
  const judged = parts.images.map(({ digest }) => {
    const platform = entries.get(digest)?.platform;
    return { digest, ...(platform !== undefined && { platform }) };
  });
  return { top, isList: true, parts, judged };
}

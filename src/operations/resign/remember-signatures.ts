/** Stores that are read once, for whoever judges the same signatures more than once: under several names, by several rules. */
import type { Image } from '../../images/image.ts';
import type { LocatedStores } from '../../stores/locate.ts';
import type { SignatureStore, StoredSignature } from '../../stores/store.ts';
import { type Replay, replay } from '../../trust/replay.ts';
import type { SigningFormat } from '../sign/plan.ts';
import type { World } from '../world.ts';

/** The same world for the images of one repository, whose stores give again what they gave first. What is added later is not seen. */
export type RememberingWorld = World & {
  /** Every store that signatures of a format are read from or written to, each once. */
  readonly storesFor: (image: Image, format: SigningFormat) => Promise<readonly SignatureStore[]>;
};

/** Dispose of it to end the reading that nobody waits for any more; the world itself stays open. */
export function rememberSignatures(world: World): RememberingWorld {
  const known = new Map<string, Reading>();
  const stores = async (image: Image): Promise<LocatedStores> =>
    rememberAll(await world.stores(image), known);
  return {
    ...world,
    stores,
    storesFor: async (image, format) => {
      const { readers, attachments, referrers, writerFor } = await stores(image);
      if (format === 'cosign') return attachments === undefined ? [] : [attachments];
      if (format === 'bundle') return referrers === undefined ? [] : [referrers];
      const simple = readers.filter((store) => store !== attachments);
      // what was written to a staging folder is not at the web server yet
      const writer = remembered(writerFor('simple'), known);
      return simple.some(({ description }) => description === writer.description)
        ? simple
        : [...simple, writer];
    },
    [Symbol.asyncDispose]: async () => {
      for (const { signatures } of known.values()) await signatures[Symbol.asyncDispose]();
    },
  };
}

type Known = Map<string, Reading>;

function rememberAll(located: LocatedStores, known: Known): LocatedStores {
  const attachments = located.attachments && remembered(located.attachments, known);
  const readers = located.readers.map((store) =>
    store === located.attachments && attachments !== undefined ? attachments : remembered(store, known),
  );
  return {
    ...located,
    readers,
    ...(attachments !== undefined && { attachments }),
    ...(located.referrers !== undefined && { referrers: remembered(located.referrers, known) }),
  };
}

function remembered(store: SignatureStore, known: Known): SignatureStore {
  return {
    description: store.description,
    add: (image, signature) => store.add(image, signature),
    list: (image) => {
      const { reference, digest } = image;
      // tags of one repository may have sections of their own in registries.d, and mostly have not
      const key = JSON.stringify([store.description, reference?.domain, reference?.path, digest]);
      const reading = known.get(key) ?? { signatures: replay(() => store.list(image)), failure: undefined };
      known.set(key, reading);
      return readAgain(reading);
    },
  };
}

type Reading = {
  readonly signatures: Replay<StoredSignature>;
  failure: { readonly error: unknown } | undefined;
};

/** What ended by a failure ends by it for every reader: to the second one it would look like the end of the list. */
async function* readAgain(reading: Reading): AsyncGenerator<StoredSignature, void, void> {
  if (reading.failure !== undefined) throw reading.failure.error;
  try {
    yield* reading.signatures.all();
  } catch (error) {
    reading.failure = { error };
    throw error;
  }
}

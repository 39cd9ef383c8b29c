/** What every signature store must do, whatever it keeps its signatures in. Each adapter's test calls it. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { type Digest, digestOf } from '../base/digest.ts';
import { utf8 } from '../base/bytes.ts';
import { isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import type { Signature } from '../formats/signature.ts';
import type { ImageId, SignatureStore, StoredSignature } from './store.ts';

/** A new, empty store for each call, with an image that it can hold signatures of and another one. */
export type ContractStore = {
  readonly store: SignatureStore;
  readonly digests: readonly [Digest, Digest];
  /** A signature that the store takes, another one for each text. Default: a simple one. */
  readonly signature?: (text: string) => Signature;
  dispose(): Promise<void>;
};

/** Bytes that look like a simple signature: framing is all that a store may judge. */
export function simpleSignature(text: string): Signature {
  return { format: 'simple', blob: new Uint8Array([0xa3, ...utf8(text)]) };
}

export async function listAll(store: SignatureStore, image: ImageId): Promise<readonly StoredSignature[]> {
  const found: StoredSignature[] = [];
  for await (const each of store.list(image)) found.push(each);
  return found;
}

export function testDigests(): readonly [Digest, Digest] {
  return [digestOf(utf8('one')), digestOf(utf8('two'))];
}

const reference = parseReference('registry.example.com:5000/ns/app:1');
/** Longer than anything read in one piece. */
const large = 'x'.repeat(300_000);

/** @param open opens a new store; it is empty, and writable */
export function testStoreContract(what: string, open: () => Promise<ContractStore>): void {
  const contract: Contract = (rule, check) => {
    test(`${what}: ${rule}`, async () => {
      const bench = await open();
      try {
        const image = { reference, digest: bench.digests[0] };
        await check({ signature: simpleSignature, ...bench }, image);
      } finally {
        await bench.dispose();
      }
    });
  };

  contractOfContent(contract);
  contractOfWriting(contract);
}

type Contract = (
  rule: string,
  check: (bench: Required<ContractStore>, image: ImageId) => Promise<void>,
) => void;

function contractOfContent(contract: Contract): void {
  contract('it says in one line what it is', async ({ store }) => {
    equal(/^[^\n]+$/.test(store.description), true);
  });

  contract('an image nobody signed has no signatures', async ({ store }, image) => {
    deepEqual(await listAll(store, image), []);
  });

  contract(
    'signatures come back byte for byte, in the order they were added',
    async ({ store, signature }, image) => {
      const signatures = [signature('first'), signature(large), signature('third')];
      for (const each of signatures) equal((await store.add(image, each)).added, true);
      deepEqual(
        (await listAll(store, image)).map((each) => each.signature),
        signatures,
      );
    },
  );

  contract('another image’s signatures are not mixed in', async ({ store, digests, signature }, image) => {
    await store.add(image, signature('mine'));
    deepEqual(await listAll(store, { ...image, digest: digests[1] }), []);
  });
}

function contractOfWriting(contract: Contract): void {
  contract('the same bytes are kept once', async ({ store, signature }, image) => {
    const first = await store.add(image, signature('same'));
    await store.add(image, signature('other'));
    const again = await store.add(image, signature('same'));
    deepEqual(again, { location: first.location, added: false });
    equal((await listAll(store, image)).length, 2);
  });

  contract(
    'the location told when adding is the one told when listing',
    async ({ store, signature }, image) => {
      const added = await store.add(image, signature('here'));
      deepEqual(
        (await listAll(store, image)).map(({ location }) => location),
        [added.location],
      );
    },
  );

  contract('writers at the same time lose nothing', async ({ store, signature }, image) => {
    const signatures = Array.from({ length: 10 }, (_, n) => signature(`signature by ${n}`));
    await Promise.all(signatures.map((each) => store.add(image, each)));
    const found = await listAll(store, image);
    deepEqual(new Set(found.map((each) => each.signature)), new Set(signatures));
    equal(found.length, signatures.length);
  });
}

/** Asserts that reading to the end fails with that code. */
export async function rejectsList(store: SignatureStore, image: ImageId, code: string): Promise<void> {
  await rejects(listAll(store, image), (error: unknown) => isBullaError(error) && error.code === code);
}

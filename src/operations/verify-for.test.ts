import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';

import { utf8 } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { cosignAttachment, encodeCosignPayload } from '../formats/cosign.ts';
import type { Signature } from '../formats/signature.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { SignatureStore } from '../stores/store.ts';
import type { Subject, Verdict } from '../trust/verdict.ts';
import type { FoundSignature, StorePlace } from './read-stores.ts';
import { filterFor, type ForContext, forTools, judgeFor } from './verify-for.ts';

const manifestDigest = digestOf(utf8('an image'));
const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json';

const found = (place: StorePlace, signature: FoundSignature['signature']): FoundSignature => ({
  place,
  location: place,
  signature,
});

function sig(dockerReference: string, bundle?: string): Signature {
  const payload = encodeCosignPayload({ manifestDigest, dockerReference });
  return cosignAttachment(payload, utf8('s'), bundle === undefined ? {} : { bundle });
}

function bundle(more: object = {}): Signature {
  const json = {
    mediaType: bundleType,
    verificationMaterial: { publicKey: { hint: 'aGludA==' } },
    dsseEnvelope: { payload: 'e30=', payloadType: 'x', signatures: [{ sig: 'cw==' }] },
    ...more,
  };
  return { format: 'bundle', mediaType: bundleType, json: utf8(JSON.stringify(json)) };
}

const simple: Signature = { format: 'simple', blob: new Uint8Array([0xa3]) };
const envelope = new Uint8Array();
const attestation: Signature = {
  format: 'attestation',
  mediaType: 'application/vnd.dsse.envelope.v1+json',
  envelope,
  annotations: { 'dev.sigstore.cosign/bundle': '{}' },
};
const notary: Signature = { format: 'notary', mediaType: 'application/jose+json', envelope };
const on: ForContext = { attachmentsOn: true, ignoreLog: true };

/** For each tool what it does with each: `+`, or the code. */
function table(all: readonly FoundSignature[], context: ForContext): Record<string, readonly string[]> {
  return Object.fromEntries(
    forTools.map((tool) => [
      tool,
      filterFor(tool, all, context).map((sight) => (sight.reads ? '+' : sight.code)),
    ]),
  );
}

const off = 'trust.not-read';

test('without a bundle both cosigns read the .sig; podman where it is turned on, and GPG signatures', () => {
  const all = [
    found('lookaside', simple),
    found('attachments', sig('h.example/a:1')),
    found('referrers', notary),
  ];
  deepEqual(table(all, on), {
    podman: ['+', '+', off],
    cosign2: [off, '+', off],
    cosign3: [off, '+', off],
  });
  deepEqual(table(all, { ...on, attachmentsOn: false })['podman'], ['+', off, off]);
});

test('one bundle, even an attestation, hides the .sig from cosign 3 alone', () => {
  const all = [found('attachments', sig('h.example/a:1')), found('referrers', bundle())];
  deepEqual(table(all, on), { podman: ['+', off], cosign2: ['+', off], cosign3: [off, '+'] });
});

test('what is no bundle of version 0.3 hides nothing', () => {
  const old = bundle({ mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1' });
  const torn: Signature = { format: 'bundle', mediaType: bundleType, json: utf8('{') };
  const bad = { format: 'unreadable', code: 'signature.malformed', message: '' } as const;
  const all = [
    found('attachments', sig('h.example/a:1')),
    found('referrers', old),
    found('referrers', torn),
    found('referrers', bad),
  ];
  deepEqual(table(all, on)['cosign3'], ['+', off, off, off]);
});

test('cosign wants a log entry unless it is told not to; podman’s policy decides about that', () => {
  const wants = { attachmentsOn: true };
  const missing = 'signature.log-entry-missing';
  const sigs = [found('attachments', sig('h.example/a:1')), found('attachments', sig('h.example/a:1', '{}'))];
  deepEqual(table(sigs, wants), {
    podman: ['+', '+'],
    cosign2: [missing, '+'],
    cosign3: [missing, '+'],
  });
  deepEqual(table([found('referrers', bundle())], wants)['cosign3'], [missing]);
});

test('a name without tag is what cosign signs for, and what podman’s default rule refuses', () => {
  const all = [found('attachments', sig('h.example/a')), found('attachments', sig('h.example/a:1'))];
  for (const name of ['h.example/a:1', `h.example/a@${manifestDigest}`]) {
    const context = { ...on, dockerReference: parseReference(name) };
    deepEqual(table(all, context)['podman'], ['signature.wrong-identity', '+']);
    deepEqual(table(all, context)['cosign2'], ['+', '+']);
  }
});

test('attestations: .att for cosign 2, bundles for cosign 3, none for podman', () => {
  const all = [
    found('old-attestations', attestation),
    found('referrers', bundle()),
    found('attachments', sig('a')),
  ];
  deepEqual(table(all, { ...on, asks: 'attestations' }), {
    podman: [off, off, off],
    cosign2: ['+', off, off],
    cosign3: [off, '+', off],
  });
  deepEqual(table(all, on)['cosign2'], [off, off, '+']);
});

test('a layer of another kind is no signature; what cannot be read makes podman refuse, so it is read', () => {
  const layer = { ...sig('h.example/a:1'), mediaType: 'x/y' } as Signature;
  const bad = { format: 'unreadable', code: 'signature.malformed', message: '' } as const;
  deepEqual(table([found('attachments', layer), found('attachments', bad), found('lookaside', bad)], on), {
    podman: [off, '+', '+'],
    cosign2: [off, '+', off],
    cosign3: [off, '+', off],
  });
});

test('what a tool reads, from the stores of an image', async () => {
  const store = (...signatures: readonly Signature[]): SignatureStore => ({
    description: 'a store',
    async *list() {
      for (const signature of signatures) yield { signature, location: signature.format };
    },
    add: () => Promise.reject(new Error('not here')),
  });
  const attachments = store(sig('h.example/a:1'));
  const lookaside = store(simple);
  const stores: LocatedStores = {
    readers: [lookaside],
    attachments,
    referrers: store(bundle()),
    writerFor: () => lookaside,
  };
  const image = { reference: undefined, digest: manifestDigest };
  const subject: Subject = {
    transport: 'docker',
    identity: 'h.example/a:1',
    namespaces: [],
    manifestDigest,
    signatures: () => {
      throw new Error('the tool’s own are read');
    },
  };
  /** Formats that were judged, then those passed over. */
  const read = async (tool: 'podman' | 'cosign3', located: LocatedStores): Promise<string> => {
    const judged: string[] = [];
    const verdict = await judgeFor(tool, { subject, located, image }, { ignoreLog: true }, async (its) => {
      for await (const { signature } of its.signatures()) judged.push(signature.format);
      return { accepted: false, scope: null, requirements: [{ type: 't', accepted: false, signatures: [] }] };
    });
    const over = verdict.requirements[0]?.signatures.map(({ format, code }) => `${format} ${code}`) ?? [];
    return [judged.join(), ...over].join(' | ');
  };
  equal(await read('podman', stores), `simple | cosign ${off} | bundle ${off}`);
  equal(
    await read('podman', { ...stores, readers: [lookaside, attachments] }),
    `simple,cosign | bundle ${off}`,
  );
  equal(await read('cosign3', stores), `bundle | simple ${off} | cosign ${off}`);
  equal(await read('cosign3', { ...stores, referrers: store() }), `cosign | simple ${off}`);
});

test('a store that fails matters to the tools that read it', async () => {
  const empty: SignatureStore = {
    description: 'a store',
    async *list() {
      // nothing
    },
    add: () => Promise.reject(new Error('not here')),
  };
  const broken: SignatureStore = {
    ...empty,
    list: () => {
      throw new BullaError('store.unreadable', 'no');
    },
  };
  const image = { reference: undefined, digest: manifestDigest };
  const subject = { transport: 'docker', identity: '', namespaces: [], manifestDigest } as const;
  const judge = async (): Promise<Verdict> => ({ accepted: true, scope: null, requirements: [] });
  const run = (tool: 'podman' | 'cosign3', located: Omit<LocatedStores, 'writerFor'>): Promise<Verdict> =>
    judgeFor(
      tool,
      {
        subject: { ...subject, signatures: () => empty.list(image) },
        located: { ...located, writerFor: () => empty },
        image,
      },
      {},
      judge,
    );
  const unreadable = (error: unknown): boolean => isBullaError(error, 'store.unreadable');
  const gpgGone = { readers: [broken], attachments: empty, referrers: empty };
  await rejects(run('podman', gpgGone), unreadable);
  equal((await run('cosign3', gpgGone)).accepted, true);
  const bundlesGone = { readers: [empty], attachments: empty, referrers: broken };
  equal((await run('podman', bundlesGone)).accepted, true);
  await rejects(run('cosign3', bundlesGone), unreadable);
});

/** A case: a policy, an image and its signatures, as data that can be printed and drawn again. */
import type { Keys } from './keys.ts';
import { payloadKinds } from './payloads.ts';
import { drawPolicy, identityOf, identityRules, type PolicySubject } from './policies.ts';
import { randomFrom } from './random.ts';
import {
  digestKinds,
  drawSignature,
  framings,
  good,
  identities,
  type SignatureRecipe,
  type Signed,
} from './signatures.ts';
import { keyFileNames, signerNames } from './keys.ts';

export const imageKinds = ['oci', 'docker', 'list'] as const;
export type ImageKind = (typeof imageKinds)[number];

/** What is on the registry: `ns/deep/app:<kind>` and `solo:<kind>`. */
export type Images = Readonly<
  Record<
    ImageKind,
    {
      /** Of the manifest that is judged: of a list, its linux/amd64 instance. */
      readonly judged: string;
      /** What the tag means. */
      readonly top: string;
      /** A folder with the image for dir:. */
      readonly folder: string;
    }
  >
>;

export type Place = {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly images: Images;
  readonly keys: Keys;
  /** skopeo knows --require-signed (1.23 and newer). */
  readonly requireSigned: boolean;
  /** A folder of a case's own, which nothing is in yet. */
  readonly folderOf: (id: string) => string;
};

export type Case = {
  /** Says where it comes from: stays the same from run to run. */
  readonly id: string;
  readonly transport: 'docker' | 'dir';
  readonly kind: ImageKind;
  /** As both judges get it. */
  readonly image: string;
  readonly signed: Signed;
  readonly policy: string;
  readonly signatures: readonly SignatureRecipe[];
  /** Numbers of the files where that is not 1, 2, 3 …: a gap hides what comes after it. */
  readonly numbers: readonly number[];
  /** Of a list: signatures are filed under the instance's digest, the list's, or both. */
  readonly filed: 'instance' | 'list' | 'both';
  readonly requireSigned: boolean;
};

type Asked = {
  readonly transport: 'docker' | 'dir';
  readonly kind: ImageKind;
  readonly host?: string;
  readonly path?: string;
  readonly by?: 'tag' | 'digest' | 'instance digest';
};

/** The parts of a case that follow from which image is asked for, and how. */
function askFor(
  id: string,
  { transport, kind, host: ownHost, path = 'ns/deep/app', by = 'tag' }: Asked,
  place: Place,
): Pick<Case, 'id' | 'transport' | 'kind' | 'image' | 'signed'> & { readonly subject: PolicySubject } {
  const { judged, top } = place.images[kind];
  const other = place.images[kind === 'oci' ? 'docker' : 'oci'].judged;
  const digests = { right: judged, list: top, 'other image': other, none: `sha512:${'0'.repeat(128)}` };
  if (transport === 'dir') {
    const folder = `${place.folderOf(id)}/image`;
    const signed: Signed = {
      ...{ host: 'registry.example.com', path: 'ns/app', tag: kind, by: 'tag' as const },
      ...{ digest: judged, digests },
    };
    const subject = { transport, repository: folder, tag: kind, digest: judged };
    return { id, transport, kind, image: `dir:${folder}`, signed, subject };
  }
  const host = ownHost ?? place.host;
  const asked = by === 'digest' ? top : judged;
  const suffix = by === 'tag' ? `:${kind}` : `@${asked}`;
  const signed: Signed = {
    ...{ host, path, tag: kind, digest: asked, digests },
    by: by === 'tag' ? 'tag' : 'digest',
  };
  const subject = { transport, repository: `${host}/${path}`, tag: kind, digest: asked };
  return { id, transport, kind, image: `docker://${host}/${path}${suffix}`, signed, subject };
}

const ordinary = { numbers: [], filed: 'instance', requireSigned: false } as const;

function policyOf(place: Place, keyFile: (typeof keyFileNames)[number], signedIdentity?: object): string {
  const requirement = {
    ...{ type: 'signedBy', keyType: 'GPGKeys', keyPath: place.keys.path(keyFile) },
    ...(signedIdentity !== undefined && { signedIdentity }),
  };
  return JSON.stringify({ default: [requirement] });
}

/** One thing at a time, all of its values: payloads, framings, signers, digests, key files. */
function oneByOne(place: Place): Case[] {
  const cases: Case[] = [];
  const add = (
    id: string,
    recipe: Partial<SignatureRecipe>,
    policy: string,
    more: Partial<Case> = {},
  ): void => {
    const { subject: _, ...asked } = askFor(id, { transport: 'docker', kind: 'oci' }, place);
    cases.push({ ...asked, ...ordinary, policy, signatures: [{ ...good, ...recipe }], ...more });
  };
  const first = policyOf(place, 'first');
  const anyName = policyOf(place, 'first', { type: 'matchRepository' });
  for (const payload of payloadKinds) add(`payload: ${payload}`, { payload }, first);
  for (const framing of framings) add(`framing: ${framing}`, { framing }, first);
  for (const framing of framings) {
    add(`framing after a good signature: ${framing}`, {}, first, {
      signatures: [good, { ...good, framing }],
    });
  }
  const every = policyOf(place, 'first and all that failed');
  const anything = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] });
  for (const framing of ['as signed', 'HTML', 'one bit changed'] as const) {
    add(`framing, where nothing is required: ${framing}`, { framing }, anything);
  }
  for (const signer of signerNames) add(`signer: ${signer}`, { signer }, every);
  for (const digest of digestKinds) add(`digest: ${digest}`, { digest }, anyName);
  for (const file of keyFileNames) add(`key file: ${file}`, {}, policyOf(place, file));
  for (const file of keyFileNames) {
    const keyPaths = [place.keys.path('first'), place.keys.path(file)];
    const requirement = { type: 'signedBy', keyType: 'GPGKeys', keyPaths };
    add(`key files: first and ${file}`, {}, JSON.stringify({ default: [requirement] }));
  }
  for (const numbers of [[2], [1, 3], [0, 1], [1, 2, 4]]) {
    const signatures = numbers.map((_, index) =>
      index === numbers.length - 1 ? good : { ...good, signer: 'stranger' as const },
    );
    add(`numbers: ${numbers.join(' ')}`, {}, first, { numbers, signatures });
  }
  add('no signature', {}, first, { signatures: [] });
  return cases;
}

/** Every rule for the signed name with every name that may be signed, for each way to name the image. */
function namesAndRules(place: Place): Case[] {
  const ways: readonly Asked[] = [
    { transport: 'docker', kind: 'oci', by: 'tag' },
    { transport: 'docker', kind: 'oci', by: 'digest' },
    { transport: 'dir', kind: 'oci' },
  ];
  return ways.flatMap((how) =>
    identityRules.flatMap((rule) =>
      identities.map((identity): Case => {
        const id = `name: ${rule}, ${identity}, ${how.transport} by ${how.by ?? 'path'}`;
        const { subject, ...asked } = askFor(id, how, place);
        const policy = policyOf(place, 'first', identityOf(rule, subject));
        return { ...asked, ...ordinary, policy, signatures: [{ ...good, identity }] };
      }),
    ),
  );
}

/** Anything with anything. */
function drawn(seed: number, count: number, place: Place): Case[] {
  const random = randomFrom(seed);
  const port = place.host.replace(/.*:/, '');
  return Array.from({ length: count }, (_, index): Case => {
    const id = `drawn ${seed}/${index}`;
    const { subject, ...rest } = askFor(
      id,
      {
        transport: random.chance(0.82) ? 'docker' : 'dir',
        kind: random.weighted({ oci: 5, docker: 3, list: 4 }),
        host: random.chance(0.75) ? place.host : `localhost:${port}`,
        path: random.chance(0.75) ? 'ns/deep/app' : 'solo',
        by: random.weighted({ tag: 6, digest: 2, 'instance digest': 1 }),
      },
      place,
    );
    return {
      ...rest,
      policy: drawPolicy(random, subject, place.keys),
      signatures: Array.from({ length: Number(random.weighted({ 0: 1, 1: 5, 2: 3, 3: 1, 4: 1 })) }, () =>
        drawSignature(random),
      ),
      numbers: random.chance(0.03) ? [random.whole(2, 3)] : [],
      filed: random.weighted({ instance: 8, list: 1, both: 2 }),
      requireSigned: random.chance(0.1) && place.requireSigned,
    };
  });
}

export type Draw = {
  readonly seed: number;
  /** How many cases of random parts. */
  readonly count: number;
  /** How many of the more than a thousand pairs of rule and name; drawn from them too. */
  readonly names: number;
};

/** The rules that people use with the names that tell them apart: in every run. */
const mainRules: readonly string[] = ['none', 'matchExact', 'matchRepository'];
const tellingNames: readonly string[] = [
  ...['tag', 'digest', 'other tag', 'name only', 'tag and digest', 'other digest', 'other repository'],
];

function isMain(id: string): boolean {
  const [, rule = '', name = '', way = ''] = /^name: (.*), (.*), (.*)$/.exec(id) ?? [];
  return way.startsWith('docker') && mainRules.includes(rule) && tellingNames.includes(name);
}

/** The cases of a run: one of each oddity, some rules with some names, and random ones. */
export function drawCases({ seed, count, names }: Draw, place: Place): readonly Case[] {
  const random = randomFrom(seed + 1);
  const shuffled = namesAndRules(place)
    .map((one) => ({ one, order: isMain(one.id) ? -1 : random.next() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ one }) => one);
  return [...oneByOne(place), ...shuffled.slice(0, names), ...drawn(seed, count, place)];
}

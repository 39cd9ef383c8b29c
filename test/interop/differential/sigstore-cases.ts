/** A sigstore case: a policy, an image and its signatures, as data that can be printed and drawn again. */
import type { CosignSignature } from '../../../src/formats/cosign.ts';
import type { SigstoreCase } from '../../support/sigstore-case.ts';
import type { ImageKind, Images } from './cases.ts';
import type { Keys } from './keys.ts';
import { payloadKinds } from './payloads.ts';
import { identityOf, type IdentityRule, identityRules, type PolicySubject } from './policies.ts';
import { type Random, randomFrom } from './random.ts';
import { keyKinds, type SigstoreKeys } from './sigstore-keys.ts';
import { drawSigstorePolicy, requirementKinds, slips } from './sigstore-policies.ts';
import {
  certificateFaults,
  drawSigstore,
  goodSigstore,
  logFaults,
  otherMediaTypes,
  type SigstoreRecipe,
  textFaults,
} from './sigstore-signatures.ts';
import { drawSignature, identities, type SignatureRecipe, type Signed } from './signatures.ts';

/** What the tag `….sig` names. */
export const attachmentForms = [
  ...([
    'as usual',
    'nothing',
    'a Docker manifest',
    'an index',
    'no media type',
    'garbage',
    'no layers',
  ] as const),
  ...([
    'without annotations',
    'another first',
    'blob missing',
    'blob changed',
    'size wrong',
    'size huge',
  ] as const),
  ...(['status 401', 'status 403', 'status 500', 'with subject', 'config missing', 'artifact type'] as const),
] as const;
export type AttachmentForm = (typeof attachmentForms)[number];

export type SigstorePlace = {
  readonly host: string;
  readonly images: Images;
  readonly keys: { readonly sigstore: SigstoreKeys; readonly gpg: Keys };
  /** Of test/support/sigstore-cases.ts: requirements and attachments for the image `oci`. */
  readonly forged: readonly SigstoreCase[];
  readonly folderOf: (id: string) => string;
  /** The repository of a case's own. */
  readonly pathOf: (id: string) => string;
};

/** A recipe, or an attachment that is made already, by its name. */
export type SigstoreSource =
  | { readonly recipe: SigstoreRecipe }
  | { readonly forged: string; readonly attachment: CosignSignature; readonly stricter: string | undefined };

export type SigstoreOne = {
  readonly id: string;
  readonly transport: 'docker' | 'dir';
  readonly kind: ImageKind;
  readonly image: string;
  readonly signed: Signed;
  readonly policy: string;
  readonly sigstore: readonly SigstoreSource[];
  readonly gpg: readonly SignatureRecipe[];
  /** Where registries.d says what about attachments. */
  readonly attachments: 'everywhere' | 'for the host' | 'for the repository' | 'not here' | 'unsaid' | 'off';
  readonly form: AttachmentForm;
  readonly filed: 'instance' | 'list' | 'both';
};

type Asked = {
  readonly transport: 'docker' | 'dir';
  readonly kind: ImageKind;
  readonly by: 'tag' | 'digest';
};

function askFor(
  id: string,
  { transport, kind, by }: Asked,
  place: SigstorePlace,
): Omit<SigstoreOne, 'policy'> & { readonly subject: PolicySubject } {
  const { judged, top } = place.images[kind];
  const other = place.images[kind === 'oci' ? 'docker' : 'oci'].judged;
  const digests = { right: judged, list: top, 'other image': other, none: `sha512:${'0'.repeat(128)}` };
  const plain = {
    sigstore: [],
    gpg: [],
    attachments: 'everywhere',
    form: 'as usual',
    filed: 'instance',
  } as const;
  if (transport === 'dir') {
    const folder = `${place.folderOf(id)}/image`;
    const signed: Signed = {
      ...{ host: 'registry.example.com', path: 'ns/app', tag: kind, by: 'tag' as const },
      ...{ digest: judged, digests },
    };
    const subject = { transport, repository: folder, tag: kind, digest: judged };
    return { ...plain, id, transport, kind, image: `dir:${folder}`, signed, subject };
  }
  const path = place.pathOf(id);
  const suffix = by === 'tag' ? `:${kind}` : `@${top}`;
  const signed: Signed = { host: place.host, path, tag: kind, digest: top, digests, by };
  const subject = { transport, repository: `${place.host}/${path}`, tag: kind, digest: top };
  return { ...plain, id, transport, kind, image: `docker://${place.host}/${path}${suffix}`, signed, subject };
}

const usual: Asked = { transport: 'docker', kind: 'oci', by: 'tag' };

function requirementText(
  signer: Readonly<Record<string, unknown>>,
  subject: PolicySubject,
  rule: IdentityRule = 'none',
): string {
  const signedIdentity = identityOf(rule, subject);
  const all = { type: 'sigstoreSigned', ...signer, ...(signedIdentity !== undefined && { signedIdentity }) };
  return JSON.stringify({ default: [all] }, undefined, 1);
}

/** One thing at a time, all of its values. */
export function sigstoreOneByOne(place: SigstorePlace): SigstoreOne[] {
  const cases: SigstoreOne[] = [];
  const { sigstore: keys } = place.keys;
  const by = (form: string): object => ({ keyPath: keys.path(form) });
  const log = { rekorPublicKeyPath: keys.path('log') };
  const fulcio = {
    fulcio: {
      caPath: keys.path('root'),
      oidcIssuer: 'https://issuer.example.com',
      subjectEmail: 'alice@example.com',
    },
    ...log,
  };
  const add = (
    id: string,
    signer: object,
    recipe: Partial<SigstoreRecipe>,
    more: Partial<SigstoreOne> = {},
    rule?: IdentityRule,
  ): void => {
    const { subject, ...asked } = askFor(id, usual, place);
    const policy = requirementText({ ...signer }, subject, rule);
    cases.push({ ...asked, policy, sigstore: [{ recipe: { ...goodSigstore, ...recipe } }], ...more });
  };
  for (const [form] of keys.forms) {
    const signer = keyKinds.find((kind) => kind === form) ?? (form.startsWith('PKCS#1') ? 'RSA' : 'P-256');
    add(`key file: ${form}`, by(form), { signer });
    add(`second key file: ${form}`, { keyPaths: [keys.path('P-256'), keys.path(form)] }, {});
    add(`log key file: ${form}`, { ...by('P-256'), rekorPublicKeyPath: keys.path(form) }, { proof: 'log' });
  }
  for (const other of keyKinds.slice(1)) {
    const both = [keys.path(other), keys.path('P-256')];
    add(`logged, second key after ${other}`, { keyPaths: both, ...log }, { proof: 'log' });
    add(`logged, first key before ${other}`, { keyPaths: both.toReversed(), ...log }, { proof: 'log' });
  }
  for (const kind of logFaults) {
    add(`log: ${kind}`, { ...by('P-256'), ...log }, { proof: 'log', log: kind });
    add(`log of a certificate: ${kind}`, fulcio, { proof: 'certificate and log', log: kind });
  }
  const pki = { caRootsPath: keys.path('root'), subjectEmail: 'alice@example.com' };
  const empty = { caIntermediatesPath: keys.path('empty') };
  add('pki: no intermediates in the file', { pki: { ...pki, ...empty } }, { proof: 'certificate' });
  const none = { caIntermediatesData: '' };
  add('pki: no intermediates in the policy', { pki: { ...pki, ...none } }, { proof: 'certificate' });
  for (const certificate of certificateFaults) {
    add(`certificate: ${certificate}`, fulcio, { proof: 'certificate and log', certificate });
  }
  for (const signer of keyKinds)
    add(`certified: ${signer}`, fulcio, { proof: 'certificate and log', signer });
  for (const payload of payloadKinds) add(`payload: ${payload}`, by('P-256'), { payload });
  for (const fault of textFaults) {
    for (const name of ['signature', 'certificate', 'chain', 'bundle'] as const) {
      const annotation = { name, fault, at: 0.4 };
      add(`${name}: ${fault}`, fulcio, { proof: 'certificate and log', annotation });
    }
  }
  for (const mediaType of otherMediaTypes) add(`media type: ${mediaType}`, by('P-256'), { mediaType });
  for (const form of attachmentForms) add(`attachment: ${form}`, by('P-256'), {}, { form });
  for (const attachments of [
    'everywhere',
    'for the host',
    'for the repository',
    'not here',
    'unsaid',
    'off',
  ] as const) {
    add(`attachments: ${attachments}`, by('P-256'), {}, { attachments });
  }
  slips.forEach((slip, index) => {
    for (const [name, signer] of [
      ['key', { ...by('P-256'), ...log }],
      ['fulcio', fulcio],
    ] as const) {
      add(`slip ${index} of ${name}`, signer, { proof: name === 'key' ? 'log' : 'certificate and log' });
      const last = cases.pop();
      if (last !== undefined) cases.push({ ...last, policy: slip(last.policy) });
    }
  });
  return cases;
}

/** Each rule for the signed name with each name that may be signed. */
export function sigstoreNames(place: SigstorePlace): SigstoreOne[] {
  const signer = { keyPath: place.keys.sigstore.path('P-256') };
  return (['tag', 'digest'] as const).flatMap((by) =>
    identityRules.flatMap((rule) =>
      identities.map((identity): SigstoreOne => {
        const { subject, ...asked } = askFor(`name: ${rule}, ${identity}, by ${by}`, { ...usual, by }, place);
        const policy = requirementText(signer, subject, rule);
        return { ...asked, policy, sigstore: [{ recipe: { ...goodSigstore, identity } }] };
      }),
    ),
  );
}

/** A forged requirement with attachments of others, in any order, through either transport. */
function crossed(random: Random, id: string, place: SigstorePlace): SigstoreOne {
  const transport = random.pick(['docker', 'dir'] as const);
  const { subject: _, ...asked } = askFor(id, { transport, kind: 'oci', by: 'tag' }, place);
  const wanted = random.pick(place.forged);
  const family = wanted.name.replace(/:.*/, '');
  const relatives = place.forged.filter(({ name }) => name.startsWith(family));
  const attachments = Array.from({ length: random.whole(1, 4) }, () =>
    random.weighted({ own: 3, relative: 4, any: 2 }),
  ).map((from) => (from === 'own' ? wanted : random.pick(from === 'relative' ? relatives : place.forged)));
  const signedIdentity = { type: 'exactReference', dockerReference: 'registry.example.com/ns/app:1' };
  const requirements = random.chance(0.8) ? [wanted] : [wanted, random.pick(relatives)];
  const list = requirements.map((each) => ({ type: 'sigstoreSigned', ...each.requirement, signedIdentity }));
  return {
    ...asked,
    policy: JSON.stringify({ default: list }, undefined, 1),
    sigstore: attachments.map(({ name, attachment, stricter }) => ({ forged: name, attachment, stricter })),
    form: random.chance(0.95) ? 'as usual' : random.pick(attachmentForms),
  };
}

/** Anything with anything. */
function composed(random: Random, id: string, place: SigstorePlace): SigstoreOne {
  const { subject, ...asked } = askFor(
    id,
    {
      transport: random.chance(0.75) ? 'docker' : 'dir',
      kind: random.weighted({ oci: 6, docker: 2, list: 3 } satisfies Record<ImageKind, number>),
      by: random.chance(0.75) ? 'tag' : 'digest',
    },
    place,
  );
  const wanted = {
    kind: random.pick(requirementKinds),
    signer: random.chance(0.6) ? ('P-256' as const) : random.pick(keyKinds),
  };
  const count = Number(random.weighted({ 0: 1, 1: 6, 2: 3, 3: 1 }));
  const on = random.chance(0.93);
  return {
    ...asked,
    policy: drawSigstorePolicy(random, subject, wanted, place.keys),
    sigstore: Array.from({ length: count }, () => ({
      recipe: drawSigstore(random, wanted.kind, wanted.signer),
    })),
    gpg: random.chance(0.2) ? [drawSignature(random)] : [],
    attachments: on
      ? random.pick(['everywhere', 'everywhere', 'for the host', 'for the repository'] as const)
      : random.pick(['not here', 'unsaid', 'off'] as const),
    form: random.chance(0.95) ? 'as usual' : random.pick(attachmentForms),
    filed: random.weighted({ instance: 8, list: 1, both: 2 }),
  };
}

export type SigstoreDraw = {
  readonly seed: number;
  /** How many cases of random parts, half of them crossed. */
  readonly count: number;
  /** How many pairs of rule and name. */
  readonly names: number;
};

/** The rules that people use with the names that tell them apart: in every run. */
const mainPair =
  /^name: (?:none|matchExact|matchRepository), (?:tag|digest|other tag|name only|tag and digest|other digest|other repository), /;

/** The cases of a run. */
export function drawSigstoreCases(
  { seed, count, names }: SigstoreDraw,
  place: SigstorePlace,
): readonly SigstoreOne[] {
  const random = randomFrom(seed);
  const shuffled = sigstoreNames(place)
    .map((one) => ({ one, order: mainPair.test(one.id) ? -1 : random.next() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ one }) => one);
  const drawn = Array.from({ length: count }, (_, index) =>
    (index % 3 === 0 ? crossed : composed)(random, `drawn ${seed}/${index}`, place),
  );
  return [...sigstoreOneByOne(place), ...shuffled.slice(0, names), ...drawn];
}

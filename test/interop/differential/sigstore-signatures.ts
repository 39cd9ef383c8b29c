/** One sigstore signature of a case: who signed what, what proves it, and what then happened to it. */
import { cosignAnnotations, type CosignSignature } from '../../../src/formats/cosign.ts';
import { type Bench as Actors, changed } from '../../support/sigstore-case.ts';
import * as forge from '../../support/sigstore-forge.ts';
import {
  issuer,
  leafExtensions,
  leafOf,
  mail,
  middleOf,
  type Plan,
  rootOf,
} from '../../support/sigstore-issue.ts';
import { type PayloadKind, payloadKinds, payloadOf } from './payloads.ts';
import type { Random } from './random.ts';
import { type KeyKind, keyKinds, type SigstoreKeys } from './sigstore-keys.ts';
import {
  type DigestKind,
  digestKinds,
  identities,
  type IdentityKind,
  nameOf,
  type Signed,
} from './signatures.ts';

export const logFaults = [
  ...(['none', 'another log', 'another payload', 'another signature', 'another signer'] as const),
  ...(['at 0', 'at 1', 'at 2^53', 'a day later', 'a month later', 'not yet valid', 'in the future'] as const),
  ...(['another index', 'negative index', 'another logID', 'time in the SET changed', 'kind dsse'] as const),
] as const;
export type LogFault = (typeof logFaults)[number];

export const certificateFaults = [
  ...([
    'another mail address',
    'another issuer',
    'no issuer',
    'first issuer only',
    'second issuer only',
  ] as const),
  ...([
    'two mail addresses',
    'a URI',
    'no name',
    'no chain',
    'root only',
    'chain in reverse',
    'leaf in the chain',
  ] as const),
  ...([
    'of another authority',
    'for servers',
    'expired now',
    'unknown critical',
    'self-signed',
    'RSA leaf',
    'another key',
  ] as const),
] as const;
export type CertificateFault = (typeof certificateFaults)[number];

/** What happens to a text: an annotation's. */
export const textFaults = [
  ...(['missing', 'empty', 'one letter changed', 'blank behind', 'line end before', 'twice', 'cut'] as const),
  ...(['CR LF', 'NUL behind', 'upper case', 'as JSON text', 'byte order mark'] as const),
] as const;
export type TextFault = (typeof textFaults)[number];

export type SigstoreRecipe = {
  readonly signer: KeyKind;
  /** Which proofs it carries. `all`: a certificate by Fulcio is valid now, too. */
  readonly proof: 'none' | 'log' | 'certificate' | 'certificate and log';
  readonly log: LogFault | 'good';
  readonly certificate: CertificateFault | 'good';
  readonly identity: IdentityKind;
  readonly digest: DigestKind;
  readonly payload: PayloadKind;
  /** What happened to which annotation, afterwards. */
  readonly annotation?: {
    readonly name: keyof typeof cosignAnnotations;
    readonly fault: TextFault;
    readonly at: number;
  };
  readonly mediaType?: string;
};

export const goodSigstore: SigstoreRecipe = {
  ...{ signer: 'P-256', proof: 'none', log: 'good', certificate: 'good' },
  ...{ identity: 'same', digest: 'right', payload: 'plain' },
};

export const otherMediaTypes = [
  ...['application/vnd.dsse.envelope.v1+json', 'application/vnd.dev.cosign.simplesigning.v2+json'],
  ...['application/vnd.dev.cosign.simplesigning.v1+json ', 'application/json'],
] as const;

const proofOf: Readonly<Record<string, SigstoreRecipe['proof']>> = {
  keys: 'none',
  'keys and log': 'log',
  fulcio: 'certificate and log',
  pki: 'certificate',
};

/** A signature that a requirement of that kind may accept; else with one or two things changed. */
export function drawSigstore(random: Random, kind: string, signer: KeyKind): SigstoreRecipe {
  const proof = random.chance(0.85)
    ? (proofOf[kind] ?? 'none')
    : random.pick(['none', 'log', 'certificate', 'certificate and log'] as const);
  let recipe: SigstoreRecipe = { ...goodSigstore, proof, signer };
  if (random.chance(0.45)) return recipe;
  for (let changes = random.chance(0.25) ? 2 : 1; changes > 0; changes -= 1) {
    const withLog = recipe.proof.includes('log') ? 4 : 0;
    const withCertificate = recipe.proof.includes('certificate') ? 4 : 0;
    const what = random.weighted({
      ...{ signer: 2, log: withLog, certificate: withCertificate, identity: 3 },
      ...{ digest: 1, payload: 2, annotation: 4, mediaType: 0.5 },
    });
    recipe = { ...recipe, ...oneChange(random, what) };
  }
  return recipe;
}

function oneChange(random: Random, what: string): Partial<SigstoreRecipe> {
  switch (what) {
    case 'signer':
      return { signer: random.pick(keyKinds) };
    case 'log':
      return { log: random.pick(logFaults) };
    case 'certificate':
      return { certificate: random.pick(certificateFaults) };
    case 'identity':
      return { identity: random.pick(identities) };
    case 'digest':
      return { digest: random.pick(digestKinds) };
    case 'payload':
      return { payload: random.pick(payloadKinds) };
    case 'mediaType':
      return { mediaType: random.pick(otherMediaTypes) };
    default: {
      const name = random.pick(Object.keys(cosignAnnotations) as (keyof typeof cosignAnnotations)[]);
      return { annotation: { name, fault: random.pick(textFaults), at: random.next() } };
    }
  }
}

/** The payload in sigstore's type, byte for byte as the kind says. */
function payloadFor(recipe: SigstoreRecipe, signed: Signed): Uint8Array {
  const bytes = payloadOf(recipe.payload, signed.digests[recipe.digest], nameOf(recipe.identity, signed));
  const text = Buffer.from(bytes).toString('latin1');
  return Buffer.from(
    text.replaceAll('atomic container signature', 'cosign container image signature'),
    'latin1',
  );
}

/** Makes the attachment. */
export function makeSigstore(recipe: SigstoreRecipe, signed: Signed, keys: SigstoreKeys): CosignSignature {
  const payload = payloadFor(recipe, signed);
  const pair = keys.pairs[recipe.signer];
  const signature = forge.signBytes(pair, payload);
  const certificate = recipe.proof.startsWith('certificate') ? certify(recipe, pair, keys.actors) : undefined;
  const made = changed(forge.attach(payload, pair), {
    signature: Buffer.from(signature).toString('base64'),
    ...certificate,
    ...(recipe.proof.endsWith('log') && {
      bundle: logged(
        recipe,
        { signature, payload, signer: certificate?.certificate ?? forge.pemOf(pair) },
        keys.actors,
      ),
    }),
  });
  return {
    ...spoilt(made, recipe.annotation),
    ...(recipe.mediaType !== undefined && { mediaType: recipe.mediaType }),
  };
}

type Logged = Pick<forge.EntryPlan, 'signature' | 'payload' | 'signer'>;

function logged({ log }: SigstoreRecipe, plan: Logged, actors: Actors): string | undefined {
  const { key, other, rekor, logged: time } = actors;
  const entry = (changes: Partial<forge.EntryPlan>, by = rekor): string =>
    forge.logEntry(by, { ...plan, time, ...changes });
  switch (log) {
    case 'good':
      return entry({});
    case 'none':
      return undefined;
    case 'another log':
      return entry({}, other);
    case 'another payload':
      return entry({ payload: Buffer.from('{}') });
    case 'another signature':
      return entry({ signature: forge.signBytes(key, Buffer.from('x')) });
    case 'another signer':
      return entry({ signer: forge.pemOf(other) });
    case 'at 0':
      return entry({ time: 0 });
    case 'at 1':
      return entry({ time: 1 });
    case 'at 2^53':
      return entry({ time: 2 ** 53 });
    case 'a day later':
      return entry({ time: time + 86_400 });
    case 'a month later':
      return entry({ time: time + 30 * 86_400 });
    case 'not yet valid':
      return entry({ time: time - 61 });
    case 'in the future':
      return entry({ time: actors.now + 3600 });
    case 'another index':
      return entry({}).replace('"logIndex":7', '"logIndex":8');
    case 'negative index':
      return entry({ entry: (each) => ({ ...each, logIndex: -7 }) });
    case 'another logID':
      return entry({ entry: (each) => ({ ...each, logID: '00'.repeat(32) }) });
    case 'time in the SET changed':
      return entry({}).replace(/"integratedTime":\d/, '"integratedTime":9');
    case 'kind dsse':
      return entry({ body: (each) => ({ ...each, kind: 'dsse' }) });
  }
}

/** A certificate valid when it was logged and now, so that Fulcio's and a PKI's rule can both take it. */
function certify(
  { certificate: fault }: SigstoreRecipe,
  pair: forge.KeyPair,
  actors: Actors,
): { readonly certificate: string; readonly chain: string | undefined } {
  const [root, middle] = [rootOf(actors), middleOf(actors)];
  const plan: Plan = { key: pair, to: actors.now + 86_400, ...planOf(fault, actors) };
  const leaf = leafOf(actors, plan);
  const chains: Readonly<Record<string, readonly Uint8Array[] | undefined>> = {
    'no chain': undefined,
    'root only': [root],
    'chain in reverse': [root, middle],
    'leaf in the chain': [leaf, middle, root],
  };
  const chain = fault in chains ? chains[fault] : [middle, root];
  return {
    certificate: forge.certificatePem(leaf),
    chain: chain === undefined ? undefined : forge.certificatePem(...chain),
  };
}

function planOf(fault: SigstoreRecipe['certificate'], actors: Actors): Plan {
  const [usage, , first, second] = leafExtensions as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const named = (...extensions: readonly Uint8Array[]): Plan => ({ extensions: [usage, ...extensions] });
  const eve: readonly [number, string] = [1, 'eve@example.com'];
  const plans: Readonly<Partial<Record<CertificateFault, Plan>>> = {
    'another mail address': named(forge.altNames([eve], true), first, second),
    'another issuer': named(mail, forge.issuerText(`${issuer}/`), forge.issuerUtf8(`${issuer}/`)),
    'no issuer': named(mail),
    'first issuer only': named(mail, first),
    'second issuer only': named(mail, second),
    'two mail addresses': named(forge.altNames([eve, [1, 'alice@example.com']], true), first, second),
    'a URI': named(forge.altNames([[6, 'https://example.com/alice']], true), first, second),
    'no name': named(first, second),
    'of another authority': { by: actors.other },
    'for servers': { extensions: [forge.usages('1.3.6.1.5.5.7.3.1'), mail, first, second] },
    'expired now': { to: actors.logged + 60 },
    'unknown critical': named(mail, first, second, forge.extension('1.2.3.4', Uint8Array.of(5, 0), true)),
    'self-signed': { by: actors.key, issuer: 'leaf' },
    'RSA leaf': { key: forge.rsaKey() },
    'another key': { key: actors.other },
  };
  return fault === 'good' ? {} : (plans[fault] ?? {});
}

function spoilt(signature: CosignSignature, how: SigstoreRecipe['annotation']): CosignSignature {
  if (how === undefined) return signature;
  const text = signature.annotations[cosignAnnotations[how.name]];
  if (text === undefined && how.fault !== 'empty') return signature;
  return changed(signature, { [how.name]: spoiltText(text ?? '', how.fault, how.at) });
}

function spoiltText(text: string, fault: TextFault, at: number): string | undefined {
  const place = Math.floor(at * text.length);
  switch (fault) {
    case 'missing':
      return undefined;
    case 'empty':
      return '';
    case 'one letter changed':
      return `${text.slice(0, place)}${text[place] === 'A' ? 'B' : 'A'}${text.slice(place + 1)}`;
    case 'blank behind':
      return `${text} `;
    case 'line end before':
      return `\n${text}`;
    case 'twice':
      return text + text;
    case 'cut':
      return text.slice(0, place);
    case 'CR LF':
      return text.replaceAll('\n', '\r\n');
    case 'NUL behind':
      return `${text}\0`;
    case 'upper case':
      return text.toUpperCase();
    case 'as JSON text':
      return JSON.stringify(text);
    case 'byte order mark':
      return `\ufeff${text}`;
  }
}

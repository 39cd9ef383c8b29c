/**
 * Which of an image's signatures another tool would look at, and why not at the others. What is written
 * here was measured: podman 5.8 and skopeo 1.22, cosign 2.5 and 3.1 (docs/reference/inspect.md). Whether
 * the tool then believes what it looks at is the judge's to say.
 */
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import type { Reference } from '../base/reference.ts';
import { parseBundle, type UntrustedBundle } from '../formats/bundle.ts';
import { cosignMediaType, type CosignSignature } from '../formats/cosign.ts';
import { readUntrustedCosign } from '../formats/cosign-untrusted.ts';
import type { LocatedStores } from '../stores/locate.ts';
import type { ImageId, StoredSignature } from '../stores/store.ts';
import { matchIdentity } from '../trust/identity.ts';
import type { SignatureVerdict, Subject, Verdict } from '../trust/verdict.ts';
import { type FoundSignature, type ReadStore, readStores } from './read-stores.ts';

/** `podman` stands for skopeo and CRI-O too, which share its code. */
export type ForTool = 'podman' | 'cosign2' | 'cosign3';

export const forTools: readonly ForTool[] = ['podman', 'cosign2', 'cosign3'];

export type ForContext = {
  /** `attestations`: cosign's verify-attestation. Default: signatures. */
  readonly asks?: 'signatures' | 'attestations';
  /** registries.d turns the `.sig` on. podman alone goes by it. */
  readonly attachmentsOn: boolean;
  /** What podman's default rule of identity compares a `.sig` with. Left out: the policy's own rule decides. */
  readonly dockerReference?: Reference;
  /** cosign's `--insecure-ignore-tlog`. Default: it wants a log entry, for a key too. */
  readonly ignoreLog?: boolean;
};

export type Sight = { readonly found: FoundSignature } & (
  | { readonly reads: true }
  /** `trust.not-read`: it does not look there; else what it refuses before any key is tried. */
  | { readonly reads: false; readonly code: ErrorCode; readonly message: string }
);

/**
 * Sorts the signatures of one manifest by what a tool does with them; in the order given.
 * @param all everything that was found: for cosign 3 one signature decides about others
 */
export function filterFor(
  tool: ForTool,
  all: readonly FoundSignature[],
  context: ForContext,
): readonly Sight[] {
  const why = rules[tool](all, context);
  return all.map((found): Sight => {
    const refusal = why(found);
    return refusal === undefined ? { found, reads: true } : { found, reads: false, ...refusal };
  });
}

/** What is judged, and where its signatures are. */
export type ForSubject = {
  readonly subject: Subject;
  readonly located: LocatedStores;
  readonly image: ImageId;
};

/**
 * Judges by what a tool looks at alone. What it passes over is among the last requirement's signatures, with the reason.
 * @throws BullaError what keeps a store that the tool reads from being read, and what the judge throws
 */
export async function judgeFor(
  tool: ForTool,
  { subject, located, image }: ForSubject,
  context: Omit<ForContext, 'attachmentsOn'>,
  judge: (subject: Subject) => Promise<Verdict>,
): Promise<Verdict> {
  const sights = await sightsOf(tool, located, image, context);
  async function* signatures(): AsyncGenerator<StoredSignature> {
    for (const { found, reads } of sights) if (reads) yield found;
  }
  const verdict = await judge({ ...subject, signatures });
  const last = verdict.requirements.at(-1);
  if (last === undefined) return verdict;
  const passedOver = sights.flatMap((sight): SignatureVerdict[] => {
    if (sight.reads) return [];
    const { found, code, message } = sight;
    return [{ format: found.signature.format, store: found.location, accepted: false, code, message }];
  });
  const requirement = { ...last, signatures: [...last.signatures, ...passedOver] };
  return { ...verdict, requirements: [...verdict.requirements.slice(0, -1), requirement] };
}

async function sightsOf(
  tool: ForTool,
  located: LocatedStores,
  image: ImageId,
  context: Omit<ForContext, 'attachmentsOn'>,
): Promise<readonly Sight[]> {
  const stores = await readStores(located, image);
  const broken = stores.find((store) => store.problem !== undefined && isReadBy(tool, store));
  if (broken?.problem !== undefined) throw new BullaError(broken.problem.code, broken.problem.message);
  const attachmentsOn = stores.some(({ place, isConfigured }) => place === 'attachments' && isConfigured);
  return filterFor(
    tool,
    stores.flatMap(({ found }) => found),
    { ...context, attachmentsOn },
  );
}

/** A store that fails matters to those who would have read it. */
function isReadBy(tool: ForTool, { place, isConfigured }: ReadStore): boolean {
  return tool === 'podman' ? isConfigured : place !== 'lookaside' && place !== 'dir';
}

/** Undefined: it is read. */
type Why = { readonly code: ErrorCode; readonly message: string } | undefined;
type Rule = (all: readonly FoundSignature[], context: ForContext) => (found: FoundSignature) => Why;

const rules: Readonly<Record<ForTool, Rule>> = {
  podman: (_all, context) => (found) => podman(found, context),
  cosign2: (_all, context) => (found) => oldCosign(found, context),
  cosign3: (all, context) => {
    const hasBundle = all.some((each) => newBundle(each) !== undefined);
    return (found) => (hasBundle ? newCosign(found, context) : oldCosign(found, context));
  },
};

function notRead(message: string): Why {
  return { code: 'trust.not-read', message };
}

function podman({ signature, place }: FoundSignature, context: ForContext): Why {
  if (context.asks === 'attestations') return notRead('podman verifies no attestations');
  if (place === 'referrers') return notRead('podman and skopeo do not look at what refers to an image');
  if (place === 'old-attestations') return notRead('podman and skopeo do not look at .att tags');
  if (place === 'attachments' && !context.attachmentsOn)
    return notRead('registries.d does not turn sigstore attachments on');
  // what is no signature makes podman refuse the image, so it is read
  if (signature.format !== 'cosign') return undefined;
  if (signature.mediaType !== cosignMediaType) return notRead('the layer is no signature');
  return context.dockerReference === undefined ? undefined : identity(signature, context.dockerReference);
}

/** cosign signs for a repository's name, which matchRepoDigestOrExact, the default, never takes. */
function identity(signature: CosignSignature, intended: Reference): Why {
  const { claim } = readUntrustedCosign(signature);
  if (claim === undefined) return undefined;
  const match = matchIdentity({ type: 'matchRepoDigestOrExact' }, intended, claim.dockerReference);
  if (match.ok) return undefined;
  return { code: 'signature.wrong-identity', message: `podman’s default rule: ${match.message}` };
}

function oldCosign({ signature, place }: FoundSignature, context: ForContext): Why {
  const wanted = context.asks === 'attestations' ? 'old-attestations' : 'attachments';
  if (place !== wanted) return notRead(whyNotOld[place](wanted));
  if (signature.format === 'unreadable') return undefined;
  if (signature.format === 'cosign' && signature.mediaType !== cosignMediaType)
    return notRead('the layer is no signature');
  const annotations = 'annotations' in signature ? signature.annotations : {};
  const { hasLogEntry } = readUntrustedCosign({
    format: 'cosign',
    mediaType: cosignMediaType,
    payload: new Uint8Array(),
    annotations,
  });
  return hasLogEntry ? undefined : logMissing(context);
}

const whyNotOld: Readonly<Record<FoundSignature['place'], (wanted: string) => string>> = {
  lookaside: () => 'cosign does not read GPG signatures',
  dir: () => 'cosign reads signatures in registries only',
  attachments: () => 'a .sig holds signatures, and attestations are asked for',
  'old-attestations': () => 'an .att holds attestations, and signatures are asked for',
  referrers: () => 'cosign 2 does not read bundles on images, nor cosign 3 what is none',
};

/** Where there is one bundle, of whatever kind and by whomever, cosign 3 looks at nothing else. */
function newCosign(found: FoundSignature, context: ForContext): Why {
  const bundle = newBundle(found);
  if (bundle !== undefined) return bundle.logEntries.length === 0 ? logMissing(context) : undefined;
  if (found.place === 'lookaside' || found.place === 'dir') return notRead(whyNotOld[found.place](''));
  if (found.place === 'referrers') return notRead('cosign 3 passes over what is no bundle of version 0.3');
  return notRead('the image has a bundle, and then cosign 3 looks at bundles alone');
}

function logMissing({ ignoreLog }: ForContext): Why {
  if (ignoreLog === true) return undefined;
  return {
    code: 'signature.log-entry-missing',
    message: 'cosign wants a log entry, unless it is given --insecure-ignore-tlog',
  };
}

/** Undefined for what cosign passes over in silence. */
function newBundle({ signature, place }: FoundSignature): UntrustedBundle | undefined {
  if (signature.format !== 'bundle' || place !== 'referrers') return undefined;
  try {
    const bundle = parseBundle(signature.json);
    return bundle.version === '0.3' ? bundle : undefined;
  } catch (error) {
    if (isBullaError(error)) return undefined;
    throw error;
  }
}

/**
 * BuildKit's attestation manifests: entries of a list that hold in-toto statements about one of its instances, unsigned
 * themselves. Whoever signs such a manifest vouches for its statements, and so for what they say of the instance that they
 * name. The list's own annotations only say where to look: the statement has to name the instance itself.
 */
import { concatBytes, printable } from '../../base/bytes.ts';
import type { Descriptor } from '../../base/descriptor.ts';
import { type Digest, hexOf } from '../../base/digest.ts';
import { isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { type IndexManifest, parseManifest } from '../../base/manifest.ts';
import { inTotoPayloadType } from '../../formats/dsse.ts';
import type { Image } from '../../images/image.ts';
import {
  foreignPredicate,
  readStatement,
  type StatementRule,
  wrongSubject,
} from '../../trust/statement-judge.ts';
import type { Verdict } from '../../trust/verdict.ts';

/** Of BuildKit (docs/attestations/attestation-storage.md). */
const annotations = {
  type: 'vnd.docker.reference.type',
  digest: 'vnd.docker.reference.digest',
  predicateType: 'in-toto.io/predicate-type',
} as const;

/** A list has one or two for an instance, and each a handful of statements. */
const mostManifests = 8;
const mostLayers = 32;

export type AttestedInstance = {
  readonly image: Image;
  readonly list: IndexManifest;
  /** As the list names it, and sha256 of its bytes. */
  readonly named: Digest;
  readonly digest: Digest;
  readonly rule: StatementRule;
  /** Judges the signatures of a manifest as signatures, not as statements. */
  readonly judgeSigned: (digest: Digest) => Promise<Verdict>;
};

/**
 * The verdict by the first attestation manifest that is signed by somebody who is believed and holds such a statement about the
 * instance; undefined where there is none.
 * @throws BullaError `registry.*`, `store.*`, `http.*`
 */
export async function judgeAttestationManifests(instance: AttestedInstance): Promise<Verdict | undefined> {
  const entries = instance.list.manifests.filter(
    ({ annotations: said = {} }) =>
      said[annotations.type] === 'attestation-manifest' && said[annotations.digest] === instance.named,
  );
  for (const entry of entries.slice(0, mostManifests)) {
    const found = await statementIn(entry, instance);
    if (found === undefined) continue;
    const verdict = await instance.judgeSigned(found.manifest);
    if (verdict.accepted) return withStatement(verdict, found);
  }
  return undefined;
}

type Found = { readonly manifest: Digest; readonly statement: Uint8Array; readonly predicateType: string };

/** A statement that is asked for, about this instance. What cannot be read is none. */
async function statementIn(entry: Descriptor, instance: AttestedInstance): Promise<Found | undefined> {
  try {
    const manifest = await instance.image.manifest(entry.digest);
    const parsed = parseManifest(manifest);
    const layers = parsed.kind === 'image' ? parsed.layers.slice(0, mostLayers) : [];
    for (const layer of layers.filter((each) => mayHold(each, instance.rule))) {
      const statement = await readLayer(instance.image, layer);
      const predicateType = typeOf(statement, instance);
      if (predicateType !== undefined) return { manifest: manifest.digest, statement, predicateType };
    }
    return undefined;
  } catch (error) {
    if (isBullaError(error) && /^(?:manifest|blob|signature)\./.test(error.code)) return undefined;
    throw error;
  }
}

/** The annotation saves reading what is of another type; what says nothing is read. */
function mayHold({ mediaType, size, annotations: said = {} }: Descriptor, rule: StatementRule): boolean {
  if (mediaType !== inTotoPayloadType || size > limits.bundleBytes) return false;
  const type = said[annotations.predicateType];
  return type === undefined || foreignPredicate({ predicateType: type }, rule) === undefined;
}

function typeOf(bytes: Uint8Array, { digest, rule }: AttestedInstance): string | undefined {
  const read = readStatement(inTotoPayloadType, bytes);
  if (!read.ok || foreignPredicate(read.statement, rule) !== undefined) return undefined;
  const wrong = wrongSubject(read.statement, new Map([['sha256', hexOf(digest)]]), rule);
  return wrong === undefined ? read.statement.predicateType : undefined;
}

/** Size and digest are checked as it comes. */
async function readLayer(image: Image, layer: Descriptor): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of await image.blob(layer)) parts.push(part);
  return concatBytes(...parts);
}

function withStatement(verdict: Verdict, { manifest, statement, predicateType }: Found): Verdict {
  const said = `stating ${printable(predicateType)} in the attestation manifest ${manifest}`;
  const requirements = verdict.requirements.map((requirement) => ({
    ...requirement,
    signatures: requirement.signatures.map((each) =>
      each.accepted ? { ...each, predicateType, statement, message: `${each.message}; ${said}` } : each,
    ),
  }));
  return { ...verdict, requirements };
}

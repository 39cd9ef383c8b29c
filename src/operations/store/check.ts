/** Checking a signature store. */
import { join } from 'node:path';

import { bytesEqual, printable } from '../../base/bytes.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { BullaError, type ErrorCode, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { parseSignatureBlob } from '../../formats/blob.ts';
import { readUntrustedMessage } from '../../keys/openpgp/verify.ts';
import type { ImageFolder, Oddity, SignaturePlace, StoreTree } from '../../stores/store-tree.ts';
import { openStoreTree, type StoreName } from './name.ts';

export type FindingKind =
  /** A number is missing while later ones are there: readers stop before it. */
  | 'gap'
  /** A signature that no reader counts, because it lies behind a gap. */
  | 'hidden'
  /** No whole signature: empty, torn, garbage, too large. It refuses the whole image. */
  | 'broken'
  /** 128 signatures or more: readers refuse the image. */
  | 'too-many'
  /** It cannot be read. */
  | 'unreadable'
  /** Another store has other bytes under this name: a program that copies files would replace one by the other. */
  | 'conflict'
  /** The same bytes a second time. */
  | 'duplicate'
  | 'link'
  | 'leftover'
  | 'foreign';

export type Finding = {
  readonly kind: FindingKind;
  readonly path: string;
  /** `problem`: readers are misled or refuse. `remark`: readers do not care. */
  readonly weight: 'problem' | 'remark';
  readonly message: string;
  readonly code?: ErrorCode;
};

/** Gathers findings, of each kind no more than people read: a store may be full of files that nobody wants. */
export type Findings = {
  add(...findings: readonly Finding[]): void;
  readonly named: readonly Finding[];
  /** How many more there are, of kinds that are named. */
  omitted(): number;
};

export function gatherFindings(): Findings {
  const named: Finding[] = [];
  const counts = new Map<FindingKind, number>();
  let omitted = 0;
  return {
    add: (...findings) => {
      for (const finding of findings) {
        const count = (counts.get(finding.kind) ?? 0) + 1;
        counts.set(finding.kind, count);
        if (count <= limits.storeFindings) named.push(finding);
        else omitted += 1;
      }
    },
    named,
    omitted: () => omitted,
  };
}

export type StoreCheck = {
  readonly images: number;
  /** Those that readers count. */
  readonly signatures: number;
  readonly findings: readonly Finding[];
  /** How many findings are not named, where a kind has more than 1000. */
  readonly omitted?: number;
};

/**
 * Checks a store, or the folder of one image, without changing anything.
 * @param options `env`: the environment for git; `against`: another store, with which this one is compared by name, as
 * rsync and cp do
 * @throws BullaError `io.not-found`, `io.failed`, `store.failed`, `process.*` where the tree itself cannot be read
 */
export async function checkStore(
  store: StoreName,
  options: { readonly env?: NodeJS.ProcessEnv; readonly against?: StoreName } = {},
): Promise<StoreCheck> {
  const env = options.env ?? process.env;
  await using tree = await openStoreTree(store, env);
  const others =
    options.against === undefined ? undefined : await digestsIn(await openStoreTree(options.against, env));
  const findings = gatherFindings();
  let images = 0;
  let signatures = 0;
  for await (const item of tree.walk()) {
    if (item.kind === 'oddity') {
      findings.add(remarkOf(item.oddity));
      continue;
    }
    images += 1;
    signatures += countedBy(item.folder.signatures);
    findings.add(...(await checkImage(item.folder)));
    if (others !== undefined) findings.add(...(await conflictsIn(item.folder, others)));
  }
  return { images, signatures, findings: findings.named, ...omittedOf(findings) };
}

/** The member that says so, where findings are not named. */
export function omittedOf(findings: Findings): { readonly omitted?: number } {
  return findings.omitted() > 0 ? { omitted: findings.omitted() } : {};
}

type Held = { readonly path: string; readonly digest: Digest };

/** The digest of each file `signature-N` of a store, by its name below it. */
async function digestsIn(opened: StoreTree): Promise<ReadonlyMap<string, Held>> {
  await using tree = opened;
  const digests = new Map<string, Held>();
  for await (const item of tree.walk()) {
    if (item.kind === 'oddity') continue;
    for (const place of item.folder.signatures) {
      const digest = await digestAt(place);
      if (digest !== undefined) digests.set(`${item.folder.name}/${place.n}`, { path: place.path, digest });
    }
  }
  return digests;
}

async function digestAt(place: SignaturePlace): Promise<Digest | undefined> {
  const content = await place.read().catch((error: unknown) => {
    // what cannot be read is a finding of its own
    if (isBullaError(error)) return undefined;
    throw error;
  });
  return content === undefined ? undefined : digestOf(content);
}

async function conflictsIn(
  { name, signatures }: ImageFolder,
  others: ReadonlyMap<string, Held>,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const place of signatures) {
    const other = others.get(`${name}/${place.n}`);
    const digest = other === undefined ? undefined : await digestAt(place);
    if (other === undefined || digest === undefined || digest === other.digest) continue;
    const message = `another signature than ${printable(other.path, 4096)}; copied by name, one would replace the other`;
    findings.push({ kind: 'conflict', weight: 'problem', path: place.path, message });
  }
  return findings;
}

/** How many a reader finds: up to the first missing number. */
function countedBy(places: readonly SignaturePlace[]): number {
  const gap = places.findIndex(({ n }, index) => n !== index + 1);
  return gap < 0 ? places.length : gap;
}

async function checkImage(folder: ImageFolder): Promise<readonly Finding[]> {
  const counted = countedBy(folder.signatures);
  const findings: Finding[] = [];
  const seen: Uint8Array[] = [];
  for (const place of folder.signatures.slice(0, counted)) {
    const { n, path } = place;
    const content = await readWhole(place);
    if (content instanceof BullaError) findings.push(badFile(path, content));
    else if (seen.some((each) => bytesEqual(each, content))) {
      findings.push({
        kind: 'duplicate',
        weight: 'remark',
        path,
        message: `signature ${n} repeats an earlier one`,
      });
    } else seen.push(content);
  }
  const most = limits.lookasideSignatures;
  if (counted >= most) {
    const message = `${counted} signatures; readers refuse an image with ${most} or more`;
    findings.push({ kind: 'too-many', weight: 'problem', path: folder.path, message });
  }
  return [...findings, ...gapOf(folder, counted), ...folder.oddities.map(remarkOf)];
}

function gapOf(folder: ImageFolder, counted: number): readonly Finding[] {
  const hidden = folder.signatures.slice(counted);
  if (hidden.length === 0) return [];
  const path = join(folder.path, `signature-${counted + 1}`);
  const message = `missing, so readers stop here and do not see ${hidden.length} later`;
  return [
    { kind: 'gap', weight: 'problem', path, message },
    ...hidden.map((each): Finding => {
      return {
        kind: 'hidden',
        weight: 'problem',
        path: each.path,
        message: 'no reader counts it, it lies behind a gap',
      };
    }),
  ];
}

/** The bytes of a file that holds one whole stored signature, or what is wrong with it. */
export async function readWhole(place: SignaturePlace): Promise<Uint8Array | BullaError> {
  try {
    const bytes = await place.read();
    if (bytes === undefined) return new BullaError('store.unreadable', `${printable(place.path)} is gone`);
    const signature = parseSignatureBlob(bytes);
    if (signature.format === 'simple') readUntrustedMessage(signature.blob);
    return bytes;
  } catch (error) {
    if (isBullaError(error)) return error;
    throw error;
  }
}

/** A file that holds no whole signature. */
export function badFile(path: string, { code, message }: BullaError): Finding {
  const kind = code === 'store.unreadable' ? 'unreadable' : 'broken';
  return { kind, weight: 'problem', path, message, code };
}

const remarks: Readonly<Record<Oddity['kind'], string>> = {
  link: 'a symbolic link; it is not followed when the store is published',
  leftover: 'left behind by a writer that was ended; it may be removed',
  foreign: 'no reader of signatures looks at it',
};

/** What is no signature. */
export function remarkOf({ kind, path }: Oddity): Finding {
  return { kind, weight: 'remark', path, message: remarks[kind] };
}

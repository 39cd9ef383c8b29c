/** Signature stores as folders: checking one, and merging one into another. */
import { realpath } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';

import { bytesEqual, printable } from '../base/bytes.ts';
import { BullaError, type ErrorCode, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { parseSignatureBlob } from '../formats/blob.ts';
import { makeFolder } from '../io/files.ts';
import { readUntrustedMessage } from '../keys/openpgp/verify.ts';
import { parseLookasideBase } from '../stores/lookaside-location.ts';
import { addSignatureFile, readSignatureFile } from '../stores/signature-folder.ts';
import { type ImageFolder, type SignaturePlace, walkStore } from '../stores/store-tree.ts';

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

export type StoreCheck = {
  readonly images: number;
  /** Those that readers count. */
  readonly signatures: number;
  readonly findings: readonly Finding[];
};

/**
 * The folder that an argument names: a path, or a file:// URL.
 * @throws BullaError `store.unsupported` for stores that are no folders
 */
export function storeFolder(text: string, cwd: string): string {
  if (!/^[A-Za-z][A-Za-z0-9+.-]+:/.test(text)) return resolve(cwd, text);
  const location = parseLookasideBase({ url: text, from: { kind: 'argument', text } });
  if (location.kind === 'file') return location.path;
  throw new BullaError('store.unsupported', `${printable(text)} is no folder`, {
    hint: 'stores are published and fetched from folder to folder; let the web server serve the folder',
  });
}

/**
 * Checks a store, or the folder of one image, without changing anything.
 * @throws BullaError `io.not-found`, `io.failed` where the tree itself cannot be read
 */
export async function checkStore(folder: string): Promise<StoreCheck> {
  const findings: Finding[] = [];
  let images = 0;
  let signatures = 0;
  for await (const item of walkStore(folder)) {
    if (item.kind === 'oddity') {
      findings.push(remarkOf(item.oddity));
      continue;
    }
    images += 1;
    signatures += countedBy(item.folder.signatures);
    findings.push(...(await checkImage(item.folder)));
  }
  return { images, signatures, findings };
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
  for (const { n, path } of folder.signatures.slice(0, counted)) {
    const content = await readWhole(path);
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
async function readWhole(path: string): Promise<Uint8Array | BullaError> {
  try {
    const bytes = await readSignatureFile(path);
    if (bytes === undefined) return new BullaError('store.unreadable', `${printable(path)} is gone`);
    const signature = parseSignatureBlob(bytes);
    if (signature.format === 'simple') readUntrustedMessage(signature.blob);
    return bytes;
  } catch (error) {
    if (isBullaError(error)) return error;
    throw error;
  }
}

function badFile(path: string, { code, message }: BullaError): Finding {
  const kind = code === 'store.unreadable' ? 'unreadable' : 'broken';
  return { kind, weight: 'problem', path, message, code };
}

const remarks: Readonly<Record<'link' | 'leftover' | 'foreign', string>> = {
  link: 'a symbolic link; it is not followed when the store is published',
  leftover: 'left behind by a writer that was ended; it may be removed',
  foreign: 'no reader of signatures looks at it',
};

function remarkOf({ kind, path }: { kind: 'link' | 'leftover' | 'foreign'; path: string }): Finding {
  return { kind, weight: 'remark', path, message: remarks[kind] };
}

export type MergedSignature = { readonly from: string; readonly to: string };
export type StoreMerge = {
  /** What the destination did not have. */
  readonly added: readonly MergedSignature[];
  /** How many it had already, byte for byte. */
  readonly present: number;
  /** Source files that hold no whole signature, and what else was passed over. */
  readonly skipped: readonly Finding[];
};

/**
 * Merges a store into another one: each signature that the destination lacks gets the next free
 * number there. Nothing in the destination is replaced or removed, links are not followed, and only
 * whole signatures are copied. A source signature behind a gap is copied too: its signer meant it.
 * @param options `dryRun`: tell, write nothing
 * @throws BullaError `usage.invalid` (one store lies in the other), `store.too-many-signatures`, `io.*`
 */
export async function mergeStores(
  source: string,
  destination: string,
  options: { readonly dryRun?: boolean } = {},
): Promise<StoreMerge> {
  await refuseNested(source, destination);
  if (options.dryRun !== true) await makeFolder(destination);
  const added: MergedSignature[] = [];
  const skipped: Finding[] = [];
  const planned: Planned = new Map();
  let present = 0;
  for await (const item of walkStore(source)) {
    if (item.kind === 'oddity') {
      skipped.push(remarkOf(item.oddity));
      continue;
    }
    const { folder } = item;
    skipped.push(...folder.oddities.map(remarkOf));
    for (const { path } of folder.signatures) {
      const content = await readWhole(path);
      if (content instanceof BullaError) {
        skipped.push(badFile(path, content));
        continue;
      }
      const target = join(destination, folder.name);
      const result =
        options.dryRun === true
          ? await planOne(target, content, planned)
          : await addSignatureFile(target, content);
      if (result.added) added.push({ from: path, to: result.path });
      else present += 1;
    }
  }
  return { added, present, skipped };
}

/** What a dry run would have written, by its path. */
type Planned = Map<string, Uint8Array>;

async function planOne(
  folder: string,
  bytes: Uint8Array,
  planned: Planned,
): Promise<{ readonly path: string; readonly added: boolean }> {
  for (let n = 1; n < limits.lookasideSignatures; n += 1) {
    const path = join(folder, `signature-${n}`);
    const there = planned.get(path) ?? (await readSignatureFile(path));
    if (there === undefined) {
      planned.set(path, bytes);
      return { path, added: true };
    }
    if (bytesEqual(there, bytes)) return { path, added: false };
  }
  throw new BullaError('store.too-many-signatures', `${printable(folder)} is full`);
}

/** A store merged into a part of itself would feed on what it writes. */
async function refuseNested(source: string, destination: string): Promise<void> {
  const [from, to] = await Promise.all([
    realpath(source).catch(() => source),
    realpath(destination).catch(() => destination),
  ]);
  if (`${from}${sep}`.startsWith(`${to}${sep}`) || `${to}${sep}`.startsWith(`${from}${sep}`)) {
    throw new BullaError(
      'usage.invalid',
      `${printable(source)} and ${printable(destination)} lie in one another`,
    );
  }
}

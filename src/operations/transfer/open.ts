/** A transfer bundle opened: once, so that what was looked through is what is read, whoever replaces the file meanwhile. */
import { printable } from '../../base/bytes.ts';
import { algorithmOf } from '../../base/digest.ts';
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { crypto } from '../../base/node.ts';
import { feedPieces } from '../../images/blob-file.ts';
import { blobName, layoutInArchive, type LayoutFiles } from '../../images/layout-files.ts';
import { layoutVersionBytes } from '../../images/oci-layout.ts';
import { openTarArchive, type TarArchive } from '../../images/tar-read.ts';
import {
  encodeLayoutIndex,
  parseTransferIndex,
  transferFile,
  transferFolders,
  type TransferIndex,
  type TransferMember,
  transferPolicies,
} from './format.ts';

/** Nothing in it is believed: `checkTransfer` says that it is whole, a judge of one's own whether it is to be believed. */
export interface Transfer extends AsyncDisposable {
  readonly path: string;
  readonly index: TransferIndex;
  readonly files: LayoutFiles;
  /** A small member, as `bulla/transfer.json` says it is. @throws BullaError `transfer.altered`, `io.too-large` */
  read(member: TransferMember, limit: number): Promise<Uint8Array>;
  /** Reads a member to its end. @param passed is told of bytes. @throws BullaError `transfer.altered` */
  check(member: TransferMember, passed: (bytes: number) => void): Promise<void>;
}

/**
 * Opens a bundle and compares the list of what is in it with what is there, by names and sizes.
 * @throws BullaError `transfer.malformed`, `transfer.unsupported`, `transfer.incomplete`, `transfer.extra`, `transfer.altered`,
 * `transfer.contradictory`, `image.not-found` (no such file), `image.malformed` (no tar, or one that leads out of itself), `image.too-large`, `io.*`
 */
export async function openTransfer(path: string): Promise<Transfer> {
  const archive = await openTarArchive(path);
  try {
    const index = await readIndex(archive);
    checkNames(index, archive);
    await checkLayout(index, archive);
    return {
      path,
      index,
      files: layoutInArchive(archive),
      read: (member, limit) => readMember(archive, member, limit),
      check: (member, passed) => checkMember(archive, member, passed),
      [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
    };
  } catch (error) {
    await archive[Symbol.asyncDispose]();
    throw error;
  }
}

async function readIndex(archive: TarArchive): Promise<TransferIndex> {
  const file = archive.files.get(transferFile);
  if (file === undefined) {
    throw new BullaError(
      'transfer.malformed',
      `${printable(archive.path)} is no transfer bundle: it has no ${transferFile}`,
      { hint: 'bulla bundle create makes one' },
    );
  }
  return parseTransferIndex(await archive.read(file, limits.transferIndexBytes), printable(archive.path));
}

/** All that is listed is there, nothing else is, and each is where it may be. */
function checkNames({ members }: TransferIndex, archive: TarArchive): void {
  const path = printable(archive.path);
  if (members.length > limits.transferMembers)
    throw new BullaError('image.too-large', `${path} has more than ${limits.transferMembers} files`);
  const known = new Set([transferFile]);
  for (const { name, digest, size } of members) {
    if (known.has(name) || !isMemberName(name, digest))
      throw new BullaError('transfer.malformed', `${path}: its list has ${printable(name)}`);
    known.add(name);
    const file = archive.files.get(name);
    if (file === undefined)
      throw new BullaError('transfer.incomplete', `${path}: ${printable(name)} is missing`);
    if (file.size !== size) throw altered(path, name);
  }
  if (transferPolicies.every((each) => known.has(each)))
    throw new BullaError('transfer.malformed', `${path} holds two policies`);
  const extra = [...archive.files.keys()].find((name) => !known.has(name));
  if (extra !== undefined)
    throw new BullaError('transfer.extra', `${path}: ${printable(extra)} is not in its list`, {
      hint: 'somebody has added to the file',
    });
}

function isMemberName(name: string, digest: TransferMember['digest']): boolean {
  if (name.startsWith('blobs/')) return name === blobName(digest);
  if (name === 'index.json' || name === 'oci-layout') return true;
  if (transferPolicies.some((each) => each === name)) return true;
  const folder = Object.values(transferFolders).find((each) => name.startsWith(each));
  return folder !== undefined && /^[A-Za-z0-9_][\w.-]{0,127}$/.test(name.slice(folder.length));
}

/** What other programs read of the file is what Bulla reads of it. */
async function checkLayout(index: TransferIndex, archive: TarArchive): Promise<void> {
  for (const [name, expected] of [
    ['oci-layout', layoutVersionBytes],
    ['index.json', encodeLayoutIndex(index.images)],
  ] as const) {
    const file = archive.files.get(name);
    const path = printable(archive.path);
    if (file === undefined) throw new BullaError('transfer.incomplete', `${path}: ${name} is missing`);
    if (file.size === expected.length && Buffer.compare(await archive.read(file, file.size), expected) === 0)
      continue;
    throw new BullaError('transfer.contradictory', `${path}: its ${name} says something else than its list`);
  }
}

async function readMember(archive: TarArchive, member: TransferMember, limit: number): Promise<Uint8Array> {
  const file = archive.files.get(member.name);
  if (file === undefined) throw altered(printable(archive.path), member.name);
  const bytes = await archive.read(file, limit);
  const hash = crypto.createHash(algorithmOf(member.digest)).update(bytes).digest('hex');
  if (`${algorithmOf(member.digest)}:${hash}` === member.digest) return bytes;
  throw altered(printable(archive.path), member.name);
}

async function checkMember(
  archive: TarArchive,
  { name, digest, size }: TransferMember,
  passed: (bytes: number) => void,
): Promise<void> {
  const file = archive.files.get(name);
  if (file === undefined) throw altered(printable(archive.path), name);
  const hash = crypto.createHash(algorithmOf(digest));
  let length = 0;
  await feedPieces(archive.source(file), archive.path, (chunk) => {
    hash.update(chunk);
    length += chunk.length;
    passed(chunk.length);
    return undefined;
  });
  if (length !== size || `${algorithmOf(digest)}:${hash.digest('hex')}` !== digest)
    throw altered(printable(archive.path), name);
}

function altered(path: string, name: string): BullaError {
  return new BullaError(
    'transfer.altered',
    `${path}: ${printable(name)} is not what the bundle’s list says`,
    {
      hint: 'the file was damaged or changed on its way; carry it over again',
    },
  );
}

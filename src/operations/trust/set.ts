/** `trust set`: one scope's requirements, written so that no other edit and no comment of layout is lost. */
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { bytesEqual, textOf, utf8 } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { crypto } from '../../base/node.ts';
import { createFile, exists, fileError, makeFolder, readBoundedFile, replaceFile } from '../../io/files.ts';
import { takeLock } from '../../io/lock.ts';
import { parseKeyring } from '../../keys/openpgp/keyring.ts';
import { configHome, type SystemEnvironment } from '../../registry/environment.ts';
import { unreachableScope } from '../../trust/docker-scope.ts';
import {
  editPolicy,
  type EditedPolicy,
  type PolicyEdit,
  rejectingPolicy,
  type RequirementJson,
} from '../../trust/edit.ts';
import { findPolicy } from '../judge/policy-file.ts';

/** podman's names for requirement types; `accept` is `insecureAcceptAnything`. */
export const trustTypes = [
  'signedBy',
  'sigstoreSigned',
  'accept',
  'insecureAcceptAnything',
  'reject',
] as const;
export type TrustType = (typeof trustTypes)[number];

/** A signedIdentity as policy.json spells it. */
export type IdentityJson = Readonly<Record<string, string>>;

export type SetTrustRequest = {
  /** Default: the policy that the search path finds. */
  readonly file?: string;
  readonly environment: SystemEnvironment;
  /** What key paths are relative to. */
  readonly cwd: string;
  readonly target: PolicyEdit['target'];
  readonly type: TrustType;
  /** Public key files; each is a requirement of its own (all must have signed), as podman does it. */
  readonly keyFiles: readonly string[];
  /** One requirement with all key files instead: any one of the keys suffices. */
  readonly anyOf?: boolean;
  readonly identity?: IdentityJson;
  /** Makes the file, its default reject, where there is none: the one named, else the user's own. */
  readonly create?: boolean;
};

export type TrustSet = Omit<EditedPolicy, 'text'> & { readonly file: string; readonly created: boolean };

/**
 * Sets the requirements of a scope or the default. The file is replaced whole, under a lock and
 * only if it is still what was read.
 * @throws BullaError `usage.invalid`, `policy.malformed`, `policy.not-found`, `key.malformed`, `key.none`, `io.*`
 */
export async function setTrust(request: SetTrustRequest): Promise<TrustSet> {
  const requirements = await requirementsOf(request);
  checkScope(request.target);
  const edit: PolicyEdit = { target: request.target, requirements };
  const file = await fileToEdit(request);
  // a new default needs no policy to stand beside; podman makes the file then, too
  const mayCreate = request.create === true || (request.target === 'default' && request.file !== undefined);
  await using _lock = await takeLock(`${file}.bulla-lock`, file);
  if (await exists(file)) return { file, created: false, ...(await replacePolicy(file, edit)) };
  if (!mayCreate) throw notThere(file);
  const { text, ...edited } = editPolicy(rejectingPolicy, file, edit);
  if (await createFile(file, utf8(text))) return { file, created: true, ...edited };
  throw changed(file);
}

async function fileToEdit(request: SetTrustRequest): Promise<string> {
  const path = resolve(request.cwd, request.file ?? (await searchedFile(request)));
  // renaming over a link would cut it: the file behind it is edited
  return (await exists(path)) ? await realpath(path) : path;
}

/** The policy that counts; where none does and one may be made, the user's own. */
async function searchedFile({ environment, create }: SetTrustRequest): Promise<string> {
  try {
    return await findPolicy(environment);
  } catch (error) {
    if (!isBullaError(error, 'policy.not-found')) throw error;
    const folder = join(configHome(environment), 'containers');
    const own = join(folder, 'policy.json');
    if (create !== true) {
      const hint = `name one with --policy, or add --create: it makes ${own}, its default reject`;
      throw new BullaError('policy.not-found', error.message, { hint });
    }
    await makeFolder(folder);
    return own;
  }
}

async function replacePolicy(file: string, edit: PolicyEdit): Promise<Omit<EditedPolicy, 'text'>> {
  const before = await readBoundedFile(file, limits.configFileBytes);
  const text = textOf(before);
  if (text === undefined) throw new BullaError('policy.malformed', `${file} is not UTF-8 text`);
  if (/^[^{]*apiVersion[ \t]*:/.test(text)) {
    throw new BullaError('usage.unsupported', `${file} is a trust.yaml, which no command edits`, {
      hint: 'edit it by hand; bulla trust check reads it',
    });
  }
  const { text: after, ...edited } = editPolicy(text, file, edit);
  const { mode } = await stat(file).catch((error: unknown) => {
    throw fileError(error, file, 'read');
  });
  // the lock keeps Bulla's own edits apart; an editor knows nothing of it
  if (!bytesEqual(before, await readBoundedFile(file, limits.configFileBytes))) throw changed(file);
  await replaceFile(file, utf8(after), mode & 0o777);
  return edited;
}

function notThere(file: string): BullaError {
  return new BullaError('policy.not-found', `there is no policy ${file}`, {
    hint: '--create makes one whose default is reject',
  });
}

function changed(file: string): BullaError {
  return new BullaError('io.locked', `${file} was changed by somebody else at this moment`, {
    hint: 'nothing was written: try again',
  });
}

async function requirementsOf(request: SetTrustRequest): Promise<readonly RequirementJson[]> {
  const { type, keyFiles, identity, cwd } = request;
  if (type !== 'signedBy' && type !== 'sigstoreSigned') {
    if (keyFiles.length > 0 || identity !== undefined) {
      throw new BullaError('usage.invalid', `the trust type ${type} takes neither keys nor an identity`);
    }
    return [{ type: type === 'accept' ? 'insecureAcceptAnything' : type }];
  }
  if (keyFiles.length === 0) {
    throw new BullaError('usage.invalid', `the trust type ${type} needs a public key`, {
      hint: 'name its file with --pubkeysfile (-f)',
    });
  }
  const paths = keyFiles.map((path) => resolve(cwd, path));
  await Promise.all(paths.map((path) => checkKey(type, path)));
  const keyType = type === 'signedBy' ? { keyType: 'GPGKeys' } : {};
  const signedIdentity = identity === undefined ? {} : { signedIdentity: identity };
  const sources = request.anyOf === true ? [{ keyPaths: paths }] : paths.map((keyPath) => ({ keyPath }));
  return sources.map((source) => ({ type, ...keyType, ...source, ...signedIdentity }));
}

async function checkKey(type: 'signedBy' | 'sigstoreSigned', path: string): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = await readBoundedFile(path, limits.keyringBytes);
  } catch (cause) {
    const why = cause instanceof BullaError ? cause.message : `cannot read ${path}`;
    throw new BullaError('usage.invalid', why, {
      hint: 'a policy with this key would refuse everything',
      cause,
    });
  }
  if (type === 'signedBy') return void parseKeyring(bytes);
  const pem = textOf(bytes) ?? '';
  try {
    // only the first block of a file is read when an image is judged
    if (/-----BEGIN ([^-]*)-----/.exec(pem)?.[1] === 'PUBLIC KEY') return void crypto.createPublicKey(pem);
  } catch (cause) {
    throw new BullaError('key.malformed', `${path} holds a PEM block that is no public key`, { cause });
  }
  throw new BullaError('key.malformed', `${path} is no public key in PEM form`, {
    hint: 'for OpenPGP keys the type is signedBy',
  });
}

function checkScope(target: PolicyEdit['target']): void {
  if (target === 'default' || (target.transport ?? 'docker') !== 'docker') return;
  const unreachable = unreachableScope(target.name);
  if (unreachable === undefined) return;
  const hint = unreachable.instead === undefined ? {} : { hint: `write ${unreachable.instead}` };
  throw new BullaError(
    'usage.invalid',
    `no image is ever under the scope "${target.name}": ${unreachable.why}`,
    hint,
  );
}

/** The key files that a policy names, read for showing and checking. */
import { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { readBoundedFile } from '../../io/files.ts';
import { type Certificate } from '../../keys/openpgp/certificate.ts';
import { parseKeyring } from '../../keys/openpgp/keyring.ts';
import type { Material } from '../../trust/requirement.ts';
import type { KeyFiles } from '../../trust/lint-keys.ts';

/** Reads each file once; a file that cannot be read is its error. */
export async function readKeyFiles(paths: readonly string[]): Promise<KeyFiles> {
  const entries = await Promise.all(paths.map(async (path) => [path, await readOrError(path)] as const));
  return new Map(entries);
}

async function readOrError(path: string): Promise<Uint8Array | BullaError> {
  try {
    return await readBoundedFile(path, limits.keyringBytes);
  } catch (error) {
    if (error instanceof BullaError) return error;
    throw error;
  }
}

/** One piece of key material: its certificates, or why there are none. */
export type ReadKey = {
  /** The path as the policy spells it; undefined for key data inside the policy. */
  readonly path: string | undefined;
  readonly certificates: readonly Certificate[];
  readonly problem: BullaError | undefined;
};

/** The OpenPGP certificates of a requirement's keys. */
export function certificatesOf(material: Material, files: KeyFiles): readonly ReadKey[] {
  if (material.kind === 'data') return material.data.map((bytes) => readKey(undefined, bytes));
  return material.paths.map((path) => readKey(path, files.get(path)));
}

function readKey(path: string | undefined, bytes: Uint8Array | BullaError | undefined): ReadKey {
  if (bytes instanceof BullaError) return { path, certificates: [], problem: bytes };
  try {
    return { path, certificates: parseKeyring(bytes ?? new Uint8Array()).certificates, problem: undefined };
  } catch (error) {
    if (error instanceof BullaError) return { path, certificates: [], problem: error };
    throw error;
  }
}

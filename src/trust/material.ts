/** Key material that a policy names, read and parsed once however many images are judged. */
import { BullaError } from '../base/errors.ts';
import type { PolicyText } from './fields.ts';
import { whereIs } from './policy.ts';
import type { Material, Source } from './requirement.ts';

/** Reads a key file; it is called once for each path of a requirement. */
export type KeyReader = (path: string) => Promise<Uint8Array>;

/** Parses a requirement's material. Errors of `read` and of parsing become `trust.key-unavailable`. */
export type Load<R, T> = (requirement: R, read: KeyReader) => Promise<T>;

/**
 * Makes a loader remember what it loaded, by reader and requirement: both live as long as one command (or
 * one loaded policy), so a key file that changes is seen when its policy is parsed again.
 * @returns a function that throws BullaError `trust.key-unavailable` for what is missing, unreadable or no key
 */
export function rememberLoaded<R extends { readonly source: Source }, T>(
  load: Load<R, T>,
): (policy: PolicyText, requirement: R, read: KeyReader) => Promise<T> {
  const loaded = new WeakMap<KeyReader, WeakMap<R, Promise<T>>>();
  return (policy, requirement, read) => {
    const known = loaded.get(read) ?? new WeakMap<R, Promise<T>>();
    loaded.set(read, known);
    const found = known.get(requirement);
    if (found !== undefined) return found;
    const loading = load(requirement, read).catch((error: unknown) => {
      throw unavailable(policy, requirement.source, error);
    });
    known.set(requirement, loading);
    // a failure is not kept: the next image may find the file readable again
    loading.catch(() => known.delete(requirement));
    return loading;
  };
}

/** The bytes of every file or datum, in order. */
export async function readMaterial(material: Material, read: KeyReader): Promise<readonly Uint8Array[]> {
  return material.kind === 'data' ? material.data : await Promise.all(material.paths.map(read));
}

function unavailable(policy: PolicyText, source: Source, error: unknown): unknown {
  if (!(error instanceof BullaError)) return error;
  return new BullaError('trust.key-unavailable', `${whereIs(policy, source)}: ${error.message}`, {
    hint: error.hint ?? whereFrom(policy),
    cause: error,
  });
}

function whereFrom({ dialect }: PolicyText): string {
  return dialect === undefined
    ? 'key paths of a policy.json are relative to the working directory'
    : 'paths of a trust.yaml are relative to its folder';
}

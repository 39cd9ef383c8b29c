/**
 * The parameter file of podman's and skopeo's --sign-by-sigstore (containers-sigstore-signing-params.yaml.5).
 * So far it may name a private key; Fulcio and Rekor are refused by name.
 */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';

/** Paths are relative to the working directory, as for podman and skopeo. */
export type SigstoreParams = {
  readonly privateKeyFile: string;
  readonly privateKeyPassphraseFile?: string;
};

const known = ['privateKeyFile', 'privateKeyPassphraseFile', 'fulcio', 'rekorURL'];

/**
 * Reads a parameter file.
 * @throws BullaError `usage.invalid` (no such YAML), `usage.unsupported` (Fulcio, Rekor), `io.*`
 */
export async function readSigstoreParams(path: string): Promise<SigstoreParams> {
  return parseSigstoreParams(await readBoundedFile(path, limits.configFileBytes), path);
}

/** As readSigstoreParams; an unknown or duplicate member is refused, as are aliases and tags. */
export async function parseSigstoreParams(bytes: Uint8Array, path: string): Promise<SigstoreParams> {
  const members = await parseMembers(bytes, path);
  const unknown = Object.keys(members).find((name) => !known.includes(name));
  if (unknown !== undefined) throw malformed(path, `"${printable(unknown, 60)}" is no parameter`);
  for (const name of ['fulcio', 'rekorURL']) {
    if (members[name] === undefined) continue;
    throw new BullaError('usage.unsupported', `${printable(path)}: ${name} is not supported yet`, {
      hint: 'a private key alone works: privateKeyFile, privateKeyPassphraseFile',
    });
  }
  const text = (name: string): string | undefined => {
    const value = members[name];
    if (value === undefined || (typeof value === 'string' && value !== '')) return value;
    throw malformed(path, `${name} is no path`);
  };
  const privateKeyFile = text('privateKeyFile');
  const privateKeyPassphraseFile = text('privateKeyPassphraseFile');
  if (privateKeyFile === undefined) throw malformed(path, 'it names no privateKeyFile');
  return { privateKeyFile, ...(privateKeyPassphraseFile !== undefined && { privateKeyPassphraseFile }) };
}

async function parseMembers(bytes: Uint8Array, path: string): Promise<Readonly<Record<string, unknown>>> {
  const text = textOf(bytes);
  if (text === undefined) throw malformed(path, 'it is not UTF-8 text');
  const { parseAllDocuments, visit } = await import('yaml');
  const documents = parseAllDocuments(text, { uniqueKeys: true, version: '1.2', schema: 'core' });
  const [document, ...more] = Array.isArray(documents) ? documents : [];
  if (document === undefined || more.length > 0) throw malformed(path, 'one YAML document is wanted');
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw malformed(path, printable(problem.message.split('\n')[0] ?? ''));
  visit(document, {
    Alias: () => {
      throw malformed(path, 'it has an alias');
    },
    Node: (_, node) => {
      if (node.tag !== undefined) throw malformed(path, 'it has a tag');
    },
  });
  const value: unknown = document.toJS();
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw malformed(path, 'it is no YAML mapping');
}

function malformed(path: string, why: string): BullaError {
  return new BullaError('usage.invalid', `${printable(path)} is no sigstore parameter file: ${why}`);
}

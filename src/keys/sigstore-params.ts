/**
 * The parameter file of podman's and skopeo's --sign-by-sigstore (containers-sigstore-signing-params.yaml.5): a private
 * key, or Fulcio; and a Rekor.
 */
import { printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { readBoundedFile } from '../io/files.ts';
import { parseHttpUrl } from '../io/http-url.ts';

/** How Fulcio is told who signs: a token that is there, or a login at an issuer. */
export type FulcioParams =
  | { readonly fulcioUrl: string; readonly mode: 'staticToken'; readonly idToken: string }
  | {
      readonly fulcioUrl: string;
      readonly mode: 'interactive' | 'deviceGrant';
      readonly issuerUrl: string;
      /** Default: `sigstore`. */
      readonly clientId?: string;
      readonly clientSecret?: string;
    };

/** Paths are relative to the working directory, as for podman and skopeo. */
export type SigstoreParams = {
  readonly key:
    | { readonly kind: 'file'; readonly privateKeyFile: string; readonly privateKeyPassphraseFile?: string }
    | ({ readonly kind: 'fulcio' } & FulcioParams);
  /** A Rekor v1, without the API's path. */
  readonly rekorUrl?: string;
};

const known = ['privateKeyFile', 'privateKeyPassphraseFile', 'fulcio', 'rekorURL'];
const knownOfFulcio = [
  'fulcioURL',
  'oidcMode',
  'oidcIssuerURL',
  'oidcClientID',
  'oidcClientSecret',
  'oidcIDToken',
];

/**
 * Reads a parameter file.
 * @throws BullaError `usage.invalid` (no such YAML, or a key source is missing or there twice), `io.*`
 */
export async function readSigstoreParams(path: string): Promise<SigstoreParams> {
  return parseSigstoreParams(await readBoundedFile(path, limits.configFileBytes), path);
}

/**
 * As readSigstoreParams. An unknown or duplicate member is refused, as are aliases and tags; a member without a value, or
 * with the empty text, is as if it were not there. What a mode has no use for is passed over, as skopeo does.
 */
export async function parseSigstoreParams(bytes: Uint8Array, path: string): Promise<SigstoreParams> {
  const top = fieldsOf(await parseMembers(bytes, path), known, path);
  const rekorUrl = top.url('rekorURL');
  const log = rekorUrl === undefined ? {} : { rekorUrl };
  const fulcio = top.fields('fulcio', knownOfFulcio);
  const privateKeyFile = top.text('privateKeyFile');
  const privateKeyPassphraseFile = top.text('privateKeyPassphraseFile');
  if (privateKeyFile !== undefined && fulcio !== undefined) {
    throw malformed(path, 'it names two sources of a key, privateKeyFile and fulcio');
  }
  if (fulcio !== undefined) {
    // containers/image makes such signatures, and accepts none: the certificate's time is what a log says
    if (rekorUrl === undefined) throw malformed(path, 'with fulcio it has to name a rekorURL');
    return { key: { kind: 'fulcio', ...parseFulcio(fulcio, path) }, ...log };
  }
  if (privateKeyFile === undefined) throw malformed(path, 'it names neither a privateKeyFile nor fulcio');
  const passphrase = privateKeyPassphraseFile === undefined ? {} : { privateKeyPassphraseFile };
  return { key: { kind: 'file', privateKeyFile, ...passphrase }, ...log };
}

function parseFulcio(fields: Fields, path: string): FulcioParams {
  const fulcioUrl = fields.url('fulcioURL');
  const mode = fields.text('oidcMode');
  const idToken = fields.text('oidcIDToken');
  const issuerUrl = fields.url('oidcIssuerURL');
  const clientId = fields.text('oidcClientID');
  const clientSecret = fields.text('oidcClientSecret');
  if (fulcioUrl === undefined) throw malformed(path, 'fulcio has no fulcioURL');
  switch (mode) {
    case 'staticToken':
      if (idToken === undefined) throw malformed(path, 'oidcMode staticToken wants an oidcIDToken');
      return { fulcioUrl, mode, idToken };
    case 'interactive':
    case 'deviceGrant':
      if (issuerUrl === undefined) throw malformed(path, `oidcMode ${mode} wants an oidcIssuerURL`);
      return {
        fulcioUrl,
        mode,
        issuerUrl,
        ...(clientId !== undefined && { clientId }),
        ...(clientSecret !== undefined && { clientSecret }),
      };
    case undefined:
      throw malformed(path, 'fulcio has no oidcMode');
    default:
      throw malformed(path, 'oidcMode is none of staticToken, interactive and deviceGrant');
  }
}

type Members = Readonly<Record<string, unknown>>;
type Fields = {
  text(name: string): string | undefined;
  url(name: string): string | undefined;
  fields(name: string, known: readonly string[]): Fields | undefined;
};

/** The members of a mapping, read by their kinds. */
function fieldsOf(members: Members, knownNames: readonly string[], path: string): Fields {
  const unknown = Object.keys(members).find((name) => !knownNames.includes(name));
  if (unknown !== undefined) throw malformed(path, `"${printable(unknown, 60)}" is no parameter`);
  const text = (name: string): string | undefined => {
    const value = members[name];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    throw malformed(path, `${name} is no text`);
  };
  const url = (name: string): string | undefined => {
    const value = text(name);
    try {
      if (value !== undefined) parseHttpUrl(value, name);
    } catch (error) {
      throw isBullaError(error) ? malformed(path, error.message) : error;
    }
    return value;
  };
  const fields = (name: string, names: readonly string[]): Fields | undefined => {
    const value = members[name];
    if (value === undefined || value === null) return undefined;
    if (isMembers(value)) return fieldsOf(value, names, path);
    throw malformed(path, `${name} is no YAML mapping`);
  };
  return { text, url, fields };
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function parseMembers(bytes: Uint8Array, path: string): Promise<Members> {
  const text = textOf(bytes);
  if (text === undefined) throw malformed(path, 'it is not UTF-8 text');
  const { parseAllDocuments, visit } = await import('yaml');
  const documents = parseAllDocuments(text, { uniqueKeys: true, version: '1.2', schema: 'core' });
  const [document, ...more] = Array.isArray(documents) ? documents : [];
  if (document === undefined || more.length > 0) throw malformed(path, 'one YAML document is wanted');
  const [problem] = [...document.errors, ...document.warnings];
  // the parser's words would quote the line, which may hold a token
  if (problem !== undefined) throw malformed(path, `line ${problem.linePos?.[0].line ?? 1}: ${problem.code}`);
  visit(document, {
    Alias: () => {
      throw malformed(path, 'it has an alias');
    },
    Node: (_, node) => {
      if (node.tag !== undefined) throw malformed(path, 'it has a tag');
    },
  });
  const value: unknown = document.toJS();
  if (isMembers(value)) return value;
  throw malformed(path, 'it is no YAML mapping');
}

function malformed(path: string, why: string): BullaError {
  return new BullaError('usage.invalid', `${printable(path)} is no sigstore parameter file: ${why}`);
}

/** Reading trusted_root.json (sigstore_trustroot.proto): one root, or JSON lines with several, as GitHub hands them out. */
import { printable, textOf } from '../../base/bytes.ts';
import { BullaError, isBullaError } from '../../base/errors.ts';
import { type JsonValue, parseJson } from '../../base/json.ts';
import { limits } from '../../base/limits.ts';
import { parseCertificate } from '../certificates/certificate.ts';
import {
  bytesOf,
  type Field,
  itemsOf,
  membersOf,
  needed,
  stringOf,
  unusable,
  validForOf,
} from './json-fields.ts';
import { parseLogs } from './logs.ts';
import type { Authority, TrustedRoot } from './trusted-root.ts';

/** The one media type that cosign and sigstore-go read. */
export const trustedRootMediaType = 'application/vnd.dev.sigstore.trustedroot+json;version=0.1';

const mostRoots = 64;
const mostServices = 256;
const mostCertificates = 16;

/**
 * Reads trusted roots. Members that are not known are passed over, as they cannot make anybody more trusted; so are logs
 * with a kind of key or hash that is not used here. Nothing else is forgiven: one service without the start of its validity, one
 * certificate that cannot be read, and the file is refused.
 * @param name what to call the file in errors
 * @returns one root for each JSON text, in order
 * @throws BullaError `trusted-root.malformed` (exit 2) for what is no trusted root; `trusted-root.unusable` (exit 1) for one
 *   that cannot be believed
 */
export function parseTrustedRoots(bytes: Uint8Array, name: string): readonly TrustedRoot[] {
  if (bytes.length > limits.trustedRootBytes)
    throw malformed(name, `it is larger than ${limits.trustedRootBytes} bytes`);
  const text = textOf(bytes);
  if (text === undefined) throw malformed(name, 'it is not valid UTF-8');
  const values = jsonTexts(text, name);
  if (values.length > mostRoots) throw malformed(name, `it has more than ${mostRoots} roots`);
  return values.map((value, index) =>
    parseRoot({ value, path: values.length === 1 ? name : `${name} root ${index + 1}` }),
  );
}

/** The whole as one JSON text; or, where its first line is a whole object by itself, each line as one. */
function jsonTexts(text: string, name: string): readonly JsonValue[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const [first = ''] = lines;
  try {
    if (lines.length < 2 || !first.trimEnd().endsWith('}')) return [parseJson(text, name)];
    return lines.map((line, index) => parseJson(line, `${name} root ${index + 1}`));
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) throw malformed(name, error.message);
    throw error;
  }
}

function parseRoot(root: Field): TrustedRoot {
  if (root.value.kind !== 'object') throw malformed(root.path, 'a JSON object is expected');
  const members = membersOf(root);
  const mediaType = members.get('mediaType');
  const found = mediaType?.value.kind === 'string' ? mediaType.value.value : '';
  if (found !== trustedRootMediaType) {
    throw malformed(root.path, `its media type is "${printable(found, 100)}", not ${trustedRootMediaType}`);
  }
  const authorities = (key: string): readonly Authority[] =>
    itemsOf(members.get(key), mostServices).map(parseAuthority);
  return {
    transparencyLogs: parseLogs(itemsOf(members.get('tlogs'), mostServices)),
    certificateAuthorities: authorities('certificateAuthorities'),
    timestampAuthorities: authorities('timestampAuthorities'),
    certificateLogs: parseLogs(itemsOf(members.get('ctlogs'), mostServices)),
  };
}

function parseAuthority(authority: Field): Authority {
  const members = membersOf(authority);
  const uri = members.get('uri');
  const chain = membersOf(needed(members, 'certChain', authority.path));
  const [first, ...others] = itemsOf(chain.get('certificates'), mostCertificates).map((item) => {
    const der = bytesOf(needed(membersOf(item), 'rawBytes', item.path));
    try {
      return parseCertificate(der);
    } catch (error) {
      if (isBullaError(error)) throw unusable(item.path, error.message);
      throw error;
    }
  });
  if (first === undefined) throw unusable(authority.path, 'its certificate chain is empty');
  return {
    uri: uri === undefined ? '' : stringOf(uri),
    chain: [first, ...others],
    validFor: validForOf(members.get('validFor'), authority.path),
  };
}

function malformed(name: string, why: string): BullaError {
  return new BullaError('trusted-root.malformed', `${printable(name, 500)} is no trusted root: ${why}`, {
    hint: 'trusted_root.json is wanted, as `cosign trusted-root create` or `gh attestation trusted-root` writes it',
  });
}

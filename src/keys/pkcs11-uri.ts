/** `pkcs11:` URIs (RFC 7512), as far as they name a key to sign with. */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';

export type Pkcs11Uri = {
  /** What the token must say of itself; all that are given must agree. */
  readonly token: Readonly<Partial<Record<'token' | 'manufacturer' | 'serial' | 'model', string>>>;
  readonly slotId?: number;
  /** CKA_ID. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly label?: string;
  readonly modulePath?: string;
  readonly pinValue?: string;
  /** A path, or a file: URL. */
  readonly pinSource?: string;
  /** For people: without PIN and module. */
  readonly name: string;
};

const pathAttributes = [
  'token',
  'manufacturer',
  'serial',
  'model',
  'slot-id',
  'id',
  'object',
  'type',
] as const;
const queryAttributes = ['module-path', 'pin-value', 'pin-source'] as const;

/**
 * Reads the URI. What it does not know it refuses (RFC 7512 section 2.5): an attribute passed over might have been the one
 * that tells two keys apart.
 * @throws BullaError `usage.invalid`, its message without a PIN
 */
export function parsePkcs11Uri(uri: string): Pkcs11Uri {
  const [, path = '', , query = ''] = /^pkcs11:([^?#]*)(\?([^#]*))?$/is.exec(uri) ?? [];
  const at = attributesOf(path, ';', pathAttributes);
  const asked = attributesOf(query, '&', queryAttributes);
  const text = (name: string): string | undefined => utf8Text(at.get(name) ?? asked.get(name), name);
  const [id, label, slot, type] = [at.get('id'), text('object'), text('slot-id'), text('type')];
  if (id === undefined && label === undefined) {
    throw invalid('it names no key', 'give the key’s id or object (its label): pkcs11:token=T;object=L');
  }
  if (type !== undefined && !['private', 'public', 'cert'].includes(type))
    throw invalid(`its type is "${type}"`);
  if (slot !== undefined && !/^\d{1,9}$/.test(slot)) throw invalid('its slot-id is no number');
  const [modulePath, pinValue, pinSource] = [text('module-path'), text('pin-value'), text('pin-source')];
  if (pinValue !== undefined && pinSource !== undefined) {
    throw invalid('pin-value and pin-source exclude each other');
  }
  return {
    token: tokenOf(text),
    name: printable(`pkcs11:${path}`, 120),
    ...(slot !== undefined && { slotId: Number(slot) }),
    ...(id !== undefined && { id }),
    ...(label !== undefined && { label }),
    ...(modulePath !== undefined && { modulePath }),
    ...(pinValue !== undefined && { pinValue }),
    ...(pinSource !== undefined && { pinSource }),
  };
}

function tokenOf(text: (name: string) => string | undefined): Pkcs11Uri['token'] {
  const names = ['token', 'manufacturer', 'serial', 'model'] as const;
  return Object.fromEntries(
    names.map((name) => [name, text(name)]).filter(([, value]) => value !== undefined),
  );
}

function attributesOf(
  text: string,
  separator: string,
  known: readonly string[],
): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const part of text.split(separator).filter((each) => each !== '')) {
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(part) ?? [];
    if (!known.includes(name))
      throw invalid(`"${printable(name, 30)}" is no attribute that names a key here`);
    if (found.has(name)) throw invalid(`it has two of ${name}`);
    found.set(name, percentDecoded(value, name));
  }
  return found;
}

function percentDecoded(value: string, name: string): Uint8Array {
  if (/%(?![0-9A-Fa-f]{2})/.test(value) || /[^\x21-\x7e]/.test(value)) {
    throw invalid(`its ${name} is not percent-encoded`);
  }
  const bytes = value.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return new Uint8Array(Buffer.from(bytes, 'latin1'));
}

function utf8Text(bytes: Uint8Array | undefined, name: string): string | undefined {
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid(`its ${name} is not UTF-8`);
  }
}

function invalid(
  why: string,
  hint = 'RFC 7512: pkcs11:token=T;object=L?module-path=/path/to/module.so&pin-source=/path',
): BullaError {
  return new BullaError('usage.invalid', `the pkcs11: URI cannot be used: ${why}`, { hint });
}

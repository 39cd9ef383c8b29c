/** Tokens and the keys on them: found by what a URI says, and only where it says one. */
import { BullaError } from '../base/errors.ts';
import { crypto } from '../base/node.ts';
import type { Pkcs11, Pkcs11Template } from './pkcs11-module.ts';
import type { Pkcs11Uri } from './pkcs11-uri.ts';
import { publicKeyOf, type SigstorePublicKey } from './sigstore/public-key.ts';

/** PKCS#11 v2.40, pkcs11t.h. */
const attribute = {
  class: 0x0,
  label: 0x3,
  value: 0x11,
  keyType: 0x100,
  id: 0x102,
  modulus: 0x120,
  publicExponent: 0x122,
  ecParams: 0x180,
  ecPoint: 0x181,
  alwaysAuthenticate: 0x202,
} as const;
const objectClass = { certificate: 1, publicKey: 2, privateKey: 3 } as const;
const keyTypes = { rsa: 0, ec: 3 } as const;
const flag = { loginRequired: 0x4, initialized: 0x400 } as const;

export type Token = { readonly slot: Buffer; readonly loginRequired: boolean };

/** @throws BullaError `key.not-found`, `key.ambiguous` */
export function findToken(api: Pkcs11, { token, slotId, name }: Pkcs11Uri): Token {
  const found = api.C_GetSlotList(true).flatMap((slot) => {
    if (slotId !== undefined && slotNumber(slot) !== slotId) return [];
    const info = api.C_GetTokenInfo(slot);
    if ((info.flags & flag.initialized) === 0) return [];
    const said = {
      token: info.label,
      manufacturer: info.manufacturerID,
      serial: info.serialNumber,
      model: info.model,
    };
    const agrees = (['token', 'manufacturer', 'serial', 'model'] as const).every(
      (each) => token[each] === undefined || token[each] === padded(said[each]),
    );
    return agrees ? [{ slot, loginRequired: (info.flags & flag.loginRequired) !== 0 }] : [];
  });
  return only(found, `token for ${name}`);
}

/** Fields of a fixed length, filled up with blanks; some drivers fill up with NUL. */
function padded(text: string): string {
  return text.replace(/[\0 ]+$/, '');
}

function slotNumber(slot: Buffer): number {
  return slot.readUIntLE(0, Math.min(6, slot.length));
}

/** The private key; log in first. @throws BullaError `key.not-found`, `key.ambiguous` */
export function findPrivateKey(api: Pkcs11, session: Buffer, uri: Pkcs11Uri): Buffer {
  return only(find(api, session, objectClass.privateKey, selector(uri)), `private key ${uri.name}`);
}

/** Whether the device wants the PIN for each signature. */
export function asksEachTime(api: Pkcs11, session: Buffer, key: Buffer): boolean {
  return read(api, session, key, attribute.alwaysAuthenticate)?.[0] === 1;
}

/**
 * The public key that goes with the URI: a public key object, else a certificate's.
 * @param privateKey where there is one its own ID counts, and for RSA it has the public part in itself
 * @throws BullaError `key.not-found`, `key.ambiguous`, `key.unusable` (a kind of key that signs nothing here)
 */
export function readPublicKey(
  api: Pkcs11,
  session: Buffer,
  uri: Pkcs11Uri,
  privateKey?: Buffer,
): SigstorePublicKey {
  const ownId = privateKey === undefined ? undefined : read(api, session, privateKey, attribute.id);
  const where =
    ownId === undefined || ownId.length === 0 ? selector(uri) : [{ type: attribute.id, value: ownId }];
  const keys = find(api, session, objectClass.publicKey, where);
  if (keys.length > 0) return keyObject(api, session, only(keys, `public key ${uri.name}`), uri);
  const certificates = find(api, session, objectClass.certificate, where);
  if (certificates.length > 0) {
    const der = read(api, session, only(certificates, `certificate ${uri.name}`), attribute.value);
    return fromNode(() => new crypto.X509Certificate(der ?? Buffer.alloc(0)).publicKey, uri);
  }
  if (privateKey !== undefined && isRsa(api, session, privateKey))
    return keyObject(api, session, privateKey, uri);
  throw new BullaError('key.not-found', `there is no public key ${uri.name} on the token`, {
    hint: 'the token needs the public key, or a certificate for it, under the private key’s id',
  });
}

function selector({ id, label }: Pkcs11Uri): Pkcs11Template {
  return [
    ...(id === undefined ? [] : [{ type: attribute.id, value: Buffer.from(id) }]),
    ...(label === undefined ? [] : [{ type: attribute.label, value: Buffer.from(label, 'utf8') }]),
  ];
}

function find(api: Pkcs11, session: Buffer, kind: number, where: Pkcs11Template): readonly Buffer[] {
  api.C_FindObjectsInit(session, [{ type: attribute.class, value: kind }, ...where]);
  try {
    return api.C_FindObjects(session, 2);
  } finally {
    api.C_FindObjectsFinal(session);
  }
}

/** Undefined where the object has no such attribute, or keeps it to itself. */
function read(api: Pkcs11, session: Buffer, object: Buffer, type: number): Buffer | undefined {
  try {
    return api.C_GetAttributeValue(session, object, [{ type }])[0]?.value;
  } catch {
    return undefined;
  }
}

function isRsa(api: Pkcs11, session: Buffer, key: Buffer): boolean {
  const type = read(api, session, key, attribute.keyType);
  return type !== undefined && slotNumber(type) === keyTypes.rsa;
}

function keyObject(api: Pkcs11, session: Buffer, object: Buffer, uri: Pkcs11Uri): SigstorePublicKey {
  const get = (type: number): Buffer => read(api, session, object, type) ?? Buffer.alloc(0);
  if (isRsa(api, session, object)) {
    const [n, e] = [base64url(get(attribute.modulus)), base64url(get(attribute.publicExponent))];
    return fromNode(() => crypto.createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }), uri);
  }
  const curve = curves[get(attribute.ecParams).toString('hex')];
  const point = curve === undefined ? undefined : pointOf(get(attribute.ecPoint), curve.bytes);
  if (curve === undefined || point === undefined) {
    throw new BullaError('key.unusable', `${uri.name} is of a kind that does not sign here`, {
      hint: 'ECDSA on P-256, P-384 and P-521, and RSA work',
    });
  }
  const [x, y] = [base64url(point.subarray(0, curve.bytes)), base64url(point.subarray(curve.bytes))];
  return fromNode(
    () => crypto.createPublicKey({ key: { kty: 'EC', crv: curve.name, x, y }, format: 'jwk' }),
    uri,
  );
}

/** CKA_EC_PARAMS: the curve's object identifier, DER. */
const curves: Readonly<Record<string, { readonly name: string; readonly bytes: number }>> = {
  '06082a8648ce3d030107': { name: 'P-256', bytes: 32 },
  '06052b81040022': { name: 'P-384', bytes: 48 },
  '06052b81040023': { name: 'P-521', bytes: 66 },
};

/** CKA_EC_POINT is an uncompressed point in an OCTET STRING; some drivers leave the latter out. Gives x and y. */
function pointOf(value: Buffer, bytes: number): Buffer | undefined {
  const length = 2 * bytes + 1;
  const point = value.subarray(-length);
  const before = value.subarray(0, value.length - point.length).toString('hex');
  const header = length < 128 ? `04${length.toString(16)}` : `0481${length.toString(16)}`;
  if (point.length !== length || point[0] !== 4 || (before !== '' && before !== header)) return undefined;
  return point.subarray(1);
}

function fromNode(make: () => import('node:crypto').KeyObject, { name }: Pkcs11Uri): SigstorePublicKey {
  try {
    return publicKeyOf(make());
  } catch (cause) {
    if (cause instanceof BullaError) throw cause;
    throw new BullaError('key.unusable', `the public key ${name} on the token is none`, { cause });
  }
}

function base64url(bytes: Buffer): string {
  return bytes.toString('base64url');
}

function only<T>(found: readonly T[], what: string): T {
  const [first, second] = found;
  if (first === undefined) throw new BullaError('key.not-found', `there is no ${what}`);
  if (second === undefined) return first;
  throw new BullaError('key.ambiguous', `there is more than one ${what}`, {
    hint: 'say more in the URI: token, serial, slot-id, id',
  });
}

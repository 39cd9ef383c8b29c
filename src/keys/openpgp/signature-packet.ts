/** Version 4 signature packets (RFC 9580 section 5.2.3), as data: nothing is checked here. */
import { hexOfBytes, textOf } from '../../base/bytes.ts';
import { BullaError, type ErrorCode } from '../../base/errors.ts';
import { Cursor } from './cursor.ts';

/** Signature types (RFC 9580 section 5.2.1). */
export const signatureTypes = {
  binary: 0x00,
  text: 0x01,
  subkeyBinding: 0x18,
  primaryKeyBinding: 0x19,
  directKey: 0x1f,
  keyRevocation: 0x20,
  subkeyRevocation: 0x28,
  certificationRevocation: 0x30,
} as const;

export type SignaturePacket = {
  readonly type: number;
  readonly algorithm: number;
  readonly hash: number;
  /** What the hash covers after the data: from the version to the end of the hashed subpackets. */
  readonly hashedPart: Uint8Array;
  /** The hash's first two octets: tells a wrong document from a wrong signature. */
  readonly hashStart: Uint8Array;
  /** The algorithm's integers. */
  readonly values: Uint8Array;
  /** From hashed subpackets, in seconds since 1970 or of duration. Zero durations are absent: forever. */
  readonly created: number | undefined;
  readonly lifetime: number | undefined;
  readonly keyLifetime: number | undefined;
  readonly keyFlags: Uint8Array | undefined;
  /** The user ID that it certifies is the owner's main one. */
  readonly primary: boolean;
  /** Fingerprints (upper-case hex) of those who may revoke the key in its owner's place. */
  readonly revokers: readonly string[];
  /** Upper-case hex, from either area: the signature itself proves or refutes them. */
  readonly issuerFingerprints: readonly string[];
  readonly issuerKeyIds: readonly string[];
  readonly embedded: readonly Uint8Array[];
  /** Why it must not be believed: a critical subpacket that nobody knows, a time that is none. */
  readonly problem: string | undefined;
  /** It states one time twice. The first counts, as in gpg, where it is believed at all. */
  readonly ambiguous: boolean;
};

type Subpacket = {
  readonly type: number;
  readonly critical: boolean;
  readonly hashed: boolean;
  readonly body: Uint8Array;
};

const types = {
  created: 2,
  lifetime: 3,
  keyLifetime: 9,
  revoker: 12,
  issuer: 16,
  notation: 20,
  primary: 25,
  keyFlags: 27,
  embedded: 32,
  issuerFingerprint: 33,
} as const;

const timeTypes: ReadonlySet<number> = new Set([types.created, types.lifetime, types.keyLifetime]);

/** Subpackets that may be marked critical: those that gpg takes so, measured. Notations are judged by name. */
const understood: ReadonlySet<number> = new Set([
  2, 3, 4, 5, 6, 7, 9, 11, 12, 16, 21, 22, 24, 25, 26, 27, 29, 30, 32, 33, 34, 37,
]);
const knownNotations: ReadonlySet<string> = new Set(['preferred-email-encoding@pgp.com']);
const mostSubpackets = 256;

/**
 * Reads a signature packet's body.
 * @param code,what the error that a malformed or unsupported packet gives, and its name in it
 * @throws BullaError `code`; `signature.unsupported` for other versions
 */
export function parseSignaturePacket(body: Uint8Array, code: ErrorCode, what: string): SignaturePacket {
  const cursor = new Cursor(body, code, what);
  const version = cursor.u8();
  if (version !== 4) {
    throw new BullaError(
      'signature.unsupported',
      `${what} is of version ${version}; only version 4 is supported`,
    );
  }
  const [type, algorithm, hash] = [cursor.u8(), cursor.u8(), cursor.u8()];
  const hashedArea = cursor.take(cursor.u16());
  const hashedPart = body.subarray(0, cursor.position);
  const unhashedArea = cursor.take(cursor.u16());
  const subpackets = [
    ...readSubpackets(hashedArea, true, code, what),
    ...readSubpackets(unhashedArea, false, code, what),
  ];
  const hashStart = cursor.take(2);
  const values = cursor.rest();
  return { type, algorithm, hash, hashedPart, hashStart, values, ...interpret(subpackets) };
}

function readSubpackets(area: Uint8Array, hashed: boolean, code: ErrorCode, what: string): Subpacket[] {
  const cursor = new Cursor(area, code, `${what}'s subpacket area`);
  const found: Subpacket[] = [];
  while (cursor.left > 0) {
    const first = cursor.u8();
    const length = first < 192 ? first : first < 255 ? (first - 192) * 256 + cursor.u8() + 192 : cursor.u32();
    if (length === 0) throw cursor.error('an empty subpacket');
    if (found.length === mostSubpackets) throw cursor.error('too many subpackets');
    const body = cursor.take(length);
    const type = body[0] ?? 0;
    found.push({ type: type & 0x7f, critical: (type & 0x80) !== 0, hashed, body: body.subarray(1) });
  }
  return found;
}

function interpret(
  all: readonly Subpacket[],
): Omit<SignaturePacket, 'type' | 'algorithm' | 'hash' | 'hashedPart' | 'hashStart' | 'values'> {
  const of = (type: number): Subpacket[] => all.filter((one) => one.type === type);
  const hashed = (type: number): Subpacket[] => of(type).filter((one) => one.hashed);
  const number = (type: number): number | undefined => numberOf(hashed(type)[0]?.body);
  const keyId = (one: Subpacket): string => hexOfBytes(one.body).toUpperCase();
  return {
    created: number(types.created),
    lifetime: number(types.lifetime) || undefined,
    keyLifetime: number(types.keyLifetime) || undefined,
    keyFlags: hashed(types.keyFlags)[0]?.body,
    primary: hashed(types.primary)[0]?.body[0] === 1,
    // class octet with bit 0x80, algorithm, fingerprint
    revokers: hashed(types.revoker)
      .filter(({ body }) => body.length === 22 && ((body[0] ?? 0) & 0x80) !== 0)
      .map(({ body }) => hexOfBytes(body.subarray(2)).toUpperCase()),
    issuerFingerprints: of(types.issuerFingerprint)
      .filter(({ body }) => body[0] === 4 && body.length === 21)
      .map(({ body }) => hexOfBytes(body.subarray(1)).toUpperCase()),
    issuerKeyIds: of(types.issuer).map(keyId),
    embedded: of(types.embedded).map(({ body }) => body),
    problem: problemOf(all),
    ambiguous: [...timeTypes].some((type) => hashed(type).length > 1),
  };
}

function numberOf(body: Uint8Array | undefined): number | undefined {
  return body?.length === 4 ? Buffer.from(body).readUInt32BE(0) : undefined;
}

function problemOf(all: readonly Subpacket[]): string | undefined {
  const unknown = all.find((one) => one.critical && !isUnderstood(one));
  if (unknown !== undefined) {
    return unknown.type === types.notation
      ? 'it has a critical notation that is not understood'
      : `it has a critical subpacket of type ${unknown.type}, which is not understood`;
  }
  const times = all.filter((one) => one.hashed && timeTypes.has(one.type));
  return times.some(({ body }) => body.length !== 4) ? 'it states a time that is none' : undefined;
}

function isUnderstood({ type, body }: Subpacket): boolean {
  if (type !== types.notation) return understood.has(type);
  // flags, length of the name, length of the value, name, value (section 5.2.3.24)
  const nameLength = (body[4] ?? 0) * 256 + (body[5] ?? 0);
  return knownNotations.has(textOf(body.subarray(8, 8 + nameLength)) ?? '');
}

/** Stores on disk, and files that are whole signatures as far as a store can tell. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { concatBytes, utf8 } from '../../src/base/bytes.ts';
import { encodePacket } from '../../src/keys/openpgp/packets.ts';

/** Packets of a signed message, unsigned in truth: one-pass signature, literal data, signature. */
export function sampleSignature(text: string): Uint8Array {
  const onePass = encodePacket(4, new Uint8Array([3, 0, 8, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1]));
  const literal = encodePacket(11, concatBytes(utf8('b'), new Uint8Array(5), utf8(text)));
  const body = new Uint8Array([4, 0, 1, 8, 0, 6, 5, 2, 0x65, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 8, 0xff]);
  return concatBytes(onePass, literal, encodePacket(2, body));
}

/** The folder of an image's signatures: `ns/app@sha256=…`, another one for each number. */
export function sampleFolder(number = 0, repository = 'ns/app'): string {
  return `${repository}@sha256=${number.toString(16).padStart(64, '0')}`;
}

export type SampleStore = {
  readonly path: string;
  put(name: string, bytes: Uint8Array | string): void;
} & Disposable;

/** A store in a new temporary folder; disposing removes it. */
export function temporaryStore(): SampleStore {
  const path = mkdtempSync(join(tmpdir(), 'bulla-store-'));
  return {
    path,
    put(name, bytes) {
      const file = join(path, name);
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, bytes);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

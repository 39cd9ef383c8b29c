/** Reads fields of an OpenPGP structure in order, never past its end. */
import { BullaError, type ErrorCode } from '../../base/errors.ts';

/**
 * A class only because the position is state that every read moves. Every failed read throws a
 * BullaError with the code given, its message naming the structure.
 */
export class Cursor {
  #at = 0;
  readonly #bytes: Uint8Array;
  readonly #code: ErrorCode;
  readonly #what: string;

  constructor(bytes: Uint8Array, code: ErrorCode, what: string) {
    this.#bytes = bytes;
    this.#code = code;
    this.#what = what;
  }

  get position(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Uint8Array {
    if (length > this.left) throw this.error('it ends too early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }

  u8(): number {
    return this.take(1)[0] ?? 0;
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8();
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16();
  }

  /** A multiprecision integer (RFC 9580 section 3.2) as big-endian bytes without leading zeros. */
  mpi(): Uint8Array {
    const bytes = this.take((this.u16() + 7) >> 3);
    const first = bytes.findIndex((byte) => byte !== 0);
    return first < 0 ? new Uint8Array(0) : bytes.subarray(first);
  }

  error(why: string): BullaError {
    return new BullaError(this.#code, `${this.#what} is malformed: ${why}`);
  }
}

/** Where the embedded registry keeps its content: bytes under keys. Two adapters, one contract. */

/** Keys are slash-separated and made by content.ts from checked names; no part is empty, `.` or `..`. */
export interface RegistryStorage {
  /** Bytes under a key, or undefined where there are none. */
  size(key: string): Promise<number | undefined>;
  /** The bytes of a key that exists, whole or from `start` to `end`, both included. */
  read(key: string, range?: ByteRange): ReadableStream<Uint8Array>;
  /** Sets a key whole: a reader sees the old bytes or the new ones. */
  write(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * Adds bytes at a key's end, making it if need be; gives the new size.
   * After a failure some of them may be there. @throws BullaError `io.too-large` past `limit` bytes in all, `io.no-space`
   */
  append(key: string, content: AsyncIterable<Uint8Array>, limit: number): Promise<number>;
  /** Renames a key over another. */
  move(from: string, to: string): Promise<void>;
  /** False where there was nothing. */
  remove(key: string): Promise<boolean>;
  /** The names directly under a folder, sorted; empty where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
}

/** First and last byte, both included, from 0. */
export type ByteRange = { readonly start: number; readonly end: number };

/** Where an image is. Readers and sinks for every transport; each passes image-contract.ts. */
import type { Descriptor } from '../base/descriptor.ts';
import type { Digest } from '../base/digest.ts';
import type { ImageName } from '../base/image-name.ts';
import type { Manifest } from '../base/manifest.ts';
import type { Reference } from '../base/reference.ts';
import type { BodyWriter, ConsumeBody } from '../io/http.ts';

/** An image opened for reading. What a tag meant is resolved once; later answers are by digest. */
export interface Image extends AsyncDisposable {
  readonly name: ImageName;
  /**
   * Where a docker:// image is really read from: a mirror's reference, or its own. It names the
   * lookaside path and the attachments. Undefined for other transports.
   */
  readonly physical: Reference | undefined;
  /**
   * The top manifest, or the instance with that digest. Bytes are checked against the digest
   * asked for (in the reference or here) before they are given out; the top one is fetched once.
   * @throws BullaError `image.not-found`, `manifest.*`, `registry.*`, `io.*`
   */
  manifest(digest?: Digest): Promise<Manifest>;
  /** A blob's bytes; the stream fails with `blob.digest-mismatch` unless size and digest hold at its end. */
  blob(descriptor: Descriptor): Promise<ReadableStream<Uint8Array>>;
  /**
   * The same without a stream of the web, which costs a copy of each chunk: gives the bytes to `consume`, each chunk to be written over
   * once that is done with it. @throws BullaError `image.not-found`, `blob.digest-mismatch`, and what `consume` throws
   */
  readonly feed?: (descriptor: Descriptor, consume: ConsumeBody) => Promise<void>;
}

export type PutOptions = {
  readonly instance: boolean;
  /** For what refers to an image, as a layout is to list it: without a name. Other sinks keep no such list. */
  readonly listed?: Omit<Descriptor, 'annotations' | 'platform'>;
};

/** A sink whose blobs are files. */
export type FileSink = ImageSink & { readonly take: NonNullable<ImageSink['take']> };

/** Where an image goes. */
export interface ImageSink extends AsyncDisposable {
  readonly name: ImageName;
  hasBlob(descriptor: Descriptor): Promise<boolean>;
  /** Stores a blob; it is there afterwards only if size and digest held. */
  putBlob(descriptor: Descriptor, content: ReadableStream<Uint8Array>): Promise<void>;
  /** True where these very bytes are what such a `putManifest` would leave there. Undefined: it cannot be told cheaply. */
  hasManifest?(manifest: Manifest, options?: PutOptions): Promise<boolean>;
  /** As `putBlob`, of a feed that checks what it gives. */
  readonly take?: (descriptor: Descriptor, feed: BodyWriter) => Promise<void>;
  /** Stores a manifest under its digest and, without `instance`, under the sink's name (last of all). */
  putManifest(manifest: Manifest, options?: PutOptions): Promise<void>;
}

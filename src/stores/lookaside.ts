/** The lookaside store: a web server or folder beside the registry. Read over file, http and https; written over file. */
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { encodeSignatureBlob } from '../formats/blob.ts';
import type { Signature } from '../formats/signature.ts';
import { displayUrl, type HttpClient } from '../io/http.ts';
import {
  describeBase,
  imageFolder,
  type LookasideLocation,
  parseLookasideBase,
  signatureName,
  signatureUrl,
} from './lookaside-location.ts';
import type { LookasideBase } from './lookup-lookaside.ts';
import {
  addSignatureFile,
  type NumberedReader,
  parseStored,
  readNumbered,
  readSignatureFile,
} from './signature-folder.ts';
import {
  type AddResult,
  inRegistry,
  type RegistryImageId,
  type SignatureStore,
  type StoredSignature,
} from './store.ts';

export type LookasideOptions = {
  /**
   * Opened with the registry's TLS settings (containers/image uses them for its lookaside too) when
   * first needed. It must not add credentials to requests.
   */
  readonly http: () => HttpClient;
  /** The registry's host and port: a client certificate for it goes to no lookaside elsewhere. */
  readonly registryHost?: string;
  /** Told of what is odd but no error: an answer that says it is HTML. */
  readonly warn?: (line: string) => void;
};

/**
 * Opens a lookaside. Nothing is read or connected to yet.
 * @throws BullaError `store.unsupported`
 */
export function openLookaside(base: LookasideBase, options: LookasideOptions): SignatureStore {
  const location = parseLookasideBase(base);
  const description = `lookaside ${describeBase(location)}`;
  return {
    description,
    list: (image) => list(location, inRegistry(image), options),
    add: async (image, signature) => add(location, inRegistry(image), signature),
  };
}

async function* list(
  location: LookasideLocation,
  image: RegistryImageId,
  options: LookasideOptions,
): AsyncGenerator<StoredSignature> {
  const pathOf = (n: number): string =>
    location.kind === 'file'
      ? `${imageFolder(location.path, image)}/${signatureName(n)}`
      : displayUrl(signatureUrl(location, image, n));
  const read: NumberedReader =
    location.kind === 'file'
      ? (n) => readSignatureFile(pathOf(n))
      : (n) => fetchSignature(signatureUrl(location, image, n), options);
  for await (const { n, bytes } of readNumbered(read, describeBase(location))) {
    yield { signature: parseStored(bytes), location: pathOf(n) };
  }
}

/** 404 ends the list; whatever else is not 200 is an error, for it may hide signatures that count. */
async function fetchSignature(url: URL, options: LookasideOptions): Promise<Uint8Array | undefined> {
  try {
    const response = await options.http().request({
      url,
      maxBytes: limits.signatureBytes,
      redirects: 'follow',
      clientCertificate: url.host === options.registryHost,
    });
    if (response.status === 404) {
      response.discard();
      return undefined;
    }
    if (response.status !== 200) {
      response.discard();
      throw unreadable(`${displayUrl(url)} answers ${response.status}`);
    }
    const type = response.headers['content-type'] ?? '';
    if (/^text\/html\b/i.test(type)) {
      options.warn?.(`${displayUrl(url)} answers HTML; is it a sign-in page or an error page?`);
    }
    return await response.bytes();
  } catch (error) {
    if (isBullaError(error, 'store.unreadable') || !isBullaError(error)) throw error;
    if (error.code === 'http.too-large') {
      throw new BullaError(
        'signature.too-large',
        `${displayUrl(url)} is larger than ${limits.signatureBytes} bytes`,
      );
    }
    if (!error.code.startsWith('http.')) throw error;
    throw unreadable(`cannot read ${displayUrl(url)}: ${error.message}`, error);
  }
}

async function add(
  location: LookasideLocation,
  image: RegistryImageId,
  signature: Signature,
): Promise<AddResult> {
  if (signature.format !== 'simple') {
    throw new BullaError('store.unsupported', 'a lookaside takes GPG simple signatures only');
  }
  if (location.kind === 'http') {
    throw new BullaError(
      'store.read-only',
      `cannot write to ${describeBase(location)}: HTTP lookasides are for reading`,
      {
        hint: 'name a folder as lookaside-staging in registries.d and publish it to the web server',
      },
    );
  }
  const { path, added } = await addSignatureFile(
    imageFolder(location.path, image),
    encodeSignatureBlob(signature),
  );
  return { location: path, added };
}

function unreadable(why: string, cause?: unknown): BullaError {
  return new BullaError('store.unreadable', why, {
    hint: 'the end of a list of signatures is a plain 404; anything else is taken for a failure',
    ...(cause !== undefined && { cause }),
  });
}

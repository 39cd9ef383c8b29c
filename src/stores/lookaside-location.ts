/**
 * Where a lookaside keeps the signatures of an image (containers/image, signature-protocols.md):
 * `<base>/<repository path>@<algorithm>=<hex>/signature-<N>`, N from 1, without the registry's host.
 */
import { algorithmOf, hexOf } from '../base/digest.ts';
import { BullaError } from '../base/errors.ts';
import { displayUrl } from '../io/http.ts';
import type { LookasideBase } from './lookup-lookaside.ts';
import { describeOrigin } from './lookup-lookaside.ts';
import type { RegistryImageId } from './store.ts';

export type LookasideLocation =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'http';
      readonly url: URL;
      /** The base's path as configured, its trailing slash kept, empty where there is none. */
      readonly path: string;
    };

/**
 * Reads a lookaside's base URL.
 * @throws BullaError `store.unsupported` for any scheme but file, http and https, for a file URL
 * with a host (containers/image drops it and reads another folder than the one meant), and for a
 * URL with a user name or password: a lookaside never gets credentials
 */
export function parseLookasideBase(base: LookasideBase): LookasideLocation {
  const [, scheme = '', authority, path = ''] =
    /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)/.exec(base.url) ?? [];
  switch (scheme.toLowerCase()) {
    case 'file':
      // `file:/srv` is RFC 8089's short form of file:///srv; a host would mean another machine's folder
      if (!/^(?:localhost)?$/i.test(authority ?? '') || !path.startsWith('/')) {
        throw unsupported(base, 'a file URL is file:// and an absolute path');
      }
      return { kind: 'file', path: decodePath(path, base) };
    case 'http':
    case 'https': {
      const url = URL.parse(base.url);
      if (url === null || authority === undefined) throw unsupported(base, 'it has no host');
      if (url.username !== '' || url.password !== '') {
        throw unsupported(base, 'it has a user name or password, and a lookaside gets no credentials');
      }
      url.hash = '';
      return { kind: 'http', url, path };
    }
    default:
      throw unsupported(base, 'only file, http and https work');
  }
}

function decodePath(path: string, base: LookasideBase): string {
  try {
    const decoded = decodeURIComponent(path);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // a broken escape: the same answer as for a zero byte
  }
  throw unsupported(base, 'its path is not well escaped');
}

/** The folder of an image's signatures in a store on disk. */
export function imageFolder(base: string, image: RegistryImageId): string {
  return `${base}/${imageName(image)}`;
}

/** `ns/app@sha256=<hex>` */
export function imageName(image: RegistryImageId): string {
  return `${image.reference.path}@${algorithmOf(image.digest)}=${hexOf(image.digest)}`;
}

/** A base's query stays, as in containers/image: some stores keep an access signature there. */
export function signatureUrl(
  location: LookasideLocation & { kind: 'http' },
  image: RegistryImageId,
  n: number,
): URL {
  const url = new URL(location.url);
  url.pathname = `${location.path}/${imageName(image)}/${signatureName(n)}`;
  return url;
}

export function signatureName(n: number): string {
  return `signature-${n}`;
}

/** The base for people: without query. */
export function describeBase(location: LookasideLocation): string {
  return location.kind === 'file' ? `file://${location.path}` : displayUrl(location.url);
}

function unsupported(base: LookasideBase, why: string): BullaError {
  // the URL itself may hold a password: the place that says so is named instead
  return new BullaError(
    'store.unsupported',
    `cannot use the lookaside URL of ${describeOrigin(base.from)}: ${why}`,
    {
      hint: 'a lookaside reads https://host/path or file:///path',
    },
  );
}

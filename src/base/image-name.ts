/** Names of images as typed on the command line: a transport and what it takes (containers-transports.5). */
import { printable } from './bytes.ts';
import { BullaError } from './errors.ts';
import { formatReference, isNameOnly, parseReference, type Reference } from './reference.ts';

/** Every transport that a policy or a command line can name. */
export const transports = [
  'docker',
  'oci',
  'oci-archive',
  'docker-archive',
  'dir',
  'containers-storage',
  'docker-daemon',
] as const;
export type Transport = (typeof transports)[number];

export type ImageName =
  | { readonly transport: 'docker'; readonly reference: Reference }
  | { readonly transport: 'dir'; readonly path: string }
  | {
      readonly transport: 'oci' | 'oci-archive' | 'docker-archive';
      readonly path: string;
      readonly name?: string;
      /** Of `oci`: the folder of blobs that several layouts share, in place of the layout's own. No name says it. */
      readonly blobs?: string;
    }
  | { readonly transport: 'containers-storage' | 'docker-daemon'; readonly name: string };

/**
 * Parses an image name. A name without a transport is a docker:// one; a docker reference without
 * tag and digest gets the tag `latest`; one with both is refused, as containers/image does.
 * @throws BullaError `image-name.malformed`, `reference.malformed`
 */
export function parseImageName(text: string): ImageName {
  if (text === '') throw malformed(text, 'it is empty');
  const colon = text.indexOf(':');
  const transport = colon < 0 ? undefined : transports.find((each) => each === text.slice(0, colon));
  if (transport === undefined) return dockerName(text, text);
  const rest = text.slice(colon + 1);
  switch (transport) {
    case 'docker':
      if (!rest.startsWith('//')) throw malformed(text, 'docker: wants two slashes', `docker://${rest}`);
      return dockerName(rest.slice(2), text);
    case 'dir':
      return { transport, path: pathOf(rest, text) };
    case 'oci':
    case 'oci-archive':
    case 'docker-archive': {
      const split = rest.indexOf(':');
      const path = pathOf(split < 0 ? rest : rest.slice(0, split), text);
      const name = split < 0 ? '' : rest.slice(split + 1);
      return name === '' ? { transport, path } : { transport, path, name };
    }
    case 'containers-storage':
    case 'docker-daemon':
      if (rest === '') throw malformed(text, 'it names no image');
      return { transport, name: rest };
  }
}

function dockerName(rest: string, text: string): ImageName {
  const reference = parseReference(rest);
  if (reference.tag !== undefined && reference.digest !== undefined) {
    throw malformed(text, 'it has both a tag and a digest', 'name the image by one of them');
  }
  return {
    transport: 'docker',
    reference: isNameOnly(reference) ? { ...reference, tag: 'latest' } : reference,
  };
}

function pathOf(path: string, text: string): string {
  if (path === '' || path.includes('\0')) throw malformed(text, 'it names no path');
  return path;
}

function malformed(text: string, why: string, hint?: string): BullaError {
  const message = `"${printable(text)}" is not an image name: ${why}`;
  return new BullaError('image-name.malformed', message, hint === undefined ? {} : { hint });
}

/** The name as text, with its transport. */
export function formatImageName(name: ImageName): string {
  switch (name.transport) {
    case 'docker':
      return `docker://${formatReference(name.reference)}`;
    case 'dir':
      return `dir:${name.path}`;
    case 'oci':
    case 'oci-archive':
    case 'docker-archive':
      return `${name.transport}:${name.path}${name.name === undefined ? '' : `:${name.name}`}`;
    case 'containers-storage':
    case 'docker-daemon':
      return `${name.transport}:${name.name}`;
  }
}

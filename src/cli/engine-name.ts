/** Names on podman's side of push and pull. */
import { type ImageName, parseImageName, transports } from '../base/image-name.ts';

/**
 * As for podman, a name without a transport is that of an image in its storage.
 * @throws BullaError `image-name.malformed`
 */
export function engineName(text: string): ImageName {
  const isFull = transports.some((each) => text.startsWith(`${each}:`));
  return isFull ? parseImageName(text) : { transport: 'containers-storage', name: text };
}

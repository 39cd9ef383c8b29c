/** How much the manifests of a transfer bundle make its reader read: a small file can name one large manifest thousands of times. */
import type { BullaError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { Manifest } from '../../base/manifest.ts';

export type Tally = {
  /** Counts manifests, each as often as it is read. @throws what `tooMuch` makes */
  add(manifests: readonly Pick<Manifest, 'bytes'>[]): void;
};

/** @param tooMuch makes the error; is told what there is too much of: `more than 3 manifests` */
export function openTally(tooMuch: (what: string) => BullaError): Tally {
  let [manifests, bytes] = [0, 0];
  return {
    add: (read) => {
      manifests += read.length;
      for (const each of read) bytes += each.bytes.length;
      if (manifests > limits.transferManifests)
        throw tooMuch(`more than ${limits.transferManifests} manifests`);
      if (bytes > limits.transferManifestBytes)
        throw tooMuch(`more than ${limits.transferManifestBytes} bytes of manifests`);
    },
  };
}

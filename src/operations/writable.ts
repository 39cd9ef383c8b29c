/** Whether new GPG signatures have a place, known before anything is signed or moved. */
import { BullaError } from '../base/errors.ts';
import { formatImageName, type ImageName } from '../base/image-name.ts';
import type { Registry } from '../registry/registry.ts';
import type { LocatedStores } from '../stores/locate.ts';

/** An HTTP lookaside takes no signature; a registry with the signature extension is its own store. @throws BullaError `store.read-only` */
export async function checkSimpleWritable(
  name: ImageName,
  { configuration }: LocatedStores,
  registry: Pick<Registry, 'ping'>,
  more = '',
): Promise<void> {
  const url = configuration?.write.url ?? '';
  if (!/^https?:/i.test(url) || (await registry.ping()).supportsSignatures) return;
  throw new BullaError(
    'store.read-only',
    `GPG signatures for ${formatImageName(name)} go to ${url}, which is for reading`,
    { hint: `name a folder as lookaside-staging in registries.d and publish it to the web server${more}` },
  );
}

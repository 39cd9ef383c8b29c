/** The embedded registry on a port. */
import { type Listening, listen, type ListenOptions } from '../listen.ts';
import { folderStorage } from './folder-storage.ts';
import { createRegistry, type RegistryOptions } from './registry.ts';

export type ServeRegistryOptions = ListenOptions &
  RegistryOptions & {
    /** The folder that keeps the content; without it, it is gone when the registry ends. */
    readonly root?: string;
  };

/**
 * Starts a registry over plain HTTP, by default on a free port of loopback.
 * @throws BullaError `server.cannot-listen`
 */
export async function serveRegistry(options: ServeRegistryOptions = {}): Promise<Listening> {
  const { root, ...rest } = options;
  const storage = root === undefined ? {} : { storage: folderStorage(root) };
  return listen(createRegistry({ ...rest, ...storage }), options);
}

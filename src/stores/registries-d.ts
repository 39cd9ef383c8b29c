/**
 * registries.d: which lookaside stores an image's signatures (containers-registries.d.5), as
 * containers/image does it, which is not as its manual page says: `lookaside` and
 * `use-sigstore-attachments` fall through to wider scopes one by one, and `*.` wildcards work.
 *
 * Which folders are read changed in containers/image 5.40. The peers that Bulla is measured with
 * (skopeo 1.22, podman 5.8) carry 5.39, so the default is their rule: the user's folder
 * `$HOME/.config/containers/registries.d` alone if it exists, else /etc/containers/registries.d.
 * XDG_CONFIG_HOME plays no part in it. `rule: 'merge'` is the new one: user, /etc and /usr/share
 * together, a basename in an earlier folder hiding the same one in later folders.
 */
import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';

import { printable } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { exists, isSystemError, readFileIfThere } from '../io/files.ts';
import { parseRegistriesDFile, type RegistriesDFile, type Section } from './registries-d-file.ts';

export type { Section, Setting } from './registries-d-file.ts';

/** All files merged. */
export type RegistriesD = {
  /** Folders that were looked in, first to last. */
  readonly folders: readonly string[];
  /** Files that were read, in order of their basenames. */
  readonly files: readonly string[];
  readonly docker: ReadonlyMap<string, Section>;
  readonly defaultDocker?: Section;
  /** Where signatures are without any configuration: a file: URL. */
  readonly builtIn: string;
};

export type SearchRule = 'exclusive' | 'merge';

export type RegistriesDOptions = {
  /** `--registries.d DIR`: read this folder and no other; a missing one is an empty configuration. */
  readonly dir?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Effective user ID. */
  readonly uid: number;
  /** Default: `exclusive`. */
  readonly rule?: SearchRule;
  /** What /etc and /usr/share are under; default `/`. */
  readonly root?: string;
};

/**
 * Reads and merges registries.d. Without files the YAML parser is not loaded.
 * @throws BullaError `registries-d.malformed`, `registries-d.unreadable`
 */
export async function readRegistriesD(options: RegistriesDOptions): Promise<RegistriesD> {
  const folders = options.dir === undefined ? await searchFolders(options) : [options.dir];
  const paths = dropInsOf(folders);
  const files = await Promise.all(paths.map(readDropIn));
  const builtIn = builtInLookaside(options);
  return { folders, ...mergeFiles(files.filter((each) => each !== undefined)), builtIn };
}

async function searchFolders(options: RegistriesDOptions): Promise<readonly string[]> {
  const root = options.root ?? '/';
  const system = join(root, 'etc/containers/registries.d');
  const user = join(homeOf(options.env), '.config/containers/registries.d');
  if (options.rule !== 'merge') return [(await exists(user)) ? user : system];
  const config = options.env['XDG_CONFIG_HOME'];
  const ownUser = config === undefined || config === '' ? user : join(config, 'containers/registries.d');
  const forUser =
    options.uid === 0
      ? ['registries.rootful.d']
      : [`registries.rootless.d/${options.uid}`, 'registries.rootless.d'];
  const systemFolders = ['etc/containers', 'usr/share/containers'].flatMap((folder) =>
    [...forUser, 'registries.d'].map((name) => join(root, folder, name)),
  );
  return [ownUser, ...systemFolders];
}

function homeOf(env: RegistriesDOptions['env']): string {
  const home = env['HOME'];
  return home === undefined || home === '' ? homedir() : home;
}

/** containers/image's own default; a rootless container engine names the real user in its variable. */
function builtInLookaside(options: RegistriesDOptions): string {
  const rootless = options.env['_CONTAINERS_ROOTLESS_UID'];
  const isRoot = rootless === undefined || rootless === '' ? options.uid === 0 : rootless === '0';
  const folder = isRoot
    ? '/var/lib/containers/sigstore'
    : join(homeOf(options.env), '.local/share/containers/sigstore');
  return `file://${folder.split('/').map(encodeURIComponent).join('/')}`;
}

/** Every `*.yaml` of the folders, sorted by basename; an earlier folder hides its namesakes in later ones. */
function dropInsOf(folders: readonly string[]): readonly string[] {
  const byName = new Map<string, string>();
  for (const folder of folders) {
    for (const name of namesIn(folder)) {
      if (name.endsWith('.yaml') && !byName.has(name)) byName.set(name, join(folder, name));
    }
  }
  return [...byName.values()].sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw unreadable(folder, error);
  }
}

async function readDropIn(path: string): Promise<RegistriesDFile | undefined> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readFileIfThere(path, limits.configFileBytes);
  } catch (error) {
    throw unreadable(path, error);
  }
  // gone since the folder was listed, or a link to nothing: skipped, as containers/image does
  return bytes === undefined ? undefined : parseRegistriesDFile(bytes, path);
}

function unreadable(path: string, error: unknown): BullaError {
  const why = isBullaError(error) ? error.message : `cannot read ${printable(path)}`;
  return new BullaError('registries-d.unreadable', why, { cause: error });
}

/**
 * Puts files together. A scope, or `default-docker`, that two files define is refused: which of
 * them counts would depend on their names.
 * @throws BullaError `registries-d.malformed` naming both files
 */
export function mergeFiles(
  files: readonly RegistriesDFile[],
): Pick<RegistriesD, 'files' | 'docker' | 'defaultDocker'> {
  const docker = new Map<string, Section>();
  let defaultDocker: Section | undefined;
  for (const each of files) {
    if (each.defaultDocker !== undefined) {
      if (defaultDocker !== undefined) throw definedTwice('default-docker', defaultDocker, each);
      defaultDocker = each.defaultDocker;
    }
    for (const [scope, section] of each.docker) {
      const earlier = docker.get(scope);
      if (earlier !== undefined) throw definedTwice(`docker scope "${printable(scope)}"`, earlier, each);
      docker.set(scope, section);
    }
  }
  const names = files.map(({ file }) => file);
  return { files: names, docker, ...(defaultDocker !== undefined && { defaultDocker }) };
}

function definedTwice(what: string, first: Section, second: RegistriesDFile): BullaError {
  const files = `${printable(first.file)} and ${printable(second.file)}`;
  return new BullaError('registries-d.malformed', `${what} is defined in both ${files}`, {
    hint: 'keep it in one of them',
  });
}

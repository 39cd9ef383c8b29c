/** Stages by their names: which image is meant in which of them, and how it is reached there. */
import { dirname, resolve } from 'node:path';

import { printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { formatReference, parseReference, type Reference, tryParseReference } from '../base/reference.ts';
import { readBoundedFile } from '../io/files.ts';
import { locateStores } from '../stores/locate.ts';
import { readRegistriesD, type RegistriesD } from '../stores/registries-d.ts';
import { parseStages, type Stage, type Stages } from './promote/stages-file.ts';
import type { World } from './world.ts';

export type { Stage, Stages } from './promote/stages-file.ts';

/**
 * Reads a stages.yaml.
 * @throws BullaError `stages.not-found`, `stages.malformed`, `io.*`
 */
export async function readStages(file: string): Promise<Stages> {
  let bytes: Uint8Array;
  try {
    bytes = await readBoundedFile(file, limits.configFileBytes);
  } catch (error) {
    if (!isBullaError(error, 'io.not-found')) throw error;
    throw new BullaError('stages.not-found', `there are no stages: ${error.message}`, {
      hint: 'name the file by --stages; docs/formats/stages.md has an example',
      cause: error,
    });
  }
  const text = textOf(bytes);
  if (text === undefined) throw new BullaError('stages.malformed', `${file} is not UTF-8 text`);
  return parseStages(text, file, (path) => resolve(dirname(file), path));
}

/** An image of some stages, as `app` or `ns/app:1.4`. */
export type StagedName = { readonly path: string; readonly tag?: string };

/** @throws BullaError `usage.invalid` */
export function parseStagedName(text: string): StagedName {
  // with a host of its own before it whatever follows is a path
  const reference = tryParseReference(`stage.invalid/${text}`);
  const first = text.split('/', 1)[0] ?? '';
  const hasHost = text.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  if (reference === undefined || reference.digest !== undefined || hasHost) {
    throw new BullaError('usage.invalid', `"${printable(text)}" is no name of an image in a stage`, {
      hint: 'write it as it stands behind the stage’s registry: app, ns/app or ns/app:1.4',
    });
  }
  const { path, tag } = reference;
  return { path, ...(tag !== undefined && { tag }) };
}

/** @throws BullaError `stages.unknown` */
export function findStage({ stages, file }: Stages, name: string): Stage {
  const found = stages.find((each) => each.name === name);
  if (found !== undefined) return found;
  throw new BullaError('stages.unknown', `${file} has no stage "${printable(name, 80)}"`, {
    hint: `its stages are ${stages.map((each) => each.name).join(', ')}`,
  });
}

export type Step = {
  readonly from: Stage;
  readonly to: Stage;
  /** Stages between them, which an image passes over. */
  readonly skipped: readonly Stage[];
};

/**
 * Where an image comes from that goes to a stage: the one just before, unless another earlier one is named.
 * @throws BullaError `stages.unknown`, `usage.invalid`
 */
export function stepTo(stages: Stages, names: { readonly to: string; readonly from?: string }): Step {
  const to = findStage(stages, names.to);
  const end = stages.stages.indexOf(to);
  const from = names.from === undefined ? stages.stages[end - 1] : findStage(stages, names.from);
  if (from === undefined) {
    throw new BullaError('usage.invalid', `${to.name} is the first stage: nothing is promoted to it`, {
      hint: 'push the image there',
    });
  }
  const start = stages.stages.indexOf(from);
  if (start < end) return { from, to, skipped: stages.stages.slice(start + 1, end) };
  throw new BullaError('usage.invalid', `${from.name} does not come before ${to.name}`, {
    hint: `the order is ${stages.stages.map((each) => each.name).join(', ')}`,
  });
}

/** The image's name in a stage. @throws BullaError `reference.malformed` where both together are too long */
export function referenceIn(
  { registry }: Pick<Stage, 'registry'>,
  { path, tag }: Required<StagedName>,
): Reference {
  return parseReference(`${registry}/${path}:${tag}`);
}

/**
 * What is signed for, by the stage's pattern: `{path}` and `{tag}` stand for the image's.
 * @throws BullaError `stages.malformed`
 */
export function identityIn(pattern: string, { path, tag }: Required<StagedName>): Reference {
  const text = pattern.replaceAll(/\{(path|tag)\}/g, (_, what: string) => (what === 'path' ? path : tag));
  const reference = tryParseReference(text);
  if (reference !== undefined && formatReference(reference) === text) return reference;
  throw new BullaError(
    'stages.malformed',
    `sign-identity "${printable(pattern)}" comes to "${printable(text)}"`,
    {
      hint: 'write it in full, like registry.example.com/prod/{path}:{tag}',
    },
  );
}

/**
 * The world with a stage's own stores. It is not disposed: it is another's.
 * @throws BullaError `registries-d.*`
 */
export async function worldOf({ registry, store }: Stage, world: World): Promise<World> {
  if (store === undefined) return world;
  const { env, uid } = world.environment;
  const configuration: RegistriesD =
    'folder' in store
      ? await readRegistriesD({ dir: store.folder, env, uid })
      : {
          folders: [],
          files: [store.section.file],
          docker: new Map([[registry, store.section]]),
          builtIn: (await world.registriesD()).builtIn,
        };
  const registriesD = (): Promise<RegistriesD> => Promise.resolve(configuration);
  const { warn } = world;
  return { ...world, registriesD, stores: (image) => locateStores(image, { registriesD, warn }) };
}

/**
 * One file of registries.d (containers-registries.d.5): YAML text to sections, nothing looked up.
 * Unknown keys are ignored as containers/image ignores them; names are case-sensitive.
 */
import type { Document, LineCounter } from 'yaml';

import { printable, textOf } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import { parsePlainYaml } from './plain-yaml.ts';

/** A value and the key that set it (`lookaside-staging`). */
export type Setting = { readonly url: string; readonly key: string };

/** What one scope of one file says. A missing member lets the next wider scope answer. */
export type Section = {
  readonly file: string;
  /** The key under `docker`, or `default-docker`. */
  readonly scope: string;
  /** The first non-empty of `lookaside` and the deprecated `sigstore`. */
  readonly read?: Setting;
  /** The first non-empty of `lookaside-staging`, `sigstore-staging`, `lookaside`, `sigstore`. */
  readonly write?: Setting;
  readonly useSigstoreAttachments?: boolean;
};

export type RegistriesDFile = {
  readonly file: string;
  readonly defaultDocker?: Section;
  readonly docker: ReadonlyMap<string, Section>;
};

/** go-yaml reads these words of YAML 1.1 where a boolean is wanted, quoted ones too. */
const truths: ReadonlySet<unknown> = new Set([true, 'y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON']);
const untruths: ReadonlySet<unknown> = new Set([false, 'n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF']);

type Path = readonly string[];
type Reader = {
  readonly file: string;
  /** The error for what stands at a path, with its line and column. */
  readonly malformed: (path: Path, why: string) => BullaError;
};

/**
 * Parses one drop-in. Several documents in a file are refused (containers/image takes the first and
 * is silent about the others); so are duplicate keys, at any depth. Plain files are read without
 * the YAML package; one with anything wrong is read again with it, for the place of the error.
 * @throws BullaError `registries-d.malformed` with file, line and column
 */
export async function parseRegistriesDFile(bytes: Uint8Array, file: string): Promise<RegistriesDFile> {
  const text = textOf(bytes);
  if (text === undefined) throw malformedAt(file, 1, 1, 'it is not UTF-8');
  const plain = parsePlainYaml(text);
  if (plain === undefined) return parseYaml(text, file);
  try {
    return sectionsOf({ file, malformed: (_path, why) => malformedAt(file, 1, 1, why) }, plain);
  } catch (error) {
    if (!isBullaError(error)) throw error;
    return parseYaml(text, file);
  }
}

async function parseYaml(text: string, file: string): Promise<RegistriesDFile> {
  const { LineCounter: Lines, parseDocument } = await import('yaml');
  const lines = new Lines();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    const why = error.code === 'MULTIPLE_DOCS' ? 'it holds more than one document' : oneLine(error.message);
    throw malformedAt(file, line, col, why);
  }
  const malformed = (path: Path, why: string): BullaError => malformedIn(document, lines, file, path, why);
  return sectionsOf({ file, malformed }, plainValue(document, file));
}

function plainValue(document: Document, file: string): unknown {
  try {
    // aliases are bounded, so a file of a few lines cannot unfold into gigabytes
    return document.toJS({ mapAsMap: true, maxAliasCount: 100 });
  } catch (error) {
    throw malformedAt(file, 1, 1, oneLine(error instanceof Error ? error.message : String(error)));
  }
}

function sectionsOf(reader: Reader, value: unknown): RegistriesDFile {
  const top = mappingOf(reader, value, []);
  const docker = new Map<string, Section>();
  for (const [scope, section] of mappingOf(reader, top.get('docker'), ['docker'])) {
    docker.set(scope, sectionOf(reader, scope, section, ['docker', scope]));
  }
  const fallback = top.get('default-docker') ?? undefined;
  if (fallback === undefined) return { file: reader.file, docker };
  const defaultDocker = sectionOf(reader, 'default-docker', fallback, ['default-docker']);
  return { file: reader.file, docker, defaultDocker };
}

function sectionOf(reader: Reader, scope: string, value: unknown, path: Path): Section {
  const section = mappingOf(reader, value, path);
  const setting = (...keys: readonly string[]): Setting | undefined => {
    const set = keys.map((key) => ({ key, url: textAt(reader, section, path, key) }));
    return set.find(({ url }) => url !== '');
  };
  const read = setting('lookaside', 'sigstore');
  const write = setting('lookaside-staging', 'sigstore-staging') ?? read;
  const attachments = booleanAt(reader, section, path, 'use-sigstore-attachments');
  return {
    file: reader.file,
    scope,
    ...(read !== undefined && { read }),
    ...(write !== undefined && { write }),
    ...(attachments !== undefined && { useSigstoreAttachments: attachments }),
  };
}

function mappingOf(reader: Reader, value: unknown, path: Path): ReadonlyMap<string, unknown> {
  if (value === null || value === undefined) return new Map();
  if (!(value instanceof Map)) throw reader.malformed(path, 'it is not a mapping');
  const entries: readonly (readonly [unknown, unknown])[] = [...value];
  return new Map(
    entries.map(([key, each]) => {
      if (typeof key === 'string') return [key, each];
      throw reader.malformed(path, 'a key in it is not a text; quote it');
    }),
  );
}

function textAt(reader: Reader, section: ReadonlyMap<string, unknown>, path: Path, key: string): string {
  const value = section.get(key);
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  throw reader.malformed([...path, key], 'it is not a text');
}

function booleanAt(
  reader: Reader,
  section: ReadonlyMap<string, unknown>,
  path: Path,
  key: string,
): boolean | undefined {
  const value = section.get(key);
  if (value === null || value === undefined) return undefined;
  if (truths.has(value)) return true;
  if (untruths.has(value)) return false;
  throw reader.malformed([...path, key], 'it is neither true nor false');
}

function malformedIn(
  document: Document,
  lines: LineCounter,
  file: string,
  path: Path,
  why: string,
): BullaError {
  const node: unknown = document.getIn(path, true);
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  const offset: unknown = Array.isArray(range) ? range[0] : 0;
  const { line, col } = lines.linePos(typeof offset === 'number' ? offset : 0);
  const where = path.length === 0 ? '' : `${path.map((each) => printable(each)).join(' → ')}: `;
  return malformedAt(file, line, col, `${where}${why}`);
}

function malformedAt(file: string, line: number, column: number, why: string): BullaError {
  // an empty file has no lines to count
  const position = `${Math.max(line, 1)}:${Math.max(column, 1)}`;
  return new BullaError('registries-d.malformed', `${printable(file)}:${position}: ${why}`);
}

function oneLine(message: string): string {
  return printable(message.split('\n')[0] ?? '');
}

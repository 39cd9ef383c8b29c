/** The source tree as data, for tests about its structure: files and what each imports. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root folder. */
export const root: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** `value`: loaded with the file. `type`: erased. `dynamic`: `await import()`, loaded when reached. */
export type ImportKind = 'value' | 'type' | 'dynamic';

export type Import = {
  readonly kind: ImportKind;
  /** As written: `../base/errors.ts`, `node:fs`, `openpgp`. */
  readonly specifier: string;
  /** For a relative import: the file's path from the checkout's root. */
  readonly file: string | undefined;
};

export type SourceFile = {
  /** From the checkout's root, with slashes: `src/base/errors.ts`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
};

/** Every `.ts` file under a folder of the checkout, sorted by path. */
export function readSources(folder: string): readonly SourceFile[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, imports: importsOf(text, path) };
    });
}

/**
 * The imports in a formatted source text. Static ones start a line, as the formatter leaves them;
 * comment lines are left out.
 */
export function importsOf(text: string, path: string): readonly Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  const add = (kind: ImportKind, specifier: string): void => {
    const relative = specifier.startsWith('.');
    const file = relative ? posix.join(posix.dirname(path), specifier) : undefined;
    found.push({ kind, specifier, file });
  };
  for (const match of code.matchAll(
    /^(?:import|export)\s+(type\s+)?(?:[\w*{$][^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm,
  )) {
    add(match[1] === undefined && !onlyTypes(match[0]) ? 'value' : 'type', match[2] ?? '');
  }
  for (const match of code.matchAll(/(typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]/g)) {
    const isType = match[1] !== undefined || /[:<|&]\s*$/.test(code.slice(0, match.index));
    add(isType ? 'type' : 'dynamic', match[2] ?? '');
  }
  return found;
}

/** `import { type A, type B } from`: with verbatimModuleSyntax the module is still loaded. */
function onlyTypes(statement: string): boolean {
  return /^(?:import|export)\s+type\b/.test(statement);
}

/** The text with the lines and line ends that are comments made empty. */
export function withoutComments(text: string): string {
  return text
    .replace(/^\s*\/\*[\s\S]*?\*\//gm, (comment) => comment.replace(/[^\n]/g, ''))
    .replace(/^\s*\/\/.*$/gm, '');
}

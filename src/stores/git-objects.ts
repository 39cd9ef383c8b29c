/** The contents of files in a git repository, read many at a time by their objects' names. */
import { limits } from '../base/limits.ts';
import { type GitCall, mustGit } from './git-process.ts';

/** How many objects, and how many bytes of them, are held at once. */
export const mostAtOnce = { objects: 1000, bytes: 16_777_216 } as const;

type Wanted = { readonly object: string; readonly size: number };

/**
 * A reader of the contents by their place in the list: undefined for what is larger than any signature or is not
 * there. Reading in order of the list reads each once.
 */
export function objectReader(
  call: GitCall,
  wanted: readonly Wanted[],
): (index: number) => Promise<Uint8Array | undefined> {
  const groupOf: number[] = [];
  const groups: Map<string, number>[] = [];
  let room = 0;
  for (const { object, size } of wanted) {
    const held = size <= limits.signatureBytes ? size : 0;
    const current = groups.at(-1);
    if (current === undefined || current.size >= mostAtOnce.objects || room + held > mostAtOnce.bytes) {
      groups.push(new Map([[object, size]]));
      room = held;
    } else {
      current.set(object, size);
      room += held;
    }
    groupOf.push(groups.length - 1);
  }
  let loaded:
    | { readonly group: number; readonly contents: Promise<ReadonlyMap<string, Uint8Array>> }
    | undefined;
  return async (index) => {
    const group = groupOf[index] ?? -1;
    if (loaded?.group !== group) loaded = { group, contents: readObjects(call, groups[group] ?? new Map()) };
    return (await loaded.contents).get(wanted[index]?.object ?? '');
  };
}

async function readObjects(
  call: GitCall,
  sizes: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const contents = new Map<string, Uint8Array>();
  const names = [...sizes].filter(([, size]) => size <= limits.signatureBytes).map(([name]) => name);
  if (names.length === 0) return contents;
  const maxBytes = names.reduce((sum, name) => sum + (sizes.get(name) ?? 0) + 128, 0);
  const input = Buffer.from(`${names.join('\n')}\n`);
  const output = Buffer.from(await mustGit(['cat-file', '--batch'], { ...call, input, maxBytes }, 'read'));
  let at = 0;
  for (const name of names) {
    const end = output.indexOf(10, at);
    if (end < 0) break;
    const [object, kind, size] = output.toString('latin1', at, end).split(' ');
    at = end + 1;
    // what git does not have is a line with two words
    if (size === undefined) continue;
    if (object === name && kind === 'blob')
      contents.set(name, new Uint8Array(output.subarray(at, at + Number(size))));
    at += Number(size) + 1;
  }
  return contents;
}

/** Storage of the embedded registry in memory, for the demo and for tests. */
import { concatBytes } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import type { RegistryStorage } from './storage.ts';

/** The entries, and a count of their bytes with those that are still arriving. */
type Memory = { readonly entries: Map<string, Uint8Array>; readonly most: number; total: number };

/** Storage that is gone with the process and holds at most `mostBytes` in all. */
export function memoryStorage(mostBytes: number): RegistryStorage {
  const memory: Memory = { entries: new Map(), most: mostBytes, total: 0 };
  const { entries } = memory;
  return {
    size: async (key) => entries.get(key)?.length,
    read: (key, range) => {
      const bytes = entries.get(key) ?? new Uint8Array();
      return streamOf(range === undefined ? bytes : bytes.subarray(range.start, range.end + 1));
    },
    write: async (key, bytes) => {
      reserve(memory, bytes.length);
      remove(memory, key);
      entries.set(key, bytes);
    },
    append: (key, content, limit) => append(memory, key, content, limit),
    move: async (from, to) => {
      const bytes = entries.get(from) ?? new Uint8Array();
      entries.delete(from);
      remove(memory, to);
      entries.set(to, bytes);
    },
    remove: async (key) => remove(memory, key),
    list: async (folder) => {
      const inside = [...entries.keys()].filter((key) => key.startsWith(`${folder}/`));
      return [...new Set(inside.map((key) => key.slice(folder.length + 1).split('/')[0] ?? ''))].toSorted();
    },
  };
}

function reserve(memory: Memory, bytes: number): void {
  if (memory.total + bytes > memory.most) {
    throw new BullaError('io.no-space', `the registry in memory holds at most ${memory.most} bytes`);
  }
  memory.total += bytes;
}

function remove(memory: Memory, key: string): boolean {
  memory.total -= memory.entries.get(key)?.length ?? 0;
  return memory.entries.delete(key);
}

async function append(
  memory: Memory,
  key: string,
  content: AsyncIterable<Uint8Array>,
  limit: number,
): Promise<number> {
  const before = memory.entries.get(key) ?? new Uint8Array();
  const parts = [before];
  let arrived = 0;
  try {
    for await (const part of content) {
      reserve(memory, part.length);
      arrived += part.length;
      if (before.length + arrived > limit) throw new BullaError('io.too-large', `more than ${limit} bytes`);
      parts.push(new Uint8Array(part));
    }
  } catch (error) {
    memory.total -= arrived;
    throw error;
  }
  memory.entries.set(key, concatBytes(...parts));
  return before.length + arrived;
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}

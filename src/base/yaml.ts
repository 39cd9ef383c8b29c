/**
 * YAML as a configuration file that decides whom to believe may use it: the core schema of YAML 1.2, one document, and
 * nothing whose meaning a reader has to look for elsewhere. Anchors, aliases, merge keys, tags and directives are
 * refused, and so are keys that are there twice or are no text.
 */
import type { Document, Node, Pair, ParsedNode } from 'yaml';

import { BullaError } from './errors.ts';
import { type JsonMember, type JsonValue, positionOf } from './json.ts';
import { limits } from './limits.ts';

/**
 * Parses one YAML document into the values that JSON has, each with its offset. A number is the text that stands there.
 * @param what names the input in the error, e.g. the file's path
 * @throws BullaError `yaml.malformed`, its message with line and column
 */
export async function parseYaml(text: string, what: string): Promise<JsonValue> {
  const yaml = await import('yaml');
  const refuse = (offset: number, why: string): never => {
    const { line, column } = positionOf(text, offset);
    throw new BullaError('yaml.malformed', `${what}:${line}:${column}: ${why}`);
  };
  if (/^[\uFEFF\u0000]/.test(text)) refuse(0, 'a byte order mark or a zero byte');
  const documents = yaml.parseAllDocuments(text, {
    version: '1.2',
    schema: 'core',
    uniqueKeys: true,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const [document, ...more] = [...documents];
  if (document === undefined || document.contents === null) return refuse(0, 'the file is empty');
  refuseFaults(document, more[0], refuse);
  return new Reader(yaml, refuse).value(document.contents, 0);
}

type Refuse = (offset: number, why: string) => never;

function refuseFaults(
  document: Document.Parsed,
  second: { readonly range?: readonly number[] | null } | undefined,
  refuse: Refuse,
): void {
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) refuse(problem.pos[0], problem.message.split('\n')[0] ?? 'no YAML');
  if (document.directives.yaml.explicit === true || Object.keys(document.directives.tags).length > 1) {
    refuse(0, 'directives (%…) are not allowed');
  }
  if (second !== undefined) refuse(second.range?.[0] ?? 0, 'more than one document');
}

/** A class only because every rule needs the package, which is loaded late, and the way to refuse. */
class Reader {
  readonly #yaml: typeof import('yaml');
  readonly #refuse: Refuse;

  constructor(yaml: typeof import('yaml'), refuse: Refuse) {
    this.#yaml = yaml;
    this.#refuse = refuse;
  }

  value(node: Node, depth: number): JsonValue {
    const offset = node.range?.[0] ?? 0;
    if (depth > limits.jsonDepth) this.#refuse(offset, `nested deeper than ${limits.jsonDepth}`);
    if (this.#yaml.isAlias(node)) return this.#refuse(offset, 'aliases are not allowed');
    if (node.tag !== undefined) this.#refuse(offset, 'tags are not allowed');
    if ('anchor' in node && node.anchor !== undefined) this.#refuse(offset, 'anchors are not allowed');
    if (this.#yaml.isSeq(node)) {
      const items = node.items.map((item) => this.value(item as Node, depth + 1));
      return { kind: 'array', offset, items };
    }
    if (this.#yaml.isMap(node)) {
      const members = node.items.map((pair) => this.#member(pair as Pair<ParsedNode, Node | null>, depth));
      return { kind: 'object', offset, members };
    }
    if (this.#yaml.isScalar(node)) return this.#scalar(node.value, node.source ?? '', offset);
    return this.#refuse(offset, 'no value that is known here');
  }

  #member({ key, value }: Pair<ParsedNode, Node | null>, depth: number): JsonMember {
    const read = this.value(key, depth + 1);
    if (read.kind !== 'string') return this.#refuse(read.offset, 'a key must be a text: put it into quotes');
    const isPlain = this.#yaml.isScalar(key) && key.type === 'PLAIN';
    if (isPlain && read.value === '<<') this.#refuse(read.offset, 'merge keys are not allowed');
    const { offset } = read;
    return {
      key: read.value,
      offset,
      value: value === null ? { kind: 'null', offset } : this.value(value, depth + 1),
    };
  }

  #scalar(value: unknown, source: string, offset: number): JsonValue {
    if (typeof value === 'string') {
      if (!value.isWellFormed()) this.#refuse(offset, 'half a surrogate pair');
      return { kind: 'string', offset, value };
    }
    if (typeof value === 'number') return { kind: 'number', offset, text: source };
    if (typeof value === 'boolean') return { kind: 'boolean', offset, value };
    return { kind: 'null', offset };
  }
}

/**
 * JSON read strictly and with positions. Unlike JSON.parse it keeps every member of an object in
 * order, doubles included, so that a reader can refuse what it must; numbers stay text, so that no
 * digit is lost. RFC 8259 grammar; whitespace may follow the value, nothing else may.
 */
import { BullaError } from './errors.ts';
import { limits } from './limits.ts';

export type JsonMember = { readonly key: string; readonly offset: number; readonly value: JsonValue };
export type JsonObject = {
  readonly kind: 'object';
  readonly offset: number;
  readonly members: readonly JsonMember[];
};
export type JsonArray = {
  readonly kind: 'array';
  readonly offset: number;
  readonly items: readonly JsonValue[];
};
export type JsonString = { readonly kind: 'string'; readonly offset: number; readonly value: string };
export type JsonNumber = { readonly kind: 'number'; readonly offset: number; readonly text: string };
export type JsonBoolean = { readonly kind: 'boolean'; readonly offset: number; readonly value: boolean };
export type JsonNull = { readonly kind: 'null'; readonly offset: number };
/** A parsed value; `offset` is where it starts in the text, in UTF-16 units. */
export type JsonValue = JsonObject | JsonArray | JsonString | JsonNumber | JsonBoolean | JsonNull;

/** Line and column, both from 1, of an offset in a text. */
export function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const lastBreak = before.lastIndexOf('\n');
  return { line: before.split('\n').length, column: offset - lastBreak };
}

/**
 * Parses one JSON text.
 * @param what names the input in the error, e.g. the file's path
 * @throws BullaError `json.malformed`, its message with line and column
 */
export function parseJson(text: string, what: string): JsonValue {
  return new Reader(text, what).document();
}

/** An object without one of its members, which is checked but not built: a tree is ten times its text. */
export type PartialObject = {
  readonly object: JsonValue;
  /** The JSON of the member's value; undefined where the object has none. */
  readonly left: string | undefined;
};

/**
 * Parses one JSON text, and leaves one member of the outermost object as text: `key` itself stays among its
 * members, as null. Of a value that is no object nothing is left.
 * @throws BullaError `json.malformed`
 */
export function parseJsonLeaving(key: string, text: string, what: string): PartialObject {
  const reader = new Reader(text, what, key);
  const object = reader.document();
  return { object, left: reader.left };
}

/** A class only because the position is state that every rule of the grammar moves. */
class Reader {
  #at = 0;
  readonly #text: string;
  readonly #what: string;
  readonly #leaving: string | undefined;
  left: string | undefined;

  constructor(text: string, what: string, leaving?: string) {
    this.#text = text;
    this.#what = what;
    this.#leaving = leaving;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#blanks();
    if (this.#at < this.#text.length) throw this.#error('something follows the JSON value');
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > limits.jsonDepth) throw this.#error(`nested deeper than ${limits.jsonDepth}`);
    this.#blanks();
    const offset = this.#at;
    const first = this.#text[offset];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return { kind: 'string', offset, value: this.#string() };
    if (first === 't') return this.#word('true', { kind: 'boolean', offset, value: true });
    if (first === 'f') return this.#word('false', { kind: 'boolean', offset, value: false });
    if (first === 'n') return this.#word('null', { kind: 'null', offset });
    return this.#number();
  }

  #object(depth: number): JsonObject {
    const offset = this.#at++;
    const members: JsonMember[] = [];
    this.#blanks();
    if (this.#take('}')) return { kind: 'object', offset, members };
    do {
      this.#blanks();
      const keyOffset = this.#at;
      if (this.#text[keyOffset] !== '"') throw this.#error('a member name in double quotes is missing');
      const key = this.#string();
      this.#blanks();
      if (!this.#take(':')) throw this.#error('a colon is missing after the member name');
      const value = depth === 0 && key === this.#leaving ? this.#leave() : this.#value(depth + 1);
      members.push({ key, offset: keyOffset, value });
      this.#blanks();
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#error('a comma or } is missing');
    return { kind: 'object', offset, members };
  }

  /** Reads a value of the outermost object, and keeps its text alone. */
  #leave(): JsonNull {
    this.#blanks();
    const offset = this.#at;
    this.#skip(1);
    this.left = this.#text.slice(offset, this.#at);
    return { kind: 'null', offset };
  }

  /** The grammar of #value, without its values. */
  #skip(depth: number): void {
    this.#blanks();
    const first = this.#text[this.#at];
    if (first !== '{' && first !== '[') return void this.#value(depth);
    if (depth > limits.jsonDepth) throw this.#error(`nested deeper than ${limits.jsonDepth}`);
    this.#at += 1;
    const close = first === '{' ? '}' : ']';
    this.#blanks();
    if (this.#take(close)) return;
    do {
      this.#blanks();
      if (first === '{') {
        this.#string();
        this.#blanks();
        if (!this.#take(':')) throw this.#error('a colon is missing after the member name');
      }
      this.#skip(depth + 1);
      this.#blanks();
    } while (this.#take(','));
    if (!this.#take(close)) throw this.#error(`a comma or ${close} is missing`);
  }

  #array(depth: number): JsonArray {
    const offset = this.#at++;
    const items: JsonValue[] = [];
    this.#blanks();
    if (this.#take(']')) return { kind: 'array', offset, items };
    do {
      items.push(this.#value(depth + 1));
      this.#blanks();
    } while (this.#take(','));
    if (!this.#take(']')) throw this.#error('a comma or ] is missing');
    return { kind: 'array', offset, items };
  }

  #string(): string {
    // not by a regular expression: its alternatives need more stack than there is for a document of megabytes in one string
    const start = this.#at;
    let end = start;
    do end = this.#text.indexOf('"', end + 1);
    while (end > 0 && this.#isEscaped(end, start));
    if (this.#text[start] !== '"' || end < 0) throw this.#error('a malformed string');
    const body = this.#text.slice(start + 1, end);
    this.#at = end + 1;
    // eslint-disable-next-line no-control-regex -- exactly these may not stand in a string unescaped
    if (!/[\\\u0000-\u001f]/.test(body)) return body;
    try {
      return JSON.parse(`"${body}"`) as string;
    } catch {
      this.#at = start;
      throw this.#error('a malformed string');
    }
  }

  /** Whether an odd number of backslashes stands before a quote. */
  #isEscaped(quote: number, start: number): boolean {
    let before = quote - 1;
    while (before > start && this.#text[before] === '\\') before -= 1;
    return (quote - 1 - before) % 2 === 1;
  }

  #number(): JsonNumber {
    const pattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
    const offset = this.#at;
    pattern.lastIndex = offset;
    const match = pattern.exec(this.#text);
    if (match === null) {
      throw this.#error(offset >= this.#text.length ? 'the text ends too early' : 'not a JSON value');
    }
    this.#at = pattern.lastIndex;
    return { kind: 'number', offset, text: match[0] };
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#error('not a JSON value');
    this.#at += word.length;
    return value;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #blanks(): void {
    while (' \t\r\n'.includes(this.#text[this.#at] ?? 'x')) this.#at += 1;
  }

  #error(why: string): BullaError {
    const { line, column } = positionOf(this.#text, this.#at);
    return new BullaError('json.malformed', `${this.#what}:${line}:${column}: ${why}`);
  }
}

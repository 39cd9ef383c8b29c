/**
 * Editing policy.json as text: one scope's requirements change, and every other byte stays as
 * its author left it, order and layout included. (podman's own editor writes the whole file anew.)
 */
import { BullaError, isBullaError } from '../base/errors.ts';
import { type JsonMember, type JsonObject, type JsonValue, parseJson } from '../base/json.ts';
import { parsePolicy } from './policy.ts';
import { scopeFault } from './scope-syntax.ts';

/** A requirement as policy.json spells it. */
export type RequirementJson = Readonly<Record<string, unknown>>;

export type PolicyEdit = {
  /** What to set: the global default, or a scope. Without `transport`, the one that has the scope, else docker. */
  readonly target: 'default' | { readonly name: string; readonly transport?: string };
  /** Replaces whatever was there. */
  readonly requirements: readonly RequirementJson[];
};

export type EditedPolicy = {
  readonly text: string;
  /** The transport that was edited; "" for the global default. */
  readonly transport: string;
  /** False: the scope was not there before. */
  readonly replaced: boolean;
};

/** The text of a policy that refuses everything: what a new file begins with. */
export const rejectingPolicy =
  '{\n    "default": [\n        {\n            "type": "reject"\n        }\n    ]\n}\n';

/**
 * Sets the requirements of one scope.
 * @param file names the policy in errors
 * @throws BullaError `policy.malformed` where the text is no policy before the edit; `usage.invalid`
 *   where scope or requirements cannot stand in one, or several transports have the scope
 */
export function editPolicy(text: string, file: string, edit: PolicyEdit): EditedPolicy {
  parsePolicy(text, file);
  checkRequirements(edit.requirements);
  const root = objectIn(parseJson(text, file));
  const edited = editRoot(text, root, edit);
  // the edit is ours: if its outcome cannot be read, nothing may be written
  parsePolicy(edited.text, file);
  return edited;
}

function checkRequirements(requirements: readonly RequirementJson[]): void {
  try {
    parsePolicy(JSON.stringify({ default: requirements }), 'the new requirements');
  } catch (error) {
    if (!isBullaError(error, 'policy.malformed')) throw error;
    throw new BullaError(
      'usage.invalid',
      error.message,
      error.hint === undefined ? {} : { hint: error.hint },
    );
  }
}

function editRoot(text: string, root: JsonObject, { target, requirements }: PolicyEdit): EditedPolicy {
  if (target === 'default') {
    return { text: setMember(text, root, 'default', requirements), transport: '', replaced: true };
  }
  const transports = memberOf(root, 'transports');
  const transport = target.transport ?? transportWith(transports, target.name);
  const fault = scopeFault(transport, target.name);
  if (fault !== undefined) {
    throw new BullaError('usage.invalid', `"${target.name}" is no scope of transport ${transport}`, {
      hint: fault,
    });
  }
  if (transports === undefined) {
    const value = { [transport]: { [target.name]: requirements } };
    return { text: setMember(text, root, 'transports', value), transport, replaced: false };
  }
  const scopes = memberOf(objectIn(transports.value), transport);
  if (scopes === undefined) {
    const value = { [target.name]: requirements };
    return {
      text: setMember(text, objectIn(transports.value), transport, value),
      transport,
      replaced: false,
    };
  }
  const replaced = memberOf(objectIn(scopes.value), target.name) !== undefined;
  return { text: setMember(text, objectIn(scopes.value), target.name, requirements), transport, replaced };
}

/** podman takes whichever it meets first; where two have the scope, that would be chance. */
function transportWith(transports: JsonMember | undefined, scope: string): string {
  const all = transports === undefined ? [] : objectIn(transports.value).members;
  const having = all
    .filter(({ value }) => memberOf(objectIn(value), scope) !== undefined)
    .map(({ key }) => key);
  if (having.length < 2) return having[0] ?? 'docker';
  throw new BullaError(
    'usage.invalid',
    `the transports ${having.join(' and ')} both have the scope "${scope}"`,
    {
      hint: 'say which one with --transport',
    },
  );
}

function memberOf(object: JsonObject, key: string): JsonMember | undefined {
  return object.members.find((member) => member.key.toWellFormed() === key);
}

function objectIn(value: JsonValue): JsonObject {
  if (value.kind === 'object') return value;
  throw new BullaError('internal.bug', 'a policy that parsed has something else where an object must be');
}

/** Replaces a member's value, or adds the member at the object's end, laid out like its neighbours. */
function setMember(text: string, object: JsonObject, key: string, value: unknown): string {
  const old = memberOf(object, key);
  if (old !== undefined) {
    const end = endOf(text, old.value);
    const isOneLine = !text.slice(old.value.offset, end).includes('\n');
    const rendered = isOneLine ? flat(value) : indented(text, value, indentAt(text, old.offset));
    return text.slice(0, old.value.offset) + rendered + text.slice(end);
  }
  const last = object.members.at(-1);
  if (last !== undefined) {
    const at = endOf(text, last.value);
    const indent = indentAt(text, last.offset);
    const rendered = startsLine(text, last.offset)
      ? `,${newlineOf(text)}${indent}${JSON.stringify(key)}: ${indented(text, value, indent)}`
      : `, ${JSON.stringify(key)}: ${flat(value)}`;
    return text.slice(0, at) + rendered + text.slice(at);
  }
  const outer = indentAt(text, object.offset);
  const inner = outer + unitOf(text);
  const newline = newlineOf(text);
  const rendered = text.includes('\n')
    ? `{${newline}${inner}${JSON.stringify(key)}: ${indented(text, value, inner)}${newline}${outer}}`
    : `{${JSON.stringify(key)}: ${flat(value)}}`;
  return text.slice(0, object.offset) + rendered + text.slice(endOf(text, object));
}

/** Where a value ends, exclusively. */
function endOf(text: string, value: JsonValue): number {
  switch (value.kind) {
    case 'object':
      return closing(text, value.offset, value.members.at(-1)?.value);
    case 'array':
      return closing(text, value.offset, value.items.at(-1));
    case 'string': {
      const pattern = /"(?:[^"\\]|\\.)*"/y;
      pattern.lastIndex = value.offset;
      pattern.test(text);
      return pattern.lastIndex;
    }
    case 'number':
      return value.offset + value.text.length;
    case 'boolean':
      return value.offset + String(value.value).length;
    case 'null':
      return value.offset + 4;
  }
}

/** The end of a list or object: behind the bracket that follows its last value. */
function closing(text: string, start: number, last: JsonValue | undefined): number {
  const from = last === undefined ? start + 1 : endOf(text, last);
  return from + text.slice(from).search(/[\]}]/) + 1;
}

function startsLine(text: string, offset: number): boolean {
  const line = text.lastIndexOf('\n', offset - 1) + 1;
  return line > 0 && text.slice(line, offset).trim() === '';
}

/** The blanks that the line of an offset begins with. */
function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? '';
}

function unitOf(text: string): string {
  return /\n([ \t]+)"/.exec(text)?.[1] ?? '    ';
}

function newlineOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

function indented(text: string, value: unknown, indent: string): string {
  return JSON.stringify(value, undefined, unitOf(text)).replaceAll('\n', newlineOf(text) + indent);
}

/** One line, with a blank after colons and commas: `[{"type": "reject"}]`. */
function flat(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flat).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}: ${flat(member)}`);
  return `{${members.join(', ')}}`;
}

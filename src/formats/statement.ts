/** In-toto statements (in-toto/attestation, spec v0.1 and v1): which artifacts, and what is said of them. */
import { textOf as decodeText, utf8 } from '../base/bytes.ts';
import { BullaError, isBullaError } from '../base/errors.ts';
import {
  type JsonObject,
  type JsonValue,
  parseJson,
  parseJsonLeaving,
  type PartialObject,
} from '../base/json.ts';
import { limits } from '../base/limits.ts';
import { escapeAsGo } from './go-json.ts';

export type StatementSubject = {
  readonly name?: string;
  /** By algorithm, lower-case hex as a rule; compared as they are. */
  readonly digests: ReadonlyMap<string, string>;
  readonly annotations?: ReadonlyMap<string, JsonValue>;
};

export type Statement = {
  readonly version: '0.1' | '1';
  readonly subjects: readonly StatementSubject[];
  readonly predicateType: string;
  /**
   * Undefined where it is missing or null: cosign 3.0.0 to 3.0.4 wrote none. Built when it is asked for: an SBOM of ten
   * megabytes is a hundred as a tree, and to verify it nobody looks inside.
   */
  readonly predicate: JsonValue | undefined;
};

/** What cosign 3 says of an image that it signs. */
export const cosignSignPredicateType = 'https://sigstore.dev/cosign/sign/v1';

const types: Readonly<Record<string, Statement['version']>> = {
  'https://in-toto.io/Statement/v0.1': '0.1',
  'https://in-toto.io/Statement/v1': '1',
};

/**
 * Reads a statement. Members that the specification does not know are passed over, as it asks for; one that is there twice is
 * refused. At least one subject with at least one digest each.
 * @throws BullaError `signature.payload-malformed`, `signature.wrong-type` where it is another kind of document
 */
export function parseStatement(payload: Uint8Array): Statement {
  const { object, left } = readPayload(payload);
  const statement = membersOf(object, 'the statement');
  const version = versionOf(textOf(statement.get('_type'), '_type'));
  const list = statement.get('subject');
  if (list?.kind !== 'array' || list.items.length === 0) throw malformed('it has no subject');
  if (list.items.length > limits.statementSubjects) {
    throw malformed(`it has more than ${limits.statementSubjects} subjects`);
  }
  const predicateType = textOf(statement.get('predicateType'), 'predicateType');
  if (predicateType === '') throw malformed('predicateType is empty');
  return {
    version,
    subjects: list.items.map(subjectOf),
    predicateType,
    get predicate(): JsonValue | undefined {
      return left === undefined || left === 'null' ? undefined : parseJson(left, 'predicate');
    },
  };
}

function readPayload(payload: Uint8Array): PartialObject {
  const text = decodeText(payload);
  if (text === undefined) throw malformed('it is not valid UTF-8');
  try {
    return parseJsonLeaving('predicate', text, 'statement');
  } catch (error) {
    if (isBullaError(error, 'json.malformed')) throw malformed(error.message);
    throw error;
  }
}

function versionOf(type: string): Statement['version'] {
  const version = Object.hasOwn(types, type) ? types[type] : undefined;
  if (version !== undefined) return version;
  throw new BullaError(
    'signature.wrong-type',
    'the payload is signed, but it is no in-toto statement of version 0.1 or 1',
  );
}

function subjectOf(value: JsonValue): StatementSubject {
  const subject = membersOf(value, 'a subject');
  const digests = membersOf(subject.get('digest'), 'digest');
  if (digests.size === 0) throw malformed('a subject has no digest');
  if (digests.size > limits.subjectDigests)
    throw malformed(`a subject has more than ${limits.subjectDigests} digests`);
  const [name, annotations] = [subject.get('name'), subject.get('annotations')];
  return {
    ...(name !== undefined && name.kind !== 'null' && { name: textOf(name, 'name') }),
    digests: new Map([...digests].map(([algorithm, digest]) => [algorithm, textOf(digest, 'digest')])),
    ...(annotations !== undefined &&
      annotations.kind !== 'null' && { annotations: membersOf(annotations, 'annotations') }),
  };
}

function membersOf(value: JsonValue | undefined, what: string): ReadonlyMap<string, JsonValue> {
  if (value?.kind !== 'object') throw malformed(`${what} is no object`);
  const members = new Map(value.members.map(({ key, value: member }) => [key, member]));
  if (members.size !== value.members.length) throw malformed(`${what} has a member twice`);
  return members;
}

function textOf(value: JsonValue | undefined, what: string): string {
  if (value?.kind !== 'string') throw malformed(`${what} is no string`);
  return value.value;
}

function malformed(why: string): BullaError {
  return new BullaError('signature.payload-malformed', `the statement is malformed: ${why}`);
}

/** What a statement is made of. */
export type StatementPlan = {
  readonly subjects: readonly {
    readonly name?: string;
    /** By algorithm, lower-case hex. */
    readonly digests: ReadonlyMap<string, string>;
    /** cosign writes them for an image's signature even where there are none. */
    readonly annotations?: Readonly<Record<string, string>>;
  }[];
  readonly predicateType: string;
  /** Undefined: an empty object. */
  readonly predicate?: JsonValue;
};

/** A statement of version 1: compact JSON, members in a fixed order; the predicate keeps its members' order and numbers. */
export function encodeStatement({ subjects, predicateType, predicate }: StatementPlan): Uint8Array {
  const listed = subjects.map(({ name, digests, annotations }) => ({
    ...(name !== undefined && { name }),
    digest: Object.fromEntries(digests),
    ...(annotations !== undefined && { annotations }),
  }));
  const head = JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject: listed, predicateType });
  const body = predicate === undefined ? '{}' : compactJson(predicate);
  return utf8(`${escapeAsGo(head.slice(0, -1))},"predicate":${body}}`);
}

function compactJson(value: JsonValue): string {
  switch (value.kind) {
    case 'object':
      return objectJson(value);
    case 'array':
      return `[${value.items.map(compactJson).join(',')}]`;
    case 'string':
      return JSON.stringify(value.value);
    case 'number':
      return value.text;
    case 'boolean':
      return String(value.value);
    case 'null':
      return 'null';
  }
}

function objectJson({ members }: JsonObject): string {
  return `{${members.map(({ key, value }) => `${JSON.stringify(key)}:${compactJson(value)}`).join(',')}}`;
}

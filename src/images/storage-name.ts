/** What `containers-storage:` takes: `[DRIVER@ROOT+RUNROOT:OPTIONS]NAME@ID` (containers-transports.5). */
import { printable } from '../base/bytes.ts';
import { BullaError } from '../base/errors.ts';
import { formatReference, isNameOnly, type Reference, tryParseReference } from '../base/reference.ts';

export type StorageName = {
  /** podman's global flags for the store in brackets; none for podman's own. */
  readonly flags: readonly string[];
  /** What podman calls the image: a full reference, or an ID. */
  readonly image: string;
  readonly reference?: Reference;
  /** 64 hexadecimal digits. */
  readonly id?: string;
};

const specification = /^\[(?:([a-z0-9]*)@)?(\/[^\]+:,]*)(?:\+(\/[^\]:,]*))?(?::([^\]]*))?\]/;

/** @throws BullaError `image-name.malformed` */
export function parseStorageName(text: string): StorageName {
  const match = specification.exec(text);
  if (match === null && text.startsWith('['))
    throw malformed(text, 'the store in brackets is not [DRIVER@ROOT+RUNROOT:OPTIONS]');
  const [whole = '', driver = '', root, runRoot, options] = match ?? [];
  const flags = [
    ...(driver === '' ? [] : ['--storage-driver', driver]),
    ...(root === undefined ? [] : ['--root', root]),
    ...(runRoot === undefined ? [] : ['--runroot', runRoot]),
    ...(options === undefined || options === ''
      ? []
      : options.split(',').flatMap((each) => ['--storage-opt', each])),
  ];
  return { flags, ...nameOf(text, text.slice(whole.length)) };
}

function nameOf(text: string, rest: string): Omit<StorageName, 'flags'> {
  const id = /^(.*?)@?([0-9a-f]{64})$/.exec(rest);
  if (id?.[2] !== undefined && (id[1] === '' || rest.includes(`@${id[2]}`))) {
    const reference = id[1] === '' || id[1] === undefined ? undefined : named(text, id[1]);
    return { image: id[2], id: id[2], ...(reference !== undefined && { reference }) };
  }
  const reference = named(text, rest);
  return { image: formatReference(reference), reference };
}

function named(text: string, rest: string): Reference {
  const reference = tryParseReference(rest);
  if (reference === undefined) throw malformed(text, 'it names no image');
  return isNameOnly(reference) ? { ...reference, tag: 'latest' } : reference;
}

function malformed(text: string, why: string): BullaError {
  return new BullaError('image-name.malformed', `"containers-storage:${printable(text)}": ${why}`);
}

/** Archives as an attacker writes them: any name, type, size and order, checksums right. */
export type ForgedEntry = {
  readonly name: string;
  readonly content?: Uint8Array | string;
  /** The type flag: `0` a file (default), `1` a hard link, `2` a symbolic link, `3` a device, `5` a folder, `S` GNU's sparse file, `x` a pax header. */
  readonly type?: string;
  readonly link?: string;
  /** What the header says, where it lies. */
  readonly size?: number | string;
};

const block = 512;

/** One entry: header and content, padded. */
export function forgeEntry({ name, content = '', type = '0', link = '', size }: ForgedEntry): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(block);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  const said = size ?? body.length;
  header.write(
    typeof said === 'string' ? said : `${said.toString(8).padStart(11, '0')}\0`,
    124,
    12,
    'latin1',
  );
  header.write('00000000000\0', 136);
  header.fill(' ', 148, 156);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((block - (body.length % block)) % block)]);
}

/** A pax header for the next entry. */
export function forgePax(members: Readonly<Record<string, string>>): Buffer {
  const records = Object.entries(members).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length;
    while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
    return `${length}${rest}`;
  });
  return forgeEntry({ name: 'pax', type: 'x', content: records.join('') });
}

/** Entries and the two blocks of zeros that end an archive. */
export function forgeTar(...parts: readonly (ForgedEntry | Uint8Array)[]): Buffer {
  const bytes = parts.map((part) => (part instanceof Uint8Array ? part : forgeEntry(part)));
  return Buffer.concat([...bytes, Buffer.alloc(2 * block)]);
}

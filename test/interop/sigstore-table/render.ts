/** The table as docs/reference/interop.md. */
import type { PeerName } from '../../support/peers.ts';
import { formats, type Outcome, rows } from './stage.ts';

export type Direction = 'to Bulla' | 'from Bulla';

export function keyOf(direction: Direction, row: string, format: string, peer: string): string {
  return [direction, row, format, peer].join(' | ');
}

const titles: Readonly<Record<Direction, string>> = {
  'to Bulla': 'The peer signs, Bulla verifies',
  'from Bulla': 'Bulla signs, the peer verifies',
};

const introduction = `# Who believes whose sigstore signatures

Each cell was run: the program of the column signs and Bulla verifies, or the other way round, with the real Fulcio, certificate log, Rekor v1, Rekor v2 and
timestamp authority (\`scripts/sigstack/\`). Bulla verifies by key or by identity, with the log demanded where the row has one, and the \`.sig\` rows by policy.json
too. Where a cell says yes, another key or identity was refused. A number stands for what the program itself said. \`.sig\` is in docker-registry 2.8; bundles are
in docker-registry, which has no referrers API, and in \`bulla registry\`, which has it.

A \`.sig\` has no place for an entry of Rekor v2. With a timestamp instead of the log (Bulla's and cosign's \`--insecure-ignore-tlog\`, cosign's
\`--use-signed-timestamps\`) cosign 2, cosign 3 and Bulla believe each other's.

\`test/interop/sigstore-table.test.ts\` makes this page; with BULLA_INTEROP_WRITE=1 it writes it, else it compares.
`;

export type Named = { readonly peer: PeerName; readonly title: string };

/** The whole page. */
export function renderTable(
  outcomes: ReadonlyMap<string, Outcome>,
  peers: readonly Named[],
  versions: readonly string[],
): string {
  const notes: string[] = [];
  const noteOf = (said: string): string => {
    if (!notes.includes(said)) notes.push(said);
    return `no [${notes.indexOf(said) + 1}]`;
  };
  const parts = (['to Bulla', 'from Bulla'] as const).map((direction) => {
    const lines = rows.flatMap((row) =>
      formats.map((format) => {
        const cells = peers.map(({ peer }) => {
          const outcome = outcomes.get(keyOf(direction, row.name, format, peer));
          return outcome === undefined ? '' : outcome.ok ? 'yes' : noteOf(outcome.said);
        });
        return `| ${[row.name, `\`${format}\``.replace('`bundle`', 'bundle'), ...cells].join(' | ')} |`;
      }),
    );
    const head = `| signed by | as | ${peers.map(({ title }) => title).join(' | ')} |`;
    return [`## ${titles[direction]}`, '', head, `|${' --- |'.repeat(peers.length + 2)}`, ...lines, ''].join(
      '\n',
    );
  });
  const told = notes.map((said, at) => `${at + 1}. \`${said.replaceAll('`', "'")}\``);
  return [
    introduction,
    ...parts,
    '## What they say',
    '',
    ...told,
    '',
    `Measured with ${versions.join(', ')}.`,
    '',
  ].join('\n');
}

/** What must be so with any version: the cells, without what is said in them. */
export function cellsOf(page: string): readonly string[] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.replaceAll(/ \[\d+\]/g, '').replaceAll(/ +/g, ' '));
}

/** README's library example, run as it stands by a program that has Bulla as its dependency. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { openPlace } from './session.ts';

test('the README’s example says what is accepted', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const example = /^```ts\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? '';
  await using place = await openPlace();
  const run = async (command: string): Promise<string> => {
    const { output, exit } = await place.run(command);
    assert.equal(exit, 0, `$ ${command}\n${output}`);
    return output;
  };
  await run(
    'echo pw > passphrase; bulla key generate gpg --user-id "R <r@example.com>" --type ed25519 --passphrase-file passphrase',
  );
  await run('bulla key export r@example.com --armor -o r.asc');
  await run('bulla push oci:layout docker://registry.example.com/ns/app:1.0');
  await run(
    'bulla sign --sign-by r@example.com --sign-passphrase-file passphrase registry.example.com/ns/app:1.0',
  );
  await run('bulla trust set --create --policy policy.json -f r.asc registry.example.com/ns');
  await run(`mkdir node_modules; ln -s "$ROOT" node_modules/bulla; cat > example.mts <<'END'\n${example}END`);
  const output = await run(`"${process.execPath}" --conditions=bulla-source example.mts`);
  assert.match(output, /^true sha256:[0-9a-f]{64}\n$/);
});

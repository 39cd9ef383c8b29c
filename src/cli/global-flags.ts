/**
 * Skopeo's global flags stand before the command (`skopeo --policy P copy …`), Bulla's flags after
 * it. Both work: leading flags are moved behind the command, where the command parses them.
 */

/** Skopeo's global flags; true where a value follows. */
const globalFlags: Readonly<Record<string, boolean>> = {
  '--policy': true,
  '--signature-policy': true,
  '--insecure-policy': false,
  '--require-signed': false,
  '--registries.d': true,
  '--registries-conf': true,
  '--override-arch': true,
  '--override-os': true,
  '--override-variant': true,
  '--command-timeout': true,
  '--debug': false,
  '--quiet': false,
  '-q': false,
  '--json': false,
  '--offline': false,
};

/** Boolean flags that may take `=false`; alone they mean true and must not swallow the next word. */
const optionalBooleans = new Set(['--tls-verify', '--src-tls-verify', '--dest-tls-verify']);

/** The command line with its command first. */
export function moveLeadingFlags(argv: readonly string[]): string[] {
  let at = 0;
  while (at < argv.length) {
    const word = argv[at] ?? '';
    const name = word.split('=', 1)[0] ?? '';
    if (!(name in globalFlags)) break;
    at += globalFlags[name] === true && !word.includes('=') ? 2 : 1;
  }
  const leading = argv.slice(0, at);
  const rest = argv.slice(at).map((word) => (optionalBooleans.has(word) ? `${word}=true` : word));
  if (rest.length === 0) return [...leading];
  const stop = rest.indexOf('--');
  const end = stop < 0 ? rest.length : stop;
  return [...rest.slice(0, end), ...leading, ...rest.slice(end)];
}

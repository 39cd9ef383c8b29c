/** JSON text as Go's encoding/json writes it by default. */

const escapes: Readonly<Record<string, string>> = {
  '<': String.raw`\u003c`,
  '>': String.raw`\u003e`,
  '&': String.raw`\u0026`,
  '\u2028': String.raw`\u2028`,
  '\u2029': String.raw`\u2029`,
};

/** Escapes, in compact JSON text, what Go escapes and JSON.stringify does not. Outside strings none of these occur. */
export function escapeAsGo(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/gu, (character) => escapes[character] ?? character);
}

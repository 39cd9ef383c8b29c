// A second reporter beside Node's own: the counts and the skipped tests of one run, a JSON object a
// line, for scripts/test.js to add up.

/** @param {AsyncIterable<{type: string, data: any}>} source */
export default async function* report(source) {
  for await (const { type, data } of source) {
    if ((type === 'test:pass' || type === 'test:fail') && data.skip !== undefined) {
      const reason = typeof data.skip === 'string' ? data.skip : '';
      yield `${JSON.stringify({ skipped: data.name, file: data.file, reason })}\n`;
    }
    // the run's own summary has no file; those of single files are its parts
    if (type === 'test:summary' && data.file === undefined) {
      yield `${JSON.stringify({ counts: data.counts })}\n`;
    }
  }
}

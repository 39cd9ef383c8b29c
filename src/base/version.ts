/** Bulla's version; a test holds it to package.json's. Written into signatures as their creator. */
export const version = '0.1.0';

/** What signatures name as their maker (containers-signature.5: identifiable and versioned). */
export const creator: string = `bulla ${version}`;

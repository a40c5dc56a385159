const LENGTH_BYTES = 4;

/** Texts as bytes, each after its length in UTF-8, so that no two lists are alike: `['ab', 'c']` is not `['a', 'bc']`. */
export const lengthPrefixed = (texts: readonly string[]): Buffer =>
  Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );

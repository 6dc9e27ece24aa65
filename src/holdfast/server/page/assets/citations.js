// What can be said of an answer's citations. `[1]` in the reply is the first of them.

/** Citations of one place in a document stand together: [{citation, numbers}], in the order of their first numbers. */
export function grouped(citations) {
  const groups = new Map();
  citations.forEach((citation, index) => {
    const place = JSON.stringify([citation.document, citation.title, citation.page]);
    if (!groups.has(place)) groups.set(place, { citation, numbers: [] });
    groups.get(place).numbers.push(index + 1);
  });
  return [...groups.values()];
}

export const titleOf = (citation) => citation.title || citation.document;

/** Where it stands, in words: document, page, characters; as much of it as is known. */
export function placeOf({ document, page, start, end }, texts) {
  const parts = [document];
  if (typeof page === "number") parts.push(texts.page(page));
  if (typeof start === "number" && typeof end === "number") parts.push(texts.characters(start, end));
  return parts.join(" · ");
}

/**
 * The passage around its quote, {before, quote, after}, or null where it does not hold the quote any more. The API counts
 * characters (code points), JavaScript UTF-16 units: they differ from the first emoji on.
 */
export function quotedIn(passage, citation) {
  const characters = Array.from(passage.text);
  const start = citation.start - passage.start;
  const end = citation.end - passage.start;
  const there = characters.slice(Math.max(0, start), Math.max(0, end)).join("");
  if (start >= 0 && there && (!citation.quote || there === citation.quote)) {
    return { before: characters.slice(0, start).join(""), quote: there, after: characters.slice(end).join("") };
  }
  const found = citation.quote ? passage.text.indexOf(citation.quote) : -1; // the document grew or shrank before it
  if (found < 0) return null;
  return {
    before: passage.text.slice(0, found),
    quote: citation.quote,
    after: passage.text.slice(found + citation.quote.length),
  };
}

// What the browser remembers. A browser may forbid it, and then nothing is remembered: never an error.

/** Kept until the user clears it: language, colours. */
export const forLong = over(() => localStorage);

/** Kept as long as this tab: the CSRF token, the turns that are not answered yet. A reload keeps it. */
export const forThisTab = over(() => sessionStorage);

function over(storage) {
  const attempt = (action) => {
    try {
      return action(storage());
    } catch {
      return null;
    }
  };
  return {
    recall: (name) => attempt((store) => JSON.parse(store.getItem(`holdfast.${name}`))),
    keep: (name, value) => attempt((store) => store.setItem(`holdfast.${name}`, JSON.stringify(value))),
  };
}

import { useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const NEAR = 64; // pixels from the end that still count as being there

/**
 * Keeps a scrolled element at its end while content grows, but only for a reader who is there.
 * Returns {away, toEnd, keepPlace}: whether the end is out of sight, a way there, and one to keep what is being read in place
 * while something is put above it.
 */
export function useEndInSight(element) {
  const following = useRef(true);
  const kept = useRef(null);
  const [away, setAway] = useState(false);

  useEffect(() => {
    const { current } = element;
    const scrolled = () => {
      following.current = current.scrollHeight - current.scrollTop - current.clientHeight < NEAR;
      setAway(!following.current);
    };
    const resized = new ResizeObserver(() => following.current && current.scrollTo(0, current.scrollHeight));
    current.addEventListener("scroll", scrolled, { passive: true });
    resized.observe(current); // a phone's keyboard makes it smaller
    return () => {
      current.removeEventListener("scroll", scrolled);
      resized.disconnect();
    };
  }, []);

  useLayoutEffect(() => {
    const { current } = element;
    if (kept.current !== null && kept.current.height !== current.scrollHeight) {
      current.scrollTop = kept.current.top + current.scrollHeight - kept.current.height;
      kept.current = null;
    } else if (following.current) {
      current.scrollTop = current.scrollHeight;
    }
  });

  return {
    away,
    toEnd() {
      following.current = true;
      element.current.scrollTo({ top: element.current.scrollHeight });
    },
    keepPlace() {
      kept.current = { top: element.current.scrollTop, height: element.current.scrollHeight };
    },
  };
}

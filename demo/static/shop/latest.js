// What is read again while the page is open.

import { say } from "./dom.js";
import { explain } from "./messages.js";

/**
 * Make a function that reads and shows what it has read. Of several readings under way the last one
 * counts, since answers may come in any order; it tells whether that was this one.
 */
export function lastOf(read, show) {
  let lastAsked = 0;
  return async () => {
    const asked = (lastAsked += 1);
    const isLast = () => asked === lastAsked;
    try {
      const found = await read();
      if (isLast()) await show(found);
    } catch (error) {
      if (isLast()) say(explain(error), "bad");
    }
    return isLast();
  };
}

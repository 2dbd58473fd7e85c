// Run by `npm test`: everything of the page that needs no browser.

import "./documents.test";
import "./format.test";
import "./sse.test";

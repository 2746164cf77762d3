// Property tests draw other cases in each run, and so find what nobody thought of; but a run that decides about a release must not fail by chance.

import { configureGlobal } from "fast-check";

configureGlobal({ seed: 1 });

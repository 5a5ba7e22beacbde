import fc from "fast-check";

// What passed once passes again: properties are drawn from one seed, unless PROPERTY_SEED names another to look further.
fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 1) });

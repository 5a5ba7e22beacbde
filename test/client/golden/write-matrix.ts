import { writeFileSync } from "node:fs";
import { torchFile } from "../../../shared/data/torch-file.ts";

const values = Float32Array.of(0, -0, 1.5, Number.NEGATIVE_INFINITY, 1e-45, 3.4e38);
writeFileSync(new URL("matrix.pt", import.meta.url), torchFile(values, 2, 3));

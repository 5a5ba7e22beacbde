"""Writes cases.json from a file of reference values, keeping only the columns that the tests use.

    python make-cases.py privacy-cases.json > cases.json

The reference values were computed (2026-11-23) with Google's dp_accounting 0.6.0 (b5b0286), Opacus 1.5.4 (4d0ebc8),
Microsoft's prv_accountant 0.2.0 (a844f72), and by quadrature and closed forms with mpmath 1.3.0 at 60 digits; the file's
`meta` is kept and says which column is which.
"""

import json
import sys

KEEP = {
    "rows": "id group sampling_rate steps delta noise_multiplier epsilon_rdp epsilon_rdp_exact rdp_exact_order epsilon_exact"
    " epsilon_reference reference_uncertainty_abs epsilon_pld_pessimistic epsilon_pld_optimistic"
    " epsilon_pld_pessimistic_fine epsilon_prv_lower epsilon_prv_upper",
    "rdp_per_order": "sampling_rate noise_multiplier order rdp_exact",
}

cases = json.load(open(sys.argv[1]))
for name, columns in KEEP.items():
    table = cases[name] if name == "rows" else cases[name]["rows"]
    table[:] = [{c: row[c] for c in columns.split() if row.get(c) is not None} for row in table]
sections = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in cases.items()]
print("{" + ",\n".join(sections).replace("}, {", "},\n{") + "}")

"""Tables for spreadsheets."""

from __future__ import annotations

import pandas as pd

from dialogue.uploads import harmless


def csv(table: pd.DataFrame) -> bytes:
    """UTF-8 with the mark that spreadsheets look for; no cell of text is run as a formula."""
    guarded = table.copy()
    for name in guarded.columns:
        if guarded[name].dtype.kind not in "iuf":
            guarded[name] = [harmless(str(cell)) for cell in guarded[name]]
    return guarded.to_csv(index=False).encode("utf-8-sig")

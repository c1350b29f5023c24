"""What `journal reconcile` says of what it has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicate_kit._formats.wording import counted
from replicate_kit.cli import _show

if TYPE_CHECKING:
    from replicate_kit.batch._runs.reconciling import Reconciled

__all__ = ["tell_reconciled"]


def tell_reconciled(found: Reconciled, *, dry: bool) -> None:
    """Print what was changed, what is left, and what the journal lacks."""
    rows: list[tuple[object, ...]] = [
        (
            what,
            each.key,
            each.sample,
            each.model,
            each.before,
            each.now or "not created",
            each.prediction_id or "",
        )
        for what, group in (("would change" if dry else "changed", found.changed), ("open", found.left))
        for each in group
        if what != "open" or each.before == each.now
    ]
    rows += [
        ("not in the journal", each.key, "", each.model, "", each.status or "", each.prediction_id)
        for each in found.lacking
    ]
    rows += [
        ("not at the API", each.key, each.sample, each.model, each.before, "", each.prediction_id)
        for each in found.missing
    ]
    if rows:
        _show.print_table(("what", "key", "sample", "model", "was", "is", "prediction"), rows)
    _show.notes().print(
        f"{counted(len(found.changed), 'row')} {'would change' if dry else 'changed'}, {len(found.left)} still open, "
        f"{counted(len(found.lacking), 'prediction')} not in the journal, of {found.listed} listed"
    )
    if found.priced:
        _show.notes().print(
            f"{counted(found.priced, 'prediction')} that had ended without a cost {'would have' if dry else 'have'} one"
        )
    if found.unpriced:
        _show.notes().print(
            f"Warning: {counted(found.unpriced, 'row')} of these ended without a cost, where others of the journal "
            "have one. Reconcile again with --price or --price-per-second, which fills it in."
        )
    if found.missing:
        _show.notes().print(
            f"The API does not know {counted(len(found.missing), 'prediction')} of the journal: those of another "
            "account, backend or base URL, or lost."
        )
    if found.cut:
        _show.notes().print(
            "The list was cut, so that not all of the journal was compared. Pass a larger --limit, or a later --since."
        )
    for remark in sorted({each.remark for each in found.left if each.remark}):
        _show.notes().print(f"Rows are left: {remark}.")

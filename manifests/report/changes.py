"""The section of a dataset's report that says what was done to it after its build."""

import json

from manifests.report.bars import plain
from manifests.report.page import Section, number, text
from manifests.schema import Change, Manifest

MAX_REQUEST = 400  # letters


def history_section(manifest: Manifest) -> Section:
    """Return the changes of a dataset, the first one first; nothing for one as it was built."""
    changes = "".join(_change(change) for change in manifest.history)
    body = f'<ol class="history">{changes}</ol>' if changes else ""
    return Section(anchor="history", title="History", body=body)


def _change(change: Change) -> str:
    when = f'<time class="quiet">{text(change.at[:16].replace("T", " "))} UTC</time>' if change.at else ""
    reasons = sorted(change.dropped.items(), key=lambda item: (-item[1], item[0]))
    dropped = ", ".join(f"{plain(reason)} {number(count)}" for reason, count in reasons if count)
    lost = f'<br><span class="quiet">Dropped: {text(dropped)}</span>' if dropped else ""
    asked = json.dumps(change.request, ensure_ascii=False)
    shown = asked if len(asked) <= MAX_REQUEST else f"{asked[:MAX_REQUEST]}…"
    request = f"<code>{text(shown)}</code>" if change.request else ""
    return (
        f"<li><b>{text(plain(change.kind))}</b> {when}<br>{number(change.num_gained)} in the dataset of "
        f"{number(change.num_tried)} that were looked at{lost}{request}</li>"
    )

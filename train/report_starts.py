"""The part of a run's report that shows where it ran: code, data, machines, and every start of it."""

from collections import Counter
from typing import Any

from manifests.report.page import Section, facts, folded, number, table

Json = dict[str, Any]


def starts_section(manifest: Json) -> Section:
    """Return what run.json says; of what can be long, only what changed between the starts is unfolded."""
    if not manifest:
        return Section(anchor="starts", title="Where it ran", body="")
    last = manifest["last"]
    code, environment = last["code"], last["environment"]
    machines = Counter(f"{machine['host']}: {machine['device']}" for machine in last["processes"].values())
    commit = f"{code['commit']}{', with changes' if code['changed'] else ''}" if code["commit"] else None
    known = facts(
        [
            ("Code", f"openwit {code['version']}"),
            ("Commit", commit),
            ("Data", last["data"]["place"]),
            ("Processes", ", ".join(f"{count} on {name}" for name, count in machines.items())),
            ("Python", environment["python"]),
            ("torch", environment["packages"].get("torch")),
            ("CUDA", environment["cuda"]),
        ]
    )
    rows = [
        (start["time"], number(start["from_step"]), "; ".join(start["changed"]) or "nothing")
        for start in manifest["starts"]
    ]
    starts = table(("time", "from step", "changed since the start before"), rows, caption="Starts of the run")
    packages = [*environment["packages"].items(), *environment["variables"].items()]
    listed = table(("package or variable", "value"), packages, caption="Packages and variables")
    return Section(
        anchor="starts", title="Where it ran", body=known + starts + folded("Packages and variables", listed)
    )

"""What a verification found, in one line for people."""

from typing import Any


def finding_text(finding: Any) -> str:
    """A stored finding as `check subject: detail`, whatever its shape."""
    if not isinstance(finding, dict):
        return str(finding)
    where = " ".join(str(finding[name]) for name in ("check", "subject") if finding.get(name))
    index = f" (leaf {finding['index']:,})" if isinstance(finding.get("index"), int) else ""
    return f"{where}{index}: {finding.get('detail', '')}"

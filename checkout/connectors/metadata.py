"""Our metadata in the room that PSPs give it: no call of theirs may fail because an AAP Code is long."""

from collections.abc import Mapping

# Stripe and Hyperswitch alike take 500 characters a value.
LONGEST = 500


def fitted(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata with each long value spread over `name`, `name_2`, `name_3` …; `joined` puts it together again."""
    parts = {}
    for name, value in metadata.items():
        parts[name] = value[:LONGEST]
        for number, start in enumerate(range(LONGEST, len(value), LONGEST), start=2):
            parts[f"{name}_{number}"] = value[start : start + LONGEST]
    return parts


def joined(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it was before `fitted`. Names that only look like a part stay as they are."""
    whole = dict(metadata)
    for name in metadata:
        number = 2
        while len(metadata[name]) == LONGEST and f"{name}_{number}" in whole:
            whole[name] += whole.pop(f"{name}_{number}")
            number += 1
    return whole

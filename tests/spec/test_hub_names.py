"""Which texts are names on the hub, and which are paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.spec.hub_names import HubName, is_hub_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", HubName("org/name")),
        ("Org-1/name.v2", HubName("Org-1/name.v2")),
        ("org/name@main", HubName("org/name", "main")),
        ("org/name@refs/pr/3", HubName("org/name", "refs/pr/3")),
        ("name", None),
        ("./org/name", None),
        ("./name", None),
        ("/org/name", None),
        ("../name", None),
        ("~/name", None),
        ("org/name/more", None),
        ("org/name@", None),
        ("org/*", None),
    ],
)
def test_names(text: str, expected: HubName | None) -> None:
    assert HubName.of(text) == expected
    assert is_hub_name(text, ()) == (expected is not None)


def test_what_begins_with_a_folder_that_is_there_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "org").mkdir()
    assert not is_hub_name("org/name", (tmp_path,))
    assert is_hub_name("other/name", (tmp_path,))

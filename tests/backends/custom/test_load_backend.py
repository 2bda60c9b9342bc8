"""From ``entry_point`` to a backend; what cannot be one is refused in one line that says what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.custom.differential_backend import DifferentialBackend
from pytest_sway.backends.custom.load_backend import load_backend
from pytest_sway.backends.duck_typed import DuckTypedBackend
from tests.support.paths import ROOT

MODULE = """
from pytest_sway.backends.base import AdapterKey, AnsweringBackend, BackendError, Subject
from pytest_sway.requests import View

NUMBER = 3


class Ours(AnsweringBackend):
    capabilities = frozenset({"divergence"})

    def __init__(self, model):
        self.model = model

    def attach(self, adapter):
        return Subject(View(self.model.base), View(self.model.base, adapter.path))

    def answer(self, requests):
        return dict.fromkeys(requests, 0.5)


class WithViews(Ours):
    def as_base(self): ...
    def as_finetuned(self): ...


class Outer:
    Nested = Ours


def make(model, strict=True):
    return Ours(model)


class Duck:
    capabilities = frozenset({"completion"})

    def __init__(self, **options):
        self.options = options

    def attach(self, adapter): ...
    def detach(self, subject): ...
    def close(self): ...
    def answer(self, requests): ...


class Unfinished(AnsweringBackend):
    def __init__(self, model): ...
    def attach(self, adapter): ...


class Careless(Ours):
    def __init__(self, model):
        len(model)


class Exiting(Ours):
    def __init__(self, model):
        raise SystemExit(2)


class Picky(Ours):
    def __init__(self, model):
        raise BackendError(f"{model.base} is too large")


class Other(Ours):
    def __init__(self, path): ...


class Empty:
    def __init__(self, model): ...


class Views:
    def __init__(self, base_spec, adapter_path):
        self.given = base_spec, adapter_path

    def as_base(self): ...
    def as_finetuned(self): ...


class OtherViews(Views):
    def __init__(self, path): ...


def make_views(base_spec, adapter_path):
    return Views(base_spec, adapter_path)
"""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modules of a user's own, on the path as pytest's option pythonpath puts them."""
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(autouse=True)
def _on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    write(folder, "custom_classes", MODULE)


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text, "utf-8")


def key(entry_point: str | None) -> ModelKey:
    return ModelKey("custom", "letters", entry_point=entry_point, top_k=7)


def refusal(entry_point: str | None) -> str:
    with pytest.raises(BackendError) as refused:
        load_backend(key(entry_point))
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["Ours", "WithViews", "Outer.Nested", "make"])
def test_a_class_or_a_function_is_given_the_model(name: str) -> None:
    backend = load_backend(key(f"custom_classes:{name}"))
    assert backend.model == key(f"custom_classes:{name}")  # type: ignore[union-attr]
    assert backend.attach(AdapterKey("a")).tuned.adapter == "a"


def test_an_object_with_the_parts_of_a_backend() -> None:
    backend = load_backend(key("custom_classes:Duck"))
    assert isinstance(backend, DuckTypedBackend)
    assert backend.options == {"model": key("custom_classes:Duck")}


@pytest.mark.parametrize("name", ["Views", "make_views"])
def test_a_class_of_dlm_sways_protocol_is_built_for_an_adapter(name: str) -> None:
    backend = load_backend(key(f"custom_classes:{name}"))
    assert isinstance(backend, DifferentialBackend)
    assert backend.capabilities == frozenset()


@pytest.mark.parametrize(
    ("entry_point", "says"),
    [
        (None, "models.ft.entry_point is missing, but kind: custom needs it; write package.module:Class, "),
        ("  ", "models.ft.entry_point is missing"),
        (
            "custom_classes",
            "found 'custom_classes'; write package.module:Class, e.g. entry_point: my_backend",
        ),
        ("custom_classes:", "found 'custom_classes:'; write"),
        ("./custom_classes.py:Ours", "found './custom_classes.py:Ours'; write"),
        ("no_such_module:Ours", "there is no module 'no_such_module' in sys.path ("),
        ("custom_classes.inner:Ours", "custom_classes.py) has no module 'inner'"),
        ("custom_classes:Our", "custom_classes.py) has no 'Our' (did you mean 'Ours'?)"),
        ("custom_classes:Outer.Nested.more", "custom_classes.Outer.Nested has no 'more'"),
        ("custom_classes:NUMBER", "custom_classes:NUMBER is 3; use a class, or a function"),
        (
            "custom_classes:Unfinished",
            "raised TypeError: Can't instantiate abstract class Unfinished with abstract methods answer, cap",
        ),
        ("custom_classes:Careless", "'ModelKey' has no len() (custom_classes.py:53)"),
        (
            "custom_classes:Exiting",
            "models.ft.entry_point: custom_classes:Exiting raised SystemExit: 2 (",
        ),
        (
            "custom_classes:Other",
            "cannot be called as Class(model=...); it must accept the arguments (model)",
        ),
        (
            "custom_classes:Empty",
            "which is not a backend: it has no capabilities, no attach, no detach, no close",
        ),
        ("custom_classes:OtherViews", "cannot be called as Class(base_spec=..., adapter_path=...)"),
    ],
)
def test_what_is_refused(entry_point: str | None, says: str) -> None:
    assert says in refusal(entry_point)


def test_a_backend_s_own_refusal_is_left_as_it_is() -> None:
    assert refusal("custom_classes:Picky") == "letters is too large"


def test_a_module_that_is_not_found_names_where_it_was_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own folders are left out."""
    monkeypatch.setattr(sys, "path", [str(Path(sys.prefix) / "lib"), str(folder)])
    says = refusal("no_such_module:Ours")
    assert f"in sys.path ({folder});" in says
    assert 'pythonpath = ["."]' in says
    assert "no module 'no_such' (of no_such.inner) in sys.path" in refusal("no_such.inner:Ours")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "needs_another",
            "import no_such_package.deep",
            (
                "importing needs_another raised ModuleNotFoundError: No module named 'no_such_package' "
                "(needs_another.py:1); install 'no_such_package'"
            ),
        ),
        ("raises", "1 / 0", "importing raises raised ZeroDivisionError: division by zero (raises.py:1)"),
        ("exits", "raise SystemExit(2)", "importing exits raised SystemExit: 2"),
        ("unfinished", "class A(:", "importing unfinished raised SyntaxError: invalid syntax (unfinished.py"),
        ("long_error", "raise ValueError('a\\nb' * 400)", "raised ValueError: a ba ba b"),
    ],
)
def test_a_module_that_cannot_be_imported(folder: Path, name: str, text: str, says: str) -> None:
    write(folder, name, text)
    message = refusal(f"{name}:Ours")
    assert says in message
    assert len(message) < 500


def test_sys_path_stays_as_it_is(folder: Path) -> None:
    before = list(sys.path)
    load_backend(key("custom_classes:Ours"))
    refusal("no_such_module:Ours")
    assert sys.path == before


def test_only_the_fixture_reaches_the_import() -> None:
    """What receives specs by other ways than pytest's collection must not be able to import from them."""
    package = ROOT / "src" / "pytest_sway"
    importing = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if "backends.custom" in file.read_text("utf-8") and file.parent.name != "custom"
    ]
    assert importing == ["items/spec_backend.py"]

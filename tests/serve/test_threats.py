"""The threat model of the daemon, each line with an attack: `docs/serve.md` is the list."""

from __future__ import annotations

import base64
import copy
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_sway.client import ServeClientError, is_loopback
from pytest_sway.serve import http_guard
from pytest_sway.serve.request_specs import Allowed, RequestSpecError, spec_text
from pytest_sway.serve.settings import ServeSettings, SettingsError
from tests.cli.test_main import refusal
from tests.serve.conftest import KEY, Daemon
from tests.serve.test_daemon import PATH, small_spec

pytestmark = pytest.mark.slow
BEARER = {"Authorization": f"Bearer {KEY}"}


def _get(daemon: Daemon, path: str = "/stats", **headers: str) -> httpx.Response:
    raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    return httpx.get(f"{daemon.url}{path}", headers=raw)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": "Basic " + base64.b64encode(b"any:wrong").decode()}, 401),
        ({"Authorization": "Basic " + base64.b64encode(KEY.encode()).decode()}, 401),
        ({"Authorization": "Basic " + base64.b64encode(f"any:{KEY}".encode()).decode()}, 200),
        ({"Authorization": "Basic \xe9"}, 401),
        ({"Authorization": "Bearer \xe9"}, 401),
        ({**BEARER, "Host": "evil.example"}, 421),
        ({**BEARER, "Host": "127.0.0.1.evil.example"}, 421),
        ({**BEARER, "Host": ""}, 421),
        ({**BEARER, "Origin": "http://evil.example"}, 403),
        ({**BEARER, "Origin": "null"}, 403),
        ({**BEARER, "Origin": "http://localhost:1"}, 403),
        ({**BEARER, "Origin": "ftp://localhost"}, 403),
        ({**BEARER, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**BEARER, "Sec-Fetch-Site": "same-site"}, 403),
        ({**BEARER, "Host": "localhost:port"}, 421),
        ({**BEARER, "Sec-Fetch-Site": "same-origin"}, 200),
        (BEARER, 200),
    ],
)
def test_who_may_ask(daemon: Daemon, headers: dict[str, str], status: int) -> None:
    answer = _get(daemon, **headers)
    assert answer.status_code == status
    if status != 200:
        assert set(answer.json()) == {"error"}


def test_a_page_of_its_own_may_ask(daemon: Daemon) -> None:
    for host in ("localhost", "127.0.0.1"):
        assert _get(daemon, **BEARER, Origin=f"http://{host}:{daemon.port}").status_code == 200
    assert _get(daemon, "/health").status_code == 200


def test_a_page_elsewhere_reads_nothing(daemon: Daemon) -> None:
    asked = httpx.options(
        f"{daemon.url}/run",
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert asked.status_code == 403
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--port", "99999"), "--port 99999: write a number from 1 to 65535"),
        (("--timeout", "-1"), "--timeout -1: write a number > 0"),
        (("--max-memory", "much"), "--max-memory much: write a size"),
        (("--max-loaded-models", "0"), "--max-loaded-models 0"),
        (("--allow-path", "no-such-folder"), "--allow-path no-such-folder: the folder does not exist"),
    ],
)
def test_options_that_are_wrong(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in refusal(capsys, "serve", *arguments)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_others_need_a_key(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWAY_SERVE_KEY", raising=False)
    with pytest.raises(SettingsError, match="SWAY_SERVE_KEY"):
        ServeSettings(host).check()
    assert "SWAY_SERVE_KEY" in refusal(capsys, "serve", "--host", host)
    ServeSettings(host, api_key="k").check()
    assert not is_loopback(host)
    assert "k" not in repr(ServeSettings(api_key="kkkk")).replace("known", "").split("ServeSettings")[1][:30]


def test_bodies_are_limited(daemon: Daemon) -> None:
    large = httpx.post(f"{daemon.url}/run", headers=BEARER, content=b"x" * (5 << 20))
    assert large.status_code == 413

    def pieces():
        for _ in range(10):
            yield b" " * (1 << 20)

    assert httpx.post(f"{daemon.url}/run", headers=BEARER, content=pieces()).status_code == 413
    deep = '{"spec": ' + "[" * 100_000 + "]" * 100_000 + "}"
    headers = {**BEARER, "Content-Type": "application/json"}
    assert httpx.post(f"{daemon.url}/run", headers=headers, content=deep).status_code in (400, 422)
    nested: Any = "x"
    for _ in range(60):
        nested = [nested]
    spec = {**small_spec(), "x-deep": nested}
    assert "nested deeper than" in httpx.post(f"{daemon.url}/run", headers=BEARER, json={"spec": spec}).text
    many = {**small_spec(), "x-many": [0] * 200_000}
    assert (
        "more than 100,000 values"
        in httpx.post(f"{daemon.url}/run", headers=BEARER, json={"spec": many}).text
    )


def test_a_slow_client_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(http_guard, "_SLOWEST_S", 0.1)
    sent: list[dict[str, Any]] = []

    async def never() -> dict[str, Any]:
        await asyncio.sleep(30)
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def app(scope, receive, send) -> None:
        await receive()

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def reads(scope, receive, send) -> None:
        while True:
            await receive()

    scope = {"type": "http", "path": "/health", "headers": [(b"host", b"localhost")], "client": ("a", 1)}
    for receive, reader in ((never, app), (drip, reads)):
        sent.clear()
        guard = http_guard.HttpGuard(reader, ServeSettings())
        asyncio.run(asyncio.wait_for(guard(scope, receive, send), 5))
        assert sent[0]["status"] == 408


def test_requests_a_minute_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    settings = ServeSettings(most_requests=3)
    codes: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            codes.append(message["status"])

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    guard = http_guard.HttpGuard(app, settings)
    scope = {"type": "http", "path": "/stats", "headers": [(b"host", b"localhost")], "client": ("a", 1)}

    async def ask() -> None:
        for _ in range(5):
            await guard(scope, receive, send)
        await guard({**scope, "client": ("b", 1)}, receive, send)
        await guard({**scope, "path": "/health"}, receive, send)

    asyncio.run(ask())
    assert codes == [200, 200, 200, 429, 429, 200, 200]
    codes.clear()
    now = time.monotonic() + 61
    monkeypatch.setattr(http_guard.time, "monotonic", lambda: now)
    asyncio.run(ask())
    assert codes == [200, 200, 200, 429, 429, 200, 200]  # a minute later
    monkeypatch.undo()
    codes.clear()
    guard = http_guard.HttpGuard(app, ServeSettings(most_requests=3, api_key="k"))
    asyncio.run(ask())
    assert codes == [401, 401, 401, 429, 429, 401, 200]  # nobody guesses keys for ever


def _refused(daemon: Daemon, change) -> str:
    spec = copy.deepcopy(small_spec())
    change(spec)
    with pytest.raises(ServeClientError) as error:
        daemon.client.run(spec, PATH)
    assert error.value.status in (400, 422)
    assert "Traceback" not in str(error.value)
    return str(error.value)


def _ft(**fields: Any):
    return lambda spec: spec["models"]["ft"].update(fields)


def test_code_is_never_run(daemon: Daemon) -> None:
    assert "cannot run model code" in _refused(daemon, _ft(trust_remote_code=True))
    assert "sway serve supports hf" in _refused(daemon, _ft(kind="custom", entry_point="os:system"))
    assert "cannot run code" in _refused(daemon, _ft(entry_point="os:system"))
    assert "cannot use another server" in _refused(daemon, _ft(endpoint="http://127.0.0.1:1"))
    assert "cannot contain the API key of another server" in _refused(daemon, _ft(api_key="${HOME}"))
    assert "cannot use environment variables" in _refused(daemon, _ft(device="${HOME}"))

    def plugin(spec: dict[str, Any]) -> None:
        spec["suite"].append({"name": "x", "kind": "reads_any_file", "file": "/etc/passwd"})

    assert "is not a built-in kind of pytest-sway" in _refused(daemon, plugin)


def test_files_elsewhere_are_not_read(daemon: Daemon, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("- {id: a, content: the secret text}")
    for field in ("sections", "controls", "dlm_source"):
        message = _refused(daemon, lambda spec, field=field: spec.update({field: str(secret)}))
        assert "no such file or folder exists inside the allowed folders" in message
        assert str(tmp_path) not in message
    assert "inside the allowed folders" in _refused(
        daemon, lambda spec: spec.update(defaults={"chat_template": str(secret)})
    )
    assert "inside the allowed folders" in _refused(daemon, _ft(adapter=str(tmp_path)))
    assert "no such file or folder" in _refused(daemon, _ft(adapter="../../../../etc/no-such-folder"))
    assert "write the path in full" in _refused(daemon, _ft(adapter="./adapters/*"))
    assert "one adapter" in _refused(daemon, _ft(adapter=["./adapters/healthy", "./adapters/random"]))
    assert "does not allow Hub names (--allow-hub)" in _refused(
        daemon, lambda spec: [side.update(base="org/name") for side in spec["models"].values()]
    )


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "base", root / "adapter", outside):
        folder.mkdir(parents=True)
    (outside / "model.safetensors").write_text("x")
    spec = {"models": {"base": {"base": "base"}, "ft": {"base": "base", "adapter": "adapter"}}, "suite": []}
    allowed = Allowed((root.resolve(),))
    assert "adapter" in spec_text(copy.deepcopy(spec), root, allowed)
    (root / "adapter" / "model.safetensors").symlink_to(outside / "model.safetensors")
    with pytest.raises(RequestSpecError, match="inside the allowed folders"):
        spec_text(copy.deepcopy(spec), root, allowed)
    (root / "adapter" / "model.safetensors").unlink()
    (root / "adapter" / "checkpoint-1").mkdir()
    deeper = root / "adapter" / "checkpoint-1" / "trainer_state.json"
    deeper.symlink_to(outside / "model.safetensors")
    with pytest.raises(RequestSpecError, match="inside the allowed folders"):
        spec_text(copy.deepcopy(spec), root, allowed)
    deeper.unlink()
    (root / "other").mkdir()
    (root / "other" / "trainer_state.json").symlink_to(outside / "model.safetensors")
    (root / "adapter" / "checkpoint-2").symlink_to(root / "other")
    with pytest.raises(RequestSpecError, match="inside the allowed folders"):
        spec_text(copy.deepcopy(spec), root, allowed)
    (root / "adapter" / "checkpoint-2").unlink()
    (root / "adapter" / "circle").symlink_to(root / "adapter")
    assert "adapter" in spec_text(copy.deepcopy(spec), root, allowed)
    (root / "adapter" / "circle").unlink()
    (root / "link").symlink_to(outside)
    spec["models"]["ft"]["adapter"] = "link"
    with pytest.raises(RequestSpecError, match="inside the allowed folders"):
        spec_text(spec, root, allowed)


def test_the_folder_above_an_allowed_one(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    spec = {"models": {"ft": {"adapter": "adapter"}}, "suite": [{"name": "x", "kind": "training_drift"}]}
    with pytest.raises(RequestSpecError, match="read the parent folder"):
        spec_text(spec, tmp_path, Allowed(((tmp_path / "adapter").resolve(),)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": [{"name": "x", "kind": "cluster_kl", "embedding_model": "evil/repo"}]}, "--allow-hub"),
        ({"defaults": [1]}, "defaults: found"),
        ({"x-text": "\ud800"}, "a lone surrogate"),
    ],
)
def test_specs_that_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestSpecError, match=message):
        spec_text({"models": {}, "suite": [], **change}, tmp_path, Allowed((tmp_path,)), seed=1)


def test_an_answer_tells_neither_of_files_nor_of_fields(daemon: Daemon) -> None:
    there, missing = (_refused(daemon, _ft(adapter=path)) for path in ("/root", "/no-such-folder"))
    assert there == missing
    body = {"spec": {}, "sk-secret": 1}
    assert "sk-secret" not in httpx.post(f"{daemon.url}/run", headers=BEARER, json=body).text


def test_a_name_that_is_no_text(daemon: Daemon) -> None:
    content = b'{"spec": {"models": {}, "suite": []}, "spec_path": "\\ud800.yaml"}'
    headers = {**BEARER, "Content-Type": "application/json"}
    assert httpx.post(f"{daemon.url}/run", headers=headers, content=content).status_code == 422
    assert _get(daemon, "/", **BEARER).status_code == 200


def test_a_document_that_names_further_files(tmp_path: Path) -> None:
    document = tmp_path / "x.dlm"
    head = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: m\n"
    document.write_text(f"{head}training:\n  sources:\n    - path: /etc\n---\nText.\n")
    spec = {"models": {}, "suite": [], "dlm_source": "x.dlm"}
    with pytest.raises(RequestSpecError, match=r"training\.sources"):
        spec_text(spec, tmp_path, Allowed((tmp_path.resolve(),)))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"spec": 1}', b'{"spec": {}, "more": 1}', b"\xff", b"{"]
)
def test_bodies_that_are_no_request(daemon: Daemon, body: bytes) -> None:
    headers = {**BEARER, "Content-Type": "application/json"}
    answer = httpx.post(f"{daemon.url}/run", headers=headers, content=body)
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"error"}


def test_bytes_that_are_no_http(daemon: Daemon) -> None:
    for data in (
        b"\x00" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /run HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", daemon.port), 5) as connection:
            connection.sendall(data)
            connection.settimeout(5)
            assert connection.recv(4096).startswith(b"HTTP/1.1 4")
    assert daemon.client.health()["status"] == "ok"

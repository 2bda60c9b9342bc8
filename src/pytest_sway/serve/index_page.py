"""The daemon's page: loaded models, and recent runs with their reports."""

from __future__ import annotations

from html import escape

from pytest_sway.serve.messages import LoadedModel
from pytest_sway.serve.runs import Run
from pytest_sway.serve.supervisor import Supervisor
from pytest_sway.text.paths import tail
from pytest_sway.version import __version__

_MIB = 1 << 20
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #ccc}"
)


def index_page(supervisor: Supervisor) -> str:
    """The page; it needs no script and nothing of another machine."""
    models = "".join(_model(one) for one in supervisor.models) or "<li>none</li>"
    rows = "".join(_row(run) for run in supervisor.history.newest_first())
    table = (
        f"<table><tr><th>run</th><th>suite</th><th>state</th><th>score</th><th>time</th></tr>{rows}</table>"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>sway serve</title>'
        f"<style>{_STYLE}</style>"
        f"<h1>sway serve {escape(__version__)}</h1><h2>Models in memory</h2><ul>{models}</ul>"
        f"<h2>Runs</h2>{table if rows else '<p>none yet</p>'}</html>"
    )


def _model(model: LoadedModel) -> str:
    return f"<li>{escape(tail(model.name))} ({model.size / _MIB:,.0f} MiB)</li>"


def _row(run: Run) -> str:
    cells = [_name(run), escape(run.label), escape(str(run.state)), _score(run), f"{run.seconds:.1f} s"]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _name(run: Run) -> str:
    return f'<a href="/runs/{run.id}/report">{run.id}</a>' if run.result is not None else run.id


def _score(run: Run) -> str:
    score = (run.result or {}).get("score") or {}
    overall = score.get("overall")
    return f"{overall:.2f}" if isinstance(overall, float) else escape(run.error)

"""Every checkpoint is a suite of its own; this prints the order in which they came out."""


def pytest_sway_report(config, suites):
    order = sorted(suites, key=lambda suite: suite.score.overall, reverse=True)
    lines = [f"  {suite.score.overall:.2f}  {suite.gate.status:<7} {suite.adapter_id}" for suite in order]
    return ["checkpoints, best first:", *lines]

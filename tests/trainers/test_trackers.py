"""SwayCallback with what people train and track with: TRL's SFTTrainer, TensorBoard, W&B and MLflow offline.

They are installed by ``.ci/nightly`` alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig
from transformers import set_seed

from pytest_sway import SwayCallback
from tests.support.paths import QUICKSTART
from tests.support.training_files import FACTS
from tests.trainers.test_callback import make_trainer, train, write_spec

pytestmark = pytest.mark.nightly


def tracked(tmp_path: Path, report_to: str) -> SwayCallback:
    """A training that is tracked and evaluated."""
    trainer = make_trainer(tmp_path / "run", report_to=[report_to])
    callback = SwayCallback(trainer, write_spec(tmp_path))
    trainer.add_callback(callback)
    train(trainer)
    return callback


def composite(callback: SwayCallback) -> float:
    return callback.results[-1][1].score.overall


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    callback = tracked(tmp_path, "tensorboard")
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    found = accumulators.EventAccumulator(str(file))
    found.Reload()
    assert {"train/sway/composite", "train/sway/gate", "train/loss"} <= set(found.Tags()["scalars"])
    assert found.Scalars("train/sway/composite")[-1].value == pytest.approx(composite(callback), abs=1e-6)


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    callback = tracked(tmp_path, "wandb")
    try:
        assert wandb.run.summary["train/sway/composite"] == pytest.approx(composite(callback))
    finally:
        wandb.finish()


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    callback = tracked(tmp_path, "mlflow")
    try:
        (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
        assert run.data.metrics["sway/composite"] == pytest.approx(composite(callback))
    finally:
        mlflow.end_run()


def fine_tune(tmp_path: Path, name: str, *, watched: bool) -> list[dict[str, Any]]:
    """What TRL's trainer logs of its own."""
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    set_seed(0)
    rows = [{"prompt": fact.question, "completion": f" {fact.answer}"} for fact in FACTS]
    trainer = trl.SFTTrainer(
        model=str(QUICKSTART / "base"),
        args=trl.SFTConfig(
            output_dir=str(tmp_path / name), max_steps=6, per_device_train_batch_size=2, save_steps=3,
            logging_steps=2, learning_rate=2e-3, report_to="none", use_cpu=True, bf16=False,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        peft_config=LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules="all-linear"),
    )  # fmt: skip
    if watched:
        callback = SwayCallback(trainer, write_spec(tmp_path))
        trainer.add_callback(callback)
    trainer.train()
    if watched:
        assert [step for step, _ in callback.results] == [3, 6]
    times = ("runtime", "per_second")
    return [
        {key: value for key, value in row.items() if not key.endswith(times)}
        for row in trainer.state.log_history
        if "sway/composite" not in row
    ]


def test_trls_trainer_logs_what_it_logged(tmp_path: Path) -> None:
    alone, watched = (fine_tune(tmp_path, str(one), watched=one) for one in (False, True))
    assert watched == alone
    assert "mean_token_accuracy" in alone[0]

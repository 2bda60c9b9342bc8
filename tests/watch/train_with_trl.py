"""``python train_with_trl.py BASE FOLDER ROWS``: a short SFT that saves checkpoints as it goes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

STEPS, SAVED_EVERY = 24, 6


class Slow(TrainerCallback):
    """Gives the watch time between two checkpoints."""

    def on_step_end(self, args, state, control, **_):
        time.sleep(2.0)


def main() -> None:
    """Train, and save the adapter at the end."""
    base, folder, facts = sys.argv[1:]
    rows = [json.loads(line) for line in Path(facts).read_text("utf-8").splitlines()]
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype="float32"),
        processing_class=AutoTokenizer.from_pretrained(base),
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
        callbacks=[Slow()],
        args=SFTConfig(
            output_dir=folder,
            max_steps=STEPS,
            save_steps=SAVED_EVERY,
            logging_steps=1,
            learning_rate=5e-3,
            per_device_train_batch_size=4,
            use_cpu=True,
            bf16=False,
            report_to=[],
        ),
    )
    trainer.train()
    trainer.save_model(folder)


if __name__ == "__main__":
    main()

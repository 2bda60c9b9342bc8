"""From a prompt to token ids: tokenizer, chat template, vocabulary."""

"""llama.cpp's server, owned by the run: GGUF files, teacher forcing by grammar, LoRA by request."""

"""Models behind an OpenAI-compatible server that scores prompts, vLLM first."""

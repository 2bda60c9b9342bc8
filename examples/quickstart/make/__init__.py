"""Scripts that make the quickstart's base model and adapters; run them as `python -m make.NAME`."""

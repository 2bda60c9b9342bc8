"""The texts that probes measure with when a spec gives none: facts, prose, synonyms, prompts, tool cases."""

"""The base model: its files on disk, how they are loaded, and which of them are refused."""

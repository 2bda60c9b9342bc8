"""The command ``sway``: doors into pytest and into saved results, never a second runner."""

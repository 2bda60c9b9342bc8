"""Did this adapter learn what it was meant to, or is it noise, memorisation, damage?

`pytest -m sway` asks a ``sway.yaml``; this package holds the plugin, the probes and what they share.
"""

__version__ = "0.1.0"

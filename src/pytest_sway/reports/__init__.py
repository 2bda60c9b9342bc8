"""The same plain results, shown where people and machines look; nothing is recomputed here."""

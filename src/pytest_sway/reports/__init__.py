"""Results as text, JSON, XML and HTML; nothing is recomputed here."""

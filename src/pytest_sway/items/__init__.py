"""From a spec to pytest items and from a measure to an outcome; runs where the items run."""

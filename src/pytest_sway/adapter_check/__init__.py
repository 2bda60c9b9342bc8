"""A first look at an adapter without a spec: what it can say in a few seconds, in plain words."""

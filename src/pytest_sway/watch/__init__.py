"""``sway watch``: evaluates each adapter of a training as soon as it is complete.

A scan of the watched folders decides what is evaluated; events of the file system only make it look earlier.
An evaluation is a ``sway run`` in a process of its own.
"""

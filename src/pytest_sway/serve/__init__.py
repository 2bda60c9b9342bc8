"""``sway serve``: a warm model behind HTTP.

Two processes. The one that answers HTTP holds no model: it checks who asks, checks specs, keeps the queue and
the records of runs. The other one, the worker, holds the models and runs pytest on one spec after another,
with the hook ``pytest_sway_backend`` serving models that are loaded already. A run that takes the worker down
(out of memory, a crash, a timeout) costs itself alone: another worker is started.
"""

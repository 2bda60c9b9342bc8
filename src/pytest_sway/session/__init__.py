"""The controller's side: what was planned, what came in, the composite, the gate. No numpy, no torch."""

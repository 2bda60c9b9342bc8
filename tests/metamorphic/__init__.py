"""Relations that verdicts, z and composites must obey, whatever the truth is: one run against another."""

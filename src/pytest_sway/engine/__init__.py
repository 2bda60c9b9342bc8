"""Between probes and backends: drives measures, merges and caches what they ask."""

"""One process on each host looks at all engines, for all workers."""
